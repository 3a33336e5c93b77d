"""Answers to the exercises of lesson 06 on blocks and on reading curves."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks
from resnet_edu.checks.lesson_06_curves import KEY
from resnet_edu.models import cifar
from resnet_edu.models.cifar import ResidualBlock

from . import Exercise

# --- 06.1 plain block -------------------------------------------------------------------------------------------


class PlainBlock(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)))


class PlainStub(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class AsSequential(nn.Sequential):
    """Right, with other names."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        half = [nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        other = [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        super().__init__(nn.Sequential(*half), nn.Sequential(*other))


class Residual(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + x if out.shape == x.shape else out)


class ResidualAtTheEnd(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return out + x if out.shape == x.shape else out


class ReluBeforeNorm(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.relu1(self.conv1(x)))
        return self.bn2(self.relu2(self.conv2(out)))


class PreActivation(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.relu1(self.bn1(x)))
        return self.conv2(self.relu2(self.bn2(out)))


class NormBeforeConvolution(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.conv1(self.bn1(x)))
        return self.relu2(self.conv2(self.bn2(out)))


class NoLastRelu(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))


class NoMiddleRelu(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.bn1(self.conv1(x)))))


class NoRelu(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(x))))


class NoNorm(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.conv1(x))))


class NoSecondNorm(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))


class NoFirstNorm(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.relu1(self.conv1(x)))))


class HalfABlock(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn1(self.conv1(x)))


class Shuffled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.relu1(self.bn2(self.bn1(self.conv2(self.conv1(x))))))


class OneReluTwice(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


class FunctionalRelu(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        del self.relu1, self.relu2

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class InPlace(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)


class OneNormTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.bn2 = self.bn1


class ThreeConvolutions(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)


class WithLinear(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.extra = nn.Linear(2, 2)


class SmallKernel(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv2 = nn.Conv2d(channels, channels, 1, bias=False)


class Unpadded(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, bias=False)


class Biased(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1)


class StrideTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)


class StrideNever(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, 1)


class Scaled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class CutOff(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Pooled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class InputChanged(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        x.mul_(2)
        return out


PLAIN_BLOCK = Exercise(
    checks.check_plain_block,
    PlainBlock,
    PlainStub,
    [
        (Residual, "residual block already"),
        (ResidualAtTheEnd, "x after the last ReLU"),
        (ReluBeforeNorm, "ReLU comes before the batch norm"),
        (PreActivation, "pre-activation of 2016"),
        (NormBeforeConvolution, "batch norms come before the convolutions"),
        (NoLastRelu, "last ReLU is missing"),
        (NoMiddleRelu, "between the two halves"),
        (NoRelu, "Neither ReLU"),
        (NoNorm, "Neither batch norm"),
        (NoSecondNorm, "second batch norm is not used"),
        (NoFirstNorm, "first batch norm is not used"),
        (HalfABlock, "first half is used"),
        (Shuffled, "Your order is conv, conv, batch norm"),
        (OneReluTwice, "`relu1` is used 2 times"),
        (FunctionalRelu, "There is no `nn.ReLU`"),
        (InPlace, "works in place"),
        (OneNormTwice, "defines 1 × batch norm"),
        (ThreeConvolutions, "defines 3 × conv"),
        (WithLinear, "6 parameters besides"),
        (SmallKernel, "kernel of 1×1"),
        (Unpadded, "keeps the side with `padding=1`"),
        (Biased, "takes off again"),
        (StrideTwice, "`conv2` has stride 2"),
        (StrideNever, "`conv1` has stride 1"),
        (Scaled, "between them is not"),
        (CutOff, "gradient that reaches the input"),
        (Pooled, "into (3, 4, 4, 3)"),
        (InputChanged, "changes the tensor it is given"),
    ],
    others=(AsSequential, cifar.PlainBlock),
)

# --- 06.2 repair plain-56 ---------------------------------------------------------------------------------------


class Repaired(ResidualBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + self.shortcut(x)
        return self.relu2(out)


class RepairStub(ResidualBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        raise NotImplementedError("not yet")


class RepairedInPlace(ResidualBlock):
    """Passes, with a remark."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out += self.shortcut(x)
        return self.relu2(out)


class RepairedFromPlain(cifar.PlainBlock):
    """Right, with a shortcut of its own."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = cifar.PadShortcut(in_channels, channels) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.around(x) + out)


class Branch(ResidualBlock):
    """F(x), for the wrong ways to go on."""

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))


class StillPlain(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x))


class AfterRelu(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x)) + self.shortcut(x)


class BeforeNorm(Branch):
    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu1(self.bn1(self.conv1(x)))) + self.shortcut(x)
        return self.relu2(self.bn2(out))


class WithoutRelu(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)


class Subtracted(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) - self.shortcut(x))


class Multiplied(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) * self.shortcut(x))


class OutTwice(Branch):
    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return self.relu2(out + out)


class Averaged(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2((self.branch(x) + self.shortcut(x)) / 2)


class ReluOfX(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(F.relu(x)))


class MiddleAdded(Branch):
    def forward(self, x: Tensor) -> Tensor:
        middle = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(middle)) + middle)


class BeforeFirstRelu(Branch):
    def forward(self, x: Tensor) -> Tensor:
        middle = self.relu1(self.bn1(self.conv1(x)) + self.shortcut(x))
        return self.relu2(self.bn2(self.conv2(middle)))


class AfterFirstRelu(Branch):
    def forward(self, x: Tensor) -> Tensor:
        middle = self.relu1(self.bn1(self.conv1(x))) + self.shortcut(x)
        return self.relu2(self.bn2(self.conv2(middle)))


class AddedTwice(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + 2 * self.shortcut(x))


class XItself(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x)


class InputOverwritten(Branch):
    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        if out.shape != x.shape:
            return self.relu2(out + self.shortcut(x))
        x += out
        return self.relu2(x)


class Detached(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x.detach()))


class OptionB(Branch):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride, "B")

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x))


class OtherNames(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.block = ResidualBlock(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Concatenated(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(torch.cat([self.branch(x), self.shortcut(x)], dim=1))


class Relu1Again(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.branch(x) + self.shortcut(x))


class NotTheSame(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x).flip(2))


REPAIR = Exercise(
    checks.check_repair,
    Repaired,
    RepairStub,
    [
        (StillPlain, "still plain"),
        (AfterRelu, "In the paper the ReLU comes after the addition"),
        (BeforeNorm, "before the second batch norm"),
        (WithoutRelu, "missing: it comes after the addition"),
        (Subtracted, "You subtract x"),
        (Multiplied, "You multiply by x"),
        (OutTwice, "add `out` to itself"),
        (Averaged, "the mean of F(x) and x"),
        (ReluOfX, "You add ReLU(x)"),
        (MiddleAdded, "output of the first half"),
        (BeforeFirstRelu, "before the first ReLU"),
        (AfterFirstRelu, "after the first ReLU"),
        (AddedTwice, "x is added twice"),
        (XItself, "add `self.shortcut(x)` in place of x"),
        (InputOverwritten, "changes the tensor it is given"),
        (Detached, "gradient that reaches the input"),
        (OptionB, "brings new parameters"),
        (OtherNames, "Keep the parts"),
        (Concatenated, "into (3, 8, 8, 6)"),
        (Relu1Again, "`relu1` is used 2 times"),
        (NotTheSame, "between them is not"),
    ],
    others=(ResidualBlock, RepairedInPlace, RepairedFromPlain),
)

# --- 06.4 read six curves ---------------------------------------------------------------------------------------


def read_curves() -> dict[str, str]:
    return dict(KEY)


def read_curves_stub() -> dict[str, str]:
    raise NotImplementedError("not yet")


def reading(**changed: object):
    """Right but for some letters."""
    return lambda: {**KEY, **changed}


CURVES = Exercise(
    checks.check_read_curves,
    read_curves,
    read_curves_stub,
    [
        (reading(A="degradation"), "A: degradation would show two depths"),
        (reading(A="labels shuffled"), "A: with shuffled labels"),
        (reading(A="learning rate too low"), "A: with too low a rate"),
        (reading(B="learning rate too high"), "B: with too high a rate"),
        (reading(B="overfitting"), "B: overfitting would show"),
        (reading(C="overfitting"), "C: overfitting would show a training error near zero"),
        (reading(C="learning rate too high"), "C: with too high a rate"),
        (reading(D="overfitting"), "D: overfitting would show"),
        (reading(D="learning rate too high"), "D: with too high a rate"),
        (reading(E="overfitting"), "E: overfitting would show"),
        (reading(E="learning rate too low"), "E: with too low a rate"),
        (reading(F="learning rate too low"), "F: with too low a rate"),
        (reading(F="labels shuffled"), "F: with shuffled labels"),
        (lambda: dict.fromkeys(KEY, "healthy"), "1 of 6 are right"),
        (reading(A="overfit"), "Did you mean 'overfitting'?"),
        (reading(A="vanishing gradients"), "'vanishing gradients' is no diagnosis"),
        (reading(B=None, D=""), "No diagnosis yet for B, D"),
        (reading(G="healthy"), "'G' is none of them"),
        (lambda: list(KEY.values()), "got the list"),
    ],
    others=(reading(A="  Overfitting", C="DEGRADATION "),),
)

EXERCISES = [PLAIN_BLOCK, REPAIR, CURVES]
