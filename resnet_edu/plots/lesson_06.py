"""Lesson 06: the degradation experiment, live and recorded."""

from collections.abc import Mapping
from itertools import cycle
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..history import History
from ..study import Recorded
from .curves import draw_error, errors_of
from .style import BLUE, GREY, ORANGE, PLAIN, RESIDUAL, Figure, course_style, new_figure

DEPTHS = (20, 32, 44, 56)
NAMES = {False: "plain", True: "resnet"}  # of a net without and with additions, in the study
PARTS = {"train": "training", "val": "validation"}  # the images on which a run was measured


@course_style()
def degradation(histories: Mapping[str, History], *, title: str, held_out: str = "validation") -> Figure:
    """Training and `held_out` error, plain nets on the left, residual nets on the right (He et al. 2015, figure 6).

    Names that begin with "plain" go left. Within a panel the first net is drawn thin (shallow), the last thick (deep).
    """
    plain = {name: run for name, run in histories.items() if name.startswith("plain")}
    residual = {name: run for name, run in histories.items() if name not in plain}
    kinds = [kind for kind in (("Plain nets", PLAIN, plain), ("Residual nets", RESIDUAL, residual)) if kind[2]]
    figure, panels = new_figure(1, len(kinds), height=4.0, sharey=True, title=title)
    for axes, (kind, colour, runs) in zip(panels, kinds, strict=True):
        for (name, run), weight, marker in zip(runs.items(), widths(len(runs)), cycle("oD^s"), strict=False):
            draw_error(axes, run, "train", color=colour, lw=weight, marker=marker, label=f"{name}, training")
            draw_error(axes, run, "val", color=colour, lw=weight, ls=":", alpha=0.75, label=f"{name}, {held_out}")
        axes.set(title=kind, xlabel="epoch", ylabel="error (%)")
        axes.set_ylim(0, 100)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 2}  # where it covers no curve
        axes.legend(**below, fontsize=8, columnspacing=1.2, handlelength=1.6)
    return figure


def widths(count: int) -> list[float]:
    """Line widths from thin (shallow) to thick (deep)."""
    return [1.4 + 1.8 * i / max(1, count - 1) for i in range(count)]


@course_style()
def six_curves(panels: Mapping[str, Mapping[str, History]]) -> Figure:
    """Unnamed panels to read: training error solid, validation dotted; of two nets in a panel the deeper is thick."""
    figure, places = new_figure(2, 3, width=8.4, height=5.0, sharey=True, x="epoch", y="error (%)")
    for axes, (letter, runs) in zip(places, panels.items(), strict=True):
        for (net, run), weight, colour in zip(runs.items(), widths(len(runs)), (BLUE, ORANGE), strict=False):
            depth = net.removeprefix("plain").removeprefix("resnet")  # the kind of net would tell too much
            suffix = f", {depth} layers" if len(runs) > 1 else ""
            for part, dash in zip(PARTS, ("-", ":"), strict=True):
                draw_error(axes, run, part, color=colour, lw=weight, ls=dash, label=f"{PARTS[part]}{suffix}")
        axes.axhline(90, color=GREY, lw=1, ls=(0, (1, 3)))
        axes.set_title(letter)
        axes.set_ylim(0, 100)
        axes.legend(fontsize=8, loc=(0.36, 0.14) if len(runs) > 1 else "best")
    return figure


@course_style()
def depth_and_skip(study: Recorded, *, depth: int = 56, skip: bool = False) -> Figure:
    """Curves of one net over its seeds, training error left, test error right; the 20-layer plain net in grey.

    The study is the recorded `mnist5k-degradation`, with 20, 32, 44 and 56 layers, residual (`skip`) and plain.
    """
    name = f"{NAMES[skip]}{depth}"
    runs = study.of(name)
    error = f"training error {mean(run.last.train_error for run in runs):.1f} % (mean of {len(runs)} runs)"
    title = f"{'Residual' if skip else 'Plain'}, {depth} layers: {error}"
    figure, panels = new_figure(1, 2, height=3.5, sharey=True, title=title)
    for axes, part in zip(panels, PARTS, strict=True):
        draw_runs(axes, study.of("plain20"), part, GREY, "plain20")
        draw_runs(axes, runs, part, RESIDUAL if skip else PLAIN, name)
        axes.set(title=PARTS[part].capitalize(), xlabel="epoch", ylabel=f"{PARTS[part]} error (%)")
        axes.set_ylim(0, 100)
        axes.legend()
    return figure


def draw_runs(axes: Axes, runs: list[History], part: str, colour: str, name: str) -> None:
    """Every run as a thin line, their mean as a thick one."""
    for run in runs:
        draw_error(axes, run, part, color=colour, lw=0.8, alpha=0.5)
    means = [mean(errors) for errors in zip(*(errors_of(run, part) for run in runs), strict=True)]
    axes.plot(range(1, len(means) + 1), means, color=colour, lw=2.6, label=name)


@course_style()
def identity_extension() -> Figure:
    """Plain-20 above plain-56: the same blocks, and in each stage six more that return their input."""
    title = "Plain-56 holds plain-20: 18 blocks only pass x on"
    figure, (axes,) = new_figure(1, 1, width=8.4, height=2.6, title=title)
    for row, (name, more) in enumerate((("plain-20", 0), ("plain-56", 6))):
        axes.text(-0.3, -row, name, ha="right", va="center")
        left = 0.0
        for stage in range(3):
            for block in range(3 + more):
                copied = block < 3
                look: dict[str, Any] = {"fc": BLUE, "ec": BLUE} if copied else {"fill": False, "ec": ORANGE, "ls": "--"}
                axes.add_patch(Rectangle((left, -row - 0.25), 0.8, 0.5, lw=1.5, **look))
                axes.text(left + 0.4, -row, "" if copied else "x", ha="center", va="center", color=ORANGE)
                left += 1
            axes.text(left - 0.5 * (3 + more) - 0.1, -row + 0.38, f"stage {stage + 1}", ha="center", fontsize=8)
            left += 0.5
    axes.text(0, -1.75, "filled: trained blocks, copied · dashed: new blocks that return x", fontsize=9)
    axes.set(xlim=(-2.6, 28.8), ylim=(-2, 0.7))
    axes.axis("off")
    return figure
