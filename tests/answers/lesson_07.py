"""Answers to the exercises of lesson 07."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, **options) -> nn.Conv2d:
    options = {"padding": kernel // 2, "bias": False} | options
    return nn.Conv2d(in_channels, out_channels, kernel, stride, **options)


# --- 07.1 basic block -------------------------------------------------------------------------------------------


class Basic(nn.Module):
    """Right. What others change is in class attributes."""

    first: dict = {}
    norm: dict = {}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels, **self.first), nn.BatchNorm2d(channels, **self.norm)
        self.conv2, self.bn2 = conv(channels, channels), nn.BatchNorm2d(channels)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x)


class BasicAsSequential(nn.Module):
    """Right, with other names, the sum in place and an activation kept in an attribute."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm, other = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.f = nn.Sequential(conv(channels, channels), norm, nn.ReLU(), conv(channels, channels), other)
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.f(x)
        out += x
        self.kept = out
        return self.last(out)


class BasicLazy(Basic):
    """Right, with layers that find out about their sizes."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv1, self.bn1 = nn.LazyConv2d(channels, 3, padding="same", bias=False), nn.LazyBatchNorm2d()


class InputChanged(Basic):
    def forward(self, x: Tensor) -> Tensor:
        x += self.branch(x)
        return self.relu2(x)


class CutOff(Basic):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x.detach())


class WithoutGradient(Basic):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)) + x)


class OneRelu(Basic):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.branch(x) + x)


class NoRelu(Basic):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        del self.relu1, self.relu2

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x)


class InPlace(Basic):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.relu1 = nn.ReLU(inplace=True)


class Projected(Basic):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.shortcut = conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x))


class OneConvolution(Basic):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv2 = self.conv1


class AddedInTrainingOnly(Basic):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x if self.training else self.branch(x))


class Biased(Basic):
    first = {"bias": True}


class Grouped(Basic):
    first = {"groups": 2}


class Mirrored(Basic):
    first = {"padding_mode": "reflect"}


class WithoutStatistics(Basic):
    norm = {"track_running_stats": False}


class SlowStatistics(Basic):
    norm = {"momentum": 0.01}


class OwnParameter(Basic):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = nn.Parameter(torch.ones(1))


class ReturnsTuple(Basic):
    def forward(self, x: Tensor):
        return super().forward(x), x


RIGHT = {"07.1": [Basic, BasicAsSequential, BasicLazy]}

WRONG = {
    "07.1": [
        (InputChanged, "changes the tensor it is given"),
        (CutOff, "gradient that reaches the input is not"),
        (WithoutGradient, "no gradient reaches `conv1.weight`"),
        (OneRelu, "`relu1` is used 2 times. Make an `nn.ReLU()` for each use"),
        (NoRelu, "defines 0 × ReLU; it needs 2"),
        (InPlace, "A ReLU works in place"),
        (Projected, "defines 3 × convolution; it needs 2"),
        (OneConvolution, "`conv1` is used 2 times"),
        (AddedInTrainingOnly, "In eval mode, for a tensor of shape (3, 4, 8, 6)"),
        (Biased, "`conv1` has a bias, which the batch norm behind it takes off again"),
        (Grouped, "`conv1` has `groups=2`, expected `groups=1`"),
        (Mirrored, "`padding_mode='reflect'`"),
        (WithoutStatistics, "`track_running_stats=False`"),
        (SlowStatistics, "`momentum=0.01`, expected `momentum=0.1`"),
        (OwnParameter, "`scale` is a parameter outside of any layer"),
        (ReturnsTuple, "Expected a tensor from `ReturnsTuple`, got the tuple"),
    ],
}
