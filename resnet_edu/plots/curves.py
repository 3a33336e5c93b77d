"""Learning curves, and the pictures of the degradation experiment."""

from collections.abc import Mapping
from statistics import mean
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..history import Epoch, History
from ..study import Recorded
from .style import BLUE, GREEN, GREY, ORANGE, PLAIN, PURPLE, RED, RESIDUAL, SKY, course_style, label, new_figure

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
    histories: Mapping[str, History], *, title: str = "Learning curves", measured: str = "test"
) -> Figure:
    """Training error on the left, test error on the right, one line a run, in percent over epochs.

    Args:
        histories: runs by name.
        title: the figure's message.
        measured: on which images the right panel was measured, "validation" for instance.
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


def degradation(histories: Mapping[str, History], *, title: str = "Deeper, yet worse on the training set") -> Figure:
    """Training and test error of plain nets on the left, of residual nets on the right (He et al. 2015, figure 6).

    Args:
        histories: by name; names that begin with "plain" go left, all others right. Within a panel the first is
            drawn thin (shallow), the last thick (deep).
        title: the figure's message.
    """
    plain = {name: run for name, run in histories.items() if name.startswith("plain")}
    residual = {name: run for name, run in histories.items() if name not in plain}
    panels = [("Plain nets", PLAIN, plain), ("Residual nets", RESIDUAL, residual)]
    with course_style():
        panels = [panel for panel in panels if panel[2]]
        figure = new_figure(1, len(panels), height=3.6, sharey=True)
        for axes, (kind, colour, runs) in zip(figure.axes, panels, strict=True):
            for (name, run), weight, marker in zip(runs.items(), widths(len(runs)), "oD^s", strict=False):
                draw_error(axes, run, "train", color=colour, lw=weight, marker=marker, label=f"{name}, training")
                draw_error(axes, run, "test", color=colour, lw=weight, ls=":", alpha=0.75, label=f"{name}, test")
            label(axes, title=kind, x="epoch", y="error (%)")
            axes.set_ylim(0, 100)
            axes.legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def widths(count: int) -> list[float]:
    """Line widths from thin (shallow) to thick (deep)."""
    return [1.4 + 1.8 * i / max(1, count - 1) for i in range(count)]


def depth_sweep(study: Recorded, *, part: Part = "train", title: str | None = None) -> Figure:
    """Error after the last epoch against depth, one dot a run, a line through the means.

    Args:
        study: a recorded study whose settings are called plain20, resnet20 and so on.
        part: which error.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for kind, name, colour, marker in (("plain", "plain", PLAIN, "s"), ("resnet", "residual", RESIDUAL, "o")):
            settings = [setting for setting in study.settings if setting.startswith(kind)]
            depths = [int(setting.removeprefix(kind)) for setting in settings]
            errors = [[error_of(run.last, part) for run in study.of(setting)] for setting in settings]
            for depth, values in zip(depths, errors, strict=True):
                axes.scatter([depth] * len(values), values, color=colour, marker=marker, s=26, alpha=0.55, linewidths=0)
            means = [mean(values) for values in errors]
            axes.plot(depths, means, color=colour, marker=marker, markersize=9, label=f"{name}, mean")
            axes.set_xticks(depths)
        message = title or f"Depth hurts plain nets only: {PART[part]} error, {len(study.seeds)} seeds"
        label(axes, title=message, x="depth (layers with weights)", y=f"{PART[part]} error after the last epoch (%)")
        axes.set_ylim(bottom=0)
        axes.legend()
        return figure


def six_curves(panels: Mapping[str, Mapping[str, History]]) -> Figure:
    """Unnamed panels to read: training error solid, test error dotted; of two nets in a panel the deeper is thick.

    Args:
        panels: by letter, the runs to draw in it by net.
    """
    with course_style():
        figure = new_figure(2, 3, width=8.4, height=5.0, sharey=True)
        for axes, (letter, runs) in zip(figure.axes, panels.items(), strict=True):
            for (net, run), weight, colour in zip(runs.items(), widths(len(runs)), (BLUE, ORANGE), strict=False):
                suffix = (
                    f", {net.lstrip('plainrest')} layers" if len(runs) > 1 else ""
                )  # the kind of net would tell too much
                for part, dash in zip(PARTS, ("-", ":"), strict=True):
                    draw_error(axes, run, part, color=colour, lw=weight, ls=dash, label=f"{PART[part]}{suffix}")
            axes.axhline(90, color=GREY, lw=1, ls=(0, (1, 3)))
            label(axes, title=letter, x="epoch", y="error (%)")
            axes.set_ylim(0, 100)
            axes.legend(fontsize=8, loc=(0.36, 0.14) if len(runs) > 1 else "best")
        return figure


def draw_error(axes: Axes, run: History, part: Part, **look: Any) -> None:
    """One run's training or test error over its epochs, in percent."""
    epochs = [epoch.epoch for epoch in run.epochs]
    axes.plot(epochs, [error_of(epoch, part) for epoch in run.epochs], **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def error_of(epoch: Epoch, part: Part) -> float:
    """Training or test error of one epoch, in percent."""
    return epoch.train_error if part == "train" else epoch.test_error
