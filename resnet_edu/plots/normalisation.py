"""Local response normalisation: what a strong channel does to its neighbours."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .style import BLUE, GREY, ORANGE, course_style, label, new_figure


def response_normalisation(before: Sequence[float], after: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """The activations of one pixel by channel, before and after; one panel a setting.

    Args:
        before: one value a channel.
        after: the same channels, by name of the setting.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, len(after), width=8.0, height=3.0, sharey=True)
        for axes, (name, values) in zip(figure.axes, after.items(), strict=True):
            strongest = max(before)
            channels = range(len(before))
            axes.bar(channels, [value / strongest for value in before], color=GREY, alpha=0.35, label="before")
            top = max(values)
            axes.bar(channels, [value / top for value in values], width=0.45, color=[
                ORANGE if value == top else BLUE for value in values], label="after")  # fmt: skip
            label(axes, title=name, x="channel", y="share of the strongest" if axes is figure.axes[0] else "")
        figure.axes[0].legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
