"""Two runs against each other: which reaches a training loss in fewer steps."""

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from ..history import History
from .style import BLUE, GREY, RED, course_style, label, new_figure


def steps_to_reach(history: History, loss: float, *, steps_per_epoch: int) -> int | None:
    """Training steps until the first epoch whose training loss is at most `loss`; None if there is none."""
    reached = [epoch.epoch for epoch in history.epochs if epoch.train_loss <= loss]
    return reached[0] * steps_per_epoch if reached else None


def loss_race(
    reference: tuple[str, History], challenger: tuple[str, History], *, steps_per_epoch: int, title: str | None = None
) -> Figure:
    """Training loss of two runs over steps, and the step at which the second reaches the first one's last value.

    Args:
        reference: name and history; its last training loss is the mark to reach.
        challenger: name and history.
        steps_per_epoch: weight updates in one epoch.
        title: the figure's message.
    """
    mark = reference[1].last.train_loss
    reached = steps_to_reach(challenger[1], mark, steps_per_epoch=steps_per_epoch)
    total = reference[1].last.epoch * steps_per_epoch
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for (name, history), colour, marker in zip((reference, challenger), (RED, BLUE), "so", strict=True):
            steps = [epoch.epoch * steps_per_epoch for epoch in history.epochs]
            axes.plot(steps, [epoch.train_loss for epoch in history.epochs], color=colour, marker=marker, label=name)
        axes.axhline(mark, color=GREY, lw=1.2, ls="--")
        axes.text(steps_per_epoch, mark * 0.93, f"{mark:.3f}: where {reference[0]} ends", va="top", fontsize=9)
        message = f"{challenger[0]} does not reach the training loss of {reference[0]}"
        if reached:
            axes.axvline(reached, color=BLUE, lw=1.2, ls=":")
            message = f"{challenger[0]} needs {reached:,} steps where {reference[0]} needs {total:,}"
        label(axes, title=title or message, x="training step", y="training loss (nats), log scale")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.legend()
        return figure
