"""Lesson 03: how the window of one number grows from layer to layer, and where a network's costs sit."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from ..probe.summary import LayerSummary, Summary
from .style import BLUE, COLOURS, GREY, ORANGE, Figure, bare, course_style, name_rows, new_figure

MOST_DOTS = 40  # positions of a row that are drawn one by one; more become a bar
POOLINGS = ("MaxPool2d", "AvgPool2d")


class Row(NamedTuple):
    """The image, or a layer: one of its numbers sees `size` × `size` pixels; neighbouring windows are `jump` apart."""

    name: str
    size: int
    jump: int


def rows_of(*, kernel: int = 3, layers: int = 3, first_stride: int = 1, pool_every: int = 0) -> list[Row]:
    """The image and every layer of a stack of convolutions without padding.

    The first convolution has the stride `first_stride`, the others 1; a 2×2 max pooling comes after every `pool_every`
    convolutions, or never for 0.
    """
    stack: list[tuple[str, int, int]] = []  # kind, side of the window, stride
    for index in range(1, layers + 1):
        stack.append(("conv", kernel, first_stride if index == 1 else 1))
        if pool_every and index % pool_every == 0:
            stack.append(("pool", 2, 2))
    rows = [Row("image", 1, 1)]
    for kind, side, stride in stack:
        size, jump = rows[-1].size + (side - 1) * rows[-1].jump, rows[-1].jump * stride
        rows.append(Row(f"{kind} {side}×{side}" + (f" /{stride}" if stride > 1 else ""), size, jump))
    return rows


@course_style()
def receptive_growth(image: Tensor, **stack: int) -> Figure:
    """On the left the pixels that one number needs, layer by layer; on the right the windows laid on a photo.

    The photo is `(H, W)` or `(3, H, W)`, 0 to 255; the `stack` of convolutions is described as for `rows_of`.
    """
    rows = rows_of(**stack)
    _, size, jump = rows[-1]
    plural = "s" if jump > 1 else ""
    title = f"One number sees {size}×{size} pixels; neighbouring windows are {jump} pixel{plural} apart"
    figure, (left, right) = new_figure(1, 2, width=9.0, height=4.2, width_ratios=[1.5, 1], title=title)
    draw_cone(left, rows)
    height, width = image.shape[-2:]
    right.imshow((image if image.ndim == 2 else image.movedim(0, -1)).numpy(), vmin=0, vmax=255)
    for index, row in enumerate(rows[1:], start=1):
        corner = ((width - row.size - 1) / 2, (height - row.size - 1) / 2)  # around the middle of the photo
        right.add_patch(Rectangle(corner, row.size, row.size, fill=False, ec=colour_of(index, rows), lw=2))
    right.set_xlim(-0.5, width - 0.5)
    right.set_ylim(height - 0.5, -0.5)
    bare(right, edge=GREY)
    right.set_title(f"{'on' if size <= min(height, width) else 'larger than'} a photo of {height}×{width}", fontsize=11)
    return figure


def colour_of(index: int, rows: list[Row]) -> tuple[float, ...]:
    """Dark for the first layer, bright for the last; the same for all readers' eyes."""
    return colormaps["viridis"](0.85 * index / max(1, len(rows) - 1))


def draw_cone(axes: Axes, rows: list[Row]) -> None:
    """The image at the bottom, the single number at the top; dots are positions, pixels run from left to right."""
    pixels = rows[-1].size
    for index, row in enumerate(rows):
        colour, reach = colour_of(index, rows), (pixels - row.size) / 2
        if 2 * reach < MOST_DOTS * row.jump:
            dots = np.arange(-reach, reach + 1, row.jump)
            axes.plot(dots, [index] * len(dots), ls="", marker="s", ms=5 if len(dots) <= 20 else 3, color=colour)
        else:
            axes.plot([-reach, reach], [index, index], lw=5, color=colour, solid_capstyle="butt")
        if index:
            below = (pixels - rows[index - 1].size) / 2
            axes.fill_betweenx([index - 1, index], [-below, -reach], [below, reach], fc=colour, alpha=0.18, lw=0)
            axes.text(0.56 * pixels + 0.04, index, f"sees {row.size}, jump {row.jump}", va="center", fontsize=9)
    bare(axes)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(length=0)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(-pixels / 2 - 0.3, 0.95 * pixels + 0.05)
    axes.set_xlabel(f"{pixels} pixels of the image", loc="left")


@course_style()
def channel_values(panels: Mapping[str, Tensor], *, title: str) -> Figure:
    """How the numbers of each channel in maps `(N, C, H, W)` are distributed, one panel a stage, one hill a channel."""
    figure, all_axes = new_figure(1, len(panels), width=9.0, height=3.2, sharex=True, sharey=True, title=title)
    edges = np.linspace(-8, 8, 129)
    channels = next(iter(panels.values())).shape[1]
    for axes, (name, maps) in zip(all_axes, panels.items(), strict=True):
        axes.axvline(0, color=GREY, lw=0.8)
        for channel in range(channels):
            heights, _ = np.histogram(maps[:, channel].numpy(), bins=edges)
            base = channels - 1 - channel
            hill = base + 0.85 * heights / heights.max()
            axes.fill_between(edges[:-1], base, hill, step="post", color=COLOURS[channel % len(COLOURS)], alpha=0.8)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("value")
        axes.grid(visible=False)
    all_axes[0].set_yticks(range(channels), [f"channel {channel}" for channel in range(channels, 0, -1)])
    return figure


def named_layers(costs: Summary) -> dict[str, LayerSummary]:
    """The layers with weights, called as the papers call them: `conv3_2` is the second of stage 3, `fc6` a linear one.

    Each pooling begins a new stage, and linear layers go on counting. The network is one chain of layers.
    """
    layers: dict[str, LayerSummary] = {}
    stage, index = 1, 0
    for row in costs.rows:
        if row.kind in POOLINGS:
            stage, index = stage + 1, 0
        elif row.kind == "Conv2d":
            index += 1
            layers[f"conv{stage}_{index}"] = row
        elif row.kind == "Linear":
            layers[f"fc{stage}"] = row
            stage += 1
    return layers


@course_style()
def layer_costs(costs: Summary, *, title: str) -> Figure:
    """Parameters, activations and multiply-adds of each layer with weights, for one image, the first at the top."""
    names, rows = zip(*named_layers(costs).items(), strict=True)
    linear = np.array([row.kind == "Linear" for row in rows])
    quantities = {
        "parameters (millions)": np.array([row.parameters / 1e6 for row in rows]),
        "activations (millions)": np.array([row.activation_bytes / 4e6 for row in rows]),
        "multiply-adds (billions)": np.array([row.macs / 1e9 for row in rows]),
    }
    figure, panels = new_figure(1, 3, width=9.0, height=0.22 * len(rows) + 1.5, sharey=True, title=title)
    for axes, (quantity, values) in zip(panels, quantities.items(), strict=True):
        axes.barh(range(len(rows)), values, color=np.where(linear, ORANGE, BLUE))
        percent = 100 * values[linear].sum() / values.sum()
        share = f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"
        axes.set_title(f"linear layers: {share}", fontsize=11, color="#8A5A00")
        axes.set_xlabel(quantity)
        name_rows(axes, names)
    return figure
