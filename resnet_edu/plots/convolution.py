"""What a convolution does, drawn: one step of it, the positions of its kernel, what a kernel does to a photo, pooling."""

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from .style import BLUE, ORANGE, RED, SKY, course_style, new_figure



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
        figure = new_figure(1, 3, width=9.0, height=3.5, width_ratios=[image.shape[1], k + 1, columns])
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
        figure.supxlabel(f"{' + '.join(terms)} = {total}    (products with 0 left out)", fontsize=11)
        return figure


def minus(value: float) -> str:
    """A number with a true minus sign, in brackets if negative."""
    return f"{value:.3g}" if value >= 0 else f"(−{-value:.3g})"


def numbers(axes: Axes, values: Tensor, title: str, *, diverging: bool = False, digits: str = ".3g") -> None:
    """Draw a small matrix as coloured squares with its numbers written in."""
    values = values.detach().float()
    high = max(float(values.abs().max()), 1e-9)
    low = -high if diverging else min(0.0, float(values.min()))
    axes.imshow(values, cmap="RdBu_r" if diverging else "gray", vmin=low * 1.4 if diverging else low, vmax=high * 1.4)
    for (i, j), value in zip(torch.cartesian_prod(*map(torch.arange, values.shape)).tolist(), values.flatten(), strict=True):
        dark = not diverging and (float(value) - low) < 0.6 * (high - low)
        text = f"{float(value):{digits}}".replace("-", "−")
        axes.text(j, i, text, ha="center", va="center", fontsize=9.5, color="white" if dark else "black")
    axes.set_title(title, fontsize=11)
    bare(axes)


def bare(axes: Axes) -> None:
    """No ticks, no grid, no spines."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def frame(axes: Axes, row: float, column: float, side: float, colour: str) -> None:
    """A thick square around `side × side` pixels."""
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), side, side, fill=False, ec=colour, lw=3, clip_on=False))


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
        border = f" + 2·{padding}" if padding else ""
        axes.set_title(
            f"⌊({size}{border} − {kernel}) / {stride}⌋ + 1 = {len(starts)} places for a {kernel}-pixel kernel on "
            f"{size} pixels{f', stride {stride}' if stride > 1 else ''}",
            fontsize=11,
        )
        bare(axes)
        return figure


def scaled(kernel: Tensor) -> Tensor:
    """The kernel divided by the absolute sum of its weights, if that is not 0, so that brightness is kept."""
    total = float(kernel.sum().abs())
    return kernel.float() / (total if total > 1e-6 else 1.0)


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """An image `(H, W)` under a kernel `(k, k)`, each scaled to show: `(H - k + 1, W - k + 1)`."""
    return F.conv2d(image[None, None].float(), scaled(kernel)[None, None])[0, 0]


def show_filtered(axes: Axes, image: Tensor, kernel: Tensor) -> None:
    """Draw a filtered image: grey where the kernel keeps the brightness, blue and red where its weights cancel out."""
    out = filtered(image, kernel)
    if float(kernel.sum().abs()) > 1e-6:
        axes.imshow(out if float(kernel.sum()) > 0 else out + 255, cmap="gray", vmin=0, vmax=255)
    else:
        bound = max(float(out.abs().quantile(0.99)), 1.0)
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
        left.imshow(image, cmap="gray", vmin=0, vmax=255)
        left.set_title("photo", fontsize=11)
        bare(left)
        numbers(middle, kernel, name or "kernel", diverging=True)
        total = float(kernel.sum())
        middle.set_xlabel(f"sum {total:g}".replace("-", "−"), fontsize=10)
        show_filtered(right, image, kernel)
        right.set_title("result: " + ("differences" if abs(total) < 1e-6 else "brightness kept"), fontsize=11)
        return figure


def kernel_gallery(image: Tensor, kernels: Mapping[str, Tensor], *, title: str | None = None) -> Figure:
    """What each of several kernels makes of one photo; the weights stand above the result.

    Args:
        image: `(H, W)`, 0 to 255.
        kernels: name to `(k, k)`.
        title: the figure's message.
    """
    columns = min(4, len(kernels))
    rows = -(-len(kernels) // columns)
    with course_style():
        figure = new_figure(2 * rows, columns, width=2.5 * columns, height=3.7 * rows + 0.4, height_ratios=[1, 2] * rows)
        for axes in figure.axes:
            axes.set_axis_off()
        for index, (name, kernel) in enumerate(kernels.items()):
            row, column = divmod(index, columns)
            above, below = figure.axes[2 * row * columns + column], figure.axes[(2 * row + 1) * columns + column]
            above.set_axis_on()
            below.set_axis_on()
            numbers(above, kernel, name, diverging=True)
            show_filtered(below, image, kernel)
        figure.suptitle(title or "Nine numbers decide what is seen", x=0.01, ha="left", weight="bold")
        return figure


def pooling(values: Tensor, *, title: str = "Pooling keeps one number of each 2×2 block") -> Figure:
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
            numbers(axes, panel, name)
        for row in range(0, values.shape[0], 2):
            for column in range(0, values.shape[1], 2):
                frame(figure.axes[0], row, column, 2, BLUE)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
