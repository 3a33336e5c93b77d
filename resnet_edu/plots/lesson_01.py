"""Lesson 01: convolution and pooling in numbers, kernels on a photo, the walk through LeNet-5."""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from .architecture import arrow
from .images import draw_numbers, frame, minus, numbers
from .style import BLUE, ORANGE, RED, SKY, Figure, bare, course_style, new_chart, new_figure

#: 3×3 kernels that everyone meets, by name, row by row.
KERNELS: dict[str, tuple[int, ...]] = {
    "identity": (0, 0, 0, 0, 1, 0, 0, 0, 0),
    "blur": (1, 1, 1, 1, 1, 1, 1, 1, 1),
    "sharpen": (0, -1, 0, -1, 5, -1, 0, -1, 0),
    "relief": (-2, -1, 0, -1, 1, 1, 0, 1, 2),
    "vertical edges": (-1, 0, 1, -1, 0, 1, -1, 0, 1),
    "horizontal edges": (-1, -1, -1, 0, 0, 0, 1, 1, 1),
    "diagonal edges": (0, 1, 1, -1, 0, 1, -1, -1, 0),
    "outline": (-1, -1, -1, -1, 8, -1, -1, -1, -1),
}
MOST_DRAWN = 16  # maps of one stack in the walk; more would be a blur
GAP = 16.0  # between two stages of the walk, in pixels of the input


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """The image `(H, W)` under a kernel `(k, k)`, without padding."""
    return F.conv2d(image[None, None].float(), kernel[None, None].float())[0, 0]


@course_style()
def convolution_step(image: Tensor, kernel: Tensor, row: int, column: int) -> Figure:
    """One output pixel and where it comes from: image, kernel, output, each with its numbers; the sum written out.

    Args:
        image: `(H, W)`; up to about 8×8 stays legible.
        kernel: `(k, k)`.
        row, column: of the output pixel, from 0.
    """
    k = kernel.shape[0]
    output = filtered(image, kernel)
    rows, columns = output.shape
    title, widths = "Each output pixel is one sum of products", [image.shape[1], k, columns]
    figure, (left, middle, right) = new_figure(1, 3, width=9.0, height=3.5, width_ratios=widths, title=title)
    draw_numbers(left, image, f"image, {image.shape[0]}×{image.shape[1]}")
    draw_numbers(middle, kernel, f"kernel, {k}×{k}", diverging=True)
    draw_numbers(right, output, f"output, {rows}×{columns}", diverging=True)
    frame(left, row, column, k, RED)
    frame(middle, 0, 0, k, RED)
    frame(right, row, column, 1, RED)
    patch = image[row : row + k, column : column + k].flatten()
    terms = [f"{a:g}·{minus(b)}" for a, b in zip(patch.tolist(), kernel.flatten().tolist(), strict=True) if b]
    total = minus(float(output[row, column]))
    figure.supxlabel(f"{' + '.join(terms)} = {total}    (weights of 0 left out)", fontsize=11)
    return figure


@course_style()
def convolution_over_channels(image: Tensor, kernel: Tensor, bias: float, row: int, column: int) -> Figure:
    """One kernel with a slice for each channel, a line each, and on the right the sum of what the slices give.

    The image is `(C, H, W)`, with small numbers, the kernel `(C, k, k)`; the bias is added to the sum. One output pixel
    is marked, that in this row and column.
    """
    channels, k = kernel.shape[:2]
    slices = F.conv2d(image[None].float(), kernel[:, None].float(), groups=channels)[0]  # (C, H - k + 1, W - k + 1)
    title = "A kernel has one slice for each channel, and makes one map from all of them"
    widths = [image.shape[2], k, slices.shape[2], slices.shape[2]]
    figure, panels = new_figure(channels, 4, width=9.0, height=2.2 * channels, width_ratios=widths, title=title)
    for c in range(channels):
        left, middle, right, last = panels[4 * c : 4 * c + 4]
        draw_numbers(left, image[c], f"channel {c}")
        draw_numbers(middle, kernel[c], f"slice {c}", diverging=True)
        draw_numbers(right, slices[c], f"channel {c} gives", diverging=True, high=float(slices.abs().max()))
        for axes, top, start, side in ((left, row, column, k), (middle, 0, 0, k), (right, row, column, 1)):
            frame(axes, top, start, side, RED)
        last.set_axis_off()
    summed = figure.add_subplot(panels[0].get_gridspec()[:, 3])  # pyright: ignore[reportOptionalSubscript]
    draw_numbers(summed, slices.sum(0) + bias, f"sum, plus bias {bias:g}", diverging=True)
    frame(summed, row, column, 1, RED)
    return figure


@course_style()
def kernel_places(settings: Sequence[tuple[int, int, int, int]], *, title: str) -> Figure:
    """Where a kernel stands on a square image: its first and its last place, and the middle of every place.

    One panel a setting: side of the image, side of the kernel, padding and stride.
    """
    figure, panels = new_figure(1, len(settings), width=9.0, height=3.3, title=title)
    for axes, (size, kernel, padding, stride) in zip(panels, settings, strict=True):
        whole = size + 2 * padding
        starts = range(0, whole - kernel + 1, stride)
        for x, y in product(range(whole), repeat=2):
            inside = padding <= min(x, y) and max(x, y) < padding + size
            unseen = max(x, y) >= starts[-1] + kernel
            colour = "#C0C0C0" if unseen else SKY if inside else "white"
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=colour, ec="black", lw=0.6))
            if not inside:
                axes.text(x, y, "0", ha="center", va="center", fontsize=8)
        middles = product([start + (kernel - 1) / 2 for start in starts], repeat=2)
        axes.plot(*zip(*middles, strict=True), color=ORANGE, marker="o", ls="", mec="black")
        frame(axes, 0, 0, kernel, RED)
        frame(axes, starts[-1], starts[-1], kernel, BLUE)
        axes.set(xlim=(-0.7, whole - 0.3), ylim=(whole - 0.3, -0.7), aspect="equal")
        axes.set_title(f"padding {padding}, stride {stride}\n{len(starts)}×{len(starts)} positions", fontsize=11)
        bare(axes)
    return figure


@course_style()
def patches_as_columns(image: Tensor, kernel: Tensor) -> Figure:
    """A convolution as a matrix product: patches become columns, the kernel a row, their product the output.

    The image `(H, W)` has few places for the kernel `(k, k)`.
    """
    k = kernel.shape[0]
    columns = F.unfold(image[None, None].float(), k)[0]  # (k·k, places)
    row = kernel.float().flatten()[None]  # (1, k·k)
    panels = {"image": image, "kernel, as a row": row, "patches, as columns": columns, "their product": row @ columns}
    figure = numbers(panels, title="Copy the patches into columns, and a convolution is a matrix product", signs=" @=")
    for place, colour in zip((0, columns.shape[1] - 1), (RED, BLUE), strict=True):
        top, left = divmod(place, image.shape[1] - k + 1)
        frame(figure.axes[0], top, left, k, colour)
        for axes, height in ((figure.axes[2], k * k), (figure.axes[3], 1)):
            axes.add_patch(Rectangle((place - 0.5, -0.5), 1, height, fill=False, ec=colour, lw=3, clip_on=False))
    return figure


@course_style()
def pooling(values: Tensor) -> Figure:
    """A small map `(H, W)` with even sides, its 2×2 average and its 2×2 maximum, with all numbers."""
    batch = values[None, None].float()
    average, maximum = F.avg_pool2d(batch, 2)[0, 0], F.max_pool2d(batch, 2)[0, 0]
    panels = {"feature map": values, "average (1998)": average, "maximum (today)": maximum}
    figure = numbers(panels, title="Pooling makes one number of each 2×2 block", diverging=False)
    for row, column in product(range(0, len(values), 2), range(0, len(values[0]), 2)):
        frame(figure.axes[0], row, column, 2, BLUE)
    return figure


@course_style()
def kernel_effect(image: Tensor, kernel: Tensor) -> Figure:
    """A photo, a kernel with its weights, and what the one makes of the other.

    Weights with a sum other than 0 are divided by it, and the result is shown in grey. Weights that cancel out
    answer to differences only: blue is negative, white zero, red positive. The image is `(H, W)`, 0 to 255, the kernel
    `(k, k)`.
    """
    figure, (left, middle, right) = new_figure(1, 3, width=9.0, height=3.6, width_ratios=[3, 1.6, 3])
    left.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
    left.set_title("photo", fontsize=11)
    bare(left)
    total = round(float(kernel.sum()), 6)
    draw_numbers(middle, kernel, "kernel", diverging=True)
    middle.set_xlabel(f"sum {total:g}".replace("-", "−"), fontsize=10)
    out = filtered(image, kernel).numpy()
    if total:
        out = out / abs(total)
        right.imshow(out if total > 0 else out + 255, cmap="gray", vmin=0, vmax=255)
    else:
        bound = max(float(np.quantile(np.abs(out), 0.99)), 1.0)
        right.imshow(out, cmap="RdBu_r", vmin=-bound, vmax=bound)
    bare(right)
    right.set_title("result: " + ("brightness kept" if total else "only differences"), fontsize=11)
    colours = "blue: negative · white: 0 · red: positive"
    right.set_xlabel(f"divided by {abs(total):g}" if total else colours, fontsize=10)
    return figure


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


@course_style()
def network_walk(stages: Sequence[Stage], image: Tensor, *, title: str) -> Figure:
    """Each stage as a stack of maps or a column of numbers, drawn to scale, with the parameters in between.

    The first stage is the `image` `(H, W)` itself.
    """
    figure, axes = new_chart(width=11.0, height=3.7, title=title)
    axes.set_axis_off()
    axes.set_aspect("equal")
    right = 0.0
    for index, stage in enumerate(stages):
        if index:
            arrow(axes, (right + 1, 0), (right + GAP - 1, 0))
            middle = right + GAP / 2
            axes.text(middle, 27, stage.operation, ha="center", va="bottom", fontsize=9)
            if stage.parameters:
                axes.text(middle, 26, f"{stage.parameters:,}", ha="center", va="top", fontsize=9, color=RED)
            right += GAP
        width = draw_stage(axes, stage, right)
        text = f"{stage.name}\n{stage.text}" + (f"\n{stage.size:,} numbers" if len(stage.shape) == 3 else "")
        axes.text(right + width / 2, -26, text, ha="center", va="top", fontsize=9)
        right += width
    height, width = image.shape
    axes.imshow(image.numpy(), cmap="gray", extent=(0, width, -height / 2, height / 2), zorder=2)
    axes.set_xlim(-3, right + 3)
    axes.set_ylim(-42, 38)
    return figure


def draw_stage(axes: Axes, stage: Stage, left: float) -> float:
    """A stack of maps, the first in front, or a column that grows with its numbers; its width in pixels."""
    if len(stage.shape) == 1:
        height = 4 * stage.size**0.5
        axes.add_patch(Rectangle((left, -height / 2), 3, height, fc=ORANGE, ec="black", lw=0.8))
        return 3.0
    channels, height, width = stage.shape
    drawn = min(channels, MOST_DRAWN)
    for back in reversed(range(drawn)):
        corner = (left + back * 1.2, -height / 2 + (back - (drawn - 1) / 2) * 0.8)
        axes.add_patch(Rectangle(corner, width, height, fc=SKY if channels > 1 else "white", ec="black", lw=0.8))
    return width + (drawn - 1) * 1.2
