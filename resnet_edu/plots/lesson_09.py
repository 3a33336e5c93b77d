"""Lesson 09: the ImageNet challenge, and error against cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from .. import facts
from .style import BLUE, GREY, ORANGE, RED, SKY, Figure, course_style, new_chart, new_figure

#: Kinds of nets by the beginning of their names: colour and marker.
KINDS = {"resnet": (BLUE, "o"), "vgg": (ORANGE, "s"), "": (GREY, "D")}
#: Where a name stands when it would cover a neighbour: offset in points and alignment.
BESIDE = {
    "vgg11": (0, 8, "center"),
    "vgg13": (-7, -2, "right"),
    "vgg16": (-7, -8, "right"),
    "resnet18": (8, -10, "left"),
}
COSTS = {"gmacs": "GMACs for one image", "million": "million parameters"}


@course_style()
def challenge_history(errors: Mapping[str, float], *, human: float) -> Figure:
    """Top-5 error of the best entries of the ImageNet challenge, in percent, with the human annotator's as a line.

    The entries are called "2010" or "2012 AlexNet": with a name it was a convolutional net.
    """
    first, *_, last = errors.values()
    title = f"Six challenges, from {first:g} % to {last:g} %"
    x, y = "ImageNet challenge (ILSVRC)", "top-5 error on the test set (%)"
    figure, axes = new_chart(width=7.6, height=3.6, title=title, x=x, y=y)
    axes.grid(visible=False, axis="x")
    for place, (entry, error) in enumerate(errors.items()):
        axes.bar(place, error, width=0.65, color=BLUE if "ResNet" in entry else GREY if entry < "2012" else SKY)
        low = error < human  # above the bar the number would lie on the line
        y, side, colour = (error - 0.5, "top", "white") if low else (error + 0.5, "bottom", "black")
        axes.text(place, y, f"{error:g}", ha="center", va=side, fontsize=10, color=colour)
    axes.axhline(human, color=RED, lw=1.4, ls="--")
    axes.text(len(errors) - 0.55, human + 0.4, f"one trained\nperson: {human:g}", va="bottom", fontsize=10)
    axes.set_xlim(-0.6, len(errors) + 0.9)
    axes.set_ylim(0, 1.1 * max(errors.values()))
    axes.set_xticks(range(len(errors)), [entry.replace(" ", "\n") for entry in errors])
    kinds = {"hand-made features": GREY, "convolutional nets": SKY, "ResNet": BLUE}
    axes.legend(handles=[Patch(color=colour, label=kind) for kind, colour in kinds.items()])
    return figure


class NetCost(NamedTuple):
    """What a net costs and gives: top-1 error in percent, multiply-adds in 10⁹, parameters in millions."""

    error: float
    gmacs: float
    million: float


def published_nets() -> dict[str, NetCost]:
    """The nets whose error, multiply-adds and parameters torchvision states, from AlexNet to ResNet-152.

    The error is that of the weights IMAGENET1K_V1 on the ImageNet validation set, one centre crop of 224 pixels.
    """
    nets = {}
    for name, gmacs in facts.GMACS.items():
        error = round(100 - facts.TORCHVISION_ACCURACY[name][0].value, 3)
        nets[name] = NetCost(error, gmacs.value, facts.PARAMETERS[name].value / 1e6)
    return nets


def within_budget(nets: Mapping[str, NetCost], *, gmacs: float, million: float) -> list[str]:
    """Names of the nets that cost at most this much, the lowest error first."""
    fitting = [name for name, net in nets.items() if net.gmacs <= gmacs and net.million <= million]
    return sorted(fitting, key=lambda name: nets[name].error)


@course_style()
def error_against_cost(
    nets: Mapping[str, NetCost], *, title: str, solid: Sequence[str] = (), budgets: tuple[float, ...] = ()
) -> Figure:
    """Error over multiply-adds (left) and over parameters (right); the ResNets are joined by a line.

    Args:
        nets: as `published_nets` gives them.
        solid: where there are budgets, the nets within them, the best first; the others are pale.
        budgets: in 10⁹ multiply-adds and million parameters.
    """
    figure, panels = new_figure(1, 2, width=9.0, height=3.9, sharey=True, title=title, y="top-1 error on ImageNet (%)")
    for axes, cost in zip(panels, COSTS, strict=True):
        draw_nets(axes, nets, cost, solid=solid if budgets else nets)
        axes.set_xlabel(COSTS[cost])
    for axes, cost, budget in zip(panels, COSTS, budgets, strict=False):
        draw_budget(axes, nets, cost, budget, solid)
    return figure


def model_picker(nets: Mapping[str, NetCost], *, gmacs: float = 5.0, million: float = 60.0) -> Figure:
    """The same picture with a budget of 10⁹ multiply-adds and million parameters: the best within has a ring."""
    fitting = within_budget(nets, gmacs=gmacs, million=million)
    best = f"{fitting[0]}, {nets[fitting[0]].error:.1f} % error" if fitting else "no net fits"
    title = f"{gmacs:g} GMACs and {million:g} million parameters: {best}"
    figure = error_against_cost(nets, title=title, solid=fitting, budgets=(gmacs, million))
    for axes in figure.axes:
        axes.locator_params(nbins=4)  # each tick takes as long as a line
    return figure


def draw_nets(axes: Axes, nets: Mapping[str, NetCost], cost: str, *, solid: Iterable[str]) -> None:
    """A dot with its name for each net, pale unless it is in `solid`; the ResNets joined."""
    family = sorted((net for name, net in nets.items() if name.startswith("resnet")), key=lambda net: net.gmacs)
    axes.plot([getattr(net, cost) for net in family], [net.error for net in family], color=BLUE, lw=1, alpha=0.5)
    look_of = {name: next(look for kind, look in KINDS.items() if name.startswith(kind)) for name in nets}
    for colour, marker in KINDS.values():
        if not (alike := [name for name in nets if look_of[name] == (colour, marker)]):
            continue
        places = [(getattr(nets[name], cost), nets[name].error) for name in alike]
        strengths = [1.0 if name in solid else 0.25 for name in alike]
        look = {"color": colour, "marker": marker, "alpha": strengths, "s": 44, "linewidths": 0, "zorder": 3}
        axes.scatter(*zip(*places, strict=True), **look)
        for name, place, strength in zip(alike, places, strengths, strict=True):
            right, up, side = BESIDE.get(name, (7, 4, "left"))
            look = {"fontsize": 8.5, "ha": side, "alpha": max(strength, 0.5)}
            axes.annotate(name, place, (right, up), textcoords="offset points", **look)
    axes.set_xlim(0, 1.18 * max(getattr(net, cost) for net in nets.values()))
    errors = [net.error for net in nets.values()]
    axes.set_ylim(min(errors) - 2, max(errors) + 2)


def draw_budget(axes: Axes, nets: Mapping[str, NetCost], cost: str, budget: float, fitting: Sequence[str]) -> None:
    """The budget as a line, what lies beyond it shaded, a ring around the best net within."""
    right = max(axes.get_xlim()[1], budget * 1.02)
    axes.set_xlim(0, right)
    axes.axvline(budget, color=RED, lw=1.2, ls="--")
    axes.axvspan(budget, right, color=GREY, alpha=0.12, lw=0)
    if fitting:
        best = nets[fitting[0]]
        ring = {"facecolors": "none", "edgecolors": RED, "linewidths": 2.2}
        axes.scatter([getattr(best, cost)], [best.error], s=190, zorder=4, **ring)
