"""Pictures of pictures: digits, photos, filters, feature maps, and maps of evidence over a photo."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from .style import CourseFigure, course_style, new_figure


def image_grid(
    images: Tensor,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    title: str | None = None,
    diverging: bool = False,
    side: float = 1.0,
) -> Figure:
    """Images in rows, without axes.

    Args:
        images: `(N, C, H, W)` with C = 1 (grey) or 3 (colour), or `(N, H, W)`; uint8, or floats that are
            stretched to the range of the whole batch.
        titles: one line above each image.
        columns: images a row.
        title: the figure's message.
        diverging: blue below zero, white at zero, red above; for filters and differences.
        side: of one image, in inches.
    """
    if images.ndim == 4:
        images = images.permute(0, 2, 3, 1).squeeze(-1)  # (N, H, W) or (N, H, W, 3)
    images = images.detach().cpu()
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    high = float(images.abs().max()) if diverging else float(images.max())
    low = -high if diverging else min(0.0, float(images.min()))
    if images.dtype.is_floating_point and images.ndim == 4:
        images = (images - low) / max(high - low, 1e-9)  # matplotlib takes colours from 0 to 1
    with course_style():
        height = side * rows * (1.25 if titles else 1.0) + (0.45 if title else 0.1)
        figure = new_figure(rows, columns, width=side * columns + 0.1, height=height)
        for axes in figure.axes:
            axes.set_axis_off()
        for index, (axes, image) in enumerate(zip(figure.axes, images.numpy(), strict=False)):
            axes.imshow(image, cmap="RdBu_r" if diverging else "gray", vmin=low, vmax=high, interpolation="nearest")
            if titles:
                axes.set_title(titles[index], fontsize=9, weight="normal", loc="center")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=12)
        return figure


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


def visible(image: Tensor) -> np.ndarray:
    """A normalised image `(3, H, W)` stretched to colours from 0 to 1, `(H, W, 3)`."""
    pixels = image.detach().float().cpu().permute(1, 2, 0).numpy()
    return (pixels - pixels.min()) / max(float(pixels.max() - pixels.min()), 1e-9)


def draw_map(axes: Axes, image: Tensor, values: Tensor, *, signed: bool) -> None:
    """One map `(H, W)`. Signed: red for, blue against, white nothing. Else from blue to yellow over the grey photo."""
    found = values.detach().float().cpu().numpy()
    if signed:
        bound = max(float(np.quantile(np.abs(found), 0.995)), 1e-9)
        axes.imshow(found, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    else:
        axes.imshow(visible(image).mean(axis=2), cmap="gray", vmin=0, vmax=1)
        axes.imshow(found, cmap="viridis", vmin=0, vmax=max(float(found.max()), 1e-9), alpha=0.6)
    bare(axes)


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
