"""The checks of lesson 08: a stage, ResNet-34 with torchvision's names, several heads, weights trained elsewhere."""

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import BasicBlock, Bottleneck, PlainBlock, ResNet
from .exercise import Call, FunctionExercise, exercise
from .module import module_exercise
from .result import Wrong, kind_of
from .values import Returns, identical, tensor

# --- 08.1 stage -------------------------------------------------------------------------------------------------

Sizes = list[tuple[int, int, int]]


def with_blocks(count: Callable[[int], int]) -> Callable[..., nn.Module]:
    return lambda i, c, blocks, stride: stage.oracle(i, c, count(blocks), stride)


STAGE_MISTAKES = {
    "Every block has the stride, so the side is halved again and again. Only the first block has it.":
        {"_sizes": lambda i, c, n, s: [(i, c, s), *[(c, c, s)] * (n - 1)]},
    "No block has the stride, so the side stays as it is. Give it to the first.":
        {"stride": 1},
    "The last block has the stride. The first has it, so that the others work on the small maps.":
        {"_sizes": lambda i, c, n, s: [(i if k == 0 else c, c, s if k + 1 == n else 1) for k in range(n)]},
    "Every block takes `in_channels`. Only the first does; the others take the `channels` that it puts out.":
        {"_sizes": lambda i, c, n, s: [(i, c, s), *[(i, c, 1)] * (n - 1)]},
    "The channels grow from block to block. All blocks of a stage put out `channels`.":
        {"_sizes": lambda i, c, n, s: [(i, c, s), *[(c << k, c << k + 1, 1) for k in range(n - 1)]]},
    "One block is missing, or more.":
        [with_blocks(lambda n: max(1, n - 1)), with_blocks(lambda n: 1)],
    "There is one block too many. The first block, which may change the shape, is one of them.":
        with_blocks(lambda n: n + 1),
    "The stage is made of plain blocks, without a shortcut. Use the `BasicBlock` of the set-up cell.":
        {"_block": PlainBlock},
}  # fmt: skip


def need_own_weights(answer: Callable[..., Any]) -> None:
    """The stage is an `nn.Sequential`, and no block is the copy of another."""
    built = answer(4, 4, 3, 1)
    if not isinstance(built, nn.Sequential):
        raise Wrong(f"Expected an `nn.Sequential` of blocks, got {kind_of(built)}.")
    weights = [part.weight for part in built.modules() if isinstance(part, nn.Conv2d)]
    if any(torch.equal(one, other) for one, other in combinations(weights, 2)):
        raise Wrong("Two blocks start with the same weights: they are copies of one. Build each block by itself.")


@module_exercise(
    "08.1 stage",
    calls=lambda: [Call(4, 8, 3, 2), Call(6, 6, 4, 1), Call(3, 6, 2, 2), Call(4, 8, 1, 2)],
    inputs=lambda in_channels, channels, blocks, stride: [(2, in_channels, 8, 8), (2, in_channels, 7, 5)],
    own_relus=True,
    mistakes=STAGE_MISTAKES,
    finally_=need_own_weights,
)
def stage(
    in_channels: int, channels: int, blocks: int, stride: int, *, _block: Callable[..., nn.Module] = BasicBlock,
    _sizes: Callable[..., Sizes] = lambda i, c, n, s: [(i, c, s), *[(c, c, 1)] * (n - 1)],
) -> nn.Module:  # fmt: skip
    """The first block changes the shape, the others keep it, and each block has weights of its own."""
    return nn.Sequential(*(_block(*sizes) for sizes in _sizes(in_channels, channels, blocks, stride)[:blocks]))


# --- 08.2 ResNet-34 ---------------------------------------------------------------------------------------------

RESNET34_MISTAKES = {
    "The stages have 2, 2, 2, 2 blocks. That is ResNet-18.":
        {"_blocks": (2, 2, 2, 2)},
    "The blocks are bottlenecks, with which 3, 4, 6, 3 make ResNet-50. ResNet-34 has `BasicBlock`s.":
        {"_block": Bottleneck},
    "`num_classes` is ignored: the net returns 1000 logits whatever is asked for.":
        {"num_classes": 1000},
    "`in_channels` is ignored: `conv1` takes 3 channels whatever is asked for.":
        {"in_channels": 3},
    "The max pooling of the stem is missing: the stages work on maps of twice the side.":
        lambda m, x: m.head(m.stages(m.stem(x))),
    "The max pooling has windows of 2×2. It has 3×3 with stride 2 and padding 1, so that windows overlap.":
        lambda m, x: m.head(m.stages(F.max_pool2d(m.stem(x), 2))),
    "The max pooling has no padding. From 112 pixels it must lead to 56.":
        lambda m, x: m.head(m.stages(F.max_pool2d(m.stem(x), 3, 2))),
    "The stem pools by the average. It takes the maximum.":
        lambda m, x: m.head(m.stages(F.avg_pool2d(m.stem(x), 3, 2, 1))),
    "The ReLU of the stem is missing. It stands between `bn1` and the max pooling.":
        lambda m, x: m.head(m.stages(m.maxpool(m.bn1(m.conv1(x))))),
    "The pooling at the end is made for one side of the image only. `nn.AdaptiveAvgPool2d(1)` takes any.":
        lambda m, x: m.fc(F.avg_pool2d(m.features(x), 7).flatten(1)),
    "`fc` gets (N, 512, 1, 1), and takes (N, 512): `.flatten(1)` is missing in front.":
        lambda m, x: m.fc(m.avgpool(m.features(x))),
    "You end in a global max pooling. ResNet takes the average.":
        lambda m, x: m.fc(m.features(x).amax(dim=(2, 3))),
    "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
        lambda m, x: m.head(m.features(x)).softmax(dim=1),
    "A ReLU follows the last layer. Logits may be negative: leave it off.":
        lambda m, x: m.head(m.features(x)).relu(),
    "There is a dropout in front of `fc`. ResNet has none: batch norm does its work.":
        lambda m, x: m.fc(F.dropout(m.avgpool(m.features(x)).flatten(1), training=m.training)),
    "`squeeze()` takes the batch away where there is one image. Write `.flatten(1)`.":
        lambda m, x: m.fc(m.avgpool(m.features(x)).squeeze()),
}  # fmt: skip


@module_exercise(
    "08.2 ResNet-34",
    calls=lambda: [Call(num_classes=7, in_channels=1), Call()],
    inputs=lambda num_classes, in_channels: [(2, 1, 64, 96), (2, 1, 75, 49)] if in_channels == 1 else [],
    names=True,
    mistakes=RESNET34_MISTAKES,
)
class ResNet34(ResNet):
    """218 names as torchvision has them, 21,797,672 parameters with its defaults, and the same logits."""

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, *, _block: type = BasicBlock, _blocks: tuple = (3, 4, 6, 3)
    ) -> None:
        super().__init__(_block, _blocks, num_classes=num_classes, in_channels=in_channels)

    def stem(self, x: Tensor) -> Tensor:
        return self.relu(self.bn1(self.conv1(x)))

    def stages(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def features(self, x: Tensor) -> Tensor:
        return self.stages(self.maxpool(self.stem(x)))

    def head(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


# --- 08.3 multi-head loss ---------------------------------------------------------------------------------------

Tensors = Mapping[str, Tensor]
Weights = Mapping[str, float] | None


def parts(outputs: Tensors, labels: Tensors, weights: Weights, of: Any = F.cross_entropy) -> Tensor:
    return torch.stack([(weights or {}).get(head, 1.0) * of(out, labels[head]) for head, out in outputs.items()])


def with_criterion(criterion: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda o, y, w: parts(o, y, w, criterion).sum()


LOSS_MISTAKES = {
    "The weights are ignored. Each head's loss is multiplied by its weight before the sum.":
        {"weights": None},
    "You take the mean over the heads. The sum is asked for: a head's gradient must not shrink as others join.":
        lambda o, y, w: parts(o, y, w).mean(),
    "You divide by the sum of the weights. A weight of 2 means twice the gradient.":
        lambda o, y, w: parts(o, y, w).sum() / sum((w or {}).get(head, 1.0) for head in o),
    "A head without a weight falls out of the sum. It counts once: `weights.get(head, 1.0)`.":
        [lambda o, y, w: parts(o, y, w if w is None else dict.fromkeys(o, 0.0) | w).sum(),
         lambda o, y, w: parts(o, y, dict.fromkeys(o, 0.0) | w if w else w).sum()],
    "A weight of 0 counts as 1. `weights.get(head) or 1.0` takes 0 for missing: write `weights.get(head, 1.0)`.":
        lambda o, y, w: parts(o, y, {head: weight or 1.0 for head, weight in (w or {}).items()}).sum(),
    "Only the first head is in the loss, so the others learn nothing.":
        lambda o, y, w: parts(o, y, w)[0],
    "Only the last head is in the loss. Add up, do not overwrite.":
        lambda o, y, w: parts(o, y, w)[-1],
    "Outputs and labels are paired by position. Their order may differ: look the labels up by the head's name.":
        lambda o, y, w: parts(o, dict(zip(o, y.values(), strict=True)), w).sum(),
    "You apply a softmax before the cross-entropy, which applies one itself. Hand it the logits.":
        with_criterion(lambda out, labels: F.cross_entropy(out.softmax(1), labels)),
    "`nll_loss` expects log-probabilities, and these are logits. `F.cross_entropy` takes logits.":
        with_criterion(F.nll_loss),
    "You add up over the images. Take the mean over the batch, as `F.cross_entropy` does by default.":
        with_criterion(lambda out, labels: F.cross_entropy(out, labels, reduction="sum")),
    "You multiply the losses. A product lets one head that is nearly right silence all others: add them.":
        lambda o, y, w: parts(o, y, w).prod(),
    "You keep only the largest loss. Then one head learns at a time: add them.": lambda o, y, w: parts(o, y, w).max(),
    "That is the squared error. The heads are classifiers: take the cross-entropy.":
        with_criterion(lambda out, labels: F.mse_loss(out, F.one_hot(labels, out.shape[1]).float())),
}  # fmt: skip


def loss_calls() -> list[Call]:
    """Logits and labels of five images by head; the labels stand in the opposite order."""

    def example(**classes: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        labels = {head: torch.randint(count, (5,)) for head, count in reversed(classes.items())}
        return {head: 2 * torch.randn(5, count) for head, count in classes.items()}, labels

    three = example(root=8, vowel=8, consonant=8)
    three[0]["vowel"] *= 4  # neither the first nor the last head has the largest loss
    weights = [{"root": 2.0, "vowel": 0.5, "consonant": 1.5}, {"vowel": 3.0}, {"consonant": 2.0, "root": 0.0}, {}]
    calls = [Call(*three), Call(*example(digit=6, parity=6)), *(Call(*three, each) for each in weights)]
    return [*calls, Call(*example(only=4))]


@exercise(
    "08.3 multi-head loss",
    calls=loss_calls,
    returns=tensor("a tensor with one number, the sum of the losses, to call `backward` on", ndim=0),
    gradients=True,
    mistakes=LOSS_MISTAKES,
)
def multi_head_loss(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """One number that every head has a part in: its gradient reaches all of them, each with its own weight."""
    return parts(outputs, labels, weights).sum()


# --- 08.4 weights trained elsewhere -----------------------------------------------------------------------------

State = dict[str, Tensor]


class Net(nn.Module):
    """A small net with a layer that is itself called `module`, and one whose name begins like the head's."""

    def __init__(self, classes: int = 5, *, in_channels: int = 1, norm: int = 4, head: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.module, self.mode = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.fc_norm, self.fc = nn.LayerNorm(norm), head or nn.Linear(4, classes)
        for value in self.state_dict().values():
            value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.randint(1, 10**6, ()))

    def stored(self, prefix: str = "", *, without: str = "", **more: Tensor) -> State:
        """A copy of its state, as another program would have saved it."""
        state = {key: value.clone() for key, value in (self.state_dict() | more).items() if key != without}
        return {prefix + key: value for key, value in state.items()}


class Loading(Call):
    """A call that is told by what is special about the weights."""

    def __init__(self, words: str, state: State, **options: str) -> None:
        super().__init__(Net(), state, **options)
        self.words = words

    def says(self, name: str) -> str:
        return f"`{name}`, given weights {self.words}"


def load_calls() -> list[Call]:
    """Weights that fit, heads that do not, and four trunks that do not."""
    deeper = Net(head=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5)))
    return [
        Loading("with the prefix and a head for other classes", Net(9).stored("module.")),
        Loading("with a head for other classes", Net(9).stored()),
        Loading("with the prefix, which fit", Net().stored("module.")),
        Loading("which fit", Net().stored()),
        Loading("with a head of two layers", deeper.stored()),
        Loading("that lack `bn1.running_mean`", Net().stored("module.", without="bn1.running_mean")),
        Loading("that have a `layer5` more than the model", Net().stored(layer5=torch.ones(1))),
        Loading("whose `conv1.weight` is for colour images", Net(in_channels=3).stored()),
        Loading("with a larger `fc_norm`, a layer of the trunk", Net(norm=6).stored()),
        Loading("with a larger `fc_norm`, and `head='fc_norm'`", Net(norm=6).stored(), head="fc_norm"),
    ]


def cut(state: State) -> State:
    """The state by the model's names."""
    prefixed = all(key.startswith("module.") for key in state)
    return {key.removeprefix("module.") if prefixed else key: value for key, value in state.items()}


def misfits(own: State, state: State) -> list[str]:
    """The names of either side that the other has not, or has in another shape."""
    return sorted(
        key for key in own.keys() | state.keys()
        if key not in own or key not in state or own[key].shape != state[key].shape
    )  # fmt: skip


def watched(load: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what it returns is joined by what has become of the model."""

    @functools.wraps(load)
    def watching(model: nn.Module, state: State, head: str = "fc") -> Any:
        before = copy.deepcopy(model.state_dict())
        trunk = [key for key in misfits(before, cut(state)) if not key.startswith(f"{head}.")]
        try:
            returned: Any = load(model, state, head=head)
        except ValueError as error:
            named = any(key in str(error) for key in trunk)
            returned = "a ValueError that says which names do not fit" if named else "a ValueError without the names"
        now = model.state_dict()
        if returned is None and identical(before, now):
            return None
        addresses = {value.data_ptr() for value in state.values()}
        shared = any(value.data_ptr() in addresses for value in now.values())
        return {"answer": returned, "model": dict(now), "memory": "shared with the state" if shared else "its own"}

    return watching


def seen_of_loading(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value["answer"], list | str):
        raise Wrong(f"Expected the names that do not fit, as a sorted list, got {kind_of(value['answer'])}.")
    return value


class LoadExercise(FunctionExercise):
    """An exercise in which an error counts as an answer, and the model is looked at."""

    def attempt(self, answer: Callable[..., Any], call: Call, name: str, seed: int) -> Any:
        return super().attempt(watched(answer), call, name, seed)

    def results(self, function: Callable[..., Any], calls: Sequence[Call], seed: int) -> list[Any]:
        return super().results(watched(function), calls, seed)


def without_word(state: State) -> State:
    return {key.replace("module.", ""): value for key, value in state.items()}


def lenient(of: Callable[[str, State, State], bool]) -> dict[str, Any]:
    return {"_refused": lambda key, own, state: not of(key, own, state)}


LOAD_MISTAKES = {
    "Nothing is loaded from weights with the prefix. With `strict=False`, names that do not match are passed over in "
    "silence: cut `module.` off first.":
        [{"_cut": dict, "_refused": lambda *_: False}, {"_cut": dict}],
    "`load_state_dict` refuses a head of another shape, even with `strict=False`. Leave the head's entries that do not "
    "fit out of what you hand it.":
        lambda model, state, head: sorted(chain(*model.load_state_dict(cut(state), strict=False))),
    "Too much is cut off. Cut the first seven characters off, and only once: `lstrip` and `replace` take more.":
        [{"_cut": lambda state: {key.lstrip("module."): value for key, value in state.items()}},
         {"_cut": without_word}, {"_cut": without_word, "_refused": lambda *_: False}],
    "Batch norm's statistics are not loaded. They are buffers, not parameters; `state_dict()` has both.":
        {"_loaded": lambda key, head: not key.startswith("bn1.") or key in ("bn1.weight", "bn1.bias")},
    "The head is left out although it fits. Leave out only what has another shape or another name.":
        [{"_loaded": lambda key, head: not key.startswith(f"{head}.")},
         {"_loaded": lambda key, head: not key.startswith("fc.")}],
    "A trunk that does not fit is accepted. Where a name outside of the head does not fit, raise a `ValueError` that "
    "says which.":
        lenient(lambda key, own, state: True),
    "A trunk with a layer missing, or one too many, is accepted. Look at the names of both sides.":
        [lenient(lambda key, own, state: key not in own), lenient(lambda key, own, state: key not in state)],
    "A trunk with a layer of another shape is accepted. Compare the shapes as well, and raise a `ValueError`.":
        lenient(lambda key, own, state: key in own and key in state),
    "A layer that begins with the head's letters, but not with `fc.`, counts as head. Write `startswith(head + '.')`.":
        {"_dot": ""},
    "The error comes too late: a part of the weights is loaded already, and the model is neither one nor the other. "
    "Look at all names first.":
        [{"_late": True}, {"_late": True, "_says": ""}],
    "The error does not say which names do not fit.":
        {"_says": ""},
    "`head` is not used. Take the head's name from the argument, not from the code.":
        {"head": "fc"},
    "You report that all is well where names did not fit: say so.":
        {"_report": lambda names, own: []},
    "You return the names that were loaded. Return those that do not fit: they are what must still be trained.":
        [{"_report": lambda names, own: [key for key in own if key not in names]},
         {"_report": lambda names, own: sorted(own.keys() - set(names))}],
    "Only a part is reported. Report the model's names that got nothing and the state's that had no use.":
        {"_report": lambda names, own: [key for key in names if key in own]},
    "The names are right, but not sorted. Return `sorted(…)`.":
        {"_report": lambda names, own: names[::-1]},
    "The names you return still have the prefix. Return them as the model calls them.":
        lambda model, state, head: [("module." if all(key.startswith("module.") for key in state) else "") + name
                                    for name in load_trunk.oracle(model, state, head)],
    "The model shares memory with the state, so training it would change the stored weights. Copy them.":
        {"_assign": True},
}  # fmt: skip


@lambda oracle: LoadExercise(
    exercise="08.4 weights trained elsewhere",
    oracle=oracle,
    calls=load_calls,
    returns=Returns(seen_of_loading),
    may_change=("model",),
    mistakes=LOAD_MISTAKES,
)
def load_trunk(
    model: nn.Module, state: State, head: str = "fc", *, _cut: Callable[[State], State] = cut, _dot: str = ".",
    _refused: Callable[[str, State, State], bool] = lambda key, own, state: True,
    _loaded: Callable[[str, str], bool] = lambda key, head: True, _late: bool = False, _says: str = "{}",
    _report: Callable[[list[str], State], Iterable[str]] = lambda names, own: names, _assign: bool = False,
) -> Iterable[str]:  # fmt: skip
    """The trunk fits to the last buffer or nothing is loaded, and you are told what the head is missing."""
    state, own = _cut(state), model.state_dict()
    names = misfits(own, state)
    fitting = {key: value for key, value in state.items() if key not in names and _loaded(key, head)}
    trunk = [key for key in names if not key.startswith(head + _dot) and _refused(key, own, state)]
    if trunk and not _late:
        raise ValueError(_says.format(trunk))
    model.load_state_dict(fitting, strict=False, assign=_assign)
    if trunk:
        raise ValueError(_says.format(trunk))
    return _report(names, own)
