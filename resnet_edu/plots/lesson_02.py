"""Lesson 02: augmented views, the gap between training and test error, local response normalisation."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..data.batches import random_crop
from .images import bare
from .style import BLUE, GREY, ORANGE, RED, course_style, label, new_figure

VIEWS = 8  # drawn in the explorer: the image itself, and what seven epochs show in its place
ROWS = {"crop": (12, False), "flip": (0, True), "crop and flip": (12, True)}


def views(image: Tensor, *, padding: int, flip: bool, seed: int, count: int = VIEWS - 1) -> Tensor:
    """The image as `count` epochs show it: `(C, H, W)` uint8 to `(count, C, H, W)`.

    Args:
        image: one image.
        padding: black pixels on each side before the crop; the image then moves by up to as many pixels.
        flip: mirror each view with probability one half.
        seed: of the random numbers.
        count: of views.
    """
    generator = torch.Generator().manual_seed(seed)
    mirrored = torch.rand(count, generator=generator) < 0.5  # drawn in any case: a slider moves one thing at a time
    batch = random_crop(image.expand(count, -1, -1, -1), padding, generator)
    return torch.where((mirrored & flip)[:, None, None, None], batch.flip(3), batch)


def augmented_views(image: Tensor, *, padding: int = 12, flip: bool = True, seed: int = 0) -> Figure:
    """One image, framed, and what it becomes in seven epochs; options as in `views`."""
    with course_style():
        figure = new_figure(2, VIEWS // 2, width=8.0, height=4.5)
        batch = torch.cat([image[None], views(image, padding=padding, flip=flip, seed=seed)])
        for number, (axes, view) in enumerate(zip(figure.axes, batch, strict=True)):
            show(axes, view)
            axes.set_title(f"epoch {number}" if number else "the image", fontsize=10, weight="normal")
            if not number:
                bare(axes, edge=RED)
        figure.suptitle(message(padding, flip=flip), x=0.01, ha="left", weight="bold")
        return figure


def message(padding: int, *, flip: bool) -> str:
    """The title: how many different images one has become."""
    count = (2 * padding + 1) ** 2 * (2 if flip else 1)
    return "Nothing changes: the same image in every epoch" if count == 1 else f"One image stands for {count:,}"


def augmentation_grid(images: Mapping[str, Tensor], *, columns: int = 5, seed: int = 0) -> Figure:
    """The explorer's settings side by side: rows of crop, flip and both for each image.

    Args:
        images: `(C, H, W)` uint8, by name; the crop pads as in `ROWS`, in proportion to 112 pixels.
        columns: views a row.
        seed: as in `views`.
    """
    with course_style():
        figure = new_figure(
            len(images) * len(ROWS), columns + 1, width=8.0, height=1.35 * len(images) * len(ROWS) + 0.4
        )
        rows = [(name, image, kind) for name, image in images.items() for kind in ROWS]
        for row, (name, image, kind) in enumerate(rows):
            padding, flip = ROWS[kind]
            padding = round(padding * image.shape[-1] / 112)
            batch = views(image, padding=padding, flip=flip, seed=seed, count=columns)
            axes_of_row = figure.axes[row * (columns + 1) : (row + 1) * (columns + 1)]
            for axes, view in zip(axes_of_row, [image, *batch], strict=True):
                show(axes, view)
            bare(axes_of_row[0], edge=RED)
            axes_of_row[0].set_ylabel(f"{name}\n{kind}", fontsize=9)
        figure.suptitle("A photo stays what it is, a mirrored digit does not", x=0.01, ha="left", weight="bold")
        return figure


def show(axes: Axes, image: Tensor) -> None:
    """Draw one image `(C, H, W)` without ticks."""
    pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    bare(axes)


def train_and_test(values: Mapping[str, tuple[float, float]], *, title: str, quantity: str) -> Figure:
    """A measure on the training and on the test images as two dots; the line between them is the gap.

    Args:
        values: on training and test images, by name of the run, from top to bottom.
        title: the figure's message.
        quantity: what is measured, with its unit.
    """
    with course_style():
        figure = new_figure(width=7.5, height=0.6 * len(values) + 1.6)
        (axes,) = figure.axes
        for row, (train, test) in enumerate(values.values()):
            axes.plot([train, test], [row, row], color=GREY, lw=3, alpha=0.5, zorder=1)
            axes.scatter([train], [row], color=BLUE, marker="o", s=60, label=None if row else "training images")
            axes.scatter([test], [row], color=ORANGE, marker="D", s=55, label=None if row else "test images")
            middle = ((train + test) / 2, row)
            text = f"gap {test - train:.2f}"
            axes.annotate(text, middle, (0, 6), textcoords="offset points", ha="center", fontsize=9)
        axes.set_yticks(range(len(values)), list(values))
        axes.set_ylim(len(values) - 0.5, -0.6)
        figure.legend(loc="outside lower right", ncols=2)
        label(axes, title=title, x=quantity, y="")
        return figure


def response_normalisation(before: Sequence[float], divisors: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """The activations of one pixel by channel, and by which number each is divided, one panel a setting.

    Args:
        before: one value a channel.
        divisors: one value a channel, by name of the setting.
        title: the figure's message.
    """
    strongest = max(range(len(before)), key=lambda channel: before[channel])
    with course_style():
        figure = new_figure(1, 1 + len(divisors), width=9.0, height=3.0)
        first, *others = figure.axes
        first.bar(range(len(before)), before, color=[ORANGE if c == strongest else GREY for c in range(len(before))])
        label(first, title="activations of one pixel", x="channel", y="share of the strongest")
        highest = max(max(values) for values in divisors.values())
        for axes, (name, values) in zip(others, divisors.items(), strict=True):
            axes.bar(range(len(values)), values, color=BLUE)
            axes.set_ylim(0, highest * 1.1)
            label(axes, title=name, x="channel", y="divided by")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
