"""Lesson 01: convolution and pooling in numbers, kernels on a photo, the walk through LeNet-5, and its training."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import ScalarFormatter
from torch import Tensor
from torch.nn import functional as F

from ..history import History
from .architecture import arrow
from .images import draw_numbers, frame, minus
from .style import BLUE, GREY, ORANGE, RED, SKY, Figure, bare, course_style, look_of, new_chart, new_figure

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


@course_style()
def convolution_step(image: Tensor, kernel: Tensor, row: int, column: int) -> Figure:
    """One output pixel and where it comes from: image, kernel, output, each with its numbers; the sum written out.

    Args:
        image: `(H, W)`; up to about 8×8 stays legible.
        kernel: `(k, k)`.
        row: of the output pixel, from 0 to H - k.
        column: likewise, from 0 to W - k.
    """
    k = kernel.shape[0]
    rows, columns = image.shape[0] - k + 1, image.shape[1] - k + 1
    output = F.conv2d(image[None, None].float(), kernel[None, None].float())[0, 0]
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
def kernel_positions(size: int, kernel: int, *, padding: int = 0, stride: int = 1) -> Figure:
    """Every place at which a kernel stands along one side of an image, one below the other.

    Args:
        size: pixels along the side.
        kernel: pixels the kernel covers.
        padding: zeros added at each end.
        stride: pixels from one place to the next.

    Raises:
        ValueError: the kernel is larger than the padded image.
    """
    width = size + 2 * padding
    starts = range(0, width - kernel + 1, stride)
    if kernel > width:
        raise ValueError(f"A kernel of {kernel} pixels does not fit on {size} + 2·{padding} pixels.")
    extra = (f", padding {padding}" if padding else "") + (f", stride {stride}" if stride > 1 else "")
    title = f"{len(starts)} place{'s' * (len(starts) > 1)} for {kernel} pixels on {size}{extra}"
    figure, axes = new_chart(height=0.9 + 0.36 * (len(starts) + 1), title=title)
    for x in range(width):
        inside = padding <= x < padding + size
        axes.add_patch(Rectangle((x, 0), 1, 0.8, fc=SKY if inside else "white", ec="black", lw=1))
        axes.text(x + 0.5, 0.4, "" if inside else "0", ha="center", va="center", fontsize=10)
        if x >= starts[-1] + kernel:
            axes.text(x + 0.5, 1.15, "not reached", ha="center", va="center", fontsize=9, color=RED)
    for number, start in enumerate(starts, start=1):
        axes.add_patch(Rectangle((start, number), kernel, 0.8, fc=ORANGE, ec="black", lw=1))
        axes.text(start + kernel / 2, number + 0.4, str(number), ha="center", va="center", fontsize=10)
    axes.set_xlim(-0.1, width + 0.6)
    axes.set_ylim(len(starts) + 1, -0.1)
    bare(axes)
    return figure


@course_style()
def pooling(values: Tensor, *, title: str = "Pooling makes one number of each 2×2 block") -> Figure:
    """A small map, its 2×2 average and its 2×2 maximum, with all numbers.

    Args:
        values: `(H, W)`, both even.
    """
    batch = values[None, None].float()
    panels = {
        f"feature map, {values.shape[0]}×{values.shape[1]}": values,
        "average (1998)": F.avg_pool2d(batch, 2)[0, 0],
        "maximum (today)": F.max_pool2d(batch, 2)[0, 0],
    }
    figure, places = new_figure(1, 3, width=8.0, height=3.3, width_ratios=[2, 1.2, 1.2], title=title)
    for axes, (name, panel) in zip(places, panels.items(), strict=True):
        draw_numbers(axes, panel, name, high=float(values.max()))
    for row in range(0, values.shape[0], 2):
        for column in range(0, values.shape[1], 2):
            frame(places[0], row, column, 2, BLUE)
    return figure


def draw_filtered(axes: Axes, image: Tensor, kernel: Tensor) -> None:
    """An image `(H, W)` under a kernel: grey where brightness is kept, blue and red where the weights cancel out."""
    total = float(kernel.sum())
    balanced = abs(total) < 1e-6
    weights = kernel.float() / (1.0 if balanced else abs(total))
    out = F.conv2d(image[None, None].float(), weights[None, None])[0, 0].cpu().numpy()
    if balanced:
        bound = max(float(np.quantile(np.abs(out), 0.99)), 1.0)
        axes.imshow(out, cmap="RdBu_r", vmin=-bound, vmax=bound)
    else:
        axes.imshow(out if total > 0 else out + 255, cmap="gray", vmin=0, vmax=255)
    bare(axes)


@course_style()
def kernel_effect(image: Tensor, kernel: Tensor) -> Figure:
    """A photo, a kernel with its weights, and what the one makes of the other.

    Weights with a sum other than 0 are divided by it, and the result is shown in grey. Weights that cancel out
    answer to differences only: blue is negative, white zero, red positive.

    Args:
        image: `(H, W)`, 0 to 255.
        kernel: `(k, k)`.
    """
    figure, (left, middle, right) = new_figure(1, 3, width=9.0, height=3.6, width_ratios=[3, 1.6, 3])
    left.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
    left.set_title("photo", fontsize=11)
    bare(left)
    total = float(kernel.sum())
    draw_numbers(middle, kernel, "kernel", diverging=True)
    middle.set_xlabel(f"sum {total:g}".replace("-", "−"), fontsize=10)
    draw_filtered(right, image, kernel)
    kept, colours = f"divided by {abs(total):g}", "blue: negative · white: 0 · red: positive"
    balanced = abs(total) < 1e-6
    right.set_title("result: " + ("only differences" if balanced else "brightness kept"), fontsize=11)
    right.set_xlabel(colours if balanced else kept, fontsize=10)
    return figure


@course_style()
def kernel_gallery(image: Tensor, *, title: str = "Nine numbers decide what is seen") -> Figure:
    """What each of eight 3×3 kernels makes of one photo; the weights stand above the result.

    Args:
        image: `(H, W)`, 0 to 255.
    """
    figure, panels = new_figure(4, 4, width=8.4, height=6.7, height_ratios=[1, 2, 1, 2], title=title)
    for index, (name, weights) in enumerate(KERNELS.items()):
        kernel = torch.tensor(weights).view(3, 3)
        above = index % 4 + 8 * (index // 4)
        draw_numbers(panels[above], kernel, name, diverging=True)
        draw_filtered(panels[above + 4], image, kernel)
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
def network_walk(stages: Sequence[Stage], *, title: str) -> Figure:
    """Each stage as a stack of maps or a column of numbers, drawn to scale, with the parameters in between.

    Args:
        stages: from the image to the logits.
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


def steps_to_reach(history: History, loss: float, *, steps_per_epoch: int) -> int | None:
    """Training steps until the first epoch whose training loss is at most `loss`; None if there is none."""
    reached = [epoch.epoch for epoch in history.epochs if epoch.train_loss <= loss]
    return reached[0] * steps_per_epoch if reached else None


@course_style()
def loss_race(reference: tuple[str, History], challenger: tuple[str, History], *, steps_per_epoch: int) -> Figure:
    """Training loss of two runs over steps, and the step at which the second reaches the first one's last value.

    Args:
        reference: name and history; its last training loss is the mark to reach.
        challenger: name and history.
        steps_per_epoch: weight updates in one epoch.
    """
    mark = reference[1].last.train_loss
    reached = steps_to_reach(challenger[1], mark, steps_per_epoch=steps_per_epoch)
    title = f"{challenger[0]} does not reach the training loss of {reference[0]}"
    if reached:
        total = reference[1].last.epoch * steps_per_epoch
        title = f"{challenger[0]} needs {reached:,} steps where {reference[0]} needs {total:,}"
    figure, axes = new_chart(height=3.8, title=title, x="training step", y="training loss (nats), log scale")
    for (name, history), colour in zip((reference, challenger), (RED, BLUE), strict=True):
        steps = [epoch.epoch * steps_per_epoch for epoch in history.epochs]
        losses = [epoch.train_loss for epoch in history.epochs]
        axes.plot(steps, losses, **look_of(colour, ls="-"), label=name)
    axes.axhline(mark, color=GREY, lw=1.2, ls="--")
    axes.text(steps_per_epoch, mark * 0.93, f"{mark:.3f}: where {reference[0]} ends", va="top", fontsize=9)
    if reached:
        axes.axvline(reached, color=BLUE, lw=1.2, ls=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.legend()
    return figure
