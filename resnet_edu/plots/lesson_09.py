"""Lesson 09: the ImageNet challenge, where a ResNet's costs sit, and error against cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .. import facts
from ..probe.summary import LayerSummary, Summary
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, course_style, label, new_figure

#: Part of a ResNet → its colour, and the beginnings of its layers' names.
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "stem": (GREY, ("conv1", "bn1", "relu", "maxpool")),
    "stage 1": (SKY, ("layer1",)),
    "stage 2": (BLUE, ("layer2",)),
    "stage 3": (ORANGE, ("layer3",)),
    "stage 4": (GREEN, ("layer4",)),
    "classifier": (PURPLE, ("avgpool", "fc")),
}


def challenge_history(errors: Mapping[str, float], *, human: float) -> Figure:
    """Top-5 error of the best entries of the ImageNet challenge, year by year, with the human annotator's as a line.

    Args:
        errors: in percent, by year and name: "2010", "2012 AlexNet"; with a name it was a convolutional net.
        human: in percent.
    """
    with course_style():
        figure = new_figure(width=7.6, height=3.6)
        (axes,) = figure.axes
        axes.grid(visible=False, axis="x")
        for place, (entry, error) in enumerate(errors.items()):
            colour = BLUE if "ResNet" in entry else GREY if entry < "2012" else SKY
            axes.bar(place, error, width=0.65, color=colour)
            inside = error < human  # above the bar the number would lie on the line
            axes.text(place, error - 0.5 if inside else error + 0.5, f"{error:g}", ha="center", fontsize=10,
                      va="top" if inside else "bottom", color="white" if inside else "black")  # fmt: skip
        axes.axhline(human, color=RED, lw=1.4, ls="--")
        axes.text(len(errors) - 0.55, human + 0.4, f"one trained\nperson: {human:g}", va="bottom", fontsize=10)
        axes.set_xlim(-0.6, len(errors) + 0.9)
        axes.set_ylim(0, 1.1 * max(errors.values()))
        axes.set_xticks(range(len(errors)), [entry.replace(" ", "\n") for entry in errors])
        first, *_, last = errors.values()
        message = f"Six challenges, from {first:g} % to {last:g} %"
        label(axes, title=message, x="ImageNet challenge (ILSVRC)", y="top-5 error on the test set (%)")
        axes.legend([Patch(color=GREY), Patch(color=SKY), Patch(color=BLUE)],
                    ["hand-made features", "convolutional nets", "ResNet"])  # fmt: skip
        return figure


def part_of(layer: str) -> str:
    """Which part of a ResNet a layer belongs to: "layer3.0.conv1" is in "stage 3".

    Raises:
        ValueError: no part begins like that.
    """
    for part, (_, beginnings) in PARTS.items():
        if layer.split(".")[0] in beginnings:
            return part
    raise ValueError(f"{layer!r} belongs to no part of a ResNet; names begin with conv1, bn1, layer1 to layer4 or fc.")


def by_part(rows: Sequence[LayerSummary], quantity: str) -> dict[str, int]:
    """Sum of "parameters" or "macs" over the layers of each part."""
    sums = dict.fromkeys(PARTS, 0)
    for row in rows:
        sums[part_of(row.name)] += getattr(row, quantity)
    return sums


def stage_costs(summaries: Mapping[str, Summary], *, title: str) -> Figure:
    """Parameters (left) and multiply-adds (right) of ResNets, one bar a net, cut into its stages.

    Args:
        summaries: of nets with torchvision's names, by name.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, 2, width=9.0, height=3.6, sharey=True)
        columns = (("parameters", 1e6, "million parameters"), ("macs", 1e9, "GMACs for one image"))
        for axes, (quantity, unit, name) in zip(figure.axes, columns, strict=True):
            axes.grid(visible=False, axis="y")
            for place, summary in enumerate(summaries.values()):
                left = 0.0
                for part, value in by_part(summary.rows, quantity).items():
                    axes.barh(place, value / unit, left=left, height=0.7, color=PARTS[part][0])
                    left += value / unit
                axes.text(left, place, f" {left:.1f}", va="center", fontsize=9)
            axes.set_xlabel(name)
            axes.margins(x=0.12)
        figure.axes[0].set_yticks(range(len(summaries)), list(summaries))
        figure.axes[0].invert_yaxis()
        handles = [Patch(color=colour) for colour, _ in PARTS.values()]
        figure.legend(handles, list(PARTS), loc="outside right center", fontsize=9)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


class NetCost(NamedTuple):
    """What a net costs and gives: top-1 error in percent, multiply-adds in 10⁹, parameters in millions."""

    error: float
    gmacs: float
    million: float


#: Kinds of nets by the beginning of their names: colour and marker.
KINDS = {"resnet": (BLUE, "o"), "vgg": (ORANGE, "s"), "": (GREY, "D")}
#: Where a name stands when it would cover a neighbour: offset in points and alignment.
BESIDE = {
    "vgg11": (0, 8, "center"),
    "vgg13": (-7, -2, "right"),
    "vgg16": (-7, -8, "right"),
    "resnet18": (8, -10, "left"),
}
COLUMNS = {"gmacs": "GMACs for one image", "million": "million parameters"}
#: The budgets of the static twin: GMACs and million parameters.
BUDGETS = ((1.0, 150.0), (2.0, 20.0), (4.0, 150.0), (5.0, 30.0), (10.0, 50.0), (20.0, 150.0))


def published_nets() -> dict[str, NetCost]:
    """The nets whose error, multiply-adds and parameters torchvision states, from AlexNet to ResNet-152.

    The error is that of the weights IMAGENET1K_V1 on the ImageNet validation set, one centre crop of 224 pixels.
    """
    return {
        name: NetCost(
            round(100 - facts.TORCHVISION_ACCURACY[name][0].value, 3),
            facts.GMACS[name].value,
            facts.PARAMETERS[name].value / 1e6,
        )
        for name in facts.GMACS
    }


def within_budget(nets: Mapping[str, NetCost], *, gmacs: float, million: float) -> list[str]:
    """Names of the nets that cost at most this much, the lowest error first."""
    fitting = [name for name, net in nets.items() if net.gmacs <= gmacs and net.million <= million]
    return sorted(fitting, key=lambda name: nets[name].error)


def error_against_cost(nets: Mapping[str, NetCost], *, title: str) -> Figure:
    """Error over multiply-adds (left) and over parameters (right); the ResNets are joined by a line.

    Args:
        nets: by name, as `published_nets` gives them.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(1, 2, width=9.0, height=3.9, sharey=True)
        for axes, column in zip(figure.axes, COLUMNS, strict=True):
            draw_nets(axes, nets, column, nets)
            label(axes, title="", x=COLUMNS[column], y="top-1 error on ImageNet (%)" if column == "gmacs" else "")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def model_picker(nets: Mapping[str, NetCost], *, gmacs: float = 5.0, million: float = 60.0) -> Figure:
    """The same picture with a budget: what exceeds it is pale, the best that is left has a ring.

    Args:
        nets: by name, as `published_nets` gives them.
        gmacs: most multiply-adds, in 10⁹.
        million: most parameters, in millions.
    """
    fitting = within_budget(nets, gmacs=gmacs, million=million)
    with course_style():
        figure = new_figure(1, 2, width=9.0, height=3.9, sharey=True)
        for axes, column, budget in zip(figure.axes, COLUMNS, (gmacs, million), strict=True):
            draw_nets(axes, nets, column, fitting)
            draw_budget(axes, nets, column, budget, fitting)
            label(axes, title="", x=COLUMNS[column], y="top-1 error on ImageNet (%)" if column == "gmacs" else "")
        figure.suptitle(verdict(nets, fitting, gmacs, million), x=0.01, ha="left", weight="bold")
        return figure


def model_picker_grid(nets: Mapping[str, NetCost]) -> Figure:
    """The static twin: the best net for six budgets, over multiply-adds."""
    with course_style():
        figure = new_figure(2, 3, width=9.0, height=5.4, sharex=True, sharey=True)
        for axes, (gmacs, million) in zip(figure.axes, BUDGETS, strict=True):
            fitting = within_budget(nets, gmacs=gmacs, million=million)
            draw_nets(axes, nets, "gmacs", fitting, named=fitting[:1])
            draw_budget(axes, nets, "gmacs", gmacs, fitting)
            axes.set_title(f"≤ {gmacs:g} GMACs, ≤ {million:g} M", fontsize=11)
        for axes in figure.axes[3:]:
            axes.set_xlabel("GMACs for one image")
        for axes in figure.axes[::3]:
            axes.set_ylabel("top-1 error (%)")
        figure.suptitle("The best net within six budgets", x=0.01, ha="left", weight="bold")
        return figure


def verdict(nets: Mapping[str, NetCost], fitting: list[str], gmacs: float, million: float) -> str:
    """The message over a budget."""
    budget = f"{gmacs:g} GMACs and {million:g} million parameters"
    if not fitting:
        return f"{budget}: no net fits"
    return f"{budget}: {fitting[0]}, {nets[fitting[0]].error:.1f} % error"


def draw_nets(
    axes: Axes, nets: Mapping[str, NetCost], column: str, solid: Iterable[str], *, named: Iterable[str] | None = None
) -> None:
    """A dot for each net, pale unless it is in `solid`, with its name; the ResNets joined."""
    solid, named = set(solid), set(nets if named is None else named)
    family = sorted((net for name, net in nets.items() if name.startswith("resnet")), key=lambda net: net.gmacs)
    axes.plot([getattr(net, column) for net in family], [net.error for net in family], color=BLUE, lw=1, alpha=0.5)
    for name, net in nets.items():
        colour, marker = next(look for kind, look in KINDS.items() if name.startswith(kind))
        x, pale = getattr(net, column), 1.0 if name in solid else 0.25
        axes.scatter([x], [net.error], color=colour, marker=marker, s=44, alpha=pale, linewidths=0, zorder=3)
        if name in named:
            right, up, side = BESIDE.get(name, (7, 4, "left"))
            axes.annotate(
                name,
                (x, net.error),
                (right, up),
                textcoords="offset points",
                fontsize=8.5,
                ha=side,
                alpha=max(pale, 0.5),
            )
    axes.set_xlim(0, 1.18 * max(getattr(net, column) for net in nets.values()))
    errors = [net.error for net in nets.values()]
    axes.set_ylim(min(errors) - 2, max(errors) + 2)


def draw_budget(axes: Axes, nets: Mapping[str, NetCost], column: str, budget: float, fitting: list[str]) -> None:
    """The budget as a line, what lies beyond it shaded, a ring around the best net within."""
    right = max(axes.get_xlim()[1], budget * 1.02)
    axes.set_xlim(0, right)
    axes.axvline(budget, color=RED, lw=1.2, ls="--")
    axes.axvspan(budget, right, color=GREY, alpha=0.12, lw=0)
    if fitting:
        best = nets[fitting[0]]
        axes.scatter(
            [getattr(best, column)], [best.error], s=190, facecolors="none", edgecolors=RED, linewidths=2.2, zorder=4
        )
