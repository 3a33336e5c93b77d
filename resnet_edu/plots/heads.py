"""Figures of lesson 08 on what is measured: which instrument finds which fault, and the errors of several heads."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .matrix import bare
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, course_style, label, new_figure

LOOKS = ((BLUE, "o"), (RED, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"))


def faults_by_instrument(found: Mapping[str, Mapping[str, str | None]], *, title: str) -> Figure:
    """One row a fault, one column an instrument: what the instrument shows, or an empty field where it sees nothing.

    Args:
        found: by fault and instrument what differs from the right net, "" where nothing does, None where the
            instrument could not be used.
        title: the figure's message.
    """
    faults, instruments = list(found), list(next(iter(found.values())))
    with course_style():
        figure = new_figure(width=9.6, height=1.3 + 0.42 * len(faults))
        (axes,) = figure.axes
        for y, fault in enumerate(faults):
            for x, instrument in enumerate(instruments):
                text = found[fault][instrument]
                axes.add_patch(Rectangle((x, y), 1, 1, fc=fill(text), ec=GREY, lw=0.8))
                words = "–" if text is None else text or "sees nothing"
                colour = "black" if text else GREY
                axes.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=9.5, color=colour)
        bare(axes)
        axes.set_xlim(0, len(instruments))
        axes.set_ylim(len(faults), 0)
        axes.set_xticks([x + 0.5 for x in range(len(instruments))], instruments)
        axes.set_yticks([y + 0.5 for y in range(len(faults))], faults)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def fill(text: str | None) -> str:
    """Colour of a field: found, not found, not used."""
    return "#EEEEEE" if text is None else ORANGE if text else "white"


def errors_by_head(errors: Mapping[str, Sequence[float]], guessing: Mapping[str, float], *, title: str) -> Figure:
    """Test error of each head over epochs; a dotted line marks what guessing the most frequent answer gives.

    Args:
        errors: percent by head, one number an epoch.
        guessing: percent by head.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.4)
        (axes,) = figure.axes
        for (head, values), (colour, marker) in zip(errors.items(), LOOKS, strict=False):
            axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, label=head)
            axes.axhline(guessing[head], color=colour, ls=":", lw=1.2)
        for level in sorted({round(value) for value in guessing.values()}):  # one label where levels coincide
            names = [head for head, value in guessing.items() if round(value) == level]
            axes.text(1.01, level / 100, f"{', '.join(names)}\nguessed", color=GREY, va="center", fontsize=9,
                      transform=axes.transAxes)  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, 100)
        label(axes, title=title, x="epoch", y="test error (%)")
        axes.legend(loc="upper right", bbox_to_anchor=(1, 0.87))
        return figure
