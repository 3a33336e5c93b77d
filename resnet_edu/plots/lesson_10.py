"""Lesson 10: error by the number of labels, and by the layer whose features are used."""

from collections.abc import Mapping, Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..study import Recorded
from .style import BLUE, GREEN, GREY, ORANGE, RED, SKY, course_style, label, new_figure

#: Colour, marker and dash of each method, the same in every figure.
LOOK = {
    "from scratch": (RED, "s", "--"),
    "frozen": (GREY, "v", ":"),
    "frozen, stage 1": (GREEN, "^", "-."),
    "fine-tuned": (BLUE, "o", "-"),
}
LABELS = (5, 10, 20, 50, 100)
LAYER_NAMES = {"relu": "stem", "layer1": "stage 1", "layer2": "stage 2", "layer3": "stage 3", "layer4": "stage 4"}


def transfer_errors(study: Recorded, method: str, labels: int) -> list[float]:
    """Test error in percent of every run of a method, in the order of the seeds."""
    return [run.last.val_error for run in study.of(f"{method}, {labels} labels")]


def transfer_curves(study: Recorded, *, title: str = "Few labels: start from trained weights") -> Figure:
    """Mean test error over labelled images a class, one line a method, each run as a faint marker.

    Args:
        study: the recorded study `mnist5k-transfer`.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.9)
        draw_curves(figure.axes[0], study)
        label(figure.axes[0], title=title, x="labelled images a class", y="test error (%)")
        figure.axes[0].legend()
        return figure


def transfer_view(study: Recorded, *, labels: int = 10, method: str = "fine-tuned") -> Figure:
    """The curves with one method and one number of labels picked out, and every run at that number.

    Args:
        study: as for `transfer_curves`.
        labels: 5, 10, 20, 50 or 100.
        method: "from scratch", "frozen", "frozen, stage 1" or "fine-tuned".
    """
    with course_style():
        figure = new_figure(1, 2, width=8.4, height=3.7, width_ratios=[3, 2])
        left, right = figure.axes
        draw_curves(left, study, faint=[name for name in LOOK if name != method])
        left.axvline(labels, color=GREY, lw=1)
        label(left, title=f"{method}, from 5 to 100 labels", x="labelled images a class", y="test error (%)")
        draw_runs(right, study, labels)
        label(right, title=f"every run at {labels} labels", x="", y="test error (%)")
        found = transfer_errors(study, method, labels)
        message = (
            f"{method}, {labels} labels a class: {mean(found):.1f} % test error ({min(found):.1f} to {max(found):.1f})"
        )
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def transfer_grid(study: Recorded) -> Figure:
    """The static twin: every run of every method, one panel for each number of labels."""
    with course_style():
        figure = new_figure(1, len(LABELS), width=8.8, height=3.4, sharey=True)
        for axes, labels in zip(figure.axes, LABELS, strict=True):
            draw_runs(axes, study, labels)
            axes.set_title(f"{labels} labels", fontsize=11)
        figure.axes[0].set_ylabel("test error (%)")
        message = f"The fewer labels, the more the start matters ({len(study.seeds)} runs each, bar: mean)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def draw_curves(axes: Axes, study: Recorded, *, faint: Sequence[str] = ()) -> None:
    """One line a method through the means, on a logarithmic axis of labels."""
    for name, (colour, marker, dash) in LOOK.items():
        runs = [transfer_errors(study, name, labels) for labels in LABELS]
        strength = 0.25 if name in faint else 1.0
        means = [mean(errors) for errors in runs]
        axes.plot(LABELS, means, color=colour, marker=marker, ls=dash, alpha=strength, label=name)
        for labels, errors in zip(LABELS, runs, strict=True):
            axes.plot([labels] * len(errors), errors, color=colour, marker=marker, ls="", ms=3, alpha=0.35 * strength)
    axes.set_xscale("log")
    axes.set_xticks(LABELS, [str(labels) for labels in LABELS], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)


def draw_runs(axes: Axes, study: Recorded, labels: int) -> None:
    """Every run at one number of labels, one column a method, its mean as a bar."""
    for place, (name, (colour, marker, _)) in enumerate(LOOK.items()):
        errors = transfer_errors(study, name, labels)
        spread = [place + 0.08 * (index - (len(errors) - 1) / 2) for index in range(len(errors))]
        axes.plot(spread, errors, color=colour, marker=marker, ls="", ms=5)
        axes.hlines(mean(errors), place - 0.35, place + 0.35, color=colour, lw=2)
    axes.set_xticks(range(len(LOOK)), [name.replace(", ", ",\n") for name in LOOK], rotation=60, fontsize=8)
    axes.set_xlim(-0.6, len(LOOK) - 0.4)
    axes.set_ylim(bottom=0)


def errors_by_layer(
    errors: Mapping[str, Mapping[str, Sequence[float]]], *, title: str, baseline: Mapping[str, float] | None = None
) -> Figure:
    """Error of a linear head on frozen features, layer by layer, one line a kind of weights.

    Args:
        errors: by kind of weights and layer, the error of every seed in percent.
        title: the figure's message.
        baseline: errors of other methods by name, as horizontal lines.
    """
    with course_style():
        figure = new_figure(height=3.7)
        axes = figure.axes[0]
        looks = ((BLUE, "o", "-"), (ORANGE, "s", "--"))
        for (kind, layers), (colour, marker, dash) in zip(errors.items(), looks, strict=False):
            means = [mean(runs) for runs in layers.values()]
            axes.plot(range(len(means)), means, color=colour, marker=marker, ls=dash, label=kind)
            for place, runs in enumerate(layers.values()):
                axes.plot([place] * len(runs), list(runs), color=colour, marker=marker, ls="", ms=3, alpha=0.4)
            axes.set_xticks(range(len(layers)), [LAYER_NAMES.get(layer, layer) for layer in layers])
        for (name, error), colour in zip((baseline or {}).items(), (GREY, SKY), strict=False):
            axes.axhline(error, color=colour, lw=1.2, ls=":", label=name)
        label(axes, title=title, x="last layer that is kept", y="validation error (%)")
        axes.set_ylim(bottom=0)
        axes.legend()
        return figure
