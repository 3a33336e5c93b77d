"""Lesson 12: what a network of your own says of photos, how sure it is, where it looked, and when to believe it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .. import probe
from ..models.pretrained import Pretrained
from .images import Answers, answers, draw_answers, draw_map, stretched
from .style import BLUE, COLOURS, GREY, SKY, Figure, bare, course_style, look_of, new_figure

CELLS = 4  # on the shorter side of a map that is worth laying over a photo
MOST_NUMBERED = 20  # classes of a confusion matrix whose counts are written into the squares


class Look(NamedTuple):
    """What a network makes of a photo: its best answers, and the Grad-CAM map `(H, W)` of the first, or None."""

    answers: Answers
    evidence: Tensor | None


def look_at(network: Pretrained, picture: Image.Image, *, top: int) -> Look:
    """The `top` best answers to a photo in RGB; no map where too few pixels are left for one."""
    best = answers(network, picture, top)
    if layer := deepest_layer(network.model, best.image):
        return Look(best, probe.grad_cam(network.model, best.image, best.numbers[0], layer=layer)[0])
    return Look(best, None)


def named_photos(
    network: Pretrained, pictures: Mapping[str, Image.Image], *, top: int = 3, threshold: float = 0.0
) -> Figure:
    """One row a photo in RGB: what the network sees, its `top` labels, and the Grad-CAM map of the best one.

    A photo whose best label has less than `threshold` percent gets no answer, and its bars are grey.
    """
    looks = {name: look_at(network, picture, top=top) for name, picture in pictures.items()}
    return named_looks(looks, top=top, threshold=threshold)


@course_style()
def named_looks(looks: Mapping[str, Look], *, top: int, threshold: float) -> Figure:
    """The figure of `named_photos`, of photos that the network has looked at."""
    rows, title = len(looks), "What it says, and where Grad-CAM finds the evidence"
    small = {"fontsize": 10, "weight": "normal", "loc": "center", "parse_math": False}
    figure, panels = new_figure(rows, 3, width=8.4, height=1.9 * rows + 0.6, width_ratios=[1, 1.5, 1], title=title)
    for row, (name, (best, evidence)) in enumerate(looks.items()):
        left, middle, right = panels[3 * row : 3 * row + 3]
        labels, percents = best.labels[:top], best.percents[:top]
        sure = percents[0] >= threshold
        colour_image = best.image[0].expand(3, -1, -1)
        left.imshow(stretched(colour_image))
        left.set_title(name if len(name) <= 22 else f"{name[:21]}…", **small)
        bare(left)
        draw_answers(middle, labels, percents, [BLUE] + [SKY] * (top - 1) if sure else [GREY] * top)
        middle.axvline(threshold, color="black", lw=1, ls="--")
        middle.set_title(labels[0] if sure else "not sure", fontsize=10, loc="center", parse_math=False)
        if evidence is None:
            right.set_title("no map: too few pixels", **small)
            draw_map(right, colour_image, torch.zeros_like(best.image[0, 0]), signed=False)
        else:
            right.set_title(f"evidence for\n{labels[0]}", **small)
            draw_map(right, colour_image, evidence, signed=False)
    return figure


def deepest_layer(model: nn.Module, image: Tensor) -> str | None:
    """The deepest child of a network whose maps of `(N, C, H, W)` have at least `CELLS` cells a side, or None."""
    names = [name for name, _ in model.named_children()]
    with probe.activations(model, names) as seen, torch.inference_mode():
        model(image)
    fine = [name for name in names if name in seen and seen[name].ndim == 4 and min(seen[name].shape[2:]) >= CELLS]
    return fine[-1] if fine else None


@course_style()
def precision_and_coverage(measured: Mapping[str, tuple[Tensor, Tensor]], *, threshold: float, title: str) -> Figure:
    """How many photos get an answer, and how many of the answers are right, over the threshold in percent.

    `measured` has the confidence in percent and whether the answer was right, `(N,)` each; the threshold is dashed.
    """
    thresholds = np.union1d(np.linspace(0, 100, 101), [threshold])  # the curve is exact at the dashed line
    figure, panels = new_figure(1, 2, width=8.4, height=3.5, sharey=True, title=title, x="threshold (% sure)")
    for (name, (confidence, right)), colour in zip(measured.items(), COLOURS, strict=False):
        answered = (confidence.cpu() >= torch.tensor(thresholds)[:, None]).double()  # (T, N)
        count, hits = answered.sum(dim=1), answered @ right.cpu().double()
        for axes, values in zip(panels, (100 * hits / count, 100 * count / len(right)), strict=True):
            axes.plot(thresholds, values, **look_of(colour, ls="-"), markevery=20, label=name)
    for axes, what in zip(panels, ("answers that are right (%)", "photos that get one (%)"), strict=True):
        axes.axvline(threshold, color=GREY, ls="--", lw=1.2)
        axes.set_ylabel(what)
        axes.set_ylim(0, 104)
        axes.tick_params(labelleft=True)
    panels[1].legend()
    return figure


@course_style()
def confusion_matrix(confusion: Tensor, classes: Sequence[str], *, title: str) -> Figure:
    """Share of each true class (row) that was given each label (column), with the number of images written in.

    The confusion has whole numbers, `(classes, classes)`, as `evaluate` returns it.
    """
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    side = max(4.6, min(11.0, 2.2 + 0.42 * len(names)))
    figure, (axes,) = new_figure(1, 1, width=side + 0.8, height=side, title=title)
    axes.set(xlabel="predicted", ylabel="true")
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)  # a class may be called $a^$
    axes.set_yticks(range(len(names)), names, parse_math=False)
    if len(names) <= MOST_NUMBERED:
        for row, column in confusion.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{int(confusion[row, column])}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    return figure
