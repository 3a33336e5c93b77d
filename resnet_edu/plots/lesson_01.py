"""Lesson 01: convolution, pooling, the walk through LeNet-5, and what a photo becomes under a kernel."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import ScalarFormatter
from torch import Tensor
from torch.nn import functional as F

from ..history import History
from .images import bare, frame
from .style import BLUE, GREEN, GREY, ORANGE, RED, SKY, course_style, label, new_figure


def convolution_step(image: Tensor, kernel: Tensor, row: int, column: int, *, title: str | None = None) -> Figure:
    """One output pixel and where it comes from: image, kernel, output, each with its numbers.

    Args:
        image: `(H, W)`; up to about 8×8 stays legible.
        kernel: `(k, k)`.
        row: of the output pixel, from 0 to H - k.
        column: likewise, from 0 to W - k.
        title: the figure's message; by default the sum itself is written out below the panels.

    Raises:
        ValueError: the kernel does not fit at this place.
    """
    k = kernel.shape[0]
    rows, columns = image.shape[0] - k + 1, image.shape[1] - k + 1
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"The output is {rows}×{columns}, so it has no pixel ({row}, {column}).")
    output = F.conv2d(image[None, None].float(), kernel[None, None].float())[0, 0]
    with course_style():
        figure = new_figure(1, 3, width=9.0, height=3.5, width_ratios=[image.shape[1], k, columns])
        left, middle, right = figure.axes
        numbers(left, image, f"image, {image.shape[0]}×{image.shape[1]}")
        frame(left, row, column, k, RED)
        numbers(middle, kernel, f"kernel, {k}×{k}", diverging=True)
        frame(middle, 0, 0, k, RED)
        numbers(right, output, f"output, {rows}×{columns}", diverging=True)
        frame(right, row, column, 1, RED)
        patch = image[row : row + k, column : column + k].flatten()
        terms = [f"{a:g}·{minus(b)}" for a, b in zip(patch.tolist(), kernel.flatten().tolist(), strict=True) if b]
        total = minus(float(output[row, column]))
        figure.suptitle(title or "Each output pixel is one sum of products", x=0.01, ha="left", weight="bold")
        figure.supxlabel(f"{' + '.join(terms)} = {total}    (weights of 0 left out)", fontsize=11)
        return figure


def minus(value: float) -> str:
    """A number with a true minus sign, in brackets if negative."""
    return f"{value:.3g}" if value >= 0 else f"(−{-value:.3g})"


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
    reached = starts[-1] + kernel
    with course_style():
        figure = new_figure(width=7.0, height=0.9 + 0.36 * (len(starts) + 1))
        (axes,) = figure.axes
        for x in range(width):
            inside = padding <= x < padding + size
            axes.add_patch(Rectangle((x, 0), 1, 0.8, fc=SKY if inside else "white", ec="black", lw=1))
            axes.text(x + 0.5, 0.4, "" if inside else "0", ha="center", va="center", fontsize=10)
            if x >= reached:
                axes.text(x + 0.5, 1.15, "not reached", ha="center", va="center", fontsize=9, color=RED, rotation=0)
        for place, start in enumerate(starts, start=1):
            axes.add_patch(Rectangle((start, place), kernel, 0.8, fc=ORANGE, ec="black", lw=1))
            axes.text(start + kernel / 2, place + 0.4, str(place), ha="center", va="center", fontsize=10)
        axes.set_xlim(-0.1, width + 0.6)
        axes.set_ylim(len(starts) + 1, -0.1)
        extra = (f", padding {padding}" if padding else "") + (f", stride {stride}" if stride > 1 else "")
        count = f"{len(starts)} place" + "s" * (len(starts) > 1)
        axes.set_title(f"{count} for {kernel} pixels on {size}{extra}")
        bare(axes)
        return figure


def pooling(values: Tensor, *, title: str = "Pooling makes one number of each 2×2 block") -> Figure:
    """A small map, its 2×2 average and its 2×2 maximum, with all numbers.

    Args:
        values: `(H, W)`, both even.
        title: the figure's message.
    """
    batch = values[None, None].float()
    with course_style():
        figure = new_figure(1, 3, width=8.0, height=3.3, width_ratios=[2, 1.2, 1.2])
        panels = (values, F.avg_pool2d(batch, 2)[0, 0], F.max_pool2d(batch, 2)[0, 0])
        names = (f"feature map, {values.shape[0]}×{values.shape[1]}", "average (1998)", "maximum (today)")
        for axes, panel, name in zip(figure.axes, panels, names, strict=True):
            numbers(axes, panel, name, high=float(values.max()))
        for row in range(0, values.shape[0], 2):
            for column in range(0, values.shape[1], 2):
                frame(figure.axes[0], row, column, 2, BLUE)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


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


def scaled(kernel: Tensor) -> Tensor:
    """The kernel divided by the absolute sum of its weights, if that is not 0, so that brightness is kept."""
    total = float(kernel.sum().abs())
    return kernel.float() / (total if total > 1e-6 else 1.0)


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """An image `(H, W)` under a kernel `(k, k)`, each scaled to show: `(H - k + 1, W - k + 1)`."""
    return F.conv2d(image[None, None].float(), scaled(kernel)[None, None])[0, 0].cpu()


def show_filtered(axes: Axes, image: Tensor, kernel: Tensor) -> None:
    """Draw a filtered image: grey where the kernel keeps the brightness, blue and red where its weights cancel out."""
    out = filtered(image, kernel).numpy()
    if float(kernel.sum().abs()) > 1e-6:
        axes.imshow(out if float(kernel.sum()) > 0 else out + 255, cmap="gray", vmin=0, vmax=255)
    else:
        bound = max(float(np.quantile(np.abs(out), 0.99)), 1.0)
        axes.imshow(out, cmap="RdBu_r", vmin=-bound, vmax=bound)
    bare(axes)


def kernel_effect(image: Tensor, kernel: Tensor, *, name: str = "") -> Figure:
    """A photo, a kernel with its weights, and what the one makes of the other.

    Weights with a sum other than 0 are divided by it, and the result is shown in grey. Weights that cancel out
    answer to differences only: blue is negative, white zero, red positive.

    Args:
        image: `(H, W)`, 0 to 255.
        kernel: `(k, k)`.
        name: of the kernel.
    """
    with course_style():
        figure = new_figure(1, 3, width=9.0, height=3.6, width_ratios=[3, 1.6, 3])
        left, middle, right = figure.axes
        left.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
        left.set_title("photo", fontsize=11)
        bare(left)
        numbers(middle, kernel, name or "kernel", diverging=True)
        total = float(kernel.sum())
        middle.set_xlabel(f"sum {total:g}".replace("-", "−"), fontsize=10)
        show_filtered(right, image, kernel)
        balanced = abs(total) < 1e-6
        right.set_title("result: " + ("only differences" if balanced else "brightness kept"), fontsize=11)
        right.set_xlabel(
            "blue: negative · white: 0 · red: positive" if balanced else f"divided by {abs(total):g}", fontsize=10
        )
        return figure


def kernel_gallery(
    image: Tensor, kernels: Mapping[str, Sequence[float]] = KERNELS, *, title: str = "Nine numbers decide what is seen"
) -> Figure:
    """What each of several 3×3 kernels makes of one photo; the weights stand above the result.

    Args:
        image: `(H, W)`, 0 to 255.
        kernels: name to nine weights, row by row.
        title: the figure's message.
    """
    columns = min(4, len(kernels))
    rows = -(-len(kernels) // columns)
    with course_style():
        figure = new_figure(
            2 * rows, columns, width=2.1 * columns, height=3.15 * rows + 0.4, height_ratios=[1, 2] * rows
        )
        for axes in figure.axes:
            axes.set_axis_off()
        for index, (name, weights) in enumerate(kernels.items()):
            kernel = torch.tensor(weights).view(3, 3)
            row, column = divmod(index, columns)
            above, below = figure.axes[2 * row * columns + column], figure.axes[(2 * row + 1) * columns + column]
            above.set_axis_on()
            below.set_axis_on()
            numbers(above, kernel, name, diverging=True)
            show_filtered(below, image, kernel)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


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


def steps_to_reach(history: History, loss: float, *, steps_per_epoch: int) -> int | None:
    """Training steps until the first epoch whose training loss is at most `loss`; None if there is none."""
    reached = [epoch.epoch for epoch in history.epochs if epoch.train_loss <= loss]
    return reached[0] * steps_per_epoch if reached else None


def loss_race(
    reference: tuple[str, History], challenger: tuple[str, History], *, steps_per_epoch: int, title: str | None = None
) -> Figure:
    """Training loss of two runs over steps, and the step at which the second reaches the first one's last value.

    Args:
        reference: name and history; its last training loss is the mark to reach.
        challenger: name and history.
        steps_per_epoch: weight updates in one epoch.
        title: the figure's message.
    """
    mark = reference[1].last.train_loss
    reached = steps_to_reach(challenger[1], mark, steps_per_epoch=steps_per_epoch)
    total = reference[1].last.epoch * steps_per_epoch
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for (name, history), colour, marker in zip((reference, challenger), (RED, BLUE), "so", strict=True):
            steps = [epoch.epoch * steps_per_epoch for epoch in history.epochs]
            axes.plot(steps, [epoch.train_loss for epoch in history.epochs], color=colour, marker=marker, label=name)
        axes.axhline(mark, color=GREY, lw=1.2, ls="--")
        axes.text(steps_per_epoch, mark * 0.93, f"{mark:.3f}: where {reference[0]} ends", va="top", fontsize=9)
        message = f"{challenger[0]} does not reach the training loss of {reference[0]}"
        if reached:
            axes.axvline(reached, color=BLUE, lw=1.2, ls=":")
            message = f"{challenger[0]} needs {reached:,} steps where {reference[0]} needs {total:,}"
        label(axes, title=title or message, x="training step", y="training loss (nats), log scale")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.legend()
        return figure


def error_by_shift(errors: Mapping[str, Sequence[float]], *, title: str, ceiling: float = 100.0) -> Figure:
    """Test error in percent over the shift in pixels, one line a network.

    Args:
        errors: name to the errors at a shift of 0, 1, 2, … pixels.
        title: the figure's message.
        ceiling: upper end of the scale, in percent.
    """
    with course_style():
        figure = new_figure(height=3.5)
        (axes,) = figure.axes
        styles = ((RED, "s", "--"), (BLUE, "o", "-"), (GREEN, "^", "-."))
        for (name, values), (colour, marker, dash) in zip(errors.items(), styles, strict=False):
            axes.plot(range(len(values)), values, color=colour, marker=marker, linestyle=dash, label=name)
        label(axes, title=title, x="shift to the right (pixels)", y="test error (%)")
        axes.set_xticks(range(max(map(len, errors.values()))))
        axes.set_ylim(0, ceiling)
        axes.legend(loc="upper left")
        return figure
