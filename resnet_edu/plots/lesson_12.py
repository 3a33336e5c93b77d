"""Lesson 12: what a network of your own says of photos, how sure it is and where it looked."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, inference_mode, nn

from .. import probe
from ..models.pretrained import Pretrained
from .images import bare, draw_map, visible
from .lesson_11 import MARKERS
from .style import BLUE, GREY, SKY, course_style, label, new_figure

CELLS = 4  # on the shorter side of a map that is worth laying over a photo


def named_photos(
    network: Pretrained,
    pictures: Mapping[str, Image.Image],
    *,
    top: int = 3,
    threshold: float = 0.0,
    title: str = "What it says, and where Grad-CAM finds the evidence",
) -> Figure:
    """One row a photo: what the network sees, its best labels, and the Grad-CAM map of the best one.

    Args:
        network: see `models.pretrained` and `run.open_run`.
        pictures: in RGB, by name.
        top: labels a photo.
        threshold: in percent; a photo whose best label has less gets no answer, and its bars are grey.
        title: the figure's message.
    """
    device = next(network.model.parameters()).device
    rows = len(pictures)
    with course_style():
        figure = new_figure(rows, 3, width=8.4, height=1.9 * rows + 0.6, width_ratios=[1, 1.5, 1])
        for row, (name, picture) in enumerate(pictures.items()):
            left, middle, right = figure.axes[3 * row : 3 * row + 3]
            image = network.transforms(picture)[None].to(device)  # (1, C, H, W)
            with inference_mode():
                percents = network.model.eval()(image)[0].softmax(dim=0) * 100
            best = percents.topk(top)
            labels = [network.categories[index] for index in best.indices.tolist()]
            values = best.values.tolist()
            sure = values[0] >= threshold
            left.imshow(visible(image[0].expand(3, -1, -1)))
            left.set_title(name if len(name) <= 22 else f"{name[:21]}…", fontsize=10, weight="normal", loc="center")
            bare(left)
            middle.barh(range(top), values, color=[BLUE] + [SKY] * (top - 1) if sure else GREY)
            for place, percent in enumerate(values):
                room = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # the line of the threshold stays behind
                middle.text(percent + 2, place, f"{percent:.0f} %", va="center", fontsize=9, bbox=room, zorder=3)
            middle.axvline(threshold, color="black", lw=1, ls="--")
            middle.set_yticks(range(top), labels)
            middle.invert_yaxis()
            middle.set_xlim(0, 125)
            middle.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
            middle.grid(visible=False)
            middle.set_title(labels[0] if sure else "not sure", fontsize=10, loc="center")
            layer = deepest_layer(network.model, image)
            found = (
                probe.grad_cam(network.model, image, int(best.indices[0]), layer=layer) if layer else image[:, 0] * 0
            )
            draw_map(right, image[0].expand(3, -1, -1), found[0], signed=False)
            shown = f"evidence for {labels[0]}" if layer else "no map: too few pixels"
            right.set_title(shown, fontsize=10, weight="normal", loc="center")
        figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=12)
        return figure


def deepest_layer(model: nn.Module, image: Tensor, *, cells: int = CELLS) -> str | None:
    """The deepest part of a network whose maps have at least so many cells a side, None if there is none.

    Args:
        model: its direct children are looked at, in the order they are defined in.
        image: one or more, `(N, C, H, W)`.
        cells: on the shorter side.
    """
    names = [name for name, _ in model.named_children()]
    with probe.activations(model, names) as seen, inference_mode():
        model(image)
    fine = [name for name in names if name in seen and seen[name].ndim == 4 and min(seen[name].shape[2:]) >= cells]
    return fine[-1] if fine else None


def precision_and_coverage(
    measured: Mapping[str, tuple[Tensor, Tensor]], *, threshold: float | None = None, title: str
) -> Figure:
    """How many photos get an answer, and how many of the answers are right, over the threshold.

    Args:
        measured: by name of the images, the confidence in percent and whether the answer was right, `(N,)` each.
        threshold: in percent, drawn as a dashed line.
        title: the figure's message.
    """
    thresholds = np.linspace(0, 100, 101)
    if threshold is not None and threshold <= 100:
        thresholds = np.union1d(thresholds, [threshold])  # the curve is exact at the dashed line
    with course_style():
        figure = new_figure(1, 2, width=8.4, height=3.5, sharey=True)
        for marker, (name, (confidence, right)) in zip(MARKERS, measured.items(), strict=False):
            answered = confidence.cpu().numpy()[None] >= thresholds[:, None]  # (T, N)
            count = answered.sum(axis=1)
            hits = (answered & right.cpu().numpy().astype(bool)[None]).sum(axis=1)
            precision = np.where(count > 0, 100 * hits / np.maximum(count, 1), np.nan)
            for axes, values in zip(figure.axes, (precision, 100 * count / len(right)), strict=True):
                axes.plot(thresholds, values, marker=marker, markevery=20, label=name)
        for axes, what in zip(figure.axes, ("answers that are right (%)", "photos that get one (%)"), strict=True):
            if threshold is not None and threshold <= 100:
                axes.axvline(threshold, color=GREY, ls="--", lw=1.2)
            label(axes, title="", x="threshold (% sure)", y=what)
            axes.set_ylim(0, 104)
            axes.tick_params(labelleft=True)
        figure.axes[1].legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


MOST_NUMBERED = 20  # classes whose counts are written into the squares


def confusion_matrix(confusion: Tensor, classes: Sequence[str], *, title: str) -> Figure:
    """Share of each true class (row) that was given each label (column), with the number of images written in.

    Args:
        confusion: whole numbers `(classes, classes)`, as `evaluate` returns it; row: the label, column: the prediction.
        classes: their names.
        title: the figure's message.
    """
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    side = max(4.6, min(11.0, 2.2 + 0.42 * len(names)))
    with course_style():
        figure = new_figure(width=side + 0.8, height=side)
        (axes,) = figure.axes
        axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)  # a class may be called $a^$
        axes.set_yticks(range(len(names)), names, parse_math=False)
        if len(names) <= MOST_NUMBERED:
            for row, counts in enumerate(confusion.tolist()):
                for column, count in enumerate(counts):
                    if count:
                        colour = "white" if shares[row, column] > 0.5 else "black"
                        axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
        label(axes, title="", x="predicted", y="true")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
