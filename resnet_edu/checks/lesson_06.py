"""The checks of lesson 06: plain block, the line that repairs it, a block that does nothing, six curves to read."""

from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from ..history import History
from ..models.cifar import PlainBlock as PackagePlainBlock, ResidualBlock
from ..study import load_study
from .exercise import Call, exercise
from .module import module_exercise
from .result import NotYet, Wrong
from .values import Returns, need, seen

R = torch.relu

# --- 06.1 plain block -------------------------------------------------------------------------------------------

SHORTCUT = "You add x: this is a residual block already. The plain block has no shortcut."
PLAIN_MISTAKES = {
    SHORTCUT:
        [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x) if m.keeps else R(m.branch(x))],
    "You add x after the last ReLU. The plain block has no shortcut at all.":
        [lambda m, x: R(m.branch(x)) + x, lambda m, x: R(m.branch(x)) + x if m.keeps else R(m.branch(x))],
    "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.":
        lambda m, x: m.bn2(R(m.conv2(m.bn1(R(m.conv1(x)))))),
    "Batch norm and ReLU come before the convolutions. That is the pre-activation of 2016; here they follow.":
        {"_forward": lambda m, x: m.conv2(R(m.bn2(m.conv1(R(m.bn1(x)))))), "_norm_first": True},
    "The batch norms come before the convolutions. Each follows its convolution.":
        {"_forward": lambda m, x: R(m.conv2(m.bn2(R(m.conv1(m.bn1(x)))))), "_norm_first": True},
    "The last ReLU is missing.": lambda m, x: m.branch(x),
    "The ReLU between the two halves is missing: without it, two convolutions are no more than one.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(m.conv1(x))))),
    "Neither ReLU is used.": lambda m, x: m.bn2(m.conv2(m.bn1(m.conv1(x)))),
    "Neither batch norm is used.": lambda m, x: R(m.conv2(R(m.conv1(x)))),
    "The second batch norm is not used.": lambda m, x: R(m.conv2(R(m.bn1(m.conv1(x))))),
    "The first batch norm is not used.": lambda m, x: R(m.bn2(m.conv2(R(m.conv1(x))))),
    "Only the first half is used: convolution, batch norm, ReLU come twice.": lambda m, x: R(m.bn1(m.conv1(x))),
}  # fmt: skip


@module_exercise(
    "06.1 plain block",
    calls=lambda: [Call(4, 4), Call(4, 8, 2), Call(3, 5, stride=1)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    mistakes=PLAIN_MISTAKES,
)
class PlainBlock(PackagePlainBlock):
    """Convolution, batch norm, ReLU, twice; shapes, values and gradients are right, in train and in eval mode."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, _norm_first: bool = False, _forward: Any = None
    ) -> None:
        super().__init__(in_channels, channels, stride)
        self.keeps, self.other = stride == 1 and in_channels == channels, _forward
        if _norm_first:
            self.bn1 = nn.BatchNorm2d(in_channels)

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self, x) if self.other else self.relu2(self.branch(x))


# --- 06.2 repair plain-56 ---------------------------------------------------------------------------------------

REPAIR_MISTAKES = {
    "Nothing is added: the block is still plain. One line before the last ReLU is missing.":
        lambda m, x: R(m.branch(x)),
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + m.shortcut(x),
    "You add x before the second batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn2(m.conv2(m.half(x)) + m.shortcut(x))),
    "The last ReLU is missing: it comes after the addition.": lambda m, x: m.branch(x) + m.shortcut(x),
    "You subtract x. The block is F(x) + x.": lambda m, x: R(m.branch(x) - m.shortcut(x)),
    "You multiply by x. The block is F(x) + x.": lambda m, x: R(m.branch(x) * m.shortcut(x)),
    "You add `out` to itself. What is added is the block's input, x.": lambda m, x: R(2 * m.branch(x)),
    "You take the mean of F(x) and x. The identity passes whole: F(x) + x.":
        lambda m, x: R((m.branch(x) + m.shortcut(x)) / 2),
    "You add ReLU(x). The identity passes as it is.": lambda m, x: R(m.branch(x) + m.shortcut(R(x))),
    "You add the output of the first half. What is added is the block's input, x.":
        lambda m, x: R(m.bn2(m.conv2(h := m.half(x))) + h),
    "You add x in the middle, before the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x)) + m.shortcut(x))))),
    "You add x in the middle, after the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(m.half(x) + m.shortcut(x)))),
    "x is added twice. Once is enough.": lambda m, x: R(m.branch(x) + 2 * m.shortcut(x)),
    "Right where the shape stays. Where the block halves the side and doubles the channels, x does not fit: add "
    "`self.shortcut(x)` in place of x.":
        [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x if m.keeps else m.branch(x))],
    "The repair brings new parameters. Then one could say that the net is better because it is larger. The shortcut of "
    "option A has none.": {"_option": "B"},
}  # fmt: skip


@module_exercise(
    "06.2 repair plain-56",
    calls=lambda: [Call(4, 4), Call(4, 8, 2)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 12, 4)],
    names=True,
    mistakes=REPAIR_MISTAKES,
)
class RepairedBlock(ResidualBlock):
    """F(x) + x, then the ReLU: with this one line plain-56 becomes ResNet-56, with as many parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, _option: Any = "A") -> None:
        super().__init__(in_channels, channels, stride, _option)
        self.keeps = stride == 1

    def half(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.half(x)))


# --- 06.3 a block that does nothing -----------------------------------------------------------------------------


def features(channels: int, seed: int = 1) -> Tensor:
    """What a ReLU might have put out, `(3, channels, 6, 5)`; channels differ in mean and spread, some by a lot."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(-2, 0.5, channels).view(1, -1, 1, 1)
    return (torch.randn(3, channels, 6, 5, generator=generator) + 0.5).relu() * scale


def look(block: nn.Module) -> dict[str, Any]:
    """Everything that says whether a block passes on what it gets, and could still learn."""
    convolutions = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    if not convolutions:
        raise Wrong("There is no convolution left in the block. Keep its layers, and set their weights.")
    x, other = (features(convolutions[0].in_channels, seed) for seed in (1, 2))
    with torch.no_grad():
        found = {"output in evaluation mode": block.eval()(x), "output for another batch": block.eval()(other)}
    out = block.train()(x)
    if out.requires_grad:
        out.square().sum().backward()
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in block.modules())
    return {
        "layers": f"{len(convolutions)} convolutions, {norms} batch norms",
        **found,
        "output in training mode": out.detach(),
        "parameters that are frozen or get no gradient": sum(p.grad is None for p in block.parameters()),
    }


PASSING_MISTAKES = {
    "The block is as it was. Set the weights of its two convolutions and its two batch norms.": lambda block, x: block,
    "The convolutions are all zeros, so nothing passes. They must pass x on.": {"_kernel": nn.init.zeros_},
    "A convolution is no identity: each filter is 1 at the centre of its *own* channel and 0 elsewhere; see "
    "`nn.init.dirac_`.": [{"_kernel": nn.init.ones_}, {"_kernel": lambda weight: weight}],
    "The convolutions pass x on, but in training mode the batch norms still normalise it, by mean and variance of the "
    "batch itself. Give them the weight and the bias that undo this.": {"_norms": 0},
    "Only the first half is an identity. The block has two convolutions and two batch norms.": {"_norms": 1},
    "Right in training mode only. In evaluation mode a batch norm uses `running_mean` and `running_var`: set "
    "these too.": {"_running": False},
    "The bias of a batch norm is still 0, so its output has mean 0. Set it to the mean.": {"_mean": False},
    "The weight of a batch norm is still 1, so every channel comes out with spread 1. Set it to the standard "
    "deviation.": {"_spread": torch.ones_like},
    "The weight is the variance. Batch norm divides by its root.": {"_spread": lambda var: var + 1e-5},
    "Nearly: batch norm divides by the root of variance *plus* `eps`. Channels with a small variance show it.":
        {"_spread": torch.sqrt},
    "Nearly: you divide the sum of squares by N - 1. In training mode batch norm divides by N (`correction=0`).":
        {"_correction": 1},
}  # fmt: skip


@exercise(
    "06.3 a block that does nothing",
    calls=lambda: [Call(PackagePlainBlock(channels, channels), features(channels)) for channels in (4, 6, 3)],
    returns=seen("the block, an `nn.Module`", nn.Module, look),
    may_change=("block",),
    mistakes=PASSING_MISTAKES,
)
@torch.no_grad()
def pass_through(
    block: Any, x: Tensor, *, _kernel: Any = nn.init.dirac_, _norms: int = 2, _running: bool = True, _mean: bool = True,
    _spread: Any = lambda var: (var + 1e-5).sqrt(), _correction: int = 0,
) -> nn.Module:  # fmt: skip
    """The block returns its input, in evaluation and in training mode, and every weight can still learn."""
    var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=_correction)
    for number, (conv, norm) in enumerate(((block.conv1, block.bn1), (block.conv2, block.bn2))):
        _kernel(conv.weight)
        if number < _norms:
            norm.weight.copy_(_spread(var))
            norm.bias.copy_(mean * _mean)
            if _running:
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(var)
    return block


# --- 06.4 read six curves ---------------------------------------------------------------------------------------

#: The right answers. Reading on spoils the exercise.
KEY = {
    "A": "overfitting",
    "B": "learning rate too low",
    "C": "degradation",
    "D": "labels shuffled",
    "E": "healthy",
    "F": "learning rate too high",
}

#: For each diagnosis, what a panel would show, and what the one that has it does show.
SIGNS = {
    "overfitting": (
        "overfitting would show a training error near zero and a test error well above it",
        "the training error goes to zero, the test error stays far above it, yet well below chance",
    ),
    "learning rate too low": (
        "with too low a rate both errors would fall smoothly and hardly get anywhere",
        "both errors creep down without a jump and are still high at the end",
    ),
    "degradation": (
        "degradation would show two depths, the deeper net with the higher training error",
        "there are two nets, and the deeper one is worse on the training set as well",
    ),
    "labels shuffled": (
        "with shuffled labels the test error would stay at chance, 90 %, while the training error falls",
        "the training error falls, but the test error stays at guessing among ten digits",
    ),
    "healthy": (
        "a healthy run would end with both errors low and close together",
        "both errors end low and close together",
    ),
    "learning rate too high": (
        "with too high a rate the errors would jump, or never leave chance",
        "the training error itself does not come down",
    ),
}


def compared(answer: Any) -> dict[str, str]:
    """The diagnoses, if all are right; else each wrong one is told by what its panel would show."""
    need(isinstance(answer, dict), "a dict from letter to diagnosis", answer)
    if unknown := [key for key in answer if key not in KEY]:
        raise Wrong(f"The panels are called A to F; {unknown[0]!r} is none of them.")
    missing = [letter for letter in KEY if answer.get(letter) in (None, ..., "")]
    if missing == list(KEY):
        raise NotYet
    if missing:
        raise Wrong(f"No diagnosis yet for {', '.join(missing)}.")
    read = {letter: " ".join(str(answer[letter]).lower().split()) for letter in KEY}
    for letter, words in read.items():
        if words not in SIGNS:
            nearest = get_close_matches(words, SIGNS, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            known = ", ".join(sorted(SIGNS))
            raise Wrong(f"{letter}: {answer[letter]!r} is no diagnosis.{hint} Choose from: {known}.")
    mixed_up = [
        f"{letter}: {SIGNS[words][0]}. Here {SIGNS[KEY[letter]][1]}."
        for letter, words in read.items()
        if words != KEY[letter]
    ]
    if mixed_up:
        raise Wrong("\n".join([f"{len(KEY) - len(mixed_up)} of {len(KEY)} are right.", *mixed_up]))
    return read


@exercise("06.4 read six curves", calls=lambda: [Call()], returns=Returns(compared), mistakes={})
def read_curves() -> dict[str, str]:
    """All six. The training error tells degradation from overfitting: look at it first."""
    return dict(KEY)


def six_curves() -> dict[str, dict[str, History]]:
    """The six panels of the exercise, from the recorded study "six-curves": the runs of each by net, A to F.

    Raises:
        ValueError: the study is not recorded; the message has the command that makes it.
    """
    study = load_study("six-curves")
    panels: dict[str, dict[str, History]] = {letter: {} for letter in KEY}
    letters = {diagnosis: letter for letter, diagnosis in KEY.items()}
    for label, setting in study.settings.items():
        (run,) = study.of(label)
        panels[letters[label.split(":")[0]]][setting["model"]] = run
    return panels
