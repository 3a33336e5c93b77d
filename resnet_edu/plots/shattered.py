"""Shattered gradients, drawn: the gradient as a function of the input, and how alike it is at inputs close by.

Balduzzi et al. 2017, https://arxiv.org/abs/1702.08591, figures 1 and 2.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from .style import GREEN, GREY, PLAIN, RESIDUAL, course_style, label, new_figure


def colour_of(name: str) -> str:
    """Plain and residual nets have their colours in every figure, noise is grey."""
    for start, colour in (("plain", PLAIN), ("residual", RESIDUAL), ("white", GREY), ("brown", GREY)):
        if name.startswith(start):
            return colour
    return GREEN


def gradient_series(points: Tensor, series: Mapping[str, Tensor], *, columns: int = 3, title: str) -> Figure:
    """Gradient against input, one panel a net, each divided by its standard deviation: only its shape is of interest.

    Args:
        points: the inputs, `(N,)`.
        series: gradients at the points, `(N,)`, by name; a name that begins with "plain" or "residual" has its colour.
        columns: panels side by side.
        title: the figure's message.
    """
    rows = -(-len(series) // columns)
    with course_style():
        figure = new_figure(rows, columns, width=3 * columns, height=1.9 * rows + 0.5, sharex=True, sharey=True)
        for axes in figure.axes[len(series) :]:
            axes.set_axis_off()
        for axes, (name, values) in zip(figure.axes, series.items(), strict=False):
            axes.plot(points, (values - values.mean()) / values.std(), color=colour_of(name), lw=1.1)
            axes.set_title(name, fontsize=11)
            axes.set_ylim(-4, 4)
        for axes in figure.axes[::columns]:
            axes.set_ylabel("gradient (scaled)")
        for axes in figure.axes[-columns:]:
            axes.set_xlabel("input x")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def autocorrelations(curves: Mapping[str, Tensor], lags: Sequence[int], *, title: str) -> Figure:
    """Autocorrelation against lag: the mean over the nets as a line, plus and minus its standard error as a band.

    Args:
        curves: `(lags, nets)` by name; colours as in `gradient_series`, the second of a colour is dashed.
        lags: distances in grid steps.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=4.0)
        (axes,) = figure.axes
        seen: dict[str, int] = {}
        for name, values in curves.items():
            colour = colour_of(name)
            rank = seen[colour] = seen.get(colour, 0) + 1
            mean, error = values.mean(dim=1), values.std(dim=1) / values.shape[1] ** 0.5
            marker, dash = (("o", "-"), ("s", "--"))[(rank - 1) % 2]
            axes.plot(lags, mean, color=colour, marker=marker, ls=dash, markevery=2, label=name)
            axes.fill_between(lags, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
        axes.axhline(0, color=GREY, lw=1, ls=":")
        label(axes, title=title, x="distance of the two inputs (grid steps)", y="autocorrelation of the gradient")
        axes.set_ylim(-0.1, 1.05)
        axes.legend(ncols=2, fontsize=9)
        return figure
