"""The shape walk: how an image changes size and depth from layer to layer, drawn from a network's real numbers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import GREY, ORANGE, RED, SKY, course_style, new_figure

MOST_DRAWN = 16  # maps of one stack; more would be a blur
GAP = 16.0  # between two stages, in pixels of the input


class Stage(NamedTuple):
    """One stop of the walk: its name, what leads to it, its shape `(C, H, W)` or `(C,)`, the parameters in between."""

    name: str
    operation: str
    shape: tuple[int, ...]
    parameters: int

    @property
    def size(self) -> int:
        """How many numbers there are at this stop."""
        return math.prod(self.shape)

    @property
    def text(self) -> str:
        """The shape as the paper writes it: `6@28×28`, or the length of a vector."""
        if len(self.shape) == 1:
            return f"{self.shape[0]}"
        channels, height, width = self.shape
        return f"{channels}@{height}×{width}" if channels > 1 else f"{height}×{width}"


def network_walk(stages: Sequence[Stage], *, title: str) -> Figure:
    """Each stage as a stack of maps or a column of numbers, drawn to scale, with the parameters in between.

    Args:
        stages: from the image to the logits.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(width=11.0, height=3.7)
        (axes,) = figure.axes
        axes.set_axis_off()
        axes.set_aspect("equal")
        right = 0.0
        for index, stage in enumerate(stages):
            if index:
                axes.annotate("", (right + GAP - 1, 0), (right + 1, 0), arrowprops={"arrowstyle": "->", "color": GREY})
                middle = right + GAP / 2
                axes.text(middle, 27, stage.operation, ha="center", va="bottom", fontsize=9)
                if stage.parameters:
                    axes.text(middle, 26, f"{stage.parameters:,}", ha="center", va="top", fontsize=9, color=RED)
                right += GAP
            width = draw_stack(axes, stage, right) if len(stage.shape) == 3 else draw_column(axes, stage, right)
            label = f"{stage.name}\n{stage.text}" + (f"\n{stage.size:,} numbers" if len(stage.shape) == 3 else "")
            axes.text(right + width / 2, -26, label, ha="center", va="top", fontsize=9)
            right += width
        axes.set_xlim(-3, right + 3)
        axes.set_ylim(-42, 38)
        axes.set_title(title)
        return figure


def draw_stack(axes: Axes, stage: Stage, left: float) -> float:
    """A stack of maps, the first in front; its width in pixels of the input."""
    channels, height, width = stage.shape
    drawn = min(channels, MOST_DRAWN)
    step = 1.2
    for back in reversed(range(drawn)):
        corner = (left + back * step, -height / 2 + (back - (drawn - 1) / 2) * 0.8)
        axes.add_patch(Rectangle(corner, width, height, fc=SKY if channels > 1 else "white", ec="black", lw=0.8))
    return width + (drawn - 1) * step


def draw_column(axes: Axes, stage: Stage, left: float) -> float:
    """A vector as a column whose height grows with its length; its width in pixels of the input."""
    height = 4 * stage.size**0.5
    axes.add_patch(Rectangle((left, -height / 2), 3, height, fc=ORANGE, ec="black", lw=0.8))
    return 3.0
