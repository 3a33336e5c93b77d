"""The check of lesson 07 on the shortcut without parameters: every second row and column, new channels of zeros."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models import PadShortcut
from .expect import Call, Mistake, judge, need_function, same_gradients
from .explain import kind_of
from .runner import Wrong, check


def right(x: Tensor, out_channels: int) -> Tensor:
    """The oracle is the package's own shortcut."""
    return PadShortcut(x.shape[1], out_channels)(x)


def padded(x: Tensor, out_channels: int) -> Tensor:
    """New channels around those of x, whatever its side."""
    extra = out_channels - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2))


def extra_behind(x: Tensor, before: int, behind: int) -> Tensor:
    """Every second row and column, with so many channels of zeros on either side."""
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, behind))


def repeated(x: Tensor, out_channels: int) -> Tensor:
    """The channels of x again and again in place of zeros."""
    return x[:, torch.arange(out_channels) % x.shape[1]][:, :, ::2, ::2]


MISTAKES = (
    Mistake(padded, "The side is not halved. Take every second row and every second column: `x[:, :, ::2, ::2]`."),
    Mistake(lambda x, c: x[:, :, ::2, ::2], "The channels are missing: pad with zeros up to `out_channels`."),
    Mistake(
        lambda x, c: extra_behind(x, 0, c - x.shape[1]),
        "All the zeros lie behind the old channels. The paper leaves the place open; this course puts half of them "
        "in front, as the published weights need it.",
    ),
    Mistake(
        lambda x, c: extra_behind(x, c - x.shape[1], 0),
        "All the zeros lie in front of the old channels. Half of them go behind.",
    ),
    Mistake(
        lambda x, c: extra_behind(x, (c - x.shape[1] + 1) // 2, (c - x.shape[1]) // 2),
        "Nearly: where the number of new channels is odd, the one that is left over goes behind.",
    ),
    Mistake(
        lambda x, c: padded(F.avg_pool2d(x, 2, ceil_mode=True), c),
        "You average four pixels. Option A takes one of them as it is.",
    ),
    Mistake(
        lambda x, c: padded(F.max_pool2d(x, 2, ceil_mode=True), c),
        "You take the largest of four pixels. Option A takes the first, whatever its value.",
    ),
    Mistake(
        lambda x, c: padded(x[:, :, 1::2, 1::2], c),
        "You begin with the second pixel. Begin with the first: `::2`, not `1::2`.",
    ),
    Mistake(lambda x, c: padded(x[:, :, ::2], c), "Only the rows are thinned out. Do the same with the columns."),
    Mistake(lambda x, c: padded(x[..., ::2], c), "Only the columns are thinned out. Do the same with the rows."),
    Mistake(repeated, "The new channels repeat the old ones. They are zeros: nothing is invented."),
    Mistake(
        lambda x, c: extra_behind(x, c // 2, c - c // 2),
        "There are too many channels: you add `out_channels` of them, not the difference.",
    ),
)


@check("07.4 option A")
def check_option_a(option_a: Any) -> str:
    """`option_a(x, out_channels)`: every second row and column of x, zeros in the channels that are new."""
    calls = [
        Call(torch.randn(2, 4, 8, 6), 8),
        Call(torch.randn(3, 3, 5, 7), 8),
        Call(torch.randn(2, 2, 4, 4), 6),
    ]
    name = need_function(option_a, "option_a(x, out_channels)", *calls[0].args)
    judge(option_a, right, calls, MISTAKES, name=name, clean=lambda value: need_tensor(value, name))
    x = torch.randn(2, 4, 6, 6)
    same_gradients(lambda x: option_a(x, 8), lambda x: right(x, 8), Call(x), name=name)
    return (
        "Every second row and column, zeros in the new channels: x passes without a single parameter, and so does its "
        "gradient."
    )


def need_tensor(value: Any, name: str) -> Tensor:
    """The value, if it is a tensor.

    Raises:
        Wrong: it is not.
    """
    if not isinstance(value, Tensor):
        raise Wrong(f"Expected a tensor from `{name}`, got {kind_of(value)}.")
    return value
