"""Answers to the exercise of lesson 07 on the bottleneck."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks, models

from . import Exercise
from .lesson_07 import conv


class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1, self.bn1, self.relu1 = conv(in_channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv3, self.bn3, self.relu3 = conv(channels, out_channels, 1), nn.BatchNorm2d(out_channels), nn.ReLU()
        self.around = nn.Sequential()
        if stride == 2 or in_channels != out_channels:
            self.around = nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))

    def branch(self, x: Tensor) -> Tensor:
        x = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        return self.bn3(self.conv3(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x) + self.around(x))


class Stub(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class Plain(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x))


class NeverProjected(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x) + x)


class AlwaysProjected(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = nn.Sequential(conv(in_channels, 4 * channels, 1, stride), nn.BatchNorm2d(4 * channels))


class NoSqueeze(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, 4 * channels, stride)
        self.conv3, self.bn3 = conv(4 * channels, 4 * channels, 1), nn.BatchNorm2d(4 * channels)
        self.around = nn.Sequential()
        if stride == 2 or in_channels != 4 * channels:
            self.around = nn.Sequential(conv(in_channels, 4 * channels, 1, stride), nn.BatchNorm2d(4 * channels))


class StrideInTheFirst(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1, self.conv2 = conv(in_channels, channels, 1, stride), conv(channels, channels)


class ThreeBigKernels(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1 = conv(in_channels, channels)


class ThreeSmallKernels(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv2 = conv(channels, channels, 1, stride)


class Biased(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv3 = conv(channels, 4 * channels, 1, bias=True)


class AfterRelu(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x)) + self.around(x)


class BeforeNorm(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        out = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        return self.relu3(self.bn3(self.conv3(out) + self.around(x)))


class NoLastRelu(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.around(x)


class ShortcutCut(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x) + F.relu(self.around(x)))


class OneRelu(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu2 = self.relu3 = self.relu1


class NoMiddleRelu(Bottleneck):
    def branch(self, x: Tensor) -> Tensor:
        x = self.relu2(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        return self.bn3(self.conv3(x))


class Functional(Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        del self.relu1, self.relu2, self.relu3

    def forward(self, x: Tensor) -> Tensor:
        x, identity = torch.relu(self.bn1(self.conv1(x))), self.around(x)
        return torch.relu(self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(x))))) + identity)


EXERCISES = [
    Exercise(
        checks.check_bottleneck,
        Bottleneck,
        Stub,
        [
            (Plain, "Nothing is added"),
            (NeverProjected, "have different shapes"),
            (AlwaysProjected, "x needs no projection"),
            (NoSqueeze, "the first convolution leads from 16 to 4"),
            (StrideInTheFirst, "skip three pixels in four"),
            (ThreeBigKernels, "the first convolution has 1×1"),
            (ThreeSmallKernels, "the second convolution has 3×3"),
            (Biased, "takes off again"),
            (AfterRelu, "added x after the ReLU"),
            (BeforeNorm, "before the third batch norm"),
            (NoLastRelu, "last ReLU is missing"),
            (ShortcutCut, "cuts off what the shortcut brings"),
            (OneRelu, "The block defines 1 ReLU."),
            (NoMiddleRelu, "between two of the convolutions"),
            (Functional, "There is no `nn.ReLU`"),
        ],
        others=(models.Bottleneck,),
    )
]
