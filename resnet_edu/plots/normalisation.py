"""Local response normalisation: a strong channel makes itself and its neighbours smaller."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .style import BLUE, GREY, ORANGE, course_style, label, new_figure


def response_normalisation(before: Sequence[float], divisors: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """The activations of one pixel by channel, and by which number each is divided, one panel a setting.

    Args:
        before: one value a channel.
        divisors: one value a channel, by name of the setting.
        title: the figure's message.
    """
    strongest = max(range(len(before)), key=lambda channel: before[channel])
    with course_style():
        figure = new_figure(1, 1 + len(divisors), width=9.0, height=3.0)
        first, *others = figure.axes
        first.bar(range(len(before)), before, color=[ORANGE if c == strongest else GREY for c in range(len(before))])
        label(first, title="activations of one pixel", x="channel", y="share of the strongest")
        highest = max(max(values) for values in divisors.values())
        for axes, (name, values) in zip(others, divisors.items(), strict=True):
            axes.bar(range(len(values)), values, color=BLUE)
            axes.set_ylim(0, highest * 1.1)
            label(axes, title=name, x="channel", y="divided by")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
