"""Lesson 04: inception blocks, their channel budget, and what auxiliary heads do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from ..models.googlenet import INCEPTIONS
from ..models.modes import eval_mode
from ..probe.activations import watch
from ..probe.isolation import isolated_forward
from ..probe.summary import macs
from .architecture import arrow
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, course_style, label, new_figure

REDUCING, LARGE, POOLING = ORANGE, SKY, "#E8E8E8"


def inception_diagrams(blocks: Mapping[str, nn.Module], *, in_channels: int, side: int, title: str) -> Figure:
    """Each block's four branches from top to bottom, with the million multiply-adds of each convolution.

    Args:
        blocks: modules with the children `branch1`, `branch2` …, whose outputs are stacked, by the name above them.
        in_channels: channels of the block's input.
        side: of its maps, in pixels.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(blocks), width=5.4 * len(blocks), height=3.7)
        for axes, (name, block) in zip(figure.axes, blocks.items(), strict=True):
            draw(axes, [branch_steps(branch, in_channels, side) for branch in block.children()], in_channels, side)
            axes.set_title(name, fontsize=11, loc="center")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def branch_steps(branch: nn.Module, in_channels: int, side: int) -> list[tuple[str, str, int]]:
    """What stands in each box of a branch, its colour, and the channels it puts out."""
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


def draw(axes: Axes, branches: list[list[tuple[str, str, int]]], in_channels: int, side: int) -> None:
    """One block: the input at the top, a column for each branch, the stack at the bottom."""
    axes.set_axis_off()
    axes.set_xlim(-0.1, 4 * 1.3)
    axes.set_ylim(-4.35, 0.45)
    middle, bottom = 1.3 * (len(branches) - 1) / 2 + 0.6, -3.75
    axes.text(middle, 0.1, f"x: {in_channels} channels, {side}×{side}", ha="center", va="center", fontsize=9)
    for column, steps in enumerate(branches):
        x = 1.3 * column + 0.6
        arrow(axes, (middle, -0.1), (x, -0.72))
        for row, (text, colour, channels) in enumerate(steps):
            y = -1.05 - 1.25 * row
            axes.add_patch(
                FancyBboxPatch((x - 0.52, y - 0.3), 1.04, 0.6, boxstyle="round,pad=0.03", fc=colour, ec=GREY)
            )
            axes.text(x, y, text, ha="center", va="center", fontsize=8.5)
            last = row == len(steps) - 1
            arrow(axes, (x, y - 0.33), (x, bottom + 0.3) if last else (x, y - 0.92))
            if last:
                axes.text(x + 0.07, bottom + 0.55, f"{channels}", va="center", fontsize=8.5, color=GREY)
    total = sum(steps[-1][2] for steps in branches)
    width = 1.3 * (len(branches) - 1) + 1.04
    axes.add_patch(FancyBboxPatch((0.08, bottom - 0.25), width, 0.5, boxstyle="round,pad=0.03", fc="white", ec=GREY))
    axes.text(middle, bottom, f"stacked: {total} channels", ha="center", va="center", fontsize=9, weight="bold")


BRANCH_COLOURS = (BLUE, GREEN, PURPLE, GREY)
SIDES = {"3": 28, "4": 14, "5": 7}  # of the maps, by the first figure of a block's name


class Branch(NamedTuple):
    """One branch: weights of the 1×1 convolution that reduces, of the one that follows, and of one without reduction.

    Biases and batch norms are left out.
    """

    name: str
    reducing: int
    large: int
    naive: int
    channels: int
    naive_channels: int


def branches_of(
    in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int, *, kernel: int
) -> list[Branch]:
    """The four branches of a block, for the six numbers of table 1."""
    c = in_channels
    return [
        Branch("1×1", 0, c * one, c * one, one, one),
        Branch("3×3", c * three_reduced, 9 * three_reduced * three, 9 * c * three, three, three),
        Branch(f"{kernel}×{kernel}" + " (third)" * (kernel == 3), c * five_reduced, kernel**2 * five_reduced * five,
               kernel**2 * c * five, five, five),
        Branch("pooling", 0, c * pool, 0, pool, c),
    ]  # fmt: skip


def channel_budget(
    *,
    in_channels: int = 192,
    one: int = 64,
    three_reduced: int = 96,
    three: int = 128,
    five_reduced: int = 16,
    five: int = 32,
    pool: int = 32,
    kernel: int = 5,
    side: int = 28,
) -> Figure:
    """Weights (below) and multiply-adds (above) of each branch, beside the naive block's; the output's channels.

    Args:
        in_channels: channels of the block's input.
        one: channels of the 1×1 branch.
        three_reduced: channels of the 1×1 convolution before the 3×3 one.
        three: channels of the 3×3 branch.
        five_reduced: channels of the 1×1 convolution in the third branch.
        five: channels of the third branch.
        pool: channels of the 1×1 convolution after the max pooling.
        kernel: of the third branch: 5 as in the paper, 3 as in torchvision.
        side: of the maps, in pixels; each weight is used side · side times.
    """
    branches = branches_of(in_channels, one, three_reduced, three, five_reduced, five, pool, kernel=kernel)
    weights = sum(branch.reducing + branch.large for branch in branches)
    channels = sum(branch.channels for branch in branches)
    with course_style():
        figure = new_figure(1, 2, width=8.0, height=3.5, width_ratios=[3, 1])
        left, right = figure.axes
        draw_costs(left, branches)
        label(left, title="", x="weights (thousand)", y="")
        scale = side**2 / 1e3  # million multiply-adds a thousand weights
        to_macs, back = (lambda w: np.asarray(w) * scale), (lambda m: np.asarray(m) / scale)
        above = left.secondary_xaxis("top", functions=(to_macs, back))
        above.set_xlabel(f"multiply-adds at {side}×{side} (million)")
        left.legend(loc="lower right", fontsize=8)
        draw_channels(right, branches)
        message = (
            f"{weights:,} weights, {weights * side**2 / 1e6:.0f} M multiply-adds, {in_channels} → {channels} channels"
        )
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def draw_costs(axes: Axes, branches: list[Branch]) -> None:
    """One bar a branch, the reducing convolution first; a dashed frame for the naive branch."""
    rows = range(len(branches))
    reducing = [branch.reducing / 1e3 for branch in branches]
    axes.barh(
        rows, [b.naive / 1e3 for b in branches], height=0.8, fill=False, ec=GREY, ls="--", label="without reduction"
    )
    axes.barh(rows, reducing, height=0.55, color=ORANGE, label="1×1 that reduces")
    axes.barh(rows, [b.large / 1e3 for b in branches], left=reducing, height=0.55, color=SKY, label="the branch itself")
    axes.set_yticks(rows, [branch.name for branch in branches])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def draw_channels(axes: Axes, branches: list[Branch]) -> None:
    """Two stacked columns: the channels of the block, and those of the naive block."""
    floors = [0, 0]
    for branch, colour in zip(branches, BRANCH_COLOURS, strict=True):
        heights = (branch.channels, branch.naive_channels)
        axes.bar(("block", "naive"), heights, bottom=floors, width=0.6, color=colour, label=branch.name)
        for place, (floor, height) in enumerate(zip(floors, heights, strict=True)):
            if height >= 24:
                axes.text(place, floor + height / 2, str(height), ha="center", va="center", fontsize=8, color="white")
        floors = [floor + height for floor, height in zip(floors, heights, strict=True)]
    for place, total in enumerate(floors):
        axes.text(place, total, str(total), ha="center", va="bottom", fontsize=9, weight="bold")
    label(axes, title="", x="", y="channels that come out")
    axes.margins(y=0.1)
    axes.grid(visible=False, axis="x")


def channel_budget_grid() -> Figure:
    """The static twin: the nine blocks of the paper's table 1, one scale for all."""
    with course_style():
        figure = new_figure(3, 3, width=9.0, height=5.6, sharex=True, sharey=True)
        for axes, (name, sizes) in zip(figure.axes, INCEPTIONS.items(), strict=True):
            branches, side = branches_of(*sizes, kernel=5), SIDES[name[0]]
            total = sum(branch.reducing + branch.large for branch in branches)
            reducing = [branch.reducing / 1e3 for branch in branches]
            axes.barh(range(4), reducing, height=0.6, color=ORANGE, label="1×1 that reduces")
            axes.barh(range(4), [b.large / 1e3 for b in branches], left=reducing, height=0.6, color=SKY,
                      label="the branch itself")  # fmt: skip
            axes.set_yticks(range(4), [branch.name for branch in branches])
            axes.set_title(f"{name} · {side}×{side} · {total * side**2 / 1e6:.0f} M", fontsize=10)
            axes.grid(visible=False, axis="y")
        figure.axes[0].invert_yaxis()  # shared by all
        figure.axes[2].legend(fontsize=8)
        figure.supxlabel("weights (thousand)", fontsize=10)
        message = "In every block the 3×3 branch takes most (M: million multiply-adds)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def gradient_with_and_without(norms: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str) -> Figure:
    """A pair of points for each seed: the gradient without auxiliary heads, and with them; logarithmic.

    Args:
        norms: by setting, the norms without and with heads, in the same order of seeds.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(width=7.5, height=3.6)
        (axes,) = figure.axes
        for place, (without, with_heads) in enumerate(norms.values()):
            for index, pair in enumerate(zip(without, with_heads, strict=True)):
                x = place + 0.12 * (index - (len(without) - 1) / 2)
                first = place == index == 0
                axes.plot([x, x], pair, color="#BBBBBB", lw=1.5, zorder=1)
                axes.plot(x, pair[0], color=RED, marker="s", ls="", label="without heads" if first else None)
                axes.plot(x, pair[1], color=BLUE, marker="o", ls="", label="with heads" if first else None)
        axes.set_yscale("log")
        axes.set_xticks(range(len(norms)), list(norms))
        axes.set_xlim(-0.5, len(norms) - 0.5)
        label(axes, title=title, x="", y="gradient norm, first layer")
        axes.grid(visible=False, axis="x")
        axes.legend()
        return figure


def votes(image: Tensor, maps: Mapping[str, Tensor], *, title: str) -> Figure:
    """An image and, beside it, what each place of it says for or against some classes.

    Args:
        image: `(H, W)`.
        maps: by class, `(h, w)`; white is zero, red for, blue against, on one scale.
        title: the figure's message.
    """
    maps = {name: values.detach().cpu() for name, values in maps.items()}
    high = max(float(values.abs().max()) for values in maps.values())
    with course_style():
        figure = new_figure(1, 1 + len(maps), width=2.0 * (1 + len(maps)), height=2.75)
        picture, *others = figure.axes
        picture.imshow(image.detach().cpu().numpy(), cmap="gray", interpolation="nearest")
        picture.set_title("image", fontsize=10, loc="center", weight="normal")
        drawn = None
        for axes, (name, values) in zip(others, maps.items(), strict=True):
            drawn = axes.imshow(values.numpy(), cmap="RdBu_r", vmin=-high, vmax=high, interpolation="nearest")
            axes.set_title(f"votes for {name}", fontsize=10, loc="center", weight="normal")
        for axes in figure.axes:
            axes.set_axis_off()
        if drawn is not None:
            figure.colorbar(drawn, ax=others, shrink=0.8, label="vote")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
