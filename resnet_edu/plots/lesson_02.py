"""Lesson 02: augmented views, and photos beside their feature maps."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..data.batches import random_crop
from .style import RED, Figure, bare, course_style, new_figure

VIEWS = 8  # drawn in the explorer: the image itself, and what seven epochs show in its place


def augmented(image: Tensor, *, padding: int, flip: bool, seed: int, count: int = VIEWS - 1) -> Tensor:
    """The image as `count` epochs show it: `(C, H, W)` uint8 to `(count, C, H, W)`; see `augmented_views`."""
    generator = torch.Generator().manual_seed(seed)
    mirrored = torch.rand(count, generator=generator) < 0.5  # drawn in any case: a slider moves one thing at a time
    batch = random_crop(image.expand(count, -1, -1, -1), padding, generator)
    return torch.where((mirrored & flip)[:, None, None, None], batch.flip(3), batch)


@course_style()
def augmented_views(image: Tensor, *, padding: int = 12, flip: bool = True, seed: int = 0) -> Figure:
    """One image `(C, H, W)` uint8, framed, and what it becomes in seven epochs.

    Args:
        padding: black pixels on each side before the crop; the image then moves by up to as many pixels.
        flip: mirror each view with probability one half.
        seed: of the random numbers.
    """
    stands_for = (2 * padding + 1) ** 2 * (2 if flip else 1)
    unchanged = "Nothing changes: the same image in every epoch"
    title = f"One image stands for {stands_for:,}" if stands_for > 1 else unchanged
    figure, panels = new_figure(2, VIEWS // 2, width=8.0, height=4.5, title=title)
    views = [image, *augmented(image, padding=padding, flip=flip, seed=seed)]
    for number, (axes, view) in enumerate(zip(panels, views, strict=True)):
        draw_view(axes, view, framed=number == 0)
        axes.set_title(f"epoch {number}" if number else "the image", fontsize=10, weight="normal")
    return figure


def draw_view(axes: Axes, image: Tensor, *, framed: bool) -> None:
    """Draw one image `(C, H, W)` without ticks."""
    pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    bare(axes, edge=RED if framed else None)


@course_style()
def photos_and_maps(photos: Mapping[str, Tensor], maps: Mapping[str, Sequence[Tensor]], *, title: str) -> Figure:
    """One row a photo: the photo in colour, and beside it, layer by layer, the map that varies most.

    The photos are `(3, H, W)` uint8; each layer has the maps `(C, H, W)` of every photo, in the same order.
    """
    rows, columns = len(photos), 1 + len(maps)
    figure, panels = new_figure(rows, columns, width=1.75 * columns, height=1.85 * rows + 0.8, title=title)
    for row, (name, photo) in enumerate(photos.items()):
        first, *others = panels[row * columns : (row + 1) * columns]
        draw_view(first, photo, framed=False)
        first.set_ylabel(name)
        for axes, (layer, stacks) in zip(others, maps.items(), strict=True):
            best = stacks[row][stacks[row].flatten(1).std(dim=1).argmax()]
            axes.imshow(best.numpy(), cmap="gray", interpolation="nearest")
            bare(axes)
            if row == 0:
                count, height, width = stacks[row].shape
                axes.set_title(f"{layer}\n1 of {count} maps, {height}×{width}", fontsize=9, weight="normal")
    panels[0].set_title("the photo", fontsize=9, weight="normal")
    return figure
