"""The checks of lesson 09: layers, parameters and costs by formula, a net for a budget."""

import random
from collections.abc import Callable, Sequence
from math import inf

from .exercise import Call, exercise
from .values import number, optional, text, whole


def counted(formula: Callable[[Sequence[int], int], int]) -> Callable[[Sequence[int], bool], int]:
    return lambda blocks, bottleneck: formula(blocks, 3 if bottleneck else 2)


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
    mistakes={
        "A layer is missing, or two. The first convolution and the linear layer at the end have weights, so both "
        "count.": [counted(lambda b, k: k * sum(b)), counted(lambda b, k: 1 + k * sum(b))],
        "Too many. Did you count a pooling, or batch norms? Only convolutions and linear layers count.":
            [counted(lambda b, k: 3 + k * sum(b)), counted(lambda b, k: 2 + 2 * k * sum(b))],
        "`bottleneck` has no effect. A basic block has two convolutions, a bottleneck three.":
            [{"bottleneck": False}, {"bottleneck": True}],
        "Each block counts as one layer. Count the convolutions in it.": counted(lambda b, k: 2 + sum(b)),
        "You count the stages, or take all to be as long as the first. The list says how many blocks are in each: add "
        "up.": [counted(lambda b, k: 2 + k * len(b)), counted(lambda b, k: 2 + k * len(b) * b[0])],
        "You count the projections as well. The name counts the main path; what lies on a shortcut is left out.":
            counted(lambda b, k: 2 + k * sum(b) + len(b) - (k == 2)),
    },
)  # fmt: skip
def count_layers(blocks: Sequence[int], bottleneck: bool = False) -> int:
    """Right for 8 nets of three to six stages, with both kinds of block."""
    return 2 + (3 if bottleneck else 2) * sum(blocks)


def bottleneck_calls() -> list[Call]:
    c = random.randint(20, 90)
    shapes = [(64, 64, 1), (256, 64, 1), (256, 128, 2), (512, 128, 1), (4 * c, c, 2), (c, c, 2), (c + 7, c, 1)]
    return [Call(4 * c, c), Call(256, 64, stride=3), Call(5 * c, c), *(Call(*shape) for shape in shapes)]


@exercise(
    "09.2 parameters of a bottleneck",
    calls=bottleneck_calls,
    returns=whole("a whole number of parameters", hint="Divide nothing."),
    forbids={"": "The numbers are right, but PyTorch built the block and counted. Write them as a formula."},
    mistakes={
        "You count the batch norms wrongly. Each has two parameters per channel, a weight and a bias; the running "
        "mean and variance are not trained, so PyTorch keeps them as buffers.":
            [{"_norm": count, "_projection_norm": count} for count in (0, 1, 4)],
        "You count the projection always, or never. The shortcut has one, a 1×1 convolution and a batch norm, only "
        "where x does not fit: where the stride is not 1 or in_channels is not 4 · channels.":
            [{"_projects": lambda i, c, s: False}, {"_projects": lambda i, c, s: True}],
        "You project in other cases. x fits only if the stride is 1 *and* in_channels is 4 · channels; the first block "
        "of ResNet-50 has stride 1 and leads from 64 channels to 256, so it projects.":
            [{"_projects": lambda i, c, s: s != 1}, {"_projects": lambda i, c, s: s == 2},
             {"_projects": lambda i, c, s: i != 4 * c}, {"_projects": lambda i, c, s: s != 1 or i != c}],
        "The projection's batch norm is missing: 2 · 4 · channels parameters.": {"_projection_norm": 0},
        "The 3×3 convolution has 3 · 3 weights for each pair of channels, not 3.": {"_kernel": 3},
        "The 3×3 convolution leads from `channels` to `channels`: 9 · channels · channels weights.":
            {"_middle": lambda c, s: c},
        "The stride changes the size of the map, not the number of weights. Do not divide by it.":
            {"_middle": lambda c, s: c * c / s**2},
    },
)  # fmt: skip
def bottleneck_parameters(
    in_channels: int, channels: int, stride: int = 1, *, _kernel: int = 9, _norm: int = 2, _projection_norm: int = 2,
    _middle: Callable[[int, int], float] = lambda c, s: c * c,
    _projects: Callable[[int, int, int], bool] = lambda i, c, s: s != 1 or i != 4 * c,
) -> int:  # fmt: skip
    """Equal to the block of ResNet-50 for 10 combinations of channels and stride."""
    out = 4 * channels
    total = in_channels * channels + int(_kernel * _middle(channels, stride)) + channels * out
    total += _norm * (2 * channels + out)
    return total + (in_channels + _projection_norm) * out * _projects(in_channels, channels, stride)


Nets = dict[str, tuple[float, float, float]]  # name → (top-1 error in percent, GMACs, million parameters)
Fits = Callable[[float, float, float, float], bool]


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
    mistakes={
        "You return the best net of all, whatever it costs. Leave out what is too large.":
            {"_fits": lambda macs, size, g, m: True},
        "You accept nets that keep to only one of the budgets. A net must keep to both, multiply-adds and parameters.":
            [{"million": inf}, {"gmacs": inf}, {"_fits": lambda macs, size, g, m: macs <= g or size <= m}],
        "A net that costs exactly the budget is within it: compare with `<=`.":
            {"_fits": lambda macs, size, g, m: macs < g and size < m},
        "Among the nets that fit you compare the multiply-adds. Compare the errors: the most expensive is not always "
        "best.":
            [{"_pick": lambda names, nets: max(names, key=lambda name: nets[name][1])},
             {"_pick": lambda names, nets: min(names, key=lambda name: nets[name][1])}],
        "You return the last net that fits, as if the table were sorted. It is not.":
            {"_pick": lambda names, nets: names[-1]},
        "The two budgets are swapped: the second number of a net is GMACs, the third is million parameters.":
            {"_fits": lambda macs, size, g, m: macs <= m and size <= g},
    },
)  # fmt: skip
def choose_net(
    nets: Nets, gmacs: float, million: float, *,
    _fits: Fits = lambda macs, size, gmacs, million: macs <= gmacs and size <= million,
    _pick: Callable[[list[str], Nets], str] = lambda names, nets: min(names, key=lambda name: nets[name][0]),
) -> str | None:  # fmt: skip
    """Right for 200 random tables, and None where nothing fits."""
    names = [name for name, (_, macs, size) in nets.items() if _fits(macs, size, gmacs, million)]
    return _pick(names, nets) if names else None


@exercise(
    "09.4 what a change costs",
    calls=lambda: [
        *(Call(256, 64, **change) for change in ({}, {"widen": 2}, {"widen": 2, "groups": 32}, {"groups": 64})),
        *(Call(4 * w, w, k, groups, widen) for w, k, groups, widen in ((60, 5, 3, 2), (96, 1, 4, 1.5), (48, 5, 6, 3))),
    ],
    returns=number("one number, a factor"),
    mistakes={
        "The number of groups has no effect. Each filter of the 3×3 sees only its own group's channels.": {"groups": 1},
        "You divide all three convolutions by the groups. Only the one in the middle is grouped.":
            {"_ends": lambda groups, widen: 1 / groups},
        "You divide by the groups twice. Each filter sees 1 / groups of the channels, and there are as many filters.":
            {"_middle": lambda width, kernel, groups, widen: (kernel * width / groups) ** 2},
        "The kernel's size counts wrongly. A k×k filter takes k · k products for each channel.":
            [{"kernel": 3}, {"_middle": lambda width, kernel, groups, widen: 3 * kernel * width**2 / groups}],
        "The widening has no effect.": {"widen": 1},
        "The convolution in the middle has more channels coming in *and* going out: widening counts twice there.":
            {"_middle": lambda width, kernel, groups, widen: kernel**2 * width**2 / groups / widen},
        "You widen the ends as well. Only the inside of the block gets wider.": {"_ends": lambda groups, widen: widen},
        "That is the cost itself, or the factor the other way round: divide the changed block's cost by the usual "
        "one's.": [{"_result": lambda changed, usual: changed}, {"_result": lambda changed, usual: usual / changed}],
        "One of the two 1×1 convolutions is missing.": {"_ends": lambda groups, widen: 0.5},
    },
)  # fmt: skip
def cost_factor(
    wide: int, width: int, kernel: int = 3, groups: int = 1, widen: float = 1, *,
    _ends: Callable[[int, float], float] = lambda groups, widen: 1.0,
    _middle: Callable[..., float] = lambda width, kernel, groups, widen: kernel**2 * width**2 / groups,
    _result: Callable[[float, float], float] = lambda changed, usual: changed / usual,
) -> float:  # fmt: skip
    """Right for wide, grouped and large-kernel blocks. Now measure."""
    inside = round(widen * width)
    changed = 2 * wide * inside * _ends(groups, widen) + _middle(inside, kernel, groups, widen)
    return _result(changed, 2 * wide * width + 9 * width**2)
