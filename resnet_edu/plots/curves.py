"""Lines and bars that several lessons share: errors over epochs, runs and their means, signals by layer, shares."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ..history import History
from ..probe import LayerSignals
from .style import COLOURS, GREY, PLAIN, RESIDUAL, Figure, course_style, look_of, name_rows, new_chart, new_figure

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

#: Beginnings of names whose colour is the same in every figure.
KINDS = {
    "plain": PLAIN,
    "no batch norm": PLAIN,
    "res": RESIDUAL,
    "batch norm": RESIDUAL,
    "white noise": GREY,
    "one run": GREY,  # beside means of many
}
PLAIN_FIRST = (PLAIN, RESIDUAL, *COLOURS[2:])  # where the first line is that of the net in trouble
MOST_DOTS = 10  # runs at one place that are drawn one by one; more become a band

#: What `signals_by_layer` can draw: title and name of the y axis.
QUANTITIES = {
    "signal": ("forward: the signal", "standard deviation of the output"),
    "gradient": ("back: the gradient", "gradient norm at the output"),
    "weight": ("what the weights get", "gradient norm of the weights"),
}


@course_style()
def lines(
    series: Mapping[str, Sequence[float]],
    *,
    title: str,
    x: str,
    y: str,
    first: int = 0,
    ticks: Sequence[str] = (),
    levels: Mapping[str, float] | None = None,
    log: bool = False,
    limits: tuple[float, float | None] | None = None,
) -> Figure:
    """One line for each name, over a common axis.

    Args:
        x, y: names of the axes, with their units.
        first: number of the leftmost value.
        ticks: what is written below the values in place of their numbers.
        levels: horizontal dotted lines by name.
        log: a logarithmic y axis.
        limits: ends of the y axis.
    """
    figure, axes = new_chart(title=title, x=x, y=y)
    draw_lines(axes, series, first=first)
    levels = levels or {}
    for level in levels.values():
        axes.axhline(level, color=GREY, ls=":", lw=1.2)
        names = [name for name, other in levels.items() if round(other) == round(level)]  # one text where they coincide
        axes.text(1.01, level, "\n".join(names), transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    if log:
        powers_of_ten(axes)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks)
    else:
        whole_numbers(axes)
    if limits:
        axes.set_ylim(*limits)
    name_lines(figure, axes)
    return figure


def name_lines(figure: Figure, axes: Axes, *, most: int = 4) -> None:
    """The names of the lines: in the axes, or beside them where there are more than `most`."""
    if len(axes.get_legend_handles_labels()[1]) <= most:
        axes.legend()
    else:
        figure.legend(loc="outside right center")


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each line is drawn: nets in trouble and their remedies in two colours, noise in grey, the others in turn.

    The second line of a colour, that of the deeper net, is thick.
    """
    fixed = {name: colour for name in names for kind, colour in KINDS.items() if name.startswith(kind)}
    others = cycle([colour for colour in (*COLOURS, GREY) if colour not in fixed.values()])
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        look = look_of(fixed.get(name) or next(others))
        again = look["color"] in [each["color"] for each in found.values()]
        found[name] = look | ({"lw": 3.4, "marker": "D", "ls": "-"} if again else {})
    return found


def draw_lines(axes: Axes, series: Mapping[str, Sequence[float]], *, first: int = 0) -> None:
    """One line for each name, as `looks` has it; its values stand at `first`, `first + 1` and so on.

    About twenty markers at most; values that stop being numbers end in a cross.
    """
    for (name, look), values in zip(looks(series).items(), series.values(), strict=True):
        axes.plot(range(first, first + len(values)), values, **look, markevery=1 + len(values) // 20, label=name)
        last = next((place for place, value in enumerate(values) if not math.isfinite(value)), len(values)) - 1
        if last < len(values) - 1:
            axes.plot(first + last, values[last], color=look["color"], marker="x", markersize=12, mew=3, ls="")


def whole_numbers(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def powers_of_ten(axes: Axes) -> None:
    """A logarithmic y axis with ticks at powers of ten only; small ticks and formulas are slow to draw."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"10{str(round(math.log10(value))).translate(SUPERSCRIPTS)}")


@course_style()
def runs_over(
    series: Mapping[str, Mapping[Any, Sequence[float]]],
    *,
    title: str,
    x: str,
    y: str,
    limits: tuple[float, float | None] | None = None,
) -> Figure:
    """Several runs at each place of the x axis: a line through their means, and each run as a dot.

    More than `MOST_DOTS` runs become a band: their mean, plus and minus its standard error. All series have the same
    places, which stand side by side in their order, whether numbers or words; each has the values of its runs.
    """
    figure, axes = new_chart(height=3.8, title=title, x=x, y=y)
    for (name, look), runs in zip(looks(series).items(), series.values(), strict=True):
        means = np.array([mean(values) for values in runs.values()])
        axes.plot(means, **look, label=name)
        if max(map(len, runs.values())) > MOST_DOTS:
            error = np.array([stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0 for values in runs.values()])
            axes.fill_between(range(len(means)), means - error, means + error, color=look["color"], alpha=0.2, lw=0)
        else:
            for place, values in enumerate(runs.values()):
                axes.plot([place] * len(values), values, **look | {"ls": "", "ms": 4, "mew": 0, "alpha": 0.5})
    places = next(iter(series.values()))
    axes.set_xticks(range(len(places)), [str(place) for place in places])
    if limits:
        axes.set_ylim(*limits)
    name_lines(figure, axes, most=3)
    return figure


@course_style()
def stacked_bars(panels: Mapping[str, Mapping[str, Mapping[str, float]]], *, title: str) -> Figure:
    """What a whole is made of: a bar for each row, cut into its parts, with their shares and behind it the sum.

    Each panel has its rows, and a row the value of each part, by name; the panel's name says what is counted, and in
    which unit.
    """
    rows = next(iter(panels.values()))
    parts = dict(zip(dict.fromkeys(part for row in rows.values() for part in row), cycle(COLOURS), strict=False))
    height = 1.5 + 0.45 * len(rows)
    figure, all_axes = new_figure(1, len(panels), width=9.0, height=height, sharey=True, title=title)
    for axes, (quantity, rows) in zip(all_axes, panels.items(), strict=True):
        longest = max(sum(row.values()) for row in rows.values())
        for place, row in enumerate(rows.values()):
            left, whole = 0.0, sum(row.values())
            for part, value in row.items():
                bar = axes.barh(place, value, left=left, height=0.7, color=parts[part])
                share = f"{100 * value / whole:.0f} %" if value > 0.07 * len(panels) * longest else ""
                axes.bar_label(bar, [share], label_type="center", color="white", fontsize=9)
                left += value
            axes.text(whole, place, f" {whole:.3g}", va="center", fontsize=9)
        axes.set_xlabel(quantity)
        axes.margins(x=0.12)
        name_rows(axes, rows)
    handles = [Patch(color=colour, label=part) for part, colour in parts.items()]
    figure.legend(handles=handles, loc="outside right center", fontsize=9)
    return figure


@course_style()
def learning_curves(histories: Mapping[str, History], *, title: str, measured: str = "validation") -> Figure:
    """Training error on the left, validation error on the right (on the images `measured`), one line a run."""
    figure, panels = new_figure(1, 2, height=3.3, sharey=True, title=title)
    for axes, part, images in zip(panels, ("train", "val"), ("training", measured), strict=True):
        draw_lines(axes, {name: errors_of(run, part) for name, run in histories.items()}, first=1)
        axes.set(title=images.capitalize(), xlabel="epoch", ylabel=f"{images} error (%)")
        whole_numbers(axes)
    panels[0].set_ylim(bottom=0)  # for both, and only now: it would end the search for the highest point
    panels[0].legend()
    return figure


def draw_error(axes: Axes, run: History, part: str, **look: Any) -> None:
    """One run's training or validation error over its epochs, in percent."""
    axes.plot(range(1, len(run) + 1), errors_of(run, part), **look)
    whole_numbers(axes)


def errors_of(run: History, part: str) -> list[float]:
    """Training or validation error after each epoch, in percent."""
    return [getattr(epoch, f"{part}_error") for epoch in run.epochs]


@course_style()
def signals_by_layer(
    nets: Mapping[str, LayerSignals], *, quantities: Sequence[str] = ("signal", "gradient"), title: str
) -> Figure:
    """What `probe.layer_signals` says of these nets: one panel a quantity, one line a net, one point a layer.

    The quantities are of "signal", "gradient" and "weight"; the loss is on the right, the axes are logarithmic.
    """
    figure, panels = new_figure(1, len(quantities), width=max(7.0, 3.1 * len(quantities)), height=4.0, title=title)
    for axes, quantity in zip(panels, quantities, strict=True):
        for (name, signals), colour in zip(nets.items(), cycle(PLAIN_FIRST), strict=False):
            draw_layers(axes, getattr(signals, quantity), colour, name)
        finish_layers(axes, quantity)
    columns = 5 if len(nets) > 4 else 2 if max(map(len, nets)) > 15 else 4
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure


def draw_layers(axes: Axes, values: Sequence[float], colour: str, name: str) -> None:
    """One line over the numbers of the layers; about ten markers, however deep the net."""
    look = look_of(colour, markersize=5, lw=1.8, markevery=max(1, len(values) // 10))
    axes.plot(range(1, len(values) + 1), values, **look, label=name)


def finish_layers(axes: Axes, quantity: str) -> None:
    """Logarithmic axis, title and labels; at least four powers of ten, so that small changes look small."""
    powers_of_ten(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 1e-2), max(high, 1e2))
    title, y = QUANTITIES[quantity]
    axes.set(xlabel="layer", ylabel=y)
    axes.set_title(title, fontsize=11)


@course_style()
def paired_seeds(
    values: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    names: tuple[str, str],
    *,
    title: str,
    x: str = "",
    y: str,
) -> Figure:
    """Two sides compared in several settings: a pair of points for each seed; a bar at each side's median.

    Each setting has the values of the first and of the second side, in the same order of seeds.
    """
    figure, axes = new_chart(width=7.5, height=3.6, title=title, x=x, y=y)
    for column, (first, second) in enumerate(values.values()):
        xs = [column + 0.12 * (index - (len(first) - 1) / 2) for index in range(len(first))]
        axes.vlines(xs, first, second, color="#BBBBBB", lw=1.5, zorder=1)
        for side, colour, marker, name in ((first, PLAIN, "s", names[0]), (second, RESIDUAL, "o", names[1])):
            axes.plot(xs, side, color=colour, marker=marker, ls="", label=None if column else name)
            if len(side) > 1:
                axes.hlines(median(side), column - 0.38, column + 0.38, color=colour, lw=1.5)
    if any(len(first) > 1 for first, _ in values.values()):
        axes.plot([], [], color=GREY, lw=1.5, label="median")
    axes.set_xticks(range(len(values)), list(values))
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside right center")
    return figure
