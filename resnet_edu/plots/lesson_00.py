"""Lesson 00, photos beside what a network says of them; and its primer, 00b: shapes, one weight, and its descent."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from ..data.pictures import read_photo
from ..prediction import Prediction
from .images import draw_answers
from .style import BLUE, GREY, ORANGE, RED, SKY, Figure, course_style, new_chart, new_figure


@course_style()
def photo_predictions(predictions: Sequence[Prediction], *, title: str) -> Figure:
    """One row a photo: the picture on the left, its best labels as bars with percentages on the right."""
    rows = len(predictions)
    figure, panels = new_figure(rows, 2, height=2.3 * rows + 0.4, width_ratios=(1, 2), title=title)
    for picture, bars, prediction in zip(panels[::2], panels[1::2], predictions, strict=True):
        photo = read_photo(prediction.file)
        photo.thumbnail((400, 400))
        picture.imshow(np.asarray(photo))
        picture.set_axis_off()
        labels, percents = zip(*prediction.top, strict=True)
        draw_answers(bars, labels, percents, [BLUE] + [SKY] * (len(labels) - 1), digits=1)
        bars.set_title(prediction.file.name, fontsize=11)
    return figure


@course_style()
def tensor_shapes(shapes: Sequence[tuple[int, ...]], *, title: str) -> Figure:
    """Tensors with 0 to 4 short axes as rows, grids, stacks of grids and rows of stacks, each with its shape below."""
    figure, axes = new_chart(width=9.0, height=1.9, title=title)
    axes.set_axis_off()
    axes.set_aspect("equal")
    right = 0.0
    for shape in shapes:
        count, depth, rows, columns = (1,) * (4 - len(shape)) + shape
        left = right
        for _ in range(count):
            for back in reversed(range(depth)):
                corner = np.array([right, -rows / 2]) + 0.4 * back
                for cell in product(range(columns), range(rows)):
                    axes.add_patch(Rectangle(tuple(corner + cell), 1, 1, fc=SKY, ec="black", lw=0.8))
            right += columns + 0.4 * depth + 0.4
        axes.text((left + right - 0.8) / 2, -2.9, str(shape), ha="center", fontsize=11)
        right += 2.0
    axes.set_xlim(-1, right - 1)
    axes.set_ylim(-3.1, 2.4)
    return figure


@course_style()
def descents(loss: Callable[[Tensor], Tensor], paths: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """The loss of one weight as a curve, and on it the places that gradient descent went through, one panel a path.

    The loss takes many weights at once, `(N,)`; a path has the weight before the first step and after each.
    """
    figure, panels = new_figure(1, len(paths), width=9.0, height=3.2, title=title, sharey=True)
    visited = [weight for path in paths.values() for weight in path]
    weights = torch.linspace(min(visited) - 0.5, max(visited) + 0.5, 200)
    for axes, (name, path) in zip(panels, paths.items(), strict=True):
        heights = loss(torch.tensor(path)).tolist()
        axes.plot(weights, loss(weights), color=GREY, lw=1.5)
        axes.plot(path, heights, color=RED, marker="o", lw=1, markersize=4)
        axes.plot(path[0], heights[0], color=ORANGE, marker="o", markersize=9)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("weight w")
    panels[0].set_ylabel("loss L(w)")
    return figure
