"""The checks of lesson 08: a stage, ResNet-34 with torchvision's names, several heads, weights trained elsewhere."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import BasicBlock, PlainBlock, ResNet
from .exercise import Call, exercise
from .module import module_exercise
from .result import Wrong
from .values import identical, listed, seen, several, tensor, text

Sizes = list[tuple[int, int, int]]


@module_exercise(
    "08.1 stage",
    calls=lambda: [Call(4, 8, 3, 2), Call(6, 6, 4, 1), Call(3, 6, 2, 2), Call(4, 8, 1, 2)],
    inputs=lambda in_channels, channels, blocks, stride: [(2, in_channels, 8, 8), (2, in_channels, 7, 5)],
    own_relus=True,
    mistakes={
        "Every block has the stride, so the side is halved again and again. Only the first block has it.":
            {"_sizes": lambda i, c, n, s: [(i, c, s), *[(c, c, s)] * (n - 1)]},
        "No block has the stride, so the side stays as it is. Give it to the first.": {"stride": 1},
        "Every block takes `in_channels`. Only the first does; the others take the `channels` that it puts out.":
            {"_sizes": lambda i, c, n, s: [(i, c, s), *[(i, c, 1)] * (n - 1)]},
        "The channels grow from block to block. All blocks of a stage put out `channels`.":
            {"_sizes": lambda i, c, n, s: [(i, c, s), *[(c << k, c << k + 1, 1) for k in range(n - 1)]]},
        "Blocks are missing. Make as many as `blocks` says.": [{"_count": lambda n: max(1, n - 1)}, {"blocks": 1}],
        "The stage is made of plain blocks, without a shortcut. Use the `BasicBlock` of the set-up cell.":
            {"_block": PlainBlock},
    },
)  # fmt: skip
def stage(
    in_channels: int, channels: int, blocks: int, stride: int, *, _block: Callable[..., nn.Module] = BasicBlock,
    _sizes: Callable[..., Sizes] = lambda i, c, n, s: [(i, c, s), *[(c, c, 1)] * (n - 1)],
    _count: Callable[[int], int] = lambda blocks: blocks,
) -> nn.Module:  # fmt: skip
    """The first block changes the shape, the others keep it, and each block has weights of its own."""
    return nn.Sequential(*(_block(*sizes) for sizes in _sizes(in_channels, channels, _count(blocks), stride)))


@module_exercise(
    "08.2 ResNet-34",
    calls=lambda: [Call(num_classes=7, in_channels=1), Call()],
    inputs=lambda num_classes, in_channels: [(2, 1, 40, 70), (2, 1, 65, 33)] if in_channels == 1 else [],
    names=True,
    mistakes={
        "The stages have 2, 2, 2, 2 blocks. That is ResNet-18.": {"_blocks": (2, 2, 2, 2)},
        "`num_classes` or `in_channels` is ignored: the net has 1000 logits, or `conv1` 3 channels, whatever is asked "
        "for.": [{"num_classes": 1000}, {"in_channels": 3}, {"num_classes": 1000, "in_channels": 3}],
        "The max pooling of the stem is missing, or has no padding. From 112 pixels it must lead to 56.":
            [lambda m, x: m.head(m.stages(m.stem(x))), lambda m, x: m.head(m.stages(F.max_pool2d(m.stem(x), 3, 2)))],
        "The ReLU of the stem is missing. It stands between `bn1` and the max pooling.":
            lambda m, x: m.head(m.stages(m.maxpool(m.bn1(m.conv1(x))))),
        "The pooling at the end is made for one side of the image only. `nn.AdaptiveAvgPool2d(1)` takes any.":
            lambda m, x: m.fc(F.avg_pool2d(m.features(x), 7).flatten(1)),
        "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
            lambda m, x: m.head(m.features(x)).softmax(dim=1),
        "`squeeze()` takes the batch away where there is one image. Write `.flatten(1)`.":
            lambda m, x: m.fc(m.avgpool(m.features(x)).squeeze()),
    },
)  # fmt: skip
class ResNet34(ResNet):
    """218 names as torchvision has them, 21,797,672 parameters with its defaults, and the same logits."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, *, _blocks: tuple = (3, 4, 6, 3)) -> None:
        super().__init__(BasicBlock, _blocks, num_classes=num_classes, in_channels=in_channels)

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


Tensors = Mapping[str, Tensor]
Weights = Mapping[str, float] | None


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
    mistakes={
        "The weights are ignored. Each head's loss is multiplied by its weight before the sum.": {"weights": None},
        "You take the mean over the heads. The sum is asked for: a head's gradient must not shrink as others join.":
            {"_total": torch.mean},
        "A head without a weight falls out of the sum. It counts once: `weights.get(head, 1.0)`.":
            [{"_default": lambda weights: float(weights is None)}, {"_default": lambda weights: float(not weights)}],
        "Only one head is in the loss, so the others learn nothing. Add up, do not overwrite.":
            [{"_total": lambda losses: losses[0]}, {"_total": lambda losses: losses[-1]}],
        "Outputs and labels are paired by position. Their order may differ: look the labels up by the head's name.":
            {"_paired": lambda outputs, labels: dict(zip(outputs, labels.values(), strict=True))},
        "You apply a softmax before the cross-entropy, which applies one itself. Hand it the logits.":
            {"_loss": lambda out, labels: F.cross_entropy(out.softmax(1), labels)},
        "You add up over the images. Take the mean over the batch, as `F.cross_entropy` does by default.":
            {"_loss": lambda out, labels: F.cross_entropy(out, labels, reduction="sum")},
    },
)  # fmt: skip
def multi_head_loss(
    outputs: Tensors, labels: Tensors, weights: Weights = None, *, _loss: Any = F.cross_entropy,
    _total: Callable[[Tensor], Tensor] = torch.sum, _default: Callable[[Weights], float] = lambda weights: 1.0,
    _paired: Callable[[Tensors, Tensors], Tensors] = lambda outputs, labels: labels,
) -> Tensor:  # fmt: skip
    """One number that every head has a part in: its gradient reaches all of them, each with its own weight."""
    labels, default = _paired(outputs, labels), _default(weights)
    losses = [(weights or {}).get(head, default) * _loss(out, labels[head]) for head, out in outputs.items()]
    return _total(torch.stack(losses))


State = dict[str, Tensor]


class Net(nn.Module):
    """A small net with a layer that is itself called `module`, and one whose name begins like the head's."""

    def __init__(self, classes: int = 5, *, in_channels: int = 1, norm: int = 4) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.module, self.mode = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.fc_norm, self.fc = nn.LayerNorm(norm), nn.Linear(4, classes)
        for value in self.state_dict().values():
            value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.randint(1, 10**6, ()))

    def stored(self, prefix: str = "", *, without: str = "", **more: Tensor) -> State:
        """A copy of its state, as another program would have saved it."""
        state = self.state_dict() | more
        return {prefix + key: value.clone() for key, value in state.items() if key != without}


class Loading(Call):
    """A call that is told by what is special about the weights."""

    def __init__(self, words: str, state: State, **options: str) -> None:
        super().__init__(Net(), state, **options)
        self.words = words

    def says(self, name: str) -> str:
        return f"`{name}`, given weights {self.words}"


def load_calls() -> list[Call]:
    """Weights that fit, heads that do not, and four trunks that do not."""
    return [
        Loading("with the prefix and a head for other classes", Net(9).stored("module.")),
        Loading("with a head for other classes", Net(9).stored()),
        Loading("which fit", Net().stored()),
        Loading("that lack `bn1.running_mean`", Net().stored("module.", without="bn1.running_mean")),
        Loading("that have a `layer5` more than the model", Net().stored(layer5=torch.ones(1))),
        Loading("whose `conv1.weight` is for colour images", Net(in_channels=3).stored()),
        Loading("with a larger `fc_norm`, a layer of the trunk", Net(norm=6).stored()),
        Loading("with a larger `fc_norm`, and `head='fc_norm'`", Net(norm=6).stored(), head="fc_norm"),
    ]


def cut(state: State, how: Callable[[str], str] = lambda key: key.removeprefix("module.")) -> State:
    """The state by the model's names."""
    prefixed = all(key.startswith("module.") for key in state)
    return {how(key) if prefixed else key: value for key, value in state.items()}


def misfits(own: State, state: State) -> list[str]:
    """The names of either side that the other has not, or has in another shape."""
    both = {key for key in own.keys() & state.keys() if own[key].shape == state[key].shape}
    return sorted((own.keys() | state.keys()) - both)


def need_all_or_nothing(answer: Callable[..., Any]) -> None:
    """Where the trunk does not fit, the error names one of the entries, and the model is as it was."""
    for call in load_calls():
        model, state = call.args
        before = deepcopy(model.state_dict())
        try:
            answer(model, state, **call.options)
        except ValueError as error:
            names = misfits(before, cut(state))
            if not any(name in str(error) for name in names):
                raise Wrong(f"Your error does not name what does not fit. Put `{names[0]}` into its text.") from None
            if not identical(before, model.state_dict()):
                advice = "Look at all names first, and load at the end."
                raise Wrong(f"The trunk does not fit, but the model has changed. {advice}") from None


@exercise(
    "08.4 weights trained elsewhere",
    calls=load_calls,
    returns=several(
        "the model and a list of names",
        seen("the model first", nn.Module, lambda model: dict(model.state_dict())),
        listed("a sorted list of names", text("names")),
    ),
    may_change=("model",),
    mistakes={
        "Weights with the prefix are not loaded. Cut `module.` off every name first: seven characters, once and only "
        "in front. (`lstrip` and `replace` take more, and `strict=False` passes over names that do not match.)":
            [{"_cut": dict, "_refused": lambda *_: False}, {"_cut": dict},
             {"_cut": lambda state: cut(state, lambda key: key.lstrip("module."))},
             {"_cut": lambda state: cut(state, lambda key: key.replace("module.", ""))}],
        "`load_state_dict` refuses a head of another shape, even with `strict=False`. Leave the head's entries that do "
        "not fit out of what you hand it.":
            lambda model, state, head: (model, sorted(chain(*model.load_state_dict(cut(state), strict=False)))),
        "The head is left out although it fits. Leave out only what has another shape or another name.":
            {"_loaded": lambda key, head: not key.startswith(f"{head}.")},
        "A trunk that does not fit is accepted. Where a name outside of the head does not fit, raise a `ValueError` "
        "that says which.":
            [{"_refused": lambda key, own, state: False}, {"_refused": lambda key, own, state: key in own},
             {"_refused": lambda key, own, state: key not in own or key not in state}],
        "A layer that begins with the head's letters, but not with `fc.`, counts as head. Write `startswith(head + "
        "'.')`.": {"_dot": ""},
        "`head` is not used. Take the head's name from the argument, not from the code.": {"head": "fc"},
    },
    last_question=need_all_or_nothing,
)  # fmt: skip
def load_trunk(
    model: nn.Module, state: State, head: str = "fc", *, _cut: Callable[[State], State] = cut, _dot: str = ".",
    _refused: Callable[[str, State, State], bool] = lambda key, own, state: True,
    _loaded: Callable[[str, str], bool] = lambda key, head: True,
) -> tuple[nn.Module, list[str]]:  # fmt: skip
    """The trunk fits to the last buffer or nothing is loaded, and you are told what the head is missing."""
    state, own = _cut(state), model.state_dict()
    names = misfits(own, state)
    trunk = [key for key in names if not key.startswith(head + _dot) and _refused(key, own, state)]
    if trunk:
        raise ValueError(f"The trunk does not fit: {trunk}")
    fitting = {key: value for key, value in state.items() if key not in names and _loaded(key, head)}
    model.load_state_dict(fitting, strict=False)
    return model, names
