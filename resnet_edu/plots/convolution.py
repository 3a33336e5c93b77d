"""What a convolution does, drawn: one step of it, the places where its kernel stands, and pooling beside it."""

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from .matrix import bare, frame, numbers
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
