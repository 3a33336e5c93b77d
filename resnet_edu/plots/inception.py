"""Inception blocks drawn from the modules themselves: branches side by side, each convolution with what it costs."""

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from ..probe.activations import watch
from ..probe.summary import macs
from ..probe.untouched import eval_mode, run_untouched
from .blocks import arrow
from .style import GREY, ORANGE, SKY, course_style, new_figure

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
        run_untouched(branch, torch.zeros(1, in_channels, side, side))
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
