"""Lesson 08: a ResNet stage by stage, as a table with bars."""

from functools import lru_cache
from typing import NamedTuple

import torch

from ..models.resnet import DEPTHS, RESNET_PARTS, BasicBlock, Bottleneck, ResNet
from ..probe.summary import Summary, summary
from .style import BLUE, ORANGE, Figure, bare, course_style, new_figure


class StageRow(NamedTuple):
    """One part of the net: how many blocks, the side and channels it puts out, its costs."""

    name: str
    blocks: int
    side: int
    channels: int
    parameters: int
    macs: int


def stage_rows(side: int, depth: int, width: int) -> list[StageRow]:
    """The six parts of a ResNet for colour images of `side × side` pixels; nothing is computed but shapes.

    All blocks of a stage behind its first are alike, so two of them are looked at and the second is counted for all.
    """
    block, counts = DEPTHS[depth]
    blocks: dict[str, int] = dict(zip(("stage 1", "stage 2", "stage 3", "stage 4"), counts, strict=True))
    layers, rows = two_blocks_a_stage(block, width, side).rows, []
    for part in dict.fromkeys(RESNET_PARTS.values()):
        inside = [row for row in layers if RESNET_PARTS[row.name.split(".")[0]] == part]
        _, channels, *sides = inside[-1].output_shape  # (N, C, H, W), or (N, C) behind the head
        times = [blocks[part] - 1 if row.name.split(".")[1:2] == ["1"] else 1 for row in inside]
        parameters = sum(row.parameters * count for row, count in zip(inside, times, strict=True))
        macs = sum(row.macs * count for row, count in zip(inside, times, strict=True))
        rows.append(StageRow(part, blocks.get(part, 0), sides[0] if sides else 1, channels, parameters, macs))
    return rows


@lru_cache(maxsize=32)
def two_blocks_a_stage(block: type[BasicBlock] | type[Bottleneck], width: int, side: int) -> Summary:
    """The net with two blocks in each stage, kept: it tells the costs of every depth."""
    with torch.device("meta"):
        model = ResNet(block, (2, 2, 2, 2), width=width)
    return summary(model, (3, side, side))


def short(number: float) -> str:
    """Three digits and a letter: `21.8 M`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g} {letter}"
    return f"{number:.3g}"


@course_style()
def stage_table(*, side: int = 224, depth: int = 34, width: int = 64) -> Figure:
    """A table of the stages on the left, bars of parameters and of multiply-adds on the right.

    The images are `side × side` pixels; the stem has `width` filters, 64 in the paper.
    """
    rows = stage_rows(side, depth, width)
    parameters, macs = [row.parameters for row in rows], [row.macs for row in rows]
    net = f"ResNet-{depth}, width {width}, {side} pixels"
    title = f"{net}: {short(sum(parameters))} parameters, {short(sum(macs))} multiply-adds"
    figure, panels = new_figure(1, 3, width=10.0, height=3.5, sharey=True, width_ratios=(1.35, 1, 1), title=title)
    panels[0].set_axis_off()
    panels[0].set_xlim(0, 1.06)
    cells_of = [(row.name, row.blocks or "", row.channels, row.side) for row in rows]
    for y, cells in enumerate([("", "blocks", "channels", "side"), *cells_of], start=-1):
        for x, cell in zip((0.0, 0.36, 0.68, 1.0), cells, strict=True):
            panels[0].text(x, y, f"{cell}", ha="right" if x else "left", va="center")
    quantities = {"parameters": (parameters, BLUE), "multiply-adds of one image": (macs, ORANGE)}
    for axes, (quantity, (values, colour)) in zip(panels[1:], quantities.items(), strict=True):
        bars = axes.barh(range(len(values)), values, color=colour, height=0.62)
        axes.bar_label(bars, [short(value) for value in values], padding=4, fontsize=10)
        axes.set_xlim(0, 1.32 * max(values))
        axes.set_title(quantity, fontsize=11)
        bare(axes)
        axes.spines["left"].set(visible=True, color="black")
    panels[0].set_ylim(len(rows) - 0.5, -1.4)  # for all three
    return figure
