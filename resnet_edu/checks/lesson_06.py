"""The checks of lesson 06: plain block, the line that repairs it, a block that does nothing, six curves to read."""

from typing import Any

import torch
from torch import Tensor, nn

from ..history import History
from ..models.cifar import PlainBlock as PackagePlainBlock, ResidualBlock
from ..study import load_study
from .exercise import Call, exercise
from .module import module_exercise
from .result import Wrong
from .values import Returns, mapping, seen, text

R = torch.relu


@module_exercise(
    "06.1 plain block",
    calls=lambda: [Call(4, 4), Call(4, 8, 2), Call(3, 5, stride=1)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    mistakes={
        "You add x: this is a residual block already. The plain block has no shortcut.":
            [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x) if m.keeps else R(m.branch(x)),
             lambda m, x: R(m.branch(x)) + x, lambda m, x: R(m.branch(x)) + x if m.keeps else R(m.branch(x))],
        "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.":
            lambda m, x: m.bn2(R(m.conv2(m.bn1(R(m.conv1(x)))))),
        "The batch norms come before the convolutions, as in pre-activation (2016). Here each follows its convolution.":
            [{"_forward": lambda m, x: m.conv2(R(m.bn2(m.conv1(R(m.bn1(x)))))), "_norm_first": True},
             {"_forward": lambda m, x: R(m.conv2(m.bn2(R(m.conv1(m.bn1(x)))))), "_norm_first": True}],
        "A ReLU is missing. One ends each half: without the one in between, two convolutions are no more than one.":
            [lambda m, x: m.branch(x), lambda m, x: R(m.bn2(m.conv2(m.bn1(m.conv1(x))))),
             lambda m, x: m.bn2(m.conv2(m.bn1(m.conv1(x))))],
    },
)  # fmt: skip
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


@module_exercise(
    "06.2 repair plain-56",
    calls=lambda: [Call(4, 4), Call(4, 8, 2)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 12, 4)],
    names=True,
    mistakes={
        "Nothing is added: the block is still plain. One line before the last ReLU is missing.":
            lambda m, x: R(m.branch(x)),
        "You added x after the ReLU. In the paper the ReLU comes after the addition.":
            lambda m, x: R(m.branch(x)) + m.shortcut(x),
        "You add x inside the branch. The shortcut goes around both convolutions and both batch norms: add x after "
        "them.":
            [lambda m, x: R(m.bn2(m.conv2(m.half(x)) + m.shortcut(x))),
             lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x)) + m.shortcut(x))))),
             lambda m, x: R(m.bn2(m.conv2(m.half(x) + m.shortcut(x))))],
        "The last ReLU is missing: it comes after the addition.": lambda m, x: m.branch(x) + m.shortcut(x),
        "You add something other than the block's input, x.":
            [lambda m, x: R(2 * m.branch(x)), lambda m, x: R(m.bn2(m.conv2(h := m.half(x))) + h)],
        "What you compute is not F(x) + x. Add x as it is, once: no minus, no product, no mean, no factor, no ReLU of "
        "x.":
            [lambda m, x: R(m.branch(x) - m.shortcut(x)), lambda m, x: R(m.branch(x) * m.shortcut(x)),
             lambda m, x: R((m.branch(x) + m.shortcut(x)) / 2), lambda m, x: R(m.branch(x) + m.shortcut(R(x))),
             lambda m, x: R(m.branch(x) + 2 * m.shortcut(x))],
        "Right where the shape stays. Where the block halves the side and doubles the channels, x does not fit: add "
        "`self.shortcut(x)` in place of x.":
            [lambda m, x: R(m.branch(x) + x), lambda m, x: R(m.branch(x) + x if m.keeps else m.branch(x))],
        "The repair brings new parameters. Then one could say that the net is better because it is larger. The "
        "shortcut of option A has none.": {"_option": "B"},
    },
)  # fmt: skip
class RepairedBlock(ResidualBlock):
    """F(x) + x, then the ReLU: with this one line plain-56 becomes ResNet-56, with as many parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, _option: Any = "A") -> None:
        super().__init__(in_channels, channels, stride, _option)
        self.keeps = stride == 1

    def half(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.half(x)))


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


@exercise(
    "06.3 a block that does nothing",
    calls=lambda: [Call(PackagePlainBlock(channels, channels), features(channels)) for channels in (4, 6, 3)],
    returns=seen("the block, an `nn.Module`", nn.Module, look),
    may_change=("block",),
    mistakes={
        "The block is as it was. Set the weights of its two convolutions and its two batch norms.":
            lambda block, x: block,
        "A convolution is no identity: each filter is 1 at the centre of its *own* channel and 0 elsewhere; see "
        "`nn.init.dirac_`.": [{"_kernel": kernel} for kernel in (nn.init.zeros_, nn.init.ones_, lambda weight: weight)],
        "The convolutions pass x on, but in training mode the batch norms still normalise it, by mean and variance of "
        "the batch itself. Give them the weight and the bias that undo this.": {"_norms": 0},
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
    },
)  # fmt: skip
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


#: The right answers. Reading on spoils the exercise.
KEY = {
    "A": "overfitting",
    "B": "learning rate too low",
    "C": "degradation",
    "D": "labels shuffled",
    "E": "healthy",
    "F": "learning rate too high",
}

#: What shows each diagnosis in a panel.
SIGNS = {
    "overfitting": "the training error near zero, the test error well above it, yet well below chance",
    "learning rate too low": "both errors falling smoothly, without a jump, and hardly getting anywhere",
    "degradation": "two nets, the deeper one with the higher error on the training set as well",
    "labels shuffled": "the training error falling, the test error at chance, 90 %",
    "healthy": "both errors low at the end, and close together",
    "learning rate too high": "a training error that jumps, or never leaves chance",
}
DIAGNOSES = mapping("a dict from letter to diagnosis", text("a diagnosis for each panel", among=list(SIGNS)))


def compared(answer: Any) -> dict[str, str]:
    """The diagnoses, if all are right; else each wrong one is told by what its panel would show."""
    read = DIAGNOSES.clean(answer)
    if read.keys() != KEY.keys():
        raise Wrong(f"Give each of the panels A to F a diagnosis; yours are {', '.join(map(str, read)) or 'none'}.")
    mixed_up = [
        f"{letter}: {read[letter]} would show {SIGNS[read[letter]]}. Here you see {SIGNS[right]}."
        for letter, right in KEY.items()
        if read[letter] != right
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
