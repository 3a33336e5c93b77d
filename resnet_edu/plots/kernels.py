"""What a 3×3 kernel does to a photo: one kernel at a time, or a gallery of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from .matrix import bare, numbers
from .style import course_style, new_figure

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
