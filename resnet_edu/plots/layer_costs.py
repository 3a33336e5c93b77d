"""Where a network's parameters, activations and multiply-adds sit: three bar charts that share their layers."""

from typing import NamedTuple

from matplotlib.figure import Figure

from ..probe.summary import LayerSummary, Summary
from .style import BLUE, ORANGE, course_style, new_figure

POOLINGS = ("MaxPool2d", "AvgPool2d")


class NamedLayer(NamedTuple):
    """A layer with weights, called as the papers call it: `conv3_2` is the second of stage 3, `fc6` a linear one."""

    name: str
    row: LayerSummary

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear layer."""
        return self.row.kind == "Linear"


def named_layers(costs: Summary) -> list[NamedLayer]:
    """The layers with weights that ran, in order; each pooling begins a new stage, and linear layers go on counting.

    Args:
        costs: what `probe.summary` says about a network that is one chain of layers.
    """
    layers: list[NamedLayer] = []
    stage, index = 1, 0
    for row in costs.rows:
        if row.kind in POOLINGS:
            stage, index = stage + 1, 0
        elif row.kind == "Conv2d":
            index += 1
            layers.append(NamedLayer(f"conv{stage}_{index}", row))
        elif row.kind == "Linear":
            layers.append(NamedLayer(f"fc{stage}", row))
            stage += 1
    return layers


def layer_costs(costs: Summary, *, title: str) -> Figure:
    """Parameters, numbers put out and multiply-adds of each layer with weights, from the first at the top.

    Args:
        costs: what `probe.summary` returns for one image.
        title: the figure's message.
    """
    layers = named_layers(costs)
    colours = [ORANGE if layer.is_linear else BLUE for layer in layers]
    quantities = {
        "parameters (millions)": [layer.row.parameters / 1e6 for layer in layers],
        "numbers put out (millions)": [layer.row.activation_bytes / 4e6 for layer in layers],
        "multiply-adds (billions)": [layer.row.macs / 1e9 for layer in layers],
    }
    with course_style():
        figure = new_figure(1, 3, width=9.0, height=0.22 * len(layers) + 1.5, sharey=True)
        for axes, (quantity, values) in zip(figure.axes, quantities.items(), strict=True):
            axes.barh([layer.name for layer in layers], values, color=colours)
            linear = sum(value for value, layer in zip(values, layers, strict=True) if layer.is_linear)
            axes.set_title(f"linear layers: {share(linear, sum(values))}", fontsize=11, color="#8A5A00")
            axes.set_xlabel(quantity)
            axes.grid(visible=False, axis="y")
        figure.axes[0].invert_yaxis()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def share(part: float, whole: float) -> str:
    """A share in percent, with one decimal where it is small."""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"
