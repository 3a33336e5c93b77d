"""Lesson 02: augmented views, the gap between training and test loss, photos beside their feature maps."""

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..data.batches import random_crop
from .style import BLUE, GREY, ORANGE, RED, Figure, bare, course_style, name_rows, new_chart, new_figure

VIEWS = 8  # drawn in the explorer: the image itself, and what seven epochs show in its place
#: Rows of the static twin: black pixels on each side of an image of 112 pixels, and whether it is mirrored.
KINDS = {"crop": (12, False), "flip": (0, True)}


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


@course_style()
def augmentation_grid(images: Mapping[str, Tensor]) -> Figure:
    """The explorer's settings side by side: a row of crops and a row of flips for each image `(C, H, W)` uint8."""
    columns, rows = 6, list(product(images, KINDS))
    title = "A photo stays what it is, a mirrored digit does not"
    figure, panels = new_figure(len(rows), columns, width=8.0, height=1.35 * len(rows) + 0.4, title=title)
    for row, (name, kind) in enumerate(rows):
        image, (padding, flip) = images[name], KINDS[kind]
        padding = round(padding * image.shape[-1] / 112)
        views = [image, *augmented(image, padding=padding, flip=flip, seed=0, count=columns - 1)]
        for column, view in enumerate(views):
            draw_view(panels[row * columns + column], view, framed=column == 0)
        panels[row * columns].set_ylabel(f"{name}\n{kind}", fontsize=9)
    return figure


def draw_view(axes: Axes, image: Tensor, *, framed: bool) -> None:
    """Draw one image `(C, H, W)` without ticks."""
    pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    bare(axes, edge=RED if framed else None)


@course_style()
def train_and_test(values: Mapping[str, tuple[float, float]], *, title: str, quantity: str) -> Figure:
    """A quantity, with its unit, on training and on test images: two dots a run; the line between them is the gap."""
    figure, axes = new_chart(width=7.5, height=0.6 * len(values) + 1.6, title=title, x=quantity)
    rows, (train, test) = range(len(values)), zip(*values.values(), strict=True)
    axes.hlines(rows, train, test, color=GREY, lw=3, alpha=0.5, zorder=1)
    axes.scatter(train, rows, color=BLUE, marker="o", s=60, label="training images")
    axes.scatter(test, rows, color=ORANGE, marker="D", s=55, label="test images")
    for row in rows:
        middle, gap = (train[row] + test[row]) / 2, test[row] - train[row]
        axes.annotate(f"gap {gap:.2f}", (middle, row), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    name_rows(axes, values)
    figure.legend(loc="outside lower right", ncols=2)
    return figure


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
