"""Lesson 13: several processes against one, batch size and learning rate, where a step's time goes."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .curves import LINES
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, course_style, label, new_figure

STAGES = (BLUE, GREEN, ORANGE, PURPLE, RED, GREY)


def gradient_error(shares: Sequence[int], errors: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """How far the averaged gradient is from that of the whole batch, one line a network.

    Args:
        shares: images of each process.
        errors: by network, the length of the difference as a share of the length of the gradient.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.4)
        (axes,) = figure.axes
        for (name, values), (colour, marker, dash) in zip(errors.items(), LINES, strict=False):
            axes.plot(shares, values, color=colour, marker=marker, ls=dash, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_ylim(1e-8, 10)
        axes.set_xticks(shares, [str(each) for each in shares])
        axes.invert_xaxis()
        label(axes, title=title, x="images a process", y="error of the gradient (1 = its length)")
        axes.legend(loc="center left")
        return figure


def losses_together(losses: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """Training loss over epochs of runs that should be equal; below, how far each is from the first.

    Args:
        losses: by run, the training loss in nats after each epoch; the first run may be longer than the others.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(2, 1, height=4.6, sharex=True, height_ratios=[2, 1])
        above, below = figure.axes
        (_, first), *_ = losses.items()
        for width, (name, values), (colour, marker, dash) in zip((5, 1.6, 1.6), losses.items(), LINES, strict=False):
            epochs = range(1, len(values) + 1)
            pale = 0.35 if width > 2 else 1
            above.plot(epochs, values, color=colour, marker=marker, ls=dash, lw=width, alpha=pale, label=name)
            apart = [abs(a - b) for a, b in zip(values, first, strict=False)]
            if values is not first:
                below.plot(epochs, apart, color=colour, marker=marker, ls=dash, label=name)
        below.axhline(1e-3, color=GREY, lw=1, ls="--")
        below.annotate("0.001", (1, 1e-3), (0, 3), textcoords="offset points", fontsize=8.5, color=GREY)
        below.set_yscale("symlog", linthresh=1e-9)
        below.set_yticks([0, 1e-9, 1e-6, 1e-3], ["0", "10⁻⁹", "10⁻⁶", "10⁻³"])
        below.set_ylim(0, 1e-2)
        below.yaxis.set_minor_locator(MaxNLocator(1))
        label(above, title=title, x="", y="training loss (nats)")
        label(below, title="", x="epoch", y="difference")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        above.set_ylim(bottom=0)
        above.legend()
        return figure


def rates_and_losses(
    rates: Mapping[str, Sequence[float]], losses: Mapping[str, Sequence[float]], *, title: str
) -> Figure:
    """Learning rate over epochs on the left, training loss on the right, one line a run.

    Args:
        rates: by run, the rate of each step; a run's steps are spread over the epochs.
        losses: by run, the training loss in nats after each epoch.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, 2, width=8.4, height=3.5)
        left, right = figure.axes
        for (name, values), (colour, marker, dash) in zip(losses.items(), LINES, strict=False):
            epochs = [len(values) * step / len(rates[name]) for step in range(len(rates[name]))]
            left.plot(epochs, rates[name], color=colour, ls=dash, marker="", label=name)
            right.plot(range(1, len(values) + 1), values, color=colour, marker=marker, ls=dash, label=name)
        label(left, title="Learning rate", x="epoch", y="learning rate")
        label(right, title="Training loss", x="epoch", y="training loss (nats)")
        left.set_ylim(bottom=0)
        right.set_ylim(bottom=0)
        left.legend(fontsize=8.5, loc="center right")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def step_times(steps: Mapping[str, Mapping[str, float]], *, title: str) -> Figure:
    """Where the time of a training step goes: a stacked bar for each setting, in milliseconds an image.

    Args:
        steps: by setting, the milliseconds that each stage takes for an image, in the order in which they happen.
        title: the figure's message.
    """
    stages = list(dict.fromkeys(stage for times in steps.values() for stage in times))
    with course_style():
        figure = new_figure(height=1.5 + 0.55 * len(steps))
        (axes,) = figure.axes
        for row, times in enumerate(steps.values()):
            left, whole = 0.0, sum(times.values())
            for stage, time in times.items():
                colour = STAGES[stages.index(stage) % len(STAGES)]
                shown = stage if row == next(i for i, each in enumerate(steps.values()) if stage in each) else None
                axes.barh(row, time, left=left, height=0.6, color=colour, label=shown)
                if time > 0.08 * max(sum(each.values()) for each in steps.values()):
                    text = f"{100 * time / whole:.0f} %"
                    axes.text(left + time / 2, row, text, ha="center", va="center", color="white", fontsize=9)
                left += time
        axes.set_yticks(range(len(steps)), list(steps))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        label(axes, title=title, x="milliseconds an image", y="")
        axes.legend(ncols=len(stages), loc="upper center", bbox_to_anchor=(0.45, -0.28), fontsize=8.5)
        return figure
