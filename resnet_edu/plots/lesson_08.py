"""Lesson 08: a ResNet stage by stage, faults by instrument, and the errors of several heads."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..models.resnet import DEPTHS, ResNet
from ..probe.summary import Summary, summary
from .images import bare
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, course_style, label, new_figure

#: Part of the net by the first word of a layer's name.
PARTS = {
    "conv1": "stem", "bn1": "stem", "relu": "stem", "maxpool": "stem", "layer1": "stage 1", "layer2": "stage 2",
    "layer3": "stage 3", "layer4": "stage 4", "avgpool": "head", "fc": "head",
}  # fmt: skip
#: The settings of the static twin.
SETTINGS = ((18, 64), (34, 64), (50, 64), (18, 16), (34, 16), (50, 16))


class StageRow(NamedTuple):
    """One part of the net: how many blocks, the side and channels it puts out, its parameters and multiply-adds."""

    name: str
    blocks: int
    side: int
    channels: int
    parameters: int
    macs: int


def stage_rows(side: int, depth: int, width: int) -> list[StageRow]:
    """The six parts of a ResNet for colour images of `side × side` pixels; nothing is computed but shapes.

    Args:
        side: of the images, in pixels.
        depth: one of `models.resnet.DEPTHS`.
        width: filters of the stem: 64 in the paper.
    """
    with torch.device("meta"):
        model = ResNet(*DEPTHS[depth], width=width)
    return rows_of(summary(model, (3, side, side)), DEPTHS[depth][1])


def rows_of(layers: Summary, blocks: tuple[int, ...]) -> list[StageRow]:
    """A summary's rows gathered into stem, stages and head."""
    numbers = {"stem": 0, "head": 0, **{f"stage {n}": count for n, count in enumerate(blocks, start=1)}}
    rows = []
    for part in dict.fromkeys(PARTS.values()):
        inside = [row for row in layers.rows if PARTS[row.name.split(".")[0]] == part]
        wide = [row.output_shape for row in inside if len(row.output_shape) == 4]
        shape = wide[-1] if part != "head" else inside[-1].output_shape
        side = shape[-1] if part != "head" else 1
        sizes = sum(row.parameters for row in inside), sum(row.macs for row in inside)
        rows.append(StageRow(part, numbers[part], side, shape[1], *sizes))
    return rows


def short(number: float) -> str:
    """Three digits and a letter: `21.8 M`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return f"{number:.3g}"


def stage_table(*, side: int = 224, depth: int = 34, width: int = 64) -> Figure:
    """A table of the stages on the left, bars of parameters and of multiply-adds on the right.

    Args:
        side: of the images, in pixels.
        depth: 18, 34, 50, 101, 152 or 200.
        width: filters of the stem: 64 in the paper.
    """
    rows = stage_rows(side, depth, width)
    with course_style():
        figure = new_figure(1, 3, width=10.0, height=3.5, sharey=True, width_ratios=(1.35, 1, 1))
        table, parameters, macs = figure.axes
        draw_table(table, rows)
        draw_bars(parameters, [row.parameters for row in rows], "parameters", BLUE)
        draw_bars(macs, [row.macs for row in rows], "multiply-adds of one image", ORANGE)
        total, work = sum(row.parameters for row in rows), sum(row.macs for row in rows)
        message = (
            f"ResNet-{depth}, width {width}, {side} pixels: {short(total)} parameters, {short(work)} multiply-adds"
        )
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def draw_table(axes: Axes, rows: list[StageRow]) -> None:
    """Name, blocks, channels and side of each part, from top to bottom."""
    axes.set_axis_off()
    axes.set_xlim(0, 1.06)
    columns = ((0.0, ""), (0.36, "blocks"), (0.68, "channels"), (1.0, "side"))
    for x, heading in columns:
        axes.text(x, -0.85, heading, ha="right" if x else "left", va="center", color="#444444")
    for y, row in enumerate(rows):
        cells = (row.name, row.blocks or "", row.channels, row.side)
        for (x, _), cell in zip(columns, cells, strict=True):
            axes.text(x, y, f"{cell}", ha="right" if x else "left", va="center")
    axes.set_ylim(len(rows) - 0.5, -1.3)


def draw_bars(axes: Axes, values: list[int], quantity: str, colour: str) -> None:
    """One horizontal bar a part, with its number behind it."""
    axes.barh(range(len(values)), values, color=colour, height=0.62)
    for y, value in enumerate(values):
        axes.text(value + 0.02 * max(values), y, short(value), va="center", fontsize=10)
    axes.set_xlim(0, 1.32 * max(values))
    axes.set_title(quantity, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def stage_table_grid(*, side: int = 224) -> Figure:
    """The static twin: for six nets the share of each part in the parameters and in the multiply-adds, in percent."""
    with course_style():
        figure = new_figure(2, 3, width=10.4, height=4.8, sharex=True, sharey=True)
        for axes, (depth, width) in zip(figure.axes, SETTINGS, strict=True):
            rows = stage_rows(side, depth, width)
            total, work = sum(row.parameters for row in rows), sum(row.macs for row in rows)
            places = range(len(rows))
            shares = [100 * row.parameters / total for row in rows], [100 * row.macs / work for row in rows]
            axes.bar([x - 0.2 for x in places], shares[0], width=0.4, color=BLUE, label="parameters")
            axes.bar([x + 0.2 for x in places], shares[1], width=0.4, color=ORANGE, hatch="//", ec="white",
                     label="multiply-adds")  # fmt: skip
            axes.set_title(f"ResNet-{depth}, width {width}: {short(total)}, {short(work)}", fontsize=10)
            axes.set_xticks(places, [row.name.removeprefix("stage ") for row in rows])
            axes.grid(visible=False, axis="x")
        for axes in figure.axes[::3]:
            axes.set_ylabel("share (%)")
        for axes in figure.axes[3:]:
            axes.set_xlabel("part of the net")
        figure.axes[0].legend(loc="upper left", fontsize=9)
        message = "Parameters pile up in the last stages, the work is spread over all of them"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


LOOKS = ((BLUE, "o"), (RED, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"))


def faults_by_instrument(found: Mapping[str, Mapping[str, str | None]], *, title: str) -> Figure:
    """One row a fault, one column an instrument: what the instrument shows, or an empty field where it sees nothing.

    Args:
        found: by fault and instrument what differs from the right net, "" where nothing does, None where the
            instrument could not be used.
        title: the figure's message.
    """
    faults, instruments = list(found), list(next(iter(found.values())))
    with course_style():
        figure = new_figure(width=9.6, height=1.3 + 0.42 * len(faults))
        (axes,) = figure.axes
        for y, fault in enumerate(faults):
            for x, instrument in enumerate(instruments):
                text = found[fault][instrument]
                axes.add_patch(Rectangle((x, y), 1, 1, fc=fill(text), ec=GREY, lw=0.8))
                words = "–" if text is None else text or "sees nothing"
                colour = "black" if text else GREY
                axes.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=9.5, color=colour)
        bare(axes)
        axes.set_xlim(0, len(instruments))
        axes.set_ylim(len(faults), 0)
        axes.set_xticks([x + 0.5 for x in range(len(instruments))], instruments)
        axes.set_yticks([y + 0.5 for y in range(len(faults))], faults)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def fill(text: str | None) -> str:
    """Colour of a field: found, not found, not used."""
    return "#EEEEEE" if text is None else ORANGE if text else "white"


def errors_by_head(errors: Mapping[str, Sequence[float]], guessing: Mapping[str, float], *, title: str) -> Figure:
    """Test error of each head over epochs; a dotted line marks what guessing the most frequent answer gives.

    Args:
        errors: percent by head, one number an epoch.
        guessing: percent by head.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.4)
        (axes,) = figure.axes
        for (head, values), (colour, marker) in zip(errors.items(), LOOKS, strict=False):
            axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, label=head)
            axes.axhline(guessing[head], color=colour, ls=":", lw=1.2)
        for level in sorted({round(value) for value in guessing.values()}):  # one label where levels coincide
            names = [head for head, value in guessing.items() if round(value) == level]
            axes.text(1.01, level / 100, f"{', '.join(names)}\nguessed", color=GREY, va="center", fontsize=9,
                      transform=axes.transAxes)  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, 100)
        label(axes, title=title, x="epoch", y="validation error (%)")
        axes.legend(loc="upper right", bbox_to_anchor=(1, 0.87))
        return figure
