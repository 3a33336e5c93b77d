"""The checks of lesson 07: the blocks of ResNet."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import PadShortcut
from .exercise import Call, exercise
from .module import module_exercise
from .values import tensor

R = torch.relu

# --- 07.1 basic block -------------------------------------------------------------------------------------------

BASIC_MISTAKES = {
    "Nothing is added: the block is still plain. One line before the last ReLU is missing.":
        lambda m, x: R(m.branch(x)),
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + x,
    "You add x before the second batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn2(m.conv2(m.first(x)) + x)),
    "The last ReLU is missing: it comes after the addition.":
        lambda m, x: m.branch(x) + x,
    "You subtract x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) - x),
    "You multiply by x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) * x),
    "You add `out` to itself. What is added is the block's input, x.":
        lambda m, x: R(2 * m.branch(x)),
    "You take the mean of F(x) and x. The identity passes whole: F(x) + x.":
        lambda m, x: R((m.branch(x) + x) / 2),
    "You add ReLU(x). The identity passes as it is.":
        lambda m, x: R(m.branch(x) + R(x)),
    "You add the output of the first half. What is added is the block's input, x.":
        lambda m, x: R(m.bn2(m.conv2(h := m.first(x))) + h),
    "You add x in the middle, before the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x)) + x)))),
    "You add x in the middle, after the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(m.first(x) + x))),
    "x is added twice. Once is enough.":
        lambda m, x: R(m.branch(x) + 2 * x),
    "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(R(m.conv1(x))))) + x),
    "Batch norm and ReLU come before the convolutions. That is the pre-activation of 2016; here they follow.":
        lambda m, x: m.conv2(R(m.bn2(m.conv1(R(m.bn1(x)))))) + x,
    "The ReLU between the two halves is missing: without it, two convolutions are no more than one.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(m.conv1(x)))) + x),
}  # fmt: skip


@module_exercise(
    "07.1 basic block",
    calls=lambda: [Call(4), Call(6)],
    inputs=lambda channels: [(3, channels, 8, 6), (2, channels, 5, 7)],
    own_relus=True,
    mistakes=BASIC_MISTAKES,
)
class BasicBlock(nn.Module):
    """ReLU(F(x) + x): shapes, values and gradients are right, in train and in eval mode."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()

    def first(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + x)


# --- 07.2 projection block --------------------------------------------------------------------------------------

PROJECTION_MISTAKES = {
    "A ReLU cuts off what the shortcut brings. Add it as it is: the ReLU comes after the addition.":
        [lambda m, x: R(m.branch(x) + R(m.shortcut(x))), {"_relu": True}],
    "F(x) and what you add to it have different shapes. Send x through the shortcut's convolution, which has the same "
    "channels and stride as the branch.":
        lambda m, x: R(m.branch(x) + x),
    "Nothing is added: the projection is made and not used in `forward`.":
        lambda m, x: R(m.branch(x)),
    "The convolution on the shortcut is followed by a batch norm too.":
        [{"_norm": False}, lambda m, x: R(m.branch(x) + m.around(x))],
    "x has other channels than F(x): it needs a third convolution, on the shortcut. Zeros in their place are option A.":
        [{"_option": "A"}, {"_option": "A", "_norm": False}],
    "The convolution on the shortcut is 1×1: it mixes channels and looks at no neighbours.":
        {"_kernel": 3},
    "The second convolution takes the stride. It belongs into the first, and the second keeps the side.":
        {"_strides": (1, 2)},
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + m.shortcut(x),
    "The last ReLU is missing: it comes after the addition.":
        lambda m, x: m.branch(x) + m.shortcut(x),
    "You add x before the second batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn2(m.conv2(m.first(x)) + m.shortcut(x))),
    "You subtract x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) - m.shortcut(x)),
}  # fmt: skip


@module_exercise(
    "07.2 projection block",
    calls=lambda: [Call(4, 8), Call(3, 7, 1)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    own_relus=True,
    mistakes=PROJECTION_MISTAKES,
)
class ProjectionBlock(nn.Module):
    """ReLU(F(x) + projection of x): shapes, values and gradients are right, in train and in eval mode."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 2, *, _relu: bool = False, _norm: bool = True,
        _option: str = "B", _kernel: int = 1, _strides: tuple[int, int] = (2, 1),
    ) -> None:  # fmt: skip
        super().__init__()
        strides = _strides if stride == 2 else (stride, 1)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, strides[0], padding=1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, strides[1], padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()
        self.around: nn.Module = nn.Conv2d(in_channels, channels, _kernel, stride, _kernel // 2, bias=False)
        if _option == "A":
            self.around = PadShortcut(in_channels, channels) if stride == 2 else nn.Conv2d(in_channels, channels, 1)
        self.norm: nn.Module = nn.BatchNorm2d(channels) if _norm else nn.Identity()
        self.relu3 = nn.ReLU() if _relu else nn.Identity()

    def first(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.first(x)))

    def shortcut(self, x: Tensor) -> Tensor:
        return self.relu3(self.norm(self.around(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x))


# --- 07.3 bottleneck --------------------------------------------------------------------------------------------

BOTTLENECK_MISTAKES = {
    "Nothing is added: F(x) alone comes out.":
        [lambda m, x: R(m.branch(x)), {"_shortcut": "none", "_add": False}],
    "F(x) and what you add to it have different shapes. Where the stride is 2 or the input has not 4 · channels, a 1×1 "
    "convolution and a batch norm fit x to F(x).":
        {"_shortcut": "none"},
    "Where the shape stays, x needs no projection. Leave it as it is: it costs nothing.":
        {"_shortcut": "always"},
    "The first convolution leads *down* to `channels`: you keep all 4 · channels throughout.":
        {"_down": 1},
    "The stride sits in the 3×3 convolution: a 1×1 with stride 2 would skip three pixels in four.":
        {"_stride_first": True},
    "The first convolution is 1×1. Only the one in the middle is 3×3.":
        {"_kernels": (3, 3)},
    "The second convolution is 3×3. With 1×1 alone no pixel sees its neighbours.":
        {"_kernels": (1, 1)},
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + m.around(x),
    "You add x before the third batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn3(m.conv3(m.second(m.first(x))) + m.around(x))),
    "The last ReLU is missing: it comes after the addition.":
        lambda m, x: m.branch(x) + m.around(x),
    "A ReLU cuts off what the shortcut brings. Add it as it is: the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x) + R(m.around(x))),
    "A ReLU between two of the convolutions is not used.":
        [
            lambda m, x: R(m.bn3(m.conv3(m.second(m.bn1(m.conv1(x))))) + m.around(x)),
            lambda m, x: R(m.bn3(m.conv3(m.bn2(m.conv2(m.first(x))))) + m.around(x)),
        ],
    "You subtract x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) - m.around(x)),
}  # fmt: skip


@module_exercise(
    "07.3 bottleneck",
    calls=lambda: [Call(16, 4), Call(6, 4, 1), Call(24, 6, stride=2)],
    inputs=lambda in_channels, channels, stride: [(3, in_channels, 8, 6), (2, in_channels, 5, 7)],
    own_relus=True,
    mistakes=BOTTLENECK_MISTAKES,
)
class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and the identity: shapes, values and gradients are right, with and without a projection."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, _shortcut: str = "where needed", _add: bool = True,
        _down: int = 4, _stride_first: bool = False, _kernels: tuple[int, int] = (1, 3),
    ) -> None:  # fmt: skip
        super().__init__()
        out, inner, self.add = 4 * channels, 4 * channels // _down, _add
        strides = (stride, 1) if _stride_first else (1, stride)
        self.conv1, self.conv2 = (
            nn.Conv2d(before, inner, kernel, step, kernel // 2, bias=False)
            for before, kernel, step in zip((in_channels, inner), _kernels, strides, strict=True)
        )
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(inner), nn.BatchNorm2d(inner), nn.BatchNorm2d(out)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        changes = stride == 2 or in_channels != out
        self.around: nn.Module = nn.Identity()
        if _shortcut == "always" or (changes and _shortcut != "none"):
            self.around = nn.Sequential(nn.Conv2d(in_channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def first(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn1(self.conv1(x)))

    def second(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn3(self.conv3(self.second(self.first(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu3(self.branch(x) + self.around(x) if self.add else self.branch(x))


# --- 07.4 option A ----------------------------------------------------------------------------------------------


def padded(x: Tensor, before: int, behind: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, before, behind))


def halves(x: Tensor, out_channels: int) -> Tensor:
    """New channels around those of x, whatever its side."""
    extra = out_channels - x.shape[1]
    return padded(x, extra // 2, extra - extra // 2)


def thinned(x: Tensor) -> Tensor:
    return x[:, :, ::2, ::2]


OPTION_A_MISTAKES = {
    "The side is not halved. Take every second row and every second column: `x[:, :, ::2, ::2]`.":
        halves,
    "The channels are missing: pad with zeros up to `out_channels`.":
        lambda x, c: thinned(x),
    "All the zeros lie behind the old channels. The paper leaves the place open; this course puts half of them in "
    "front, as the published weights need it.":
        lambda x, c: padded(thinned(x), 0, c - x.shape[1]),
    "All the zeros lie in front of the old channels. Half of them go behind.":
        lambda x, c: padded(thinned(x), c - x.shape[1], 0),
    "Nearly: where the number of new channels is odd, the one that is left over goes behind.":
        lambda x, c: padded(thinned(x), (c - x.shape[1] + 1) // 2, (c - x.shape[1]) // 2),
    "You average four pixels. Option A takes one of them as it is.":
        lambda x, c: halves(F.avg_pool2d(x, 2, ceil_mode=True), c),
    "You take the largest of four pixels. Option A takes the first, whatever its value.":
        lambda x, c: halves(F.max_pool2d(x, 2, ceil_mode=True), c),
    "You begin with the second pixel. Begin with the first: `::2`, not `1::2`.":
        lambda x, c: halves(x[:, :, 1::2, 1::2], c),
    "Only the rows are thinned out. Do the same with the columns.":
        lambda x, c: halves(x[:, :, ::2], c),
    "Only the columns are thinned out. Do the same with the rows.":
        lambda x, c: halves(x[..., ::2], c),
    "The new channels repeat the old ones. They are zeros: nothing is invented.":
        lambda x, c: thinned(x[:, torch.arange(c) % x.shape[1]]),
    "There are too many channels: you add `out_channels` of them, not the difference.":
        lambda x, c: padded(thinned(x), c // 2, c - c // 2),
}  # fmt: skip


@exercise(
    "07.4 option A",
    calls=lambda: [Call(torch.randn(n, c, h, w), out) for n, c, h, w, out in
                   ((2, 4, 8, 6, 8), (3, 3, 5, 7, 8), (2, 2, 4, 4, 6), (1, 4, 3, 3, 4))],
    returns=tensor(),
    gradients=True,
    mistakes=OPTION_A_MISTAKES,
)  # fmt: skip
def option_a(x: Tensor, out_channels: int) -> Tensor:
    """Every second row and column, zeros in the new channels: x passes without a parameter, its gradient as well."""
    return PadShortcut(x.shape[1], out_channels)(x)


# --- 07.5 pre-activation ----------------------------------------------------------------------------------------

PREACTIVATION_MISTAKES = {
    "Nothing is added: F(x) alone comes out.":
        lambda m, x: m.branch(x),
    "You add x after its batch norm and ReLU. Keep x as it came in: nothing may stand on the shortcut.":
        lambda m, x: m.last(h := R(m.bn1(x))) + h,
    "You add x after its batch norm. Keep x as it came in: the shortcut carries it unscaled.":
        lambda m, x: m.last(R(h := m.bn1(x))) + h,
    "You add ReLU(x), so negative values are lost on the way. The identity passes as it is.":
        lambda m, x: m.branch(x) + R(x),
    "A ReLU follows the addition. Here the sum goes on as it is; the next block begins with its own.":
        lambda m, x: R(m.branch(x) + x),
    "You subtract x. The block is F(x) + x.":
        lambda m, x: m.branch(x) - x,
    "You add `out` to itself. What is added is the block's input, x.":
        lambda m, x: 2 * m.branch(x),
    "That is the order of 2015: convolution, batch norm, ReLU. Pre-activation begins with the batch norm.":
        lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x))))) + x),
    "That is the branch of 2015, without the last ReLU. Pre-activation begins with the batch norm.":
        lambda m, x: m.bn2(m.conv2(R(m.bn1(m.conv1(x))))) + x,
    "The ReLU comes before the batch norm. The order is batch norm, ReLU, convolution.":
        lambda m, x: m.conv2(m.bn2(R(m.conv1(m.bn1(R(x)))))) + x,
    "ReLU, convolution, batch norm: ReLU-only pre-activation in the paper. The batch norm comes first.":
        lambda m, x: m.bn2(m.conv2(R(m.bn1(m.conv1(R(x)))))) + x,
    "Neither ReLU is used.":
        lambda m, x: m.conv2(m.bn2(m.conv1(m.bn1(x)))) + x,
    "Neither batch norm is used.":
        lambda m, x: m.conv2(R(m.conv1(R(x)))) + x,
    "The second ReLU is not used.":
        lambda m, x: m.conv2(m.bn2(m.conv1(R(m.bn1(x))))) + x,
    "The first ReLU is not used.":
        lambda m, x: m.last(m.bn1(x)) + x,
    "The second batch norm is not used.":
        lambda m, x: m.conv2(R(m.conv1(R(m.bn1(x))))) + x,
    "The first batch norm is not used.":
        lambda m, x: m.last(R(x)) + x,
    "The ReLUs come after the convolutions. The order is batch norm, ReLU, convolution.":
        lambda m, x: R(m.conv2(m.bn2(R(m.conv1(m.bn1(x)))))) + x,
}  # fmt: skip


@module_exercise(
    "07.5 pre-activation",
    calls=lambda: [Call(4), Call(6)],
    inputs=lambda channels: [(3, channels, 8, 6), (2, channels, 5, 7)],
    own_relus=True,
    mistakes=PREACTIVATION_MISTAKES,
)
class PreActBlock(nn.Module):
    """F(x) + x with nothing on the shortcut: values and gradients are right, in train and in eval mode."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def last(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu2(self.bn2(self.conv1(x))))

    def branch(self, x: Tensor) -> Tensor:
        return self.last(self.relu1(self.bn1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + x
