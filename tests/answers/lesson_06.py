"""Answers to the exercises of lesson 06."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.checks.lesson_06 import KEY
from resnet_edu.models import cifar
from resnet_edu.models.cifar import ResidualBlock

# --- 06.1 plain block -------------------------------------------------------------------------------------------


class PlainBlock(nn.Module):
    """Right. What the wrong ones change is in class attributes."""

    conv1_options: dict[str, Any] = {}
    conv2_options: dict[str, Any] = {}

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        usual = {"kernel_size": 3, "padding": 1, "bias": False}
        self.conv1 = nn.Conv2d(in_channels, channels, **({"stride": stride} | usual | self.conv1_options))  # pyright: ignore[reportArgumentType]
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, **(usual | self.conv2_options))
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)))


class AsSequential(nn.Sequential):
    """Right, with other names and ReLUs in place."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        half = [nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)]
        other = [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)]
        super().__init__(nn.Sequential(*half), nn.Sequential(*other))


class OneReluTwice(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


class FunctionalRelu(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class SmallKernel(PlainBlock):
    conv2_options = {"kernel_size": 1, "padding": 0}


class Unpadded(PlainBlock):
    conv1_options = {"padding": 0}


class Biased(PlainBlock):
    conv1_options = {"bias": True}


class StrideNever(PlainBlock):
    conv1_options = {"stride": 1}


class Grouped(PlainBlock):
    conv2_options = {"padding_mode": "reflect"}


class StrideTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)


class OneNormTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.bn2 = self.bn1


class WithLinear(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.extra = nn.Linear(2, 2)


class Shuffled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.relu1(self.bn2(self.bn1(self.conv2(self.conv1(x))))))


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


# --- 06.2 repair plain-56 ---------------------------------------------------------------------------------------


class Branch(ResidualBlock):
    """F(x), for the ways to go on."""

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))


class RepairedInPlace(Branch):
    """Right."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        out += self.shortcut(x)
        return self.relu1(out)


class RepairedFromPlain(cifar.PlainBlock):
    """Right, with a shortcut of its own."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = cifar.PadShortcut(in_channels, channels) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.around(x) + out)


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


class OtherNames(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.block = ResidualBlock(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Concatenated(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(torch.cat([self.branch(x), self.shortcut(x)], dim=1))


class Flipped(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x).flip(2))


# --- 06.3 a block that does nothing -----------------------------------------------------------------------------


def pass_through(block: Any, x: Tensor) -> nn.Module:
    for conv, bn in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
        bn.running_mean, bn.running_var = mean.clone(), var.clone()
        bn.bias.data, bn.weight.data = mean, (var + bn.eps).sqrt()
    return block


def pass_through_one_pass(block: Any, x: Tensor) -> nn.Module:
    """Right: the batch norm itself measures the batch; biased variance is brought to its running one."""
    count = x.numel() // x.shape[1]
    with torch.no_grad():
        for conv, bn in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
            conv.weight.copy_(torch.eye(x.shape[1])[:, :, None, None] * torch.eye(3)[1][:, None] * torch.eye(3)[1])
            bn.momentum = 1.0
            bn.train()(x)
            bn.momentum = 0.1
            bn.running_var.mul_((count - 1) / count)
            bn.weight.copy_((bn.running_var + bn.eps) ** 0.5)
            bn.bias.copy_(bn.running_mean)
    return block


def on_a_copy(block: nn.Module, x: Tensor) -> nn.Module:
    """Right."""
    return pass_through(copy.deepcopy(block), x)


def without_layers(block: nn.Module, x: Tensor) -> nn.Module:
    return nn.Identity()


def frozen(block: nn.Module, x: Tensor) -> nn.Module:
    return pass_through(block, x).requires_grad_(False)


def batch_changed(block: nn.Module, x: Tensor) -> nn.Module:
    pass_through(block, x)
    x.zero_()
    return block


# --- 06.4 read six curves ---------------------------------------------------------------------------------------


def reading(**changed: object) -> Any:
    """Right but for some letters."""
    return lambda: {**KEY, **changed}


RIGHT = {
    "06.1": [PlainBlock, cifar.PlainBlock, AsSequential, OneReluTwice, FunctionalRelu],
    "06.2": [ResidualBlock, RepairedInPlace, RepairedFromPlain],
    "06.3": [pass_through, pass_through_one_pass, on_a_copy],
    "06.4": [reading(), reading(A="  Overfitting", C="DEGRADATION ")],
}

WRONG = {
    "06.1": [
        (SmallKernel, "kernel_size=1"),
        (Unpadded, "padding=0"),
        (Biased, "cancels"),
        (StrideNever, "stride=1"),
        (Grouped, "padding_mode"),
        (StrideTwice, "stride=2"),
        (OneNormTwice, "batch norm"),
        (WithLinear, "linear layer"),
        (Shuffled, "what happens between them is not"),
        (CutOff, "no gradient reaches the input"),
        (Pooled, "expected a tensor of shape"),
        (InputChanged, "changes the tensor it is given"),
    ],
    "06.2": [
        (InputOverwritten, "changes the tensor it is given"),
        (Detached, "gradient that reaches the input"),
        (OtherNames, "block"),
        (Concatenated, "expected a tensor of shape"),
        (Flipped, "what happens between them is not"),
    ],
    "06.3": [
        (without_layers, "no convolution left"),
        (frozen, "get no gradient"),
        (batch_changed, "changes the tensor it is given as `x`"),
        (lambda block, x: pass_through(block, x).state_dict(), "Expected the block"),
        (lambda block, x: pass_through(block, 2 * x), "output in"),
    ],
    "06.4": [
        (reading(A="degradation"), "A: degradation would show two nets"),
        (reading(B="learning rate too high"), "B: learning rate too high would show"),
        (reading(C="overfitting"), "C: overfitting would show the training error near zero"),
        (reading(D="healthy"), "D: healthy would show both errors low"),
        (reading(E="learning rate too low"), "E: learning rate too low would show"),
        (reading(F="labels shuffled"), "F: labels shuffled would show"),
        (lambda: dict.fromkeys(KEY, "healthy"), "1 of 6 are right"),
        (reading(A="overfit"), "got `overfit`. Known: overfitting,"),
        (reading(B=None, D=""), "Expected a diagnosis for each panel, got None"),
        (reading(G="healthy"), "yours are A, B, C, D, E, F, G."),
        (lambda: list(KEY.values()), "got the list"),
    ],
}
