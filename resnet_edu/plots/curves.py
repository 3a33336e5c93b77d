"""Curves that several lessons share: errors over epochs, signals and gradients by layer."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ..history import History
from ..probe import LayerGradient, LayerSignals
from .style import COLOURS, GREY, PLAIN_FIRST, Figure, course_style, look_of, new_chart, new_figure

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

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
    limits: tuple[float, float] | None = None,
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
    axes.set_ylim(limits)
    axes.legend()
    return figure


def draw_lines(
    axes: Axes,
    series: Mapping[str, Sequence[float]],
    *,
    colours: Sequence[str] = COLOURS,
    first: int = 0,
    **look: Any,
) -> None:
    """One line for each name, in these colours in turn; its values stand at `first`, `first + 1` and so on.

    About twenty markers at most; values that stop being numbers end in a cross.
    """
    for (name, values), colour in zip(series.items(), cycle(colours), strict=False):
        every = 1 + len(values) // 20
        axes.plot(range(first, first + len(values)), values, **look_of(colour, **look), markevery=every, label=name)
        last = next((place for place, value in enumerate(values) if not math.isfinite(value)), len(values)) - 1
        if last < len(values) - 1:
            axes.plot(first + last, values[last], color=colour, marker="x", markersize=12, mew=3, ls="")


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


@course_style()
def errors_by_epoch(histories: Mapping[str, History], *, title: str) -> Figure:
    """Training error over epochs in percent, one line a run; the legend is in the order in which the lines end."""
    figure, axes = new_chart(width=8.0, height=3.6, title=title, x="epoch", y="training error (%)")
    draw_lines(axes, {name: errors_of(run, "train") for name, run in histories.items()}, colours=PLAIN_FIRST, first=1)
    lines = sorted(zip(axes.lines, histories, strict=True), key=lambda pair: -histories[pair[1]].last.train_error)
    figure.legend(*zip(*lines, strict=True), loc="outside right center")
    axes.set_ylim(0, 100)
    whole_numbers(axes)
    return figure


def draw_error(axes: Axes, run: History, part: str, **look: Any) -> None:
    """One run's training or validation error over its epochs, in percent."""
    axes.plot(range(1, len(run) + 1), errors_of(run, part), **look)
    whole_numbers(axes)


def errors_of(run: History, part: str) -> list[float]:
    """Training or validation error after each epoch, in percent."""
    return [getattr(epoch, f"{part}_error") for epoch in run.epochs]


@course_style()
def gradients_by_layer(gradients: Mapping[str, Sequence[LayerGradient]], *, title: str) -> Figure:
    """What `probe.gradient_norms` says of some nets: one line a net, from the first layer to the last; logarithmic."""
    figure, axes = new_chart(height=3.8, title=title, x="place in the net", y="gradient norm of the weights")
    for (name, rows), colour in zip(gradients.items(), PLAIN_FIRST, strict=False):
        places = [index / (len(rows) - 1) for index in range(len(rows))]
        axes.plot(places, [row.weight for row in rows], **look_of(colour), markersize=4, lw=1.5, label=name)
    powers_of_ten(axes)
    axes.set_ylim(bottom=max(1e-10, axes.get_ylim()[0]))  # a line may leave the picture there
    axes.set_xticks([0, 0.5, 1], ["first layer", "half way", "last layer"])
    axes.legend(ncols=2)
    return figure


@course_style()
def signals_by_layer(
    nets: Mapping[str, LayerSignals], *, quantities: Sequence[str] = ("signal", "gradient"), title: str
) -> Figure:
    """What `probe.layer_signals` says of up to six nets: one panel a quantity, one line a net, one point a layer.

    The quantities are of "signal", "gradient" and "weight"; the loss is on the right, the axes are logarithmic.
    """
    figure, panels = new_figure(1, len(quantities), width=max(7.0, 3.1 * len(quantities)), height=4.0, title=title)
    for axes, quantity in zip(panels, quantities, strict=True):
        for (name, signals), colour in zip(nets.items(), PLAIN_FIRST, strict=False):
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
