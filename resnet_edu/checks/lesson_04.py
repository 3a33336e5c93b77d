"""The checks of lesson 04: when a reduction pays, the inception block, a block within a budget, a silent branch."""

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..models import Inception as PackageInception
from ..models.googlenet import ConvBlock
from .exercise import Call, exercise
from .module import module_exercise
from .values import several, text, whole


def below(limit: float, step: float) -> int:
    """The largest whole number of steps that stay below the limit, 0 where not even one does."""
    return max(0, math.ceil(limit / step) - 1)


@exercise(
    "04.1 break even",
    calls=lambda: [
        *(Call(192, 32, 5), Call(192, 128, 3), Call(18, 2, 3), Call(64, 64, 1), Call(3, 2, 3), Call(512, 24, 7)),
        *(Call(random.randint(9, 90), random.randint(9, 90), random.choice([3, 5, 7])) for _ in range(4)),
    ],
    returns=whole("a whole number of channels", hint="Channels cannot be divided."),
    mistakes={
        "One too many. You are asked for the last width at which the reduction is *cheaper*; at yours it no longer is.":
            [lambda i, o, k: k * k * i * o // (i + k * k * o), lambda i, o, k: below(k * k * i * o, i + k * k * o) + 1],
        "You leave out what the 1×1 convolution itself costs: in_channels · reduced weights.":
            lambda i, o, k: below(k * k * i * o, k * k * o),
        "You have the two kernels the wrong way round: the reducing convolution is 1×1, the one after it k×k.":
            lambda i, o, k: below(k * k * i * o, k * k * i + o),
        "A k×k kernel has k · k weights for each pair of channels; you count k.":
            lambda i, o, k: below(k * i * o, i + k * o),
        "You compare with a 1×1 convolution. Without the reduction the branch is one k×k convolution.":
            lambda i, o, k: below(i * o, i + k * k * o),
        "The k×k convolution after the reduction outputs `channels`, not `reduced` channels.":
            lambda i, o, k: max((r for r in range(i * o * k * k) if i * r + (k * r) ** 2 < k * k * i * o), default=0),
        "The k×k convolution after the reduction gets `reduced` channels, and no longer in_channels.":
            lambda i, o, k: 0,
    },
)  # fmt: skip
def break_even(in_channels: int, channels: int, kernel: int) -> int:
    """Right for 10 branches: up to this width the 1×1 convolution saves work, above it none."""
    alone = kernel**2 * in_channels * channels
    return below(alone, in_channels + kernel**2 * channels)


def stacked(order: str = "1234", *, dim: int = 1) -> Callable[[Any, Tensor], Tensor]:
    return lambda m, x: torch.cat([m.get_submodule(f"branch{number}")(x) for number in order], dim)


POOLED = {"kernel_size": 3, "stride": 1, "padding": 1}


@module_exercise(
    "04.2 inception block",
    calls=lambda: [Call(6, 2, 3, 4, 2, 5, 3), Call(7, 3, 2, 5, 1, 2, 4)],
    inputs=lambda in_channels, *sizes: [(3, in_channels, 7, 9), (2, in_channels, 6, 5)],
    names=True,
    mistakes={
        "The branches are concatenated in another order. It is 1×1, 3×3, the one called 5×5, pooling.":
            [stacked(order) for order in ("1324", "1243", "2134", "4123", "4321", "1423", "1342", "2341")],
        "The branches are concatenated along another dimension. The channels are `dim=1`.":
            [stacked(dim=0), stacked(dim=2), stacked(dim=3)],
        "You add the branches up. They have different channels: concatenate them, with `torch.cat`.":
            lambda m, x: m.branch1(x) + m.branch2(x) + m.branch3(x) + m.branch4(x),
        "A branch is missing from the output: it has the 1×1, the 3×3, the one called 5×5 and the pooling.":
            [stacked(order) for order in ("234", "134", "124", "123")],
        "The max pooling does not keep the side: a 3×3 window needs `stride=1`, where PyTorch's default is the "
        "kernel's side, and `padding=1`.":
            [{"_pool": pool} for pool in (nn.MaxPool2d(3, padding=1), nn.MaxPool2d(3), nn.MaxPool2d(3, 1))],
        "The fourth branch takes averages. In the paper it is max pooling.":
            {"_pool": nn.AvgPool2d(**POOLED)},  # pyright: ignore[reportArgumentType]
        "The pooling branch passes on all channels of x. A 1×1 convolution after the pooling takes them to `pool` "
        "channels; without it each block would be wider than the one before.": {"_last": lambda sizes, pool: pool},
        "`branch4` convolves first and pools then. Pool first: the maximum is taken over x.":
            {"_last": lambda sizes, pool: nn.Sequential(ConvBlock(sizes[0], sizes[6], 1), pool)},
        "`branch3` has the 5×5 kernel of the paper. This exercise follows torchvision, whose weights were trained with "
        "3×3 in its place.": {"_five": 5},
        "`branch2` or `branch3` is one convolution. A 1×1 convolution that reduces the channels comes before it.":
            [{"_second": lambda sizes: ConvBlock(sizes[0], sizes[3], 3)},
             {"_third": lambda sizes: ConvBlock(sizes[0], sizes[5], 3)}],
        "You put the 1×1 convolution after the 3×3 one. It has to come first, to reduce the channels.":
            {"_second": lambda sizes: nn.Sequential(ConvBlock(sizes[0], sizes[3], 3),
                                                    ConvBlock(sizes[3], sizes[3], 1))},
    },
)  # fmt: skip
class Inception(PackageInception):
    """Four branches, torchvision's names, the same numbers as the block of the package, in train and eval mode."""

    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int,
        *, _pool: nn.Module | None = None, _five: int = 3, _second: Any = None, _third: Any = None, _last: Any = None,
    ) -> None:  # fmt: skip
        sizes = (in_channels, one, three_reduced, three, five_reduced, five, pool)
        super().__init__(*sizes)
        if _second:
            self.branch2 = _second(sizes)
        self.branch3[1] = ConvBlock(five_reduced, five, _five)
        if _third:
            self.branch3 = _third(sizes)
        if _pool:
            self.branch4[0] = _pool
        if _last:
            self.branch4 = _last(sizes, nn.MaxPool2d(**POOLED))  # pyright: ignore[reportArgumentType]


SIZES = (4, 6, 8, 1, 2, 2)  # of 3a, in units of 16


def largest(cost: Callable[[int], float], budget: float) -> int:
    return max((u for u in range(1, 400) if cost(u) <= budget), default=0)


def spent(in_channels: int, side: int, unit: int, line: int = 13, square: int = 482) -> int:
    """Multiply-adds of the block with this unit."""
    return side**2 * (line * in_channels * unit + square * unit**2)


def budgets() -> list[Call]:
    """Some that are spent to the last multiply-add, and some that miss the next unit by one.

    In the second the channels that come in cost the most, in the third the width: what leaves out a part of either goes
    further there.
    """
    sizes = [(192, 28, 16), (2000, 7, 16), (90, 14, 40)]
    sizes += [(random.randint(90, 600), random.randint(5, 30), random.randint(6, 40)) for _ in range(4)]
    exact = [Call(i, side, spent(i, side, unit)) for i, side, unit in sizes[:5]]
    return exact + [Call(i, side, spent(i, side, unit + 1) - 1) for i, side, unit in sizes[5:]]


@exercise(
    "04.3 widest block",
    calls=budgets,
    returns=several("six whole numbers, in the order of `Inception`'s arguments", *[whole()] * 6),
    mistakes={
        "That block costs more than the budget. You want the last that stays within it.": {"_more": 1},
        "A block that costs exactly the budget is within it.": {"_kept_back": 1},
        "Your third branch costs as much as one with a 3×3 kernel. It is the paper's here: 5×5.": {"_square": 450},
        "You leave out 1×1 convolutions: two reduce, and one follows the pooling.": [{"_line": 11}, {"_line": 6}],
        "You count naive branches: the large kernels see the reduced channels, not all of the input's.":
            {"_line": 4 + 72 + 50 + 2, "_square": 0},
        "The budget is in multiply-adds: each weight is used at each of side · side pixels. You compare weights.":
            {"side": 1},
        "Right widths in another order. It is `Inception`'s: one, three_reduced, three, five_reduced, five, pool.":
            {"_sizes": (4, 8, 2, 2, 6, 1)},
        "That is the smallest block, of one unit. How far can you go?": lambda i, s, budget: SIZES,
    },
)  # fmt: skip
def widest_block(
    in_channels: int, side: int, budget: int, *, _line: int = 13, _square: int = 482, _kept_back: int = 0,
    _more: int = 0, _sizes: tuple[int, ...] = SIZES,
) -> tuple[int, ...]:  # fmt: skip
    """Right for 7 budgets: no wider block of these proportions would fit."""
    unit = largest(lambda unit: spent(in_channels, side, unit, _line, _square), budget - _kept_back)
    return tuple(size * (unit + _more) for size in _sizes)


BRANCHES = ("branch1", "branch2", "branch3", "branch4")


@torch.no_grad()
def broken_block(silent: int, fault: str) -> Call:
    """A block in which one branch puts out the same for all images, and another nearly so, small or large by turns."""
    block = PackageInception(5, 4, 3, 4, 3, 4, 4).eval()
    convs = [[each for each in branch.modules() if isinstance(each, ConvBlock)] for branch in block.children()]
    for conv in [conv for branch in convs for conv in branch]:
        conv.bn.bias.uniform_(0.2, 0.6)
    convs[silent - 1][-1].bn.weight.fill_(0.02)
    convs[silent - 1][-1].bn.bias.fill_(0.2 if silent % 2 else 5.0)
    if fault == "weights":
        convs[silent][0].conv.weight.zero_()
    else:
        convs[silent][-1].bn.weight.zero_()
        convs[silent][-1].bn.bias.copy_(torch.linspace(-1, 0, 4) if fault == "dead" else torch.linspace(0.2, 2, 4))
    return Call(block, torch.randn(6, 5, 7, 8))


@exercise(
    "04.4 silent branch",
    calls=lambda: [broken_block(place, fault) for fault in ("dead", "scale", "weights") for place in range(4)],
    returns=text("the name of a branch", among=BRANCHES),
    mistakes={
        "You look for small outputs. A branch is silent when its outputs are the same for every image, however large.":
            [{"_score": lambda m, out: float(out.abs().amax())}, {"_score": lambda m, out: float(out.abs().mean())}],
        "You look for weights of convolutions that are zero. A branch can also be silent by its batch norm.":
            {"_score": lambda m, out: -max(float((p == 0).float().mean()) for p in m.parameters() if p.ndim == 4)},
        "You look at the weights of the batch norms. A branch can also be silent by its convolutions.":
            {"_score": lambda m, out: min(float(p.abs().max()) for n, p in m.named_parameters() if "bn.weight" in n)},
        "You compare places or channels. Compare the same number in different images, as `out.std(0)` does.":
            [{"_score": lambda m, out: float(out.std((2, 3)).mean())}, {"_score": lambda m, out: float(out[0].std())},
             {"_score": lambda m, out: float(out.std())}],
        "That is the branch that changes most from image to image. You want the one that changes least.":
            {"_score": lambda m, out: -float(out.std(0).mean())},
    },
)  # fmt: skip
@torch.no_grad()
def silent_branch(
    block: nn.Module, images: Tensor, *,
    _score: Callable[[nn.Module, Tensor], float] = lambda module, out: float(out.std(0).amax()),
) -> str:  # fmt: skip
    """Right for 12 broken blocks, dead, constant and without weights; the blocks are as they were."""
    parts = {name: block.get_submodule(name) for name in BRANCHES}
    return min(parts, key=lambda name: _score(parts[name], parts[name](images)))
