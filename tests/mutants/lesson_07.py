"""Answers to the exercises of lesson 07 on the blocks of ResNet-18 and 34, option A and pre-activation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks

from . import Exercise


def conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)


class Basic(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x)


class BasicStub(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


# --- 07.2 projection block --------------------------------------------------------------------------------------


class Projection(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = conv(in_channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = conv(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()
        self.around, self.norm = conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels)

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def shortcut(self, x: Tensor) -> Tensor:
        return self.norm(self.around(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x))


class ProjectionStub(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class ShortcutFirst(Projection):
    """Right, the other way round."""

    def forward(self, x: Tensor) -> Tensor:
        identity = self.shortcut(x)
        return self.relu2(identity + self.branch(x))


class Unprojected(Projection):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x)


class ShortcutUnused(Projection):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x))


class ShortcutWithoutNorm(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        del self.norm

    def shortcut(self, x: Tensor) -> Tensor:
        return self.around(x)


class NormUnused(Projection):
    def shortcut(self, x: Tensor) -> Tensor:
        return self.around(x)


class OptionAInstead(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        del self.around

    def shortcut(self, x: Tensor) -> Tensor:
        extra = self.conv1.out_channels - x.shape[1]
        step = self.conv1.stride[0]
        return F.pad(x[:, :, ::step, ::step], (0, 0, 0, 0, extra // 2, extra - extra // 2))


class BigShortcut(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = conv(in_channels, channels, 3, stride)


class BiasedShortcut(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = conv(in_channels, channels, 1, stride, bias=True)


class ShortcutWithRelu(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu3 = nn.ReLU()

    def shortcut(self, x: Tensor) -> Tensor:
        return self.relu3(self.norm(self.around(x)))


class ShortcutCutByRelu(Projection):
    def shortcut(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.around(x)))


class StrideInTheSecond(Projection):
    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv1, self.conv2 = conv(in_channels, channels), conv(channels, channels, 3, stride)


class ProjectionAfterRelu(Projection):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x)) + self.shortcut(x)


class ProjectionNoLastRelu(Projection):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)


class ProjectionBeforeNorm(Projection):
    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu1(self.bn1(self.conv1(x))))
        return self.relu2(self.bn2(out + self.shortcut(x)))


PROJECTION = Exercise(
    checks.check_projection_block,
    Projection,
    ProjectionStub,
    [
        (Unprojected, "have different shapes"),
        (ShortcutUnused, "`around` is defined and not used"),
        (ShortcutWithoutNorm, "The block defines 2 batch norms"),
        (NormUnused, "there is no batch norm"),
        (OptionAInstead, "The block defines 2 convolutions"),
        (BigShortcut, "0 of the three convolutions are 1×1"),
        (BiasedShortcut, "takes off again"),
        (ShortcutWithRelu, "There is none on the shortcut"),
        (ShortcutCutByRelu, "cuts off what the shortcut brings"),
        (StrideInTheSecond, "`conv1` has stride 1"),
        (ProjectionAfterRelu, "added x after the ReLU"),
        (ProjectionNoLastRelu, "last ReLU is missing"),
        (ProjectionBeforeNorm, "before the second batch norm"),
    ],
    others=(ShortcutFirst,),
)

# --- 07.4 option A ----------------------------------------------------------------------------------------------


def option_a(x: Tensor, out_channels: int) -> Tensor:
    extra = out_channels - x.shape[1]
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))


def option_a_stub(x: Tensor, out_channels: int) -> Tensor:
    raise NotImplementedError("not yet")


def option_a_filled(x: Tensor, out_channels: int) -> Tensor:
    """Right, into a tensor of zeros."""
    thinned, before = x[:, :, ::2, ::2], (out_channels - x.shape[1]) // 2
    out = x.new_zeros(len(x), out_channels, *thinned.shape[2:])
    out[:, before : before + x.shape[1]] = thinned
    return out


def zeros(x: Tensor, channels: int) -> Tensor:
    return x.new_zeros(len(x), channels, *x.shape[2:])


def zeros_behind(x: Tensor, out_channels: int) -> Tensor:
    x = x[:, :, ::2, ::2]
    return torch.cat([x, zeros(x, out_channels - x.shape[1])], dim=1)


def zeros_in_front(x: Tensor, out_channels: int) -> Tensor:
    x = x[:, :, ::2, ::2]
    return torch.cat([zeros(x, out_channels - x.shape[1]), x], dim=1)


def rounded_up(x: Tensor, out_channels: int) -> Tensor:
    x, extra = x[:, :, ::2, ::2], out_channels - x.shape[1]
    return torch.cat([zeros(x, extra - extra // 2), x, zeros(x, extra // 2)], dim=1)


def full_side(x: Tensor, out_channels: int) -> Tensor:
    extra = out_channels - x.shape[1]
    return torch.cat([zeros(x, extra // 2), x, zeros(x, extra - extra // 2)], dim=1)


def thinned_only(x: Tensor, out_channels: int) -> Tensor:
    return x[:, :, ::2, ::2]


def averaged(x: Tensor, out_channels: int) -> Tensor:
    return full_side(F.avg_pool2d(x, 2, ceil_mode=True), out_channels)


def largest(x: Tensor, out_channels: int) -> Tensor:
    return full_side(F.max_pool2d(x, 2, ceil_mode=True), out_channels)


def second_pixels(x: Tensor, out_channels: int) -> Tensor:
    return full_side(x[:, :, 1::2, 1::2], out_channels)


def rows_only(x: Tensor, out_channels: int) -> Tensor:
    return full_side(x[:, :, ::2], out_channels)


def columns_only(x: Tensor, out_channels: int) -> Tensor:
    return full_side(x[:, :, :, ::2], out_channels)


def repeats(x: Tensor, out_channels: int) -> Tensor:
    return x.repeat(1, 3, 1, 1)[:, :out_channels, ::2, ::2]


def too_many(x: Tensor, out_channels: int) -> Tensor:
    half = out_channels // 2
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, out_channels - half))


def cut_off(x: Tensor, out_channels: int) -> Tensor:
    return option_a(x.detach(), out_channels)


def random_padding(x: Tensor, out_channels: int) -> Tensor:
    out = option_a(x, out_channels)
    return torch.where(out == 0, torch.rand_like(out), out)


OPTION_A = Exercise(
    checks.check_option_a,
    option_a,
    option_a_stub,
    [
        (zeros_behind, "zeros lie behind"),
        (zeros_in_front, "zeros lie in front"),
        (rounded_up, "left over goes behind"),
        (full_side, "The side is not halved"),
        (thinned_only, "channels are missing"),
        (averaged, "average four pixels"),
        (largest, "largest of four pixels"),
        (second_pixels, "begin with the second pixel"),
        (rows_only, "Only the rows"),
        (columns_only, "Only the columns"),
        (repeats, "repeat the old ones"),
        (too_many, "too many channels"),
        (cut_off, "cuts the result off from autograd"),
        (random_padding, "the values are not"),
    ],
    others=(option_a_filled,),
)

# --- 07.5 pre-activation ----------------------------------------------------------------------------------------


class PreAct(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.relu1, self.conv1 = nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels)
        self.bn2, self.relu2, self.conv2 = nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu2(self.bn2(self.conv1(self.relu1(self.bn1(x))))))

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + x


class PreActStub(BasicStub):
    pass


class PreActAsSequential(nn.Module):
    """Right, with other names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = [nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels)]
        self.f = nn.Sequential(*first, nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


class PreActWithoutX(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x)


class PreActActivatedShortcut(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        return self.conv2(self.relu2(self.bn2(self.conv1(activated)))) + activated


class PreActNormedShortcut(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        normed = self.bn1(x)
        return self.conv2(self.relu2(self.bn2(self.conv1(self.relu1(normed))))) + normed


class PreActReluShortcut(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + F.relu(x)


class PreActReluAfter(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + x)


class PreActReluFirst(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.bn2(self.relu2(self.conv1(self.bn1(self.relu1(x)))))) + x


class PreActReluOnly(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu2(self.bn1(self.conv1(self.relu1(x)))))) + x


class PreActNoSecondRelu(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.bn2(self.conv1(self.relu1(self.bn1(x))))) + x


class PreActSubtracted(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) - x


class PreActCutOff(PreAct):
    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x.detach()) + x


PREACTIVATION = Exercise(
    checks.check_preactivation,
    PreAct,
    PreActStub,
    [
        (PreActWithoutX, "Nothing is added"),
        (PreActActivatedShortcut, "after its batch norm and ReLU"),
        (PreActNormedShortcut, "carries it unscaled"),
        (PreActReluShortcut, "negative values are lost"),
        (PreActReluAfter, "A ReLU follows the addition"),
        (Basic, "That is the order of 2015"),
        (PreActReluFirst, "The ReLU comes before the batch norm"),
        (PreActReluOnly, "ReLU-only pre-activation"),
        (PreActNoSecondRelu, "second ReLU is not used"),
        (PreActSubtracted, "You subtract x"),
        (PreActCutOff, "gradient that reaches the input"),
    ],
    others=(PreActAsSequential,),
)

EXERCISES = [PROJECTION, OPTION_A, PREACTIVATION]
