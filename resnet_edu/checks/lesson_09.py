"""The checks of lesson 09: layers and parameters counted by formula, a net for a budget, what Keras would print."""

import random
from collections.abc import Callable, Sequence
from math import inf, prod

import torch
from torch import nn

from ..models import BasicBlock, Bottleneck, build
from .exercise import Call, exercise
from .values import optional, several, text, whole

# --- 09.1 count the layers --------------------------------------------------------------------------------------

PROJECTIONS = "The name counts the main path; what lies on a shortcut is left out."


def counted(formula: Callable[[Sequence[int], int], int]) -> Callable[[Sequence[int], bool], int]:
    return lambda blocks, bottleneck: formula(blocks, 3 if bottleneck else 2)


LAYER_MISTAKES = {
    "The first convolution and the linear layer at the end are missing: they have weights and count.":
        counted(lambda b, k: k * sum(b)),
    "One layer is missing. The first convolution and the linear layer at the end count both.":
        counted(lambda b, k: 1 + k * sum(b)),
    "One too many. Did you count a pooling? Only layers with weights count, without batch norm.":
        counted(lambda b, k: 3 + k * sum(b)),
    "Two too many. Did you count the poolings? Only layers with weights count, without batch norm.":
        counted(lambda b, k: 4 + k * sum(b)),
    "You count two convolutions in every block. A bottleneck has three.":
        {"bottleneck": False},
    "You count three convolutions in every block. A basic block has two.":
        {"bottleneck": True},
    "Basic block and bottleneck are swapped: the basic block has two convolutions, the bottleneck three.":
        counted(lambda b, k: 2 + (5 - k) * sum(b)),
    "Each block counts as one layer. Count the convolutions in it.":
        counted(lambda b, k: 2 + sum(b)),
    "You count the stages. The list says how many blocks are in each: add up.":
        counted(lambda b, k: 2 + k * len(b)),
    "You multiply the stages. Their blocks follow one another: add.":
        counted(lambda b, k: 2 + k * prod(b)),
    f"You count the projections as well. {PROJECTIONS}":
        counted(lambda b, k: 2 + k * sum(b) + len(b) - (k == 2)),
    f"You count the projections as well, one for each stage. {PROJECTIONS}":
        counted(lambda b, k: 2 + k * sum(b) + len(b)),
    f"You count the projections as well, in all stages but the first. {PROJECTIONS}":
        counted(lambda b, k: 2 + k * sum(b) + len(b) - 1),
    "Batch norms are in your count. A layer here is a convolution or a linear layer.":
        counted(lambda b, k: 3 + 2 * k * sum(b)),
    "Each convolution is in your count twice. Is it with its batch norm? A batch norm is no layer here.":
        counted(lambda b, k: 2 + 2 * k * sum(b)),
    "You stop after four stages. Add up all of them, however many there are.":
        counted(lambda b, k: 2 + k * sum(b[:4])),
    "You take every stage to be as long as the first. Add up the list.":
        counted(lambda b, k: 2 + k * len(b) * b[0]),
}  # fmt: skip


def layer_calls() -> list[Call]:
    n = random.randint(4, 20)
    known = [Call((2, 2, 2, 2)), Call((3, 4, 6, 3)), Call((n, n, n))]
    deep = [Call(blocks, bottleneck=True) for blocks in ((3, 4, 6, 3), (3, 8, 36, 3), (n, n, n))]
    longer = [Call(tuple(random.choices(range(2, 30), k=k)), bottleneck=k == 6) for k in (5, 6)]
    return [*known, *deep, *longer]


@exercise(
    "09.1 count the layers",
    calls=layer_calls,
    returns=whole("a whole number of layers"),
    mistakes=LAYER_MISTAKES,
)
def count_layers(blocks: Sequence[int], bottleneck: bool = False) -> int:
    """Right for 8 nets of three to six stages, with both kinds of block."""
    return 2 + (3 if bottleneck else 2) * sum(blocks)


# --- 09.2 parameters of a bottleneck ----------------------------------------------------------------------------


def formula(
    *,
    kernel: int = 9,
    middle: Callable[[int, int], float] = lambda c, s: c * c,
    norm: int = 2,
    projection_norm: int = 2,
    expansion: int = 4,
    projects: Callable[[int, int, int], bool] = lambda i, c, s: s != 1 or i != 4 * c,
    projection_kernel: int = 1,
) -> Callable[[int, int, int], int]:
    """A count with one part exchanged; without options it is right."""

    def count(i: int, c: int, stride: int) -> int:
        out = expansion * c
        total = i * c + int(kernel * middle(c, stride)) + c * out + norm * (2 * c + out)
        return total + (projection_kernel * i * out + projection_norm * out if projects(i, c, stride) else 0)

    return count


def at_full_width(i: int, c: int, stride: int) -> int:
    out = 4 * c
    return i * out + 10 * out * out + 6 * out + (i * out + 2 * out if stride != 1 or i != out else 0)


BOTTLENECK_MISTAKES = {
    "The batch norms are missing: each has a weight and a bias a channel.":
        formula(norm=0, projection_norm=0),
    "A batch norm has two parameters for each channel, a weight and a bias. You count one.":
        formula(norm=1, projection_norm=1),
    "You count the running mean and variance too. They are not trained, so PyTorch keeps them as buffers.":
        formula(norm=4, projection_norm=4),
    "The projection is missing. Where the stride is not 1 or in_channels is not 4 · channels, the shortcut has a 1×1 "
    "convolution and a batch norm.":
        formula(projects=lambda i, c, s: False),
    "You always count a projection. With stride 1 and in_channels = 4 · channels, x is added as it is.":
        formula(projects=lambda i, c, s: True),
    "You project only where the stride is not 1. The first block of ResNet-50 has stride 1 and leads from 64 channels "
    "to 256, so it projects too.":
        formula(projects=lambda i, c, s: s != 1),
    "You project only where the stride is 2. The first block of ResNet-50 has stride 1 and leads from 64 channels to "
    "256, so it projects too.":
        formula(projects=lambda i, c, s: s == 2),
    "You project only where the channels change. With stride 2 the sides differ, so x does not fit either.":
        formula(projects=lambda i, c, s: i != 4 * c),
    "You compare in_channels with channels. The block puts out 4 · channels: compare with that.":
        formula(projects=lambda i, c, s: s != 1 or i != c),
    "You ask whether there are more channels than 4 · channels. There may be fewer, and x does not fit either.":
        formula(projects=lambda i, c, s: s != 1 or i > 4 * c),
    "You project where the stride is 2. With stride 3 the sides differ as well.":
        formula(projects=lambda i, c, s: s == 2 or i != 4 * c),
    "The projection's batch norm is missing: 2 · 4 · channels parameters.":
        formula(projection_norm=0),
    "The projection is a 1×1 convolution. You count 9 weights for each pair of channels.":
        formula(projection_kernel=9),
    "The 3×3 convolution has 3 · 3 weights for each pair of channels, not 3.":
        formula(kernel=3),
    "All three convolutions count as 1×1. The one in the middle is 3×3.":
        formula(kernel=1),
    "The 3×3 convolution leads from `channels` to `channels`: 9 · channels · channels weights.":
        formula(middle=lambda c, s: c),
    "You give the convolutions a bias. They have none: the batch norm behind each takes a constant off again.":
        formula(norm=3, projection_norm=3),
    "The last convolution leads up to 4 · channels. You stay at `channels`.":
        formula(expansion=1),
    "You count every convolution at full width. The first leads *down* to `channels`.":
        at_full_width,
    "The stride changes the size of the map, not the number of weights. Do not divide by it.":
        formula(middle=lambda c, s: c * c / s**2),
}  # fmt: skip


def bottleneck_calls() -> list[Call]:
    c = random.randint(20, 90)
    shapes = [(64, 64, 1), (256, 64, 1), (256, 128, 2), (512, 128, 1), (4 * c, c, 2), (c, c, 2), (c + 7, c, 1)]
    return [Call(4 * c, c), Call(256, 64, stride=3), Call(5 * c, c), *(Call(*shape) for shape in shapes)]


@exercise(
    "09.2 parameters of a bottleneck",
    calls=bottleneck_calls,
    returns=whole("a whole number of parameters", hint="Divide nothing."),
    forbids={"": "The numbers are right, but PyTorch built the block and counted. Write them as a formula."},
    mistakes=BOTTLENECK_MISTAKES,
)
def bottleneck_parameters(in_channels: int, channels: int, stride: int = 1) -> int:
    """Equal to the block of ResNet-50 for 10 combinations of channels and stride."""
    with torch.device("meta"):  # shapes without memory
        block = Bottleneck(in_channels, channels, stride)
    return sum(parameter.numel() for parameter in block.parameters())


# --- 09.3 choose under a budget ---------------------------------------------------------------------------------

Nets = dict[str, tuple[float, float, float]]  # name → (top-1 error in percent, GMACs, million parameters)
Fits = Callable[[float, float, float, float], bool]


def choose(
    fits: Fits = lambda macs, size, gmacs, million: macs <= gmacs and size <= million,
    pick: Callable[[list[str], Nets], str] = lambda names, nets: min(names, key=lambda name: nets[name][0]),
) -> Callable[[Nets, float, float], str | None]:
    """Pick one of the nets that fit, None where none does."""

    def chosen(nets: Nets, gmacs: float, million: float) -> str | None:
        names = [name for name, (_, macs, size) in nets.items() if fits(macs, size, gmacs, million)]
        return pick(names, nets) if names else None

    return chosen


def largest(column: int) -> Callable[[list[str], Nets], str]:
    return lambda names, nets: max(names, key=lambda name: nets[name][column])


def smallest(column: int) -> Callable[[list[str], Nets], str]:
    return lambda names, nets: min(names, key=lambda name: nets[name][column])


BUDGET_MISTAKES = {
    "You return the best net of all, whatever it costs. Leave out what is too large.":
        choose(lambda macs, size, g, m: True),
    "The parameters have no effect. Both budgets must hold: multiply-adds and parameters.":
        {"million": inf},
    "The multiply-adds have no effect. Both budgets must hold: multiply-adds and parameters.":
        {"gmacs": inf},
    "A net passes that keeps one of the budgets. It must keep both: `and`.":
        choose(lambda macs, size, g, m: macs <= g or size <= m),
    "A net that costs exactly the budget is within it: compare with `<=`.":
        choose(lambda macs, size, g, m: macs < g and size < m),
    "You take the largest error. The table holds errors, so the smallest is the best.":
        choose(pick=largest(0)),
    "You take the net with the most multiply-adds that fits. The most expensive is not always the best.":
        choose(pick=largest(1)),
    "You take the net with the most parameters that fits. More parameters are not always better.":
        choose(pick=largest(2)),
    "You take the net with the fewest multiply-adds. Compare the errors.":
        choose(pick=smallest(1)),
    "You take the net with the fewest parameters. Compare the errors.":
        choose(pick=smallest(2)),
    "You return the first net that fits. Look at all of them.":
        choose(pick=lambda names, nets: names[0]),
    "You return the last net that fits, as if the table were sorted. It is not.":
        choose(pick=lambda names, nets: names[-1]),
    "The two budgets are swapped: the second number of a net is GMACs, the third is million parameters.":
        choose(lambda macs, size, g, m: macs <= m and size <= g),
}  # fmt: skip


def random_budget() -> Call:
    """Seven nets and a budget that one of them meets to the last digit, and that leaves some out."""
    names = random.sample([f"net {letter}" for letter in "ABCDEFGHKLMNP"], 7)
    errors = random.sample(range(200, 450), 7)
    macs, sizes = random.sample(range(3, 200), 7), random.sample(range(10, 1500), 7)
    nets = {n: (e / 10, m / 10, p / 10) for n, e, m, p in zip(names, errors, macs, sizes, strict=True)}
    _, gmacs, million = nets[random.choice(names)]
    gmacs, million = (gmacs, million * 1.5) if random.random() < 0.5 else (gmacs * 1.5, million)
    return Call(nets, round(gmacs, 2), round(million, 2))


@exercise(
    "09.3 choose under a budget",
    calls=lambda: [*(random_budget() for _ in range(200)), Call(random_budget().args[0], 0.0, 0.0)],
    returns=optional(text("the name of a net or None")),
    mistakes=BUDGET_MISTAKES,
)
def choose_net(nets: Nets, gmacs: float, million: float) -> str | None:
    """Right for 200 random tables, and None where nothing fits."""
    return choose()(nets, gmacs, million)


# --- 09.4 Keras's count -----------------------------------------------------------------------------------------


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def biases(net: nn.Module, size: Callable[[nn.Conv2d], int] = lambda conv: conv.out_channels) -> int:
    return sum(size(each) for each in net.modules() if isinstance(each, nn.Conv2d) and each.bias is None)


def outputs(net: nn.Module) -> int:
    return sum(each.out_channels for each in net.modules() if isinstance(each, nn.Conv2d))


def features(net: nn.Module) -> int:
    return sum(each.num_features for each in net.modules() if isinstance(each, nn.BatchNorm2d))


def trainable(net: nn.Module) -> int:
    return parameters(net) + biases(net)


def at_the_top(net: nn.Module) -> tuple[int, int]:
    """The count of someone who looks at the direct children only."""
    top = nn.ModuleList(each for each in net.children() if not list(each.children()))
    return parameters(net) + biases(top), 2 * features(top)


def keras(
    first: Callable[[nn.Module], int] = trainable, second: Callable[[nn.Module], int] = lambda net: 2 * features(net)
) -> Callable[[nn.Module], tuple[int, int]]:
    return lambda net: (first(net), second(net))


KERAS_MISTAKES = {
    "The biases of the convolutions are missing: the Keras listing leaves each convolution its bias.":
        keras(parameters),
    "You give every convolution a bias. Those that have one (`conv.bias is not None`) are counted with it already.":
        keras(lambda net: parameters(net) + outputs(net)),
    "A bias is a number for each *output* channel. You add the input channels.":
        keras(lambda net: parameters(net) + biases(net, lambda conv: conv.in_channels)),
    "You add one number for each convolution. A bias has as many as the convolution has output channels.":
        keras(lambda net: parameters(net) + biases(net, lambda conv: 1)),
    "You add a bias to the linear layers. They have one in PyTorch too, so it is counted already.":
        keras(lambda net: trainable(net) + sum(m.out_features for m in net.modules() if isinstance(m, nn.Linear))),
    "The batch norms' weight and bias are trained in Keras as well, under the names gamma and beta. Count them.":
        keras(lambda net: trainable(net) - 2 * features(net)),
    "A batch norm keeps two numbers for each channel that are not trained: the moving mean and variance.":
        keras(second=features),
    "You count `num_batches_tracked`, PyTorch's counter of batches. Keras has none: only mean and variance.":
        keras(second=lambda net: sum(buffer.numel() for buffer in net.buffers())),
    "Weight and bias of a batch norm are trained. Only its moving mean and variance are non-trainable.":
        keras(second=lambda net: 4 * features(net)),
    "The moving statistics are missing: Keras lists them as non-trainable.":
        keras(second=lambda net: 0),
    "Your first number is Keras's total. It holds the trainable parameters only.":
        keras(lambda net: trainable(net) + 2 * features(net)),
    "You count the moving statistics as trainable. Gradient descent does not touch them: give them apart.":
        keras(lambda net: trainable(net) + 2 * features(net), lambda net: 0),
    "The order is (trainable, non-trainable).":
        lambda net: keras()(net)[::-1],
    "That is PyTorch's own count. Add what Keras counts besides.":
        keras(parameters, lambda net: 0),
    "You see the outermost layers only. `model.modules()` goes through the layers inside the blocks as well.":
        at_the_top,
}  # fmt: skip


def keras_calls() -> list[Call]:
    a, b, c = random.sample(range(3, 40), 3)
    with torch.device("meta"):
        small = nn.Sequential(nn.Conv2d(3, a, 3, bias=False), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, b, 5))
        small.append(nn.BatchNorm2d(b))
        blocks = nn.Sequential(BasicBlock(c, a, 2), Bottleneck(a, b))
        nested = nn.Sequential(nn.Conv2d(1, c, 3), blocks, nn.Linear(4 * b, 7))
        flat = nn.Sequential(nn.Conv2d(2, a, 3, bias=False), nn.Flatten(), nn.Linear(a, b), nn.Linear(b, c))
        return [Call(net) for net in (small, nested, flat, build("resnet50", num_classes=6))]


@exercise(
    "09.4 Keras's count",
    calls=keras_calls,
    returns=several(
        "two numbers, (trainable, non_trainable)", *[whole("whole numbers", hint="Nothing needs to be divided.")] * 2
    ),
    mistakes=KERAS_MISTAKES,
)
def keras_count(model: nn.Module) -> tuple[int, int]:
    """Right for four nets. ResNet-50 with six classes: 23,546,886 + 53,120 = 23,600,006."""
    return keras()(model)
