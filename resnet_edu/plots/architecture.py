"""A network from left to right, drawn from the model itself: picture, weight layers, pooling, branches, shortcuts.

And a computation as a chain of boxes, and small nets weight by weight.

The manner is that of figure 3 of He et al. 2015, https://arxiv.org/abs/1512.03385, laid on its side.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Polygon
from PIL import Image
from torch import Tensor, nn

from ..data.sets import photo
from ..probe.summary import summary
from .style import BLUE, GREY, ORANGE, RED, SKY, Figure, course_style, new_chart, new_figure

SHORTCUTS = ("downsample", "shortcut")  # what the blocks of the package, and torchvision's, call their shortcut
WAYS = {"identity": ("-", "shortcut"), "changes shape": ("--", "shortcut that changes the shape")}
FILL = {"convolution": SKY, "pooling": "#D0D0D0", "linear": ORANGE}
MOST_NAMED = 48  # layers whose text is written into their box and that have arrows; more could not be read
GAP, FORK = 0.5, 0.6  # between two units, and from a fork to its branches, in widths of a layer


class Layer(NamedTuple):
    """One box: what it is drawn as, what is written into it, its input's shape and its output's, without the batch."""

    kind: str
    text: str
    before: tuple[int, ...]
    shape: tuple[int, ...]


class Unit(NamedTuple):
    """One layer or block: the layers of each branch, its output's shape, its kind (see `units_of`), its name."""

    branches: list[list[Layer]]
    shape: tuple[int, ...]
    kind: str
    name: str

    @property
    def width(self) -> float:
        """Layers of the longest branch, and the ways to several branches and back."""
        return max(map(len, self.branches)) + 2 * FORK * (self.kind == "branches")

    @property
    def height(self) -> float:
        """Height of its highest box."""
        return max(height(shape) for branch in self.branches for each in branch for shape in (each.before, each.shape))


def height(shape: Sequence[int]) -> float:
    """Grows with the logarithm of the maps' side; all vectors are as high as each other."""
    return 2.2 + (0.8 * math.log2(shape[1]) if len(shape) == 3 else 0.0)


@course_style()
def architecture(model: nn.Module, shape: Sequence[int], *, title: str) -> Figure:
    """Every weight layer and pooling of a network as a box, as high as the logarithm of its maps' side.

    A box that narrows makes the maps smaller. A pooling that changes nothing at this shape is left out. The model may
    have the course's or torchvision's names, or be a block with branches; what enters it has the shape `(C, H, W)`.
    """
    units, first = units_of(model, shape), height(shape)
    layers = sum(max(map(len, unit.branches)) for unit in units)
    highest = max(first, *(unit.height for unit in units))
    figure, axes = new_chart(width=min(11.0, 5.0 + 0.4 * layers), height=3.2, title=title)
    axes.set_axis_off()
    places, right = [], 0.0
    for side, members in groupby(units, key=lambda unit: unit.kind if unit.kind == "pooling" else unit.shape[1:]):
        left, group = right, list(members)
        for unit in group:
            places.append((right, unit))
            right += unit.width + GAP
        if side != "pooling":
            name_below(axes, (left + right - GAP) / 2, max(unit.height for unit in group), [u.shape for u in group])
        right += max(0.3, layers / 50)  # room for the stages' names
    # The picture is square: as many inches wide as high, whatever the two scales are.
    wide = 1.3 * right * first / (highest + 4) * figure.get_figheight() / figure.get_figwidth()
    before = -1.5 * GAP
    draw_input(axes, shape, (before - wide, before))
    inches = figure.get_figwidth() / (right + wide) if layers <= MOST_NAMED else 0.0  # a layer's width on paper
    for left, unit in places:
        draw_unit(axes, unit, left, inches)
        if inches:
            arrow(axes, (before, 0), (left, 0), size=7)
        before = left + unit.width
    axes.set_xlim(-1.5 * GAP - wide, right)
    axes.set_ylim(-highest / 2 - 2.4, highest / 2 + 1.2)
    figure.legend(handles=legend_of(units), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], *, colour: str = GREY, size: float = 9
) -> None:
    """A small arrow."""
    look = {"arrowstyle": "-|>", "mutation_scale": size, "color": colour, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, **look))


def text_box(axes: Axes, x: float, y: float, text: str, *, size: tuple[float, float], colour: str, **look: Any) -> None:
    """A rounded box around a point, `size` wide and high, with a text in its middle."""
    corner = (x - size[0] / 2, y - size[1] / 2)
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle="round,pad=0.03", fc=colour, ec=GREY))
    axes.text(x, y, text, ha="center", va="center", **look)


def units_of(model: nn.Module, shape: Sequence[int]) -> list[Unit]:
    """The layers that hold weights or pool, in order of execution, gathered into the blocks they belong to.

    A unit's kind is that of its only layer; or "branches"; or for a residual block "identity" or "changes shape".
    """
    modules, whole = {"": model, **dict(model.named_modules())}, tuple(shape)
    rows = [(row.name.partition("#")[0], row.output_shape[1:]) for row in summary(model, shape).rows]
    rows = [(name, after) for name, after in rows if after and layer_of(modules[name], after, after)]
    units: list[Unit] = []
    for (block, kind), members in groupby(rows, key=lambda row: block_of(row[0], modules)):
        lanes: dict[str, list[Layer]] = {}
        for name, after in members:
            part = name.removeprefix(f"{block}.").split(".")[0]
            lane = lanes.setdefault(part if kind == "branches" or part in SHORTCUTS else "", [])
            lane += filter(None, [layer_of(modules[name], lane[-1].shape if lane else whole, after)])
        branches = [lane for part, lane in lanes.items() if part not in SHORTCUTS]
        out = sum(lane[-1].shape[0] for lane in branches), *branches[0][-1].shape[1:]
        if kind == "residual":
            kind = "identity" if out == whole else "changes shape"
        kind = kind or branches[0][0].kind
        if kind != "pooling" or out != whole:
            units.append(Unit(branches, out, kind, block.removeprefix("inception") if kind == "branches" else ""))
        whole = out
    return units


def block_of(layer: str, modules: Mapping[str, nn.Module]) -> tuple[str, str]:
    """The innermost block that a layer is part of, or the layer itself, and "branches", "residual" or ""."""
    name = layer
    while name:
        name = name.rpartition(".")[0]
        if hasattr(modules[name], "branch1"):
            return name, "branches"
        if any(hasattr(modules[name], part) for part in SHORTCUTS):
            return name, "residual"
    return layer, ""


def layer_of(module: nn.Module, before: tuple[int, ...], shape: tuple[int, ...]) -> Layer | None:
    """The box of a layer that turns the one shape into the other; None for batch norm, ReLU and the like."""
    if isinstance(module, nn.Conv2d):
        stride = f", /{module.stride[0]}" if module.stride != (1, 1) else ""
        text = f"{module.kernel_size[0]}×{module.kernel_size[1]}, {shape[0]}{stride}"
        return Layer("convolution", text, before, shape)
    if isinstance(module, nn.Linear):
        return Layer("linear", f"{shape[0]:,}", before, shape)
    text = "max pool" if "Max" in type(module).__name__ else "average"
    text += f" → {shape[1]}×{shape[2]}" if shape != before and shape[1] > 1 else ""
    return Layer("pooling", text, before, shape) if "Pool" in type(module).__name__ else None


def name_below(axes: Axes, x: float, high: float, shapes: Sequence[tuple[int, ...]]) -> None:
    """The side of the maps and their channels, below boxes that share the side."""
    (channels, *side), most = min(shapes), max(shapes)[0]
    many = f"{channels:,}" if channels == most else f"{channels:,}–{most:,}"
    text = f"{side[0]}×{side[1]}\n{many} ch." if side else "vector"
    axes.text(x, -high / 2 - 0.3, text, ha="center", va="top", fontsize=8)


def draw_input(axes: Axes, shape: Sequence[int], ends: tuple[float, float]) -> None:
    """A photo, grey for one channel, or a grey box for what is no picture; its shape below."""
    (left, right), high, pixels = ends, height(shape) / 2, np.full((1, 1, 3), 0.9)
    if shape[0] in (1, 3):
        with Image.open(photo("coffee")) as picture:
            picture = picture.resize((200, 200), box=(100, 0, 500, 400))
            pixels = np.asarray(picture.convert("RGB" if shape[0] == 3 else "L"))
    axes.imshow(pixels, extent=(left, right, -high, high), aspect="auto", cmap="gray")
    name_below(axes, (left + right) / 2, 2 * high, [tuple(shape)])


def draw_unit(axes: Axes, unit: Unit, left: float, inches: float) -> None:
    """The boxes of a unit, its branches above each other, and an arc over it for the shortcut."""
    lanes, right = len(unit.branches), left + unit.width
    share = 1.0 if lanes == 1 else 0.88 / lanes  # of the height
    short = lanes > 1 and inches < 0.5
    look: dict[str, Any] = {"fontsize": 7 if short else 8, "rotation": 90 if lanes == 1 or short else 0}
    for lane, branch in enumerate(unit.branches):
        middle = unit.height * (0.5 - (lane + 0.5) / lanes)
        start = left + (unit.width - len(branch)) / 2
        for x, layer in zip(start + np.arange(len(branch)), branch, strict=True):
            a, b = (share * height(shape) / 2 for shape in (layer.before, layer.shape))
            corners = [(x, middle - a), (x, middle + a), (x + 1, middle + b), (x + 1, middle - b)]
            axes.add_patch(Polygon(corners, fc=FILL[layer.kind], ec="black", lw=0.6))
            text = layer.text.split(", ")[0].removeprefix("max ") if short else layer.text
            axes.text(x + 0.5, middle, text if inches else "", ha="center", va="center", **look)
        if lanes > 1:
            fork, join = left + FORK / 2, right - FORK / 2
            axes.plot([left, fork, fork], [0, 0, middle], color=GREY, lw=1)
            arrow(axes, (fork, middle), (start, middle), size=5)
            axes.plot([start + len(branch), join, join], [middle, middle, 0], color=GREY, lw=1)
    if lanes > 1:
        arrow(axes, (right - FORK / 2, 0), (right, 0), size=5)
        axes.text(right, 0.1, "" if short else "concat", ha="center", va="bottom", fontsize=8)
    axes.text((left + right) / 2, unit.height / 2 + 0.2, unit.name, ha="center", va="bottom", fontsize=8)
    if unit.kind in WAYS:
        way = np.linspace(0, 1, 21)
        xs, ys = left - GAP / 2 + (unit.width + GAP) * way, unit.height / 2 + 0.1 + 3.6 * way * (1 - way)
        axes.plot(xs, ys, color=BLUE, lw=1.4, ls=WAYS[unit.kind][0], marker="v", ms=3, markevery=[-1])


def legend_of(units: list[Unit]) -> list[Patch | Line2D]:
    """One entry for each thing that is drawn."""
    kinds = {layer.kind for unit in units for branch in unit.branches for layer in branch} | {u.kind for u in units}
    boxes = [Patch(fc=colour, ec="black", label=kind) for kind, colour in FILL.items() if kind in kinds]
    return boxes + [Line2D([], [], color=BLUE, ls=ls, label=text) for way, (ls, text) in WAYS.items() if way in kinds]


@course_style()
def chain(steps: Sequence[tuple[str, str | float, float]], slopes: Sequence[str], *, title: str) -> Figure:
    """A computation as boxes: its numbers above on the way forward, the derivatives of the last one below, going back.

    Args:
        steps: what is computed, its value or where it comes from, and the derivative of the loss with respect to it.
        slopes: written between two boxes on the way back: by what the derivative is multiplied there.
    """
    figure, axes = new_chart(width=9.0, height=2.6, title=title)
    axes.set_axis_off()
    for place, (name, value, gradient) in enumerate(steps):
        x = 3.0 * place
        text_box(axes, x, 0, name, size=(1.7, 0.7), colour=SKY, fontsize=11)
        axes.text(x, 0.62, value if isinstance(value, str) else f"{value:.3g}", ha="center", fontsize=12, color=BLUE)
        axes.text(x, -0.82, f"{gradient:.3g}", ha="center", fontsize=12, color=RED)
        if place:
            arrow(axes, (x - 2.05, 0.15), (x - 0.95, 0.15), colour=BLUE)
            arrow(axes, (x - 0.95, -0.15), (x - 2.05, -0.15), colour=RED)
            axes.text(x - 1.5, -0.5, f"× {slopes[place - 1]}", ha="center", fontsize=10, color=RED)
    axes.text(-2.6, 0.62, "value", fontsize=10, color=BLUE)
    axes.text(-2.6, -0.82, "dL / d…", fontsize=10, color=RED)
    axes.set_xlim(-2.7, 3.0 * len(steps) - 1.6)
    axes.set_ylim(-1.1, 1.0)
    return figure


@course_style()
def connections(nets: Mapping[str, Sequence[Tensor]], *, title: str, height: float = 3.2) -> Figure:
    """Small nets side by side: a circle for each number, a line for each weight, red above zero and blue below.

    A weight of 0 is no connection. Of each net, by its name, come the weights `(outputs, inputs)` of every layer.
    """
    figure, panels = new_figure(1, len(nets), width=9.0, height=height, title=title)
    for axes, (name, layers) in zip(panels, nets.items(), strict=True):
        sizes = [layers[0].shape[1], *(len(weights) for weights in layers)]
        places = [[(2.0 * column, (size - 1) / 2 - row) for row in range(size)] for column, size in enumerate(sizes)]
        for weights, before, after in zip(layers, places, places[1:], strict=False):
            for row, column in weights.nonzero().tolist():
                weight, ends = weights[row, column].item(), zip(before[column], after[row], strict=True)
                axes.plot(*ends, color=RED if weight > 0 else BLUE, lw=0.6 + 1.6 * abs(weight), zorder=1)
        for column, circles in enumerate(places):
            colour = SKY if column == 0 else ORANGE
            axes.scatter(*zip(*circles, strict=True), s=170, c=colour, ec="black", lw=0.8, zorder=2)
        axes.set_title(name, fontsize=10)
        axes.margins(0.18)
        axes.set_axis_off()
    return figure
