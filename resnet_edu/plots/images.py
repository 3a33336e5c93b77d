"""Pictures of pictures: digits, photos, filters, feature maps."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from .style import course_style, new_figure


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
