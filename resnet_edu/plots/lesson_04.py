"""Lesson 04: inception blocks, their channel budget, and what auxiliary heads do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from ..models.googlenet import INCEPTIONS
from ..models.modes import eval_mode
from ..probe.activations import isolated_forward, watch
from ..probe.summary import macs
from .architecture import arrow, text_box
from .curves import powers_of_ten
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Figure, course_style, name_rows, new_chart, new_figure

REDUCING, LARGE, POOLING = ORANGE, SKY, "#E8E8E8"
BRANCH_COLOURS = (BLUE, GREEN, PURPLE, GREY)
SIDES = {"3": 28, "4": 14, "5": 7}  # of the maps, by the first figure of a block's name


@course_style()
def inception_diagrams(blocks: Mapping[str, nn.Module], *, in_channels: int, side: int, title: str) -> Figure:
    """Each block's four branches from top to bottom, with the million multiply-adds of each convolution.

    Args:
        blocks: modules with the children `branch1`, `branch2` …, whose outputs are stacked, by the name above them.
        in_channels: channels of the block's input.
        side: of its maps, in pixels.
    """
    figure, panels = new_figure(1, len(blocks), width=5.4 * len(blocks), height=3.7, title=title)
    for axes, (name, block) in zip(panels, blocks.items(), strict=True):
        branches = [branch_steps(branch, in_channels, side) for branch in block.children()]
        draw_block(axes, branches, f"x: {in_channels} channels, {side}×{side}")
        axes.set_title(name, fontsize=11, loc="center")
    return figure


def branch_steps(branch: nn.Module, in_channels: int, side: int) -> list[tuple[str, str, int]]:
    """The boxes of a branch in the order in which they run: the text in each, its colour, the channels it puts out."""
    steps: list[tuple[str, str, int]] = []

    def note(_: str, module: nn.Module, out: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            kernel, cost = module.kernel_size[0], macs(module, out) / 1e6
            colour = REDUCING if kernel == 1 else LARGE
            steps.append((f"{kernel}×{kernel}, {module.out_channels}\n{cost:.1f} M", colour, module.out_channels))
        elif isinstance(module, nn.MaxPool2d):
            steps.append((f"max pool\n{module.kernel_size}×{module.kernel_size}", POOLING, out.shape[1]))

    with watch(branch, None, note), torch.no_grad(), eval_mode(branch):
        isolated_forward(branch, torch.zeros(1, in_channels, side, side))
    return steps


def draw_block(axes: Axes, branches: list[list[tuple[str, str, int]]], source: str) -> None:
    """One block: the input at the top, a column for each branch, the stack at the bottom."""
    axes.set_axis_off()
    axes.set_xlim(-0.1, 4 * 1.3)
    axes.set_ylim(-4.35, 0.45)
    middle, bottom = 1.3 * (len(branches) - 1) / 2 + 0.6, -3.75
    axes.text(middle, 0.1, source, ha="center", va="center", fontsize=9)
    for column, steps in enumerate(branches):
        x = 1.3 * column + 0.6
        arrow(axes, (middle, -0.1), (x, -0.72))
        for row, (text, colour, _) in enumerate(steps):
            y = -1.05 - 1.25 * row
            last = row == len(steps) - 1
            text_box(axes, x, y, text, size=(1.04, 0.6), colour=colour, fontsize=8.5)
            arrow(axes, (x, y - 0.33), (x, bottom + 0.3) if last else (x, y - 0.92))
        axes.text(x + 0.07, bottom + 0.55, f"{steps[-1][2]}", va="center", fontsize=8.5, color=GREY)
    total = sum(steps[-1][2] for steps in branches)
    text = f"stacked: {total} channels"
    text_box(axes, middle, bottom, text, size=(2 * middle - 0.16, 0.5), colour="white", fontsize=9, weight="bold")


class Branches(NamedTuple):
    """Thousands of weights of a block's four branches, without biases and batch norms, and channels that come out.

    The naive branches are those without a 1×1 convolution that reduces.
    """

    names: list[str]
    reducing: list[float]
    large: list[float]
    naive: list[float]
    channels: list[int]
    naive_channels: list[int]

    @property
    def weights(self) -> float:
        """Of the whole block, in thousands."""
        return sum(self.reducing) + sum(self.large)


def branches_of(sizes: Sequence[int], *, kernel: int = 5) -> Branches:
    """The four branches of a block, for its sizes in the paper's table 1."""
    in_channels, one, three_reduced, three, five_reduced, five, pool = sizes
    c, area = in_channels / 1e3, kernel**2
    return Branches(
        ["1×1", "3×3", f"{kernel}×{kernel}" + " (third)" * (kernel == 3), "pooling"],
        reducing=[0, c * three_reduced, c * five_reduced, 0],
        large=[c * one, 9 * three_reduced * three / 1e3, area * five_reduced * five / 1e3, c * pool],
        naive=[c * one, 9 * c * three, area * c * five, 0],
        channels=[one, three, five, pool],
        naive_channels=[one, three, five, in_channels],
    )


@course_style()
def channel_budget(sizes: Sequence[int] = INCEPTIONS["3a"], *, kernel: int = 5) -> Figure:
    """Weights (below) and multiply-adds (above) of each branch of a block at the place of 3a, and its channels.

    Args:
        sizes: channels as in the paper's table 1: input, 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool proj.
        kernel: of the third branch: 5 as in the paper, 3 as in torchvision.
    """
    side, branches = SIDES["3"], branches_of(sizes, kernel=kernel)
    scale = side**2 / 1e3  # million multiply-adds per thousand weights
    work = f"{1e3 * branches.weights:,.0f} weights, {scale * branches.weights:.0f} M multiply-adds"
    title = f"{work}, {sizes[0]} → {sum(branches.channels)} channels"
    figure, (left, right) = new_figure(1, 2, width=8.0, height=3.5, width_ratios=[3, 1], title=title)
    left.barh(range(4), branches.naive, height=0.8, fill=False, ec=GREY, ls="--", label="without reduction")
    draw_costs(left, branches)
    left.set_xlabel("weights (thousand)")
    above = left.secondary_xaxis("top", functions=(lambda w: np.multiply(w, scale), lambda m: np.divide(m, scale)))
    above.set_xlabel(f"multiply-adds at {side}×{side} (million)")
    left.legend(loc="lower right", fontsize=8)
    draw_channels(right, {"block": branches.channels, "naive": branches.naive_channels})
    return figure


@course_style()
def channel_budget_grid() -> Figure:
    """The static twin: the nine blocks of the paper's table 1, one scale for all."""
    title = "In every block the 3×3 branch takes most (M: million multiply-adds)"
    grid = {"sharex": True, "sharey": True, "x": "weights (thousand)"}
    figure, panels = new_figure(3, 3, width=9.0, height=5.6, title=title, **grid)
    for axes, (name, sizes) in zip(panels, INCEPTIONS.items(), strict=True):
        branches, side = branches_of(sizes), SIDES[name[0]]
        draw_costs(axes, branches)
        axes.set_title(f"{name} · {side}×{side} · {branches.weights * side**2 / 1e3:.0f} M", fontsize=10)
    panels[2].legend(fontsize=8)
    return figure


def draw_costs(axes: Axes, branches: Branches) -> None:
    """One bar a branch, the reducing convolution first."""
    axes.barh(range(4), branches.reducing, height=0.55, color=REDUCING, label="1×1 that reduces")
    axes.barh(range(4), branches.large, left=branches.reducing, height=0.55, color=LARGE, label="the branch itself")
    name_rows(axes, branches.names)


def draw_channels(axes: Axes, blocks: Mapping[str, Sequence[int]]) -> None:
    """One stacked column a block: the channels of its branches."""
    for column, (name, channels) in enumerate(blocks.items()):
        floor = 0
        for number, colour in zip(channels, BRANCH_COLOURS, strict=True):
            axes.bar(name, number, bottom=floor, width=0.6, color=colour)
            if number >= 24:
                axes.text(column, floor + number / 2, str(number), ha="center", va="center", fontsize=8, color="white")
            floor += number
        axes.text(column, floor, str(floor), ha="center", va="bottom", fontsize=9, weight="bold")
    axes.set_ylabel("channels that come out")
    axes.margins(y=0.1)
    axes.grid(visible=False, axis="x")


@course_style()
def gradient_with_and_without(norms: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str) -> Figure:
    """A pair of points for each seed: the gradient without auxiliary heads, and with them; logarithmic.

    Args:
        norms: by setting, the norms without and with heads, in the same order of seeds.
    """
    figure, axes = new_chart(width=7.5, height=3.6, title=title, y="gradient norm, first layer")
    for column, (without, with_heads) in enumerate(norms.values()):
        xs = [column + 0.12 * (index - (len(without) - 1) / 2) for index in range(len(without))]
        axes.vlines(xs, without, with_heads, color="#BBBBBB", lw=1.5, zorder=1)
        axes.plot(xs, without, color=RED, marker="s", ls="", label=None if column else "without heads")
        axes.plot(xs, with_heads, color=BLUE, marker="o", ls="", label=None if column else "with heads")
    powers_of_ten(axes)
    axes.set_xticks(range(len(norms)), list(norms))
    axes.set_xlim(-0.5, len(norms) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.legend()
    return figure


@course_style()
def votes(image: Tensor, maps: Mapping[str, Tensor], *, title: str) -> Figure:
    """An image and, beside it, what each place of it says for or against some classes.

    Args:
        image: `(H, W)`.
        maps: by class, `(h, w)`; white is zero, red for, blue against, on one scale.
    """
    high = max(float(values.abs().max()) for values in maps.values())
    columns = 1 + len(maps)
    figure, (picture, *others) = new_figure(1, columns, width=2.0 * columns, height=2.75, title=title)
    picture.imshow(image.detach().cpu().numpy(), cmap="gray", interpolation="nearest")
    picture.set_title("image", fontsize=10, loc="center", weight="normal")
    picture.set_axis_off()
    for axes, (name, values) in zip(others, maps.items(), strict=True):
        pixels = values.detach().cpu().numpy()
        axes.imshow(pixels, cmap="RdBu_r", vmin=-high, vmax=high, interpolation="nearest")
        axes.set_title(f"votes for {name}", fontsize=10, loc="center", weight="normal")
        axes.set_axis_off()
    figure.colorbar(others[0].images[0], ax=others, shrink=0.8, label="vote")
    return figure
