"""Feature maps: what each layer of a network makes of one image."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from .style import CourseFigure, course_style


def feature_maps(maps: Mapping[str, Tensor], *, columns: int = 8, title: str | None = None) -> Figure:
    """The maps of several layers, one layer below the other, each map beside the next.

    Every layer is drawn with a grey scale of its own, from its smallest value (black) to its largest (white).

    Args:
        maps: layer's name to `(C, H, W)`.
        columns: maps a row.
        title: the figure's message.
    """
    rows = {name: -(-len(stack) // columns) for name, stack in maps.items()}
    total = sum(rows.values())
    with course_style():
        figure = CourseFigure(figsize=(1.05 * columns, 1.12 * total + 0.28 * len(maps) + 0.4), layout="constrained")
        parts = figure.subfigures(len(maps), 1, height_ratios=[count + 0.25 for count in rows.values()], squeeze=False)
        for part, (name, stack) in zip(parts[:, 0], maps.items(), strict=True):
            stack = stack.detach().float().cpu()
            low, high = float(stack.min()), float(stack.max())
            grid = part.subplots(rows[name], columns, squeeze=False).flatten()
            for axes in grid:
                axes.set_axis_off()
            for axes, values in zip(grid, stack, strict=False):
                axes.imshow(values.numpy(), cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
            count, height, width = stack.shape
            part.suptitle(f"{name}: {count} @ {height}×{width}", x=0.01, ha="left", fontsize=10, weight="normal")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
