"""How large the gradients are, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.figure import Figure

from ..probe import LayerGradient
from .style import BLUE, GREEN, ORANGE, RED, course_style, label, new_figure


def gradients_by_layer(
    gradients: Mapping[str, Sequence[LayerGradient]],
    *,
    quantity: Literal["weight", "activation"] = "weight",
    title: str = "Gradients by layer",
    lowest: float = 1e-10,
) -> Figure:
    """Gradient norm of each layer on a logarithmic axis, one line a net, from the first layer to the last.

    Args:
        gradients: what `probe.gradient_norms` returns, by name.
        quantity: "weight" or "activation".
        title: the figure's message.
        lowest: where the axis ends at the latest; a line may leave the picture there.
    """
    looks = ((RED, "s", "-"), (BLUE, "o", "-"), (ORANGE, "^", "--"), (GREEN, "D", ":"))
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for (name, rows), (colour, marker, dash) in zip(gradients.items(), looks, strict=False):
            places = [index / (len(rows) - 1) for index in range(len(rows))]
            norms = [getattr(row, quantity) for row in rows]
            axes.plot(places, norms, color=colour, marker=marker, ls=dash, markersize=4, lw=1.5, label=name)
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(lowest, axes.get_ylim()[0]))
        axes.set_xticks([0, 0.5, 1], ["first layer", "half way", "last layer"])
        label(axes, title=title, x="place in the net", y=f"gradient norm of the {quantity}s")
        axes.legend(ncols=2)
        return figure
