"""The ResNet family: the record on ImageNet that it ended, and where its parameters and multiply-adds sit."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

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
