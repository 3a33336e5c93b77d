"""Pictures of pictures: digits, photos, filters, feature maps, maps of evidence, and bars of what a network says."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from ..models import Pretrained
from .style import GREY, Figure, bare, course_style, headline, new_figure


@course_style()
def image_grid(
    images: Tensor,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    title: str = "",
    diverging: bool = False,
    side: float = 1.0,
) -> Figure:
    """Images in rows of `columns`, without axes, each with one of the `titles` above it.

    Args:
        images: `(N, C, H, W)` with C = 1 (grey) or 3 (colour), or `(N, H, W)`; uint8, or floats that are
            stretched to the range of the whole batch.
        diverging: blue below zero, white at zero, red above; for filters and differences.
        side: of one image, in inches.
    """
    if images.ndim == 4:
        images = images.permute(0, 2, 3, 1).squeeze(-1)  # (N, H, W) or (N, H, W, 3)
    images = images.detach().cpu()
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    high = float(images.abs().max()) if diverging else float(images.max())
    low = -high if diverging else min(0.0, float(images.min()))
    if images.dtype.is_floating_point and images.ndim == 4:
        images = (images - low) / max(high - low, 1e-9)  # matplotlib takes colours from 0 to 1
    height = side * rows * (1.25 if titles else 1.0) + (0.45 if title else 0.1)
    figure, panels = new_figure(rows, columns, width=side * columns + 0.1, height=height, title=title)
    for axes in panels:
        axes.set_axis_off()
    for index, (axes, image) in enumerate(zip(panels, images.numpy(), strict=False)):
        axes.imshow(image, cmap="RdBu_r" if diverging else "gray", vmin=low, vmax=high, interpolation="nearest")
        if titles:
            axes.set_title(titles[index], fontsize=9, weight="normal", loc="center")
    return figure


@course_style()
def feature_maps(maps: Mapping[str, Tensor], *, title: str) -> Figure:
    """The maps `(C, H, W)` of several layers, by name, eight a row, one layer below the other.

    Every layer is drawn with a grey scale of its own, from its smallest value (black) to its largest (white).
    """
    columns = 8
    rows = {name: math.ceil(len(stack) / columns) for name, stack in maps.items()}
    height = 1.12 * sum(rows.values()) + 0.28 * len(maps) + 0.4
    figure = Figure(figsize=(1.05 * columns, height), layout="constrained")
    parts = figure.subfigures(len(maps), 1, height_ratios=[count + 0.25 for count in rows.values()], squeeze=False)
    for part, (name, stack) in zip(parts[:, 0], maps.items(), strict=True):
        stack = stack.detach().float().cpu()
        low, high = float(stack.min()), float(stack.max())
        panels = part.subplots(rows[name], columns, squeeze=False).flatten()
        for axes in panels:
            axes.set_axis_off()
        for axes, values in zip(panels, stack, strict=False):
            axes.imshow(values.numpy(), cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
        count, height, width = stack.shape
        part.suptitle(f"{name}: {count} @ {height}×{width}", x=0.01, ha="left", fontsize=10, weight="normal")
    headline(figure, title)
    return figure


def stretched(image: Tensor) -> np.ndarray:
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
        axes.imshow(stretched(image).mean(axis=2), cmap="gray", vmin=0, vmax=1)
        axes.imshow(found, cmap="viridis", vmin=0, vmax=max(float(found.max()), 1e-9), alpha=0.6)
    bare(axes)


class Answers(NamedTuple):
    """A photo as the network takes it, `(1, C, H, W)`, and its best labels: their names, percentages and numbers."""

    image: Tensor
    labels: list[str]
    percents: list[float]
    numbers: list[int]


def answers(network: Pretrained, picture: Image.Image, top: int) -> Answers:
    """What a network makes of a photo in RGB, the best label first; all of them, where it knows fewer than `top`."""
    top = min(top, len(network.categories))
    image = network.transforms(picture)[None].to(next(network.model.parameters()).device)
    with torch.inference_mode():
        percents, numbers = (100 * network.model.eval()(image)[0].softmax(dim=0)).topk(top)
    return Answers(image, [network.categories[each] for each in numbers], percents.tolist(), numbers.tolist())


def draw_answers(
    axes: Axes, labels: Sequence[str], percents: Sequence[float], colours: Sequence[str], *, digits: int = 0
) -> None:
    """A network's best labels as bars from the top, each with its percentage behind it."""
    bars = axes.barh(range(len(labels)), percents, color=colours)
    room = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # a line that is drawn later stays behind the number
    axes.bar_label(bars, fmt=f"{{:.{digits}f}} %", padding=3, fontsize=10, bbox=room, zorder=3)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 125)
    axes.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.grid(visible=False)


def frame(axes: Axes, row: float, column: float, side: float, colour: str) -> None:
    """A thick square around `side × side` pixels."""
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), side, side, fill=False, ec=colour, lw=3, clip_on=False))


def draw_numbers(axes: Axes, values: Tensor, title: str, *, diverging: bool = False, high: float | None = None) -> None:
    """A small matrix `(H, W)` as squares with its numbers written in, `high` in the strongest colour.

    Squares are grey, for numbers that are not negative; or `diverging`: blue below zero, white at zero, red above.
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


def minus(value: float) -> str:
    """A number with a true minus sign, in brackets if negative."""
    return f"{value:.3g}" if value >= 0 else f"(−{-value:.3g})"


@course_style()
def numbers(panels: Mapping[str, Tensor], *, title: str, signs: str = "", diverging: bool = True) -> Figure:
    """Small matrices side by side, with their numbers written in.

    Args:
        panels: `(H, W)`, or `(W,)` for a single row, by what is written above each.
        signs: what stands before the second matrix, the third and so on, a letter each: "+=".
        diverging: the colours, as for `draw_numbers`.
    """
    matrices = [values if values.ndim == 2 else values[None] for values in panels.values()]
    rows, columns = max(map(len, matrices)), [max(values.shape[1], 2) for values in matrices]
    height = 0.45 * rows + 1.1
    figure, places = new_figure(1, len(panels), width=9.0, height=height, width_ratios=columns, title=title)
    high = max(float(values.abs().max()) for values in matrices)
    for axes, name, values in zip(places, panels, matrices, strict=True):
        draw_numbers(axes, values, name, diverging=diverging, high=high)
    for axes, sign, values in zip(places[1:], signs, matrices[1:], strict=False):
        axes.text(-0.85, (len(values) - 1) / 2, sign, ha="right", va="center", fontsize=15)
    return figure
