"""Curves that several lessons share: errors over epochs, signals and gradients by layer."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..history import Epoch, History
from ..probe import LayerGradient, LayerSignals
from .style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, course_style, label, new_figure

Part = Literal["train", "test"]
PARTS: tuple[Part, Part] = ("train", "test")
PART = {"train": "training", "test": "test"}  # as it is written in a figure
LINES = (
    (BLUE, "o", "-"),
    (RED, "s", "--"),
    (GREEN, "^", "-."),
    (ORANGE, "D", ":"),
    (PURPLE, "v", "-"),
    (SKY, "P", "--"),
)


def learning_curves(
    histories: Mapping[str, History], *, title: str = "Learning curves", measured: str = "validation"
) -> Figure:
    """Training error on the left, test error on the right, one line a run, in percent over epochs.

    Args:
        histories: runs by name.
        title: the figure's message.
        measured: on which images the right panel was measured.
    """
    with course_style():
        figure = new_figure(1, 2, height=3.3, sharey=True)
        for axes, part in zip(figure.axes, PARTS, strict=True):
            for (name, history), (colour, marker, dash) in zip(histories.items(), LINES * 3, strict=False):
                draw_error(axes, history, part, color=colour, marker=marker, ls=dash, label=name)
            images = measured if part == "test" else PART[part]
            label(axes, title=images.capitalize(), x="epoch", y=f"{images} error (%)")
        figure.axes[0].set_ylim(bottom=0)  # for both, and only now: it would end the search for the highest point
        figure.axes[0].legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def draw_error(axes: Axes, run: History, part: Part, **look: Any) -> None:
    """One run's training or test error over its epochs, in percent."""
    epochs = [epoch.epoch for epoch in run.epochs]
    axes.plot(epochs, [error_of(epoch, part) for epoch in run.epochs], **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def error_of(epoch: Epoch, part: Part) -> float:
    """Training or test error of one epoch, in percent."""
    return epoch.train_error if part == "train" else epoch.val_error


def gradients_by_layer(
    gradients: Mapping[str, Sequence[LayerGradient]],
    *,
    quantity: Literal["weight", "activation"] = "weight",
    title: str = "Gradients by layer",
    lowest: float = 1e-10,
) -> Figure:
    """Gradient norm of each layer on a logarithmic axis, one line a net, from the first layer to the last.

    Args:
        gradients: what `probe.gradient_norms` returns, by name.
        quantity: "weight" or "activation".
        title: the figure's message.
        lowest: where the axis ends at the latest; a line may leave the picture there.
    """
    looks = ((RED, "s", "-"), (BLUE, "o", "-"), (ORANGE, "^", "--"), (GREEN, "D", ":"))
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for (name, rows), (colour, marker, dash) in zip(gradients.items(), looks, strict=False):
            places = [index / (len(rows) - 1) for index in range(len(rows))]
            norms = [getattr(row, quantity) for row in rows]
            axes.plot(places, norms, color=colour, marker=marker, ls=dash, markersize=4, lw=1.5, label=name)
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(lowest, axes.get_ylim()[0]))
        axes.set_xticks([0, 0.5, 1], ["first layer", "half way", "last layer"])
        label(axes, title=title, x="place in the net", y=f"gradient norm of the {quantity}s")
        axes.legend(ncols=2)
        return figure


LOOKS = (
    (RED, "s", "-"),
    (BLUE, "o", "-"),
    (GREEN, "^", "--"),
    (ORANGE, "D", "-."),
    (PURPLE, "v", ":"),
    (SKY, "P", "-"),
)
QUANTITIES = {
    "signal": ("forward: the signal", "standard deviation of the output"),
    "gradient": ("back: the gradient", "gradient norm at the output"),
    "weight": ("what the weights get", "gradient norm of the weights"),
}


def signals_by_layer(
    nets: Mapping[str, LayerSignals], *, quantities: Sequence[str] = ("signal", "gradient"), title: str
) -> Figure:
    """One panel a quantity, one line a net, one point a layer, the loss on the right; logarithmic.

    Args:
        nets: what `probe.layer_signals` returns, by name; at most six.
        quantities: of "signal", "gradient" and "weight", in the order of the panels.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(quantities), width=max(7.0, 3.1 * len(quantities)), height=4.0)
        for axes, quantity in zip(figure.axes, quantities, strict=True):
            for (name, signals), look in zip(nets.items(), LOOKS, strict=False):
                draw_layers(axes, getattr(signals, quantity), look, name)
            finish(axes, quantity)
        lines, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            lines, names, loc="outside lower center", ncols=5 if len(nets) > 4 else 2 if max(map(len, nets)) > 15 else 4
        )
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def draw_layers(axes: Axes, values: Sequence[float], look: tuple[str, str, str], name: str) -> None:
    """One line over the numbers of the layers; about ten markers, however deep the net."""
    colour, marker, dash = look
    every = max(1, len(values) // 10)
    numbers = range(1, len(values) + 1)
    axes.plot(numbers, values, color=colour, marker=marker, ls=dash, markevery=every, markersize=5, lw=1.8, label=name)


def finish(axes: Axes, quantity: str) -> None:
    """Logarithmic axis, title and labels; at least four powers of ten, so that small changes look small."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 1e-2), max(high, 1e2))
    title, y = QUANTITIES[quantity]
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("layer")
    axes.set_ylabel(y)


def errors_by_epoch(histories: Mapping[str, History], *, title: str) -> Figure:
    """Training error over epochs in percent, one line a run; the legend is in the order in which the lines end.

    Args:
        histories: by name, at most six.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(width=8.0, height=3.6)
        (axes,) = figure.axes
        lines = {}
        for (name, history), (colour, marker, dash) in zip(histories.items(), LOOKS, strict=False):
            epochs, errors = [e.epoch for e in history.epochs], [e.train_error for e in history.epochs]
            (lines[name],) = axes.plot(epochs, errors, color=colour, marker=marker, ls=dash)
        order = sorted(histories, key=lambda name: -histories[name].last.train_error)
        figure.legend([lines[name] for name in order], order, loc="outside right center")
        label(axes, title=title, x="epoch", y="training error (%)")
        axes.set_ylim(0, 100)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure
