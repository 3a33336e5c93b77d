"""The channel budget of an inception block: where its weights and multiply-adds go, and how wide it comes out."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..models.googlenet import INCEPTIONS
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, course_style, label, new_figure

BRANCH_COLOURS = (BLUE, GREEN, PURPLE, GREY)
SIDES = {"3": 28, "4": 14, "5": 7}  # of the maps, by the first figure of a block's name


class Branch(NamedTuple):
    """One branch: weights of the 1×1 convolution that reduces, of the one that follows, and of one without reduction.

    Biases and batch norms are left out.
    """

    name: str
    reducing: int
    large: int
    naive: int
    channels: int
    naive_channels: int


def branches_of(
    in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int, *, kernel: int
) -> list[Branch]:
    """The four branches of a block, for the six numbers of table 1."""
    c = in_channels
    return [
        Branch("1×1", 0, c * one, c * one, one, one),
        Branch("3×3", c * three_reduced, 9 * three_reduced * three, 9 * c * three, three, three),
        Branch(f"{kernel}×{kernel}" + " (third)" * (kernel == 3), c * five_reduced, kernel**2 * five_reduced * five,
               kernel**2 * c * five, five, five),
        Branch("pooling", 0, c * pool, 0, pool, c),
    ]  # fmt: skip


def channel_budget(
    *,
    in_channels: int = 192,
    one: int = 64,
    three_reduced: int = 96,
    three: int = 128,
    five_reduced: int = 16,
    five: int = 32,
    pool: int = 32,
    kernel: int = 5,
    side: int = 28,
) -> Figure:
    """Weights (below) and multiply-adds (above) of each branch, beside the naive block's; the output's channels.

    Args:
        in_channels: channels of the block's input.
        one: channels of the 1×1 branch.
        three_reduced: channels of the 1×1 convolution before the 3×3 one.
        three: channels of the 3×3 branch.
        five_reduced: channels of the 1×1 convolution in the third branch.
        five: channels of the third branch.
        pool: channels of the 1×1 convolution after the max pooling.
        kernel: of the third branch: 5 as in the paper, 3 as in torchvision.
        side: of the maps, in pixels; each weight is used side · side times.
    """
    branches = branches_of(in_channels, one, three_reduced, three, five_reduced, five, pool, kernel=kernel)
    weights = sum(branch.reducing + branch.large for branch in branches)
    channels = sum(branch.channels for branch in branches)
    with course_style():
        figure = new_figure(1, 2, width=8.0, height=3.5, width_ratios=[3, 1])
        left, right = figure.axes
        draw_costs(left, branches)
        label(left, title="", x="weights (thousand)", y="")
        scale = side**2 / 1e3  # million multiply-adds a thousand weights
        to_macs, back = (lambda w: np.asarray(w) * scale), (lambda m: np.asarray(m) / scale)
        above = left.secondary_xaxis("top", functions=(to_macs, back))
        above.set_xlabel(f"multiply-adds at {side}×{side} (million)")
        left.legend(loc="lower right", fontsize=8)
        draw_channels(right, branches)
        message = (
            f"{weights:,} weights, {weights * side**2 / 1e6:.0f} M multiply-adds, {in_channels} → {channels} channels"
        )
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def draw_costs(axes: Axes, branches: list[Branch]) -> None:
    """One bar a branch, the reducing convolution first; a dashed frame for the naive branch."""
    rows = range(len(branches))
    reducing = [branch.reducing / 1e3 for branch in branches]
    axes.barh(
        rows, [b.naive / 1e3 for b in branches], height=0.8, fill=False, ec=GREY, ls="--", label="without reduction"
    )
    axes.barh(rows, reducing, height=0.55, color=ORANGE, label="1×1 that reduces")
    axes.barh(rows, [b.large / 1e3 for b in branches], left=reducing, height=0.55, color=SKY, label="the branch itself")
    axes.set_yticks(rows, [branch.name for branch in branches])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def draw_channels(axes: Axes, branches: list[Branch]) -> None:
    """Two stacked columns: the channels of the block, and those of the naive block."""
    floors = [0, 0]
    for branch, colour in zip(branches, BRANCH_COLOURS, strict=True):
        heights = (branch.channels, branch.naive_channels)
        axes.bar(("block", "naive"), heights, bottom=floors, width=0.6, color=colour, label=branch.name)
        for place, (floor, height) in enumerate(zip(floors, heights, strict=True)):
            if height >= 24:
                axes.text(place, floor + height / 2, str(height), ha="center", va="center", fontsize=8, color="white")
        floors = [floor + height for floor, height in zip(floors, heights, strict=True)]
    for place, total in enumerate(floors):
        axes.text(place, total, str(total), ha="center", va="bottom", fontsize=9, weight="bold")
    label(axes, title="", x="", y="channels that come out")
    axes.margins(y=0.1)
    axes.grid(visible=False, axis="x")


def channel_budget_grid() -> Figure:
    """The static twin: the nine blocks of the paper's table 1, one scale for all."""
    with course_style():
        figure = new_figure(3, 3, width=9.0, height=5.6, sharex=True, sharey=True)
        for axes, (name, sizes) in zip(figure.axes, INCEPTIONS.items(), strict=True):
            branches, side = branches_of(*sizes, kernel=5), SIDES[name[0]]
            total = sum(branch.reducing + branch.large for branch in branches)
            reducing = [branch.reducing / 1e3 for branch in branches]
            axes.barh(range(4), reducing, height=0.6, color=ORANGE, label="1×1 that reduces")
            axes.barh(range(4), [b.large / 1e3 for b in branches], left=reducing, height=0.6, color=SKY,
                      label="the branch itself")  # fmt: skip
            axes.set_yticks(range(4), [branch.name for branch in branches])
            axes.set_title(f"{name} · {side}×{side} · {total * side**2 / 1e6:.0f} M", fontsize=10)
            axes.grid(visible=False, axis="y")
        figure.axes[0].invert_yaxis()  # shared by all
        figure.axes[2].legend(fontsize=8)
        figure.supxlabel("weights (thousand)", fontsize=10)
        message = "In every block the 3×3 branch takes most (M: million multiply-adds)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure
