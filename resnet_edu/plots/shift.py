"""How a network's error grows when the test images are moved."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .style import BLUE, GREEN, RED, course_style, label, new_figure


def error_by_shift(errors: Mapping[str, Sequence[float]], *, title: str, ceiling: float = 100.0) -> Figure:
    """Test error in percent over the shift in pixels, one line a network.

    Args:
        errors: name to the errors at a shift of 0, 1, 2, … pixels.
        title: the figure's message.
        ceiling: upper end of the scale, in percent.
    """
    with course_style():
        figure = new_figure(height=3.5)
        (axes,) = figure.axes
        styles = ((RED, "s", "--"), (BLUE, "o", "-"), (GREEN, "^", "-."))
        for (name, values), (colour, marker, dash) in zip(errors.items(), styles, strict=False):
            axes.plot(range(len(values)), values, color=colour, marker=marker, linestyle=dash, label=name)
        label(axes, title=title, x="shift to the right (pixels)", y="test error (%)")
        axes.set_xticks(range(max(map(len, errors.values()))))
        axes.set_ylim(0, ceiling)
        axes.legend(loc="upper left")
        return figure
