"""A network from left to right, drawn from the model itself: weight layers, pooling, branches and shortcuts.

The manner is that of figure 3 of He et al. 2015, https://arxiv.org/abs/1512.03385, laid on its side.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from torch import Tensor, nn

from ..probe.summary import summary
from .style import BLUE, GREY, ORANGE, RED, SKY, Figure, course_style, new_chart, new_figure

SHORTCUTS = ("downsample", "shortcut")  # what the blocks of the package, and torchvision's, call their shortcut
DASHES = {"identity": "-", "changes shape": "--"}  # as in the paper, whose lines are dotted
FILL = {"convolution": SKY, "pooling": "#D0D0D0", "linear": ORANGE}
#: Parts of a ResNet by the first word of a layer's name.
RESNET_PARTS = {
    "conv1": "stem", "bn1": "stem", "relu": "stem", "maxpool": "stem", "layer1": "stage 1", "layer2": "stage 2",
    "layer3": "stage 3", "layer4": "stage 4", "avgpool": "head", "fc": "head",
}  # fmt: skip
MOST_NAMED = 48  # layers whose size is written into their box; in a deeper net it could not be read
GAP = 0.35  # between two units, in widths of a layer


class Layer(NamedTuple):
    """One box: what it is drawn as, what is written into it, the shape of its output `(C, H, W)` or `(features,)`."""

    kind: str
    text: str
    shape: tuple[int, ...]

    @property
    def height(self) -> float:
        """Grows with the logarithm of the maps' side; all vectors are as high as each other."""
        return 2.2 + (0.8 * math.log2(self.shape[1]) if len(self.shape) == 3 else 0.0)


class Unit(NamedTuple):
    """One layer, or one block of layers: the layers of each branch, the shape of the output, the kind of shortcut."""

    branches: list[list[Layer]]
    shape: tuple[int, ...]
    shortcut: str = ""  # "identity", "changes shape", or "" for none

    @property
    def width(self) -> int:
        """Layers of the longest branch."""
        return max(map(len, self.branches))

    @property
    def height(self) -> float:
        """Height of its highest box."""
        return max(layer.height for branch in self.branches for layer in branch)


@course_style()
def architecture(model: nn.Module, shape: Sequence[int], *, title: str) -> Figure:
    """Every weight layer and pooling of a network as a box, as high as the logarithm of its maps' side.

    Args:
        model: a network of the course, or one with torchvision's names.
        shape: of one image, `(C, H, W)`.

    Raises:
        ValueError: the network does not take images of this shape.
    """
    units = units_of(model, shape)
    layers = sum(unit.width for unit in units)
    highest = max(unit.height for unit in units)
    figure, axes = new_chart(width=min(11.0, 3.5 + 0.3 * layers), height=2.9, title=title)
    axes.set_axis_off()
    right = 0.0
    for side, members in groupby(units, key=lambda unit: unit.shape[1:]):
        left, group = right, list(members)
        for unit in group:
            draw_unit(axes, unit, right, named=layers <= MOST_NAMED)
            right += unit.width + GAP
        sizes = sorted(unit.shape[0] for unit in group)
        channels = f"{sizes[0]:,}" if sizes[0] == sizes[-1] else f"{sizes[0]:,}–{sizes[-1]:,}"
        text = f"{side[0]}×{side[1]}\n{channels} ch." if side else "vector"
        place = (left + right - GAP) / 2, -max(unit.height for unit in group) / 2 - 0.3
        axes.text(*place, text, ha="center", va="top", fontsize=8)
        right += max(1.3, layers / 25)  # room for the next stage's name
    axes.set_xlim(-1, right)
    axes.set_ylim(-highest / 2 - 2.4, highest / 2 + 1.2)
    figure.legend(handles=legend_of(units), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def units_of(model: nn.Module, shape: Sequence[int]) -> list[Unit]:
    """The layers that hold weights or pool, in order of execution, gathered into the blocks they belong to."""
    modules = dict(model.named_modules())
    rows = []
    for row in summary(model, shape).rows:
        name = row.name.partition("#")[0]
        if row.output_shape and (layer := layer_of(modules[name], row.output_shape[1:])):
            rows.append((name, layer))
    units: list[Unit] = []
    before = tuple(shape)
    for block, members in groupby(rows, key=lambda row: block_of(row[0], modules)):
        inside = [(name.removeprefix(f"{block}.").split(".")[0], layer) for name, layer in members]
        if not block:
            units += [Unit([[layer]], layer.shape) for _, layer in inside]
        elif hasattr(modules[block], "branch1"):
            lanes = [[layer for _, layer in lane] for _, lane in groupby(inside, key=lambda pair: pair[0])]
            units.append(Unit(lanes, (sum(lane[-1].shape[0] for lane in lanes), *lanes[0][-1].shape[1:])))
        else:
            branch = [layer for part, layer in inside if part not in SHORTCUTS]
            after = branch[-1].shape
            units.append(Unit([branch], after, "identity" if after == before else "changes shape"))
        before = units[-1].shape
    return units


def block_of(layer: str, modules: Mapping[str, nn.Module]) -> str:
    """Name of the innermost residual block or block of branches that a layer is part of, "" for none."""
    parts = layer.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        if any(hasattr(modules[name], part) for part in (*SHORTCUTS, "branch1")):
            return name
    return ""


def layer_of(module: nn.Module, shape: tuple[int, ...]) -> Layer | None:
    """The box of a layer that puts out this shape; None for what is left out (batch norm, ReLU, dropout …)."""
    if isinstance(module, nn.Conv2d):
        return Layer("convolution", f"{module.kernel_size[0]}×{module.kernel_size[1]}, {shape[0]}", shape)
    if isinstance(module, nn.Linear):
        return Layer("linear", f"{shape[0]:,}", shape)
    return Layer("pooling", "pool", shape) if "Pool" in type(module).__name__ else None


def draw_unit(axes: Axes, unit: Unit, left: float, *, named: bool) -> None:
    """The boxes of a unit, its branches above each other, and an arc over it for the shortcut."""
    lanes = len(unit.branches)
    for lane, branch in enumerate(unit.branches):
        width = unit.width / len(branch)
        for index, layer in enumerate(branch):
            high = layer.height if lanes == 1 else unit.height / lanes
            bottom = -high / 2 if lanes == 1 else unit.height * (0.5 - (lane + 1) / lanes)
            x = left + index * width
            axes.add_patch(Rectangle((x, bottom), width, high, fc=FILL[layer.kind], ec="black", lw=0.6))
            if named and lanes == 1:
                axes.text(x + 0.5, 0, layer.text, rotation=90, ha="center", va="center", fontsize=7)
    if unit.shortcut:
        way = np.linspace(0, 1, 21)
        xs = left - GAP / 2 + (unit.width + GAP) * way
        axes.plot(xs, unit.height / 2 + 0.1 + 3.6 * way * (1 - way), color=BLUE, lw=1.4, ls=DASHES[unit.shortcut])


def legend_of(units: list[Unit]) -> list[Patch | Line2D]:
    """One entry for each thing that is drawn."""
    kinds = {layer.kind for unit in units for branch in unit.branches for layer in branch}
    boxes = [Patch(fc=colour, ec="black", label=kind) for kind, colour in FILL.items() if kind in kinds]
    drawn = {unit.shortcut for unit in units}
    texts = {"identity": "shortcut", "changes shape": "shortcut that changes the shape"}
    return boxes + [Line2D([], [], color=BLUE, ls=DASHES[way], label=texts[way]) for way in texts if way in drawn]


@course_style()
def connections(nets: Mapping[str, Sequence[Tensor]], *, title: str, height: float = 3.2) -> Figure:
    """Small nets side by side: a circle for each number, a line for each weight, red above zero and blue below.

    A weight of 0 is no connection, so no line is drawn.

    Args:
        nets: the weights `(outputs, inputs)` of each layer, from the input on, by what is written above the net.
    """
    figure, panels = new_figure(1, len(nets), width=9.0, height=height, title=title)
    for axes, (name, layers) in zip(panels, nets.items(), strict=True):
        sizes = [layers[0].shape[1], *(len(weights) for weights in layers)]
        places = [[(2.0 * column, (size - 1) / 2 - row) for row in range(size)] for column, size in enumerate(sizes)]
        for weights, before, after in zip(layers, places, places[1:], strict=False):
            for row, end in zip(weights.tolist(), after, strict=True):
                for weight, start in zip(row, before, strict=True):
                    colour = "none" if weight == 0 else RED if weight > 0 else BLUE
                    axes.plot(*zip(start, end, strict=True), color=colour, lw=0.6 + 1.6 * abs(weight), zorder=1)
        for column, circles in enumerate(places):
            colour = SKY if column == 0 else ORANGE
            axes.scatter(*zip(*circles, strict=True), s=170, c=colour, ec="black", lw=0.8, zorder=2)
        axes.set_title(name, fontsize=10)
        axes.margins(0.18)
        axes.set_axis_off()
    return figure


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, colour: str = GREY) -> None:
    """A small arrow."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=colour, shrinkA=0, shrinkB=0))


def text_box(axes: Axes, x: float, y: float, text: str, *, size: tuple[float, float], colour: str, **look: Any) -> None:
    """A rounded box around a point, `size` wide and high, with a text in its middle."""
    corner = (x - size[0] / 2, y - size[1] / 2)
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle="round,pad=0.03", fc=colour, ec=GREY))
    axes.text(x, y, text, ha="center", va="center", **look)
