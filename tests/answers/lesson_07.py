"""Answers to the exercises of lesson 07."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models


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
        self.conv1, self.bn1 = nn.LazyConv2d(channels, 3, padding="same", bias=False), nn.LazyBatchNorm2d()  # pyright: ignore[reportArgumentType]


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
    def forward(self, x: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x), x


# --- 07.2 projection block --------------------------------------------------------------------------------------


class Projection(nn.Module):
    biased = False

    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(in_channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()
        around = conv(in_channels, channels, 1, stride, bias=self.biased)
        self.downsample = nn.Sequential(around, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        identity = self.downsample(x)
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(identity + out)


class ProjectionBiased(Projection):
    biased = True


class ProjectionThatCuts(Projection):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


# --- 07.3 bottleneck --------------------------------------------------------------------------------------------


class BottleneckBiased(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv3 = conv(channels, 4 * channels, 1, bias=True)


class BottleneckOneRelu(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu2 = self.relu3 = self.relu1


class BottleneckFunctional(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu1 = self.relu2 = self.relu3 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(out)) + identity)


class OwnBottleneck(nn.Module):
    """Right, with the shortcut always called."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out = 4 * channels
        squeeze = (conv(in_channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        look = (conv(channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU())
        self.f = nn.Sequential(*squeeze, *look, conv(channels, out, 1), nn.BatchNorm2d(out))
        same = stride == 1 and in_channels == out
        self.around = nn.Sequential() if same else nn.Sequential(conv(in_channels, out, 1, stride), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.f(x) + self.around(x))


# --- 07.4 option A ----------------------------------------------------------------------------------------------


def option_a(x: Tensor, out_channels: int) -> Tensor:
    extra = out_channels - x.shape[1]
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))


def option_a_filled(x: Tensor, out_channels: int) -> Tensor:
    """Right, into a tensor of zeros."""
    thinned, before = x[:, :, ::2, ::2], (out_channels - x.shape[1]) // 2
    out = x.new_zeros(len(x), out_channels, *thinned.shape[2:])
    out[:, before : before + x.shape[1]] = thinned
    return out


def random_padding(x: Tensor, out_channels: int) -> Tensor:
    out = option_a(x, out_channels)
    return torch.where(out == 0, torch.rand_like(out), out)


# --- 07.5 pre-activation ----------------------------------------------------------------------------------------


class PreAct(nn.Module):
    """Right, with names of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = [nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels)]
        self.f = nn.Sequential(*first, nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


class PreActCutOff(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x.detach())


RIGHT = {
    "07.1": [Basic, BasicAsSequential, BasicLazy],
    "07.2": [Projection],
    "07.3": [models.Bottleneck, OwnBottleneck],
    "07.4": [option_a, option_a_filled],
    "07.5": [PreAct],
}

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
    "07.2": [
        (ProjectionBiased, "takes off again"),
        (ProjectionThatCuts, "gradient reaches the input"),
    ],
    "07.3": [
        (BottleneckBiased, "takes off again"),
        (BottleneckOneRelu, "an `nn.ReLU()` for each use"),
        (BottleneckFunctional, "defines 0 × ReLU"),
    ],
    "07.4": [
        (lambda x, out_channels: option_a(x.detach(), out_channels), "cuts the result off from autograd"),
        (random_padding, "the values are not"),
    ],
    "07.5": [(PreActCutOff, "gradient that reaches the input")],
}
