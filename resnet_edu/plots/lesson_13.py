"""Lesson 13: several processes against one, and where a step's time goes."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import NullLocator

from .curves import draw_lines, whole_numbers
from .style import COLOURS, GREY, Figure, course_style, name_rows, new_chart, new_figure


@course_style()
def losses_together(losses: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """Training loss over epochs of runs that should be equal; below, how far each is from the first.

    The losses are in nats; the first run may be longer than the others.
    """
    figure, (above, below) = new_figure(2, 1, height=4.6, sharex=True, height_ratios=[2, 1])
    first, *others = losses
    draw_lines(above, {first: losses[first]}, first=1, lw=5, alpha=0.35)
    draw_lines(above, {name: losses[name] for name in others}, first=1, colours=COLOURS[1:], lw=1.6)
    apart = {name: [abs(a - b) for a, b in zip(losses[name], losses[first], strict=False)] for name in others}
    draw_lines(below, apart, first=1, colours=COLOURS[1:])
    below.axhline(1e-3, color=GREY, lw=1, ls="--")
    below.annotate("0.001", (1, 1e-3), (0, 3), textcoords="offset points", fontsize=8.5, color=GREY)
    below.set_yscale("symlog", linthresh=1e-9)
    below.set_yticks([0, 1e-9, 1e-6, 1e-3], ["0", "10⁻⁹", "10⁻⁶", "10⁻³"])
    below.yaxis.set_minor_locator(NullLocator())
    below.set_ylim(0, 1e-2)
    above.set(title=title, ylabel="training loss (nats)")
    below.set(xlabel="epoch", ylabel="difference")
    whole_numbers(below)
    above.set_ylim(bottom=0)
    above.legend()
    return figure


@course_style()
def step_times(steps: Mapping[str, Mapping[str, float]], *, title: str) -> Figure:
    """Where the time of a training step goes: for each setting the milliseconds per image of its stages, stacked."""
    stages = list(dict.fromkeys(stage for times in steps.values() for stage in times))
    longest = max(sum(times.values()) for times in steps.values())
    figure, axes = new_chart(height=1.5 + 0.55 * len(steps), title=title, x="milliseconds per image")
    for stage, colour in zip(stages, COLOURS, strict=False):
        axes.barh(0, 0, color=colour, label=stage)  # one entry of the legend for each stage
    for row, times in enumerate(steps.values()):
        left, whole = 0.0, sum(times.values())
        for stage, time in times.items():
            bar = axes.barh(row, time, left=left, height=0.6, color=COLOURS[stages.index(stage)])
            text = f"{100 * time / whole:.0f} %" if time > 0.08 * longest else ""
            axes.bar_label(bar, [text], label_type="center", color="white", fontsize=9)
            left += time
    name_rows(axes, steps)
    axes.legend(ncols=len(stages), loc="upper center", bbox_to_anchor=(0.45, -0.28), fontsize=8.5)
    return figure
