"""Small matrices with their numbers written in: the parts from which the convolution figures are made."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from .style import GREY


def numbers(axes: Axes, values: Tensor, title: str, *, diverging: bool = False, high: float | None = None) -> None:
    """Draw a small matrix as coloured squares with its numbers written in.

    Args:
        axes: where to draw.
        values: `(H, W)`; not negative, unless `diverging`.
        title: stands above.
        diverging: blue below zero, white at zero, red above.
        high: the value of the strongest colour; by default the largest of `values`.
    """
    values = values.detach().float().cpu()
    high = max(high or float(values.abs().max()), 1e-9) * 1.4  # never so dark or bright that the number is lost
    axes.imshow(values.numpy(), cmap="RdBu_r" if diverging else "gray", vmin=-high if diverging else 0, vmax=high)
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            colour = "white" if not diverging and value < 0.45 * high else "black"
            text = f"{value:.3g}".replace("-", "−")
            axes.text(j, i, text, ha="center", va="center", fontsize=9.5, color=colour)
    axes.set_title(title, fontsize=11)
    bare(axes, edge=GREY)


def bare(axes: Axes, *, edge: str | None = None) -> None:
    """No ticks, no grid; a thin frame of colour `edge`, or none."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=edge is not None, color=edge or "none", linewidth=0.8)


def frame(axes: Axes, row: float, column: float, side: float, colour: str) -> None:
    """A thick square around `side × side` pixels."""
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), side, side, fill=False, ec=colour, lw=3, clip_on=False))
