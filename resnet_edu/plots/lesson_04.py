"""Lesson 04: the channel budget of inception blocks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..models.googlenet import INCEPTIONS
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Figure, course_style, name_rows, new_figure

BRANCH_COLOURS = (BLUE, GREEN, PURPLE, GREY)
SIDE = 28  # of the maps of 3a


class Branches(NamedTuple):
    """Thousands of weights of a block's four branches, without biases and batch norms, and channels that come out.

    The naive branches are those without a 1×1 convolution that reduces.
    """

    names: list[str]
    reducing: list[float]
    large: list[float]
    naive: list[float]
    channels: list[int]
    naive_channels: list[int]

    @property
    def weights(self) -> float:
        """Of the whole block, in thousands."""
        return sum(self.reducing) + sum(self.large)


def branches_of(sizes: Sequence[int], *, kernel: int = 5) -> Branches:
    """The four branches of a block, for its sizes in the paper's table 1."""
    in_channels, one, three_reduced, three, five_reduced, five, pool = sizes
    c, area = in_channels / 1e3, kernel**2
    return Branches(
        ["1×1", "3×3", f"{kernel}×{kernel}" + " (third)" * (kernel == 3), "pooling"],
        reducing=[0, c * three_reduced, c * five_reduced, 0],
        large=[c * one, 9 * three_reduced * three / 1e3, area * five_reduced * five / 1e3, c * pool],
        naive=[c * one, 9 * c * three, area * c * five, 0],
        channels=[one, three, five, pool],
        naive_channels=[one, three, five, in_channels],
    )


@course_style()
def channel_budget(sizes: Sequence[int] = INCEPTIONS["3a"], *, kernel: int = 5) -> Figure:
    """Weights (below) and multiply-adds (above) of each branch of a block at the place of 3a, and its channels.

    The sizes are those of the paper's table 1: input, 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool proj. The `kernel` of
    the third branch is 5 as in the paper, 3 as in torchvision.
    """
    branches = branches_of(sizes, kernel=kernel)
    scale = SIDE**2 / 1e3  # million multiply-adds per thousand weights
    work = f"{1e3 * branches.weights:,.0f} weights, {scale * branches.weights:.0f} M multiply-adds"
    title = f"{work}, {sizes[0]} → {sum(branches.channels)} channels"
    figure, (left, right) = new_figure(1, 2, width=8.0, height=3.5, width_ratios=[3, 1], title=title)
    left.barh(range(4), branches.naive, height=0.8, fill=False, ec=GREY, ls="--", label="without reduction")
    left.barh(range(4), branches.reducing, height=0.55, color=ORANGE, label="1×1 that reduces")
    left.barh(range(4), branches.large, left=branches.reducing, height=0.55, color=SKY, label="the branch itself")
    name_rows(left, branches.names)
    left.set_xlabel("weights (thousand)")
    above = left.secondary_xaxis("top", functions=(lambda w: np.multiply(w, scale), lambda m: np.divide(m, scale)))
    above.set_xlabel(f"multiply-adds at {SIDE}×{SIDE} (million)")
    left.legend(loc="lower right", fontsize=8)
    blocks = {"block": branches.channels, "naive": branches.naive_channels}
    for column, (name, channels) in enumerate(blocks.items()):
        floor = 0
        for branch, number, colour in zip(branches.names, channels, BRANCH_COLOURS, strict=True):
            bar = right.bar(name, number, bottom=floor, width=0.6, color=colour)
            right.bar_label(bar, [str(number) if number >= 24 else ""], label_type="center", fontsize=8, color="white")
            if column and number >= 24:
                right.text(1.36, floor + number / 2, branch, va="center", fontsize=8, color=colour)
            floor += number
        right.text(column, floor, str(floor), ha="center", va="bottom", fontsize=9, weight="bold")
    right.set_ylabel("output channels")
    right.set_xlim(-0.5, 2.1)  # room for the branches' names
    right.margins(y=0.1)
    right.grid(visible=False, axis="x")
    left.locator_params(axis="x", nbins=4)
    right.locator_params(axis="y", nbins=4)
    return figure
