"""Which classes a network takes for which."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from .style import course_style, label, new_figure

MOST_NUMBERED = 20  # classes whose counts are written into the squares


def confusion_matrix(confusion: Tensor, classes: Sequence[str], *, title: str) -> Figure:
    """Share of each true class (row) that was given each label (column), with the number of images written in.

    Args:
        confusion: whole numbers `(classes, classes)`, as `evaluate` returns it; row: the label, column: the prediction.
        classes: their names.
        title: the figure's message.
    """
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    side = max(4.6, min(11.0, 2.2 + 0.42 * len(names)))
    with course_style():
        figure = new_figure(width=side + 0.8, height=side)
        (axes,) = figure.axes
        axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)  # a class may be called $a^$
        axes.set_yticks(range(len(names)), names, parse_math=False)
        if len(names) <= MOST_NUMBERED:
            for row, counts in enumerate(confusion.tolist()):
                for column, count in enumerate(counts):
                    if count:
                        colour = "white" if shares[row, column] > 0.5 else "black"
                        axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
        label(axes, title="", x="predicted", y="true")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
