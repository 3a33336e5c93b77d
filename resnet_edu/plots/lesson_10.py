"""Lesson 10: error by the number of labels."""

from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes

from ..study import Recorded
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Figure, course_style, look_of, new_chart, new_figure

#: The methods with their looks, the same in every figure; the first four are baselines.
METHODS = {
    "mean colour": look_of(GREY, ls=":", marker="x"),
    "raw pixels": look_of(GREY, ls="--", marker="+"),
    "untrained backbone": look_of(GREY, ls="-.", marker="v"),
    "untrained, stage 1": look_of(GREY, marker="^"),
    "from scratch": look_of(RED, marker="s"),
    "frozen, stage 1": look_of(ORANGE, marker="^"),
    "frozen, stage 3": look_of(PURPLE, marker="P"),
    "frozen": look_of(GREEN, marker="D"),
    "fine-tuned": look_of(BLUE),
}
LABELS = (5, 10, 20, 50, 100)
ONE_RUN = {"ls": "", "ms": 3}  # how a single run is drawn beside the mean


def transfer_errors(study: Recorded, method: str, labels: int) -> list[float]:
    """Test error in percent of every run of a method, in the order of the seeds."""
    return study.found(f"{method}, {labels} labels", "test_error")


@course_style()
def transfer_curves(study: Recorded, *, title: str) -> Figure:
    """Mean test error over labelled images per class in a study of transfer: one line per method, runs as markers."""
    figure, axes = new_chart(height=3.9, title=title, x="labelled images per class", y="test error (%)")
    draw_curves(axes, study)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


@course_style()
def transfer_view(study: Recorded, *, labels: int = 10, method: str = "fine-tuned") -> Figure:
    """The curves with one of `METHODS` and one number of `LABELS` picked out, and every run at that number."""
    errors = transfer_errors(study, method, labels)
    spread = f"{mean(errors):.1f} % test error ({min(errors):.1f} to {max(errors):.1f})"
    title = f"{method}, {labels} labels per class: {spread}"
    figure, (left, right) = new_figure(1, 2, width=8.4, height=3.7, width_ratios=[3, 2], title=title)
    draw_curves(left, study, faint=[name for name in METHODS if name != method])
    left.axvline(labels, color=GREY, lw=1)
    left.set(title=f"{method}, from 5 to 100 labels", xlabel="labelled images per class", ylabel="test error (%)")
    draw_runs(right, study, labels)
    for axes in (left, right):
        axes.locator_params(axis="y", nbins=4)
    right.set(title=f"every run at {labels} labels", ylabel="test error (%)")
    return figure


@course_style()
def transfer_grid(study: Recorded) -> Figure:
    """Every run of every method, one panel for each number of labels."""
    runs = len(transfer_errors(study, "fine-tuned", LABELS[0]))
    title = f"The fewer labels, the more the start matters ({runs} runs each, bar: mean)"
    figure, panels = new_figure(1, len(LABELS), width=8.8, sharey=True, title=title, y="test error (%)")
    for axes, labels in zip(panels, LABELS, strict=True):
        draw_runs(axes, study, labels)
        axes.set_title(f"{labels} labels", fontsize=11)
    return figure


def draw_curves(axes: Axes, study: Recorded, *, faint: Sequence[str] = ()) -> None:
    """One line a method through the means, on a logarithmic axis of labels."""
    for name, look in METHODS.items():
        strength = 0.25 if name in faint else 1.0
        runs = [transfer_errors(study, name, labels) for labels in LABELS]
        axes.plot(LABELS, list(map(mean, runs)), **look, alpha=strength, label=name)
        points = [(labels, error) for labels, errors in zip(LABELS, runs, strict=True) for error in errors]
        axes.plot(*zip(*points, strict=True), **look | ONE_RUN, alpha=0.35 * strength)
    axes.set_xscale("log")
    axes.set_xticks(LABELS, [str(labels) for labels in LABELS])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)


def draw_runs(axes: Axes, study: Recorded, labels: int) -> None:
    """Every run at one number of labels, one column per method, its mean as a bar."""
    for column, (name, look) in enumerate(METHODS.items()):
        errors = transfer_errors(study, name, labels)
        spread = [column + 0.08 * (index - (len(errors) - 1) / 2) for index in range(len(errors))]
        axes.plot(spread, errors, **look | {"ls": "", "ms": 5})
        axes.hlines(mean(errors), column - 0.35, column + 0.35, color=look["color"], lw=2)
    axes.set_xticks(range(len(METHODS)), list(METHODS), rotation=90, fontsize=8)
    axes.set_xlim(-0.6, len(METHODS) - 0.4)
    axes.set_ylim(bottom=0)
