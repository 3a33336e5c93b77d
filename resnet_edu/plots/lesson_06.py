"""Lesson 06: the degradation experiment, live and recorded, and loss surfaces.

Loss surfaces: Li et al. 2018, https://arxiv.org/abs/1712.09913.
"""

from collections.abc import Mapping
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..history import History
from ..probe import Surface
from ..study import Recorded
from .curves import PART, PARTS, Part, draw_error, error_of
from .style import BLUE, GREY, ORANGE, PLAIN, RESIDUAL, course_style, label, new_figure


def degradation(histories: Mapping[str, History], *, title: str = "Deeper, yet worse on the training set") -> Figure:
    """Training and test error of plain nets on the left, of residual nets on the right (He et al. 2015, figure 6).

    Args:
        histories: by name; names that begin with "plain" go left, all others right. Within a panel the first is
            drawn thin (shallow), the last thick (deep).
        title: the figure's message.
    """
    plain = {name: run for name, run in histories.items() if name.startswith("plain")}
    residual = {name: run for name, run in histories.items() if name not in plain}
    panels = [("Plain nets", PLAIN, plain), ("Residual nets", RESIDUAL, residual)]
    with course_style():
        panels = [panel for panel in panels if panel[2]]
        figure = new_figure(1, len(panels), height=3.6, sharey=True)
        for axes, (kind, colour, runs) in zip(figure.axes, panels, strict=True):
            for (name, run), weight, marker in zip(runs.items(), widths(len(runs)), "oD^s", strict=False):
                draw_error(axes, run, "train", color=colour, lw=weight, marker=marker, label=f"{name}, training")
                draw_error(axes, run, "test", color=colour, lw=weight, ls=":", alpha=0.75, label=f"{name}, test")
            label(axes, title=kind, x="epoch", y="error (%)")
            axes.set_ylim(0, 100)
            axes.legend()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure


def widths(count: int) -> list[float]:
    """Line widths from thin (shallow) to thick (deep)."""
    return [1.4 + 1.8 * i / max(1, count - 1) for i in range(count)]


def depth_sweep(study: Recorded, *, part: Part = "train", title: str | None = None) -> Figure:
    """Error after the last epoch against depth, one dot a run, a line through the means.

    Args:
        study: a recorded study whose settings are called plain20, resnet20 and so on.
        part: which error.
        title: the figure's message.
    """
    with course_style():
        figure = new_figure(height=3.8)
        (axes,) = figure.axes
        for kind, name, colour, marker in (("plain", "plain", PLAIN, "s"), ("resnet", "residual", RESIDUAL, "o")):
            settings = [setting for setting in study.settings if setting.startswith(kind)]
            depths = [int(setting.removeprefix(kind)) for setting in settings]
            errors = [[error_of(run.last, part) for run in study.of(setting)] for setting in settings]
            for depth, values in zip(depths, errors, strict=True):
                axes.scatter([depth] * len(values), values, color=colour, marker=marker, s=26, alpha=0.55, linewidths=0)
            means = [mean(values) for values in errors]
            axes.plot(depths, means, color=colour, marker=marker, markersize=9, label=f"{name}, mean")
            axes.set_xticks(depths)
        message = title or f"Depth hurts plain nets only: {PART[part]} error, {len(study.seeds)} seeds"
        label(axes, title=message, x="depth (layers with weights)", y=f"{PART[part]} error after the last epoch (%)")
        axes.set_ylim(bottom=0)
        axes.legend()
        return figure


def six_curves(panels: Mapping[str, Mapping[str, History]]) -> Figure:
    """Unnamed panels to read: training error solid, test error dotted; of two nets in a panel the deeper is thick.

    Args:
        panels: by letter, the runs to draw in it by net.
    """
    with course_style():
        figure = new_figure(2, 3, width=8.4, height=5.0, sharey=True)
        for axes, (letter, runs) in zip(figure.axes, panels.items(), strict=True):
            for (net, run), weight, colour in zip(runs.items(), widths(len(runs)), (BLUE, ORANGE), strict=False):
                suffix = (
                    f", {net.lstrip('plainrest')} layers" if len(runs) > 1 else ""
                )  # the kind of net would tell too much
                for part, dash in zip(PARTS, ("-", ":"), strict=True):
                    draw_error(axes, run, part, color=colour, lw=weight, ls=dash, label=f"{PART[part]}{suffix}")
            axes.axhline(90, color=GREY, lw=1, ls=(0, (1, 3)))
            label(axes, title=letter, x="epoch", y="error (%)")
            axes.set_ylim(0, 100)
            axes.legend(fontsize=8, loc=(0.36, 0.14) if len(runs) > 1 else "best")
        return figure


DEPTHS = (20, 32, 44, 56)


def depth_and_skip(study: Recorded, *, depth: int = 56, skip: bool = False) -> Figure:
    """Curves of one net over its seeds, training error left, test error right; the 20-layer plain net in grey.

    Args:
        study: the recorded study `mnist5k-degradation`.
        depth: 20, 32, 44 or 56.
        skip: residual (True) or plain.
    """
    name = setting(depth, skip=skip)
    with course_style():
        figure = new_figure(1, 2, height=3.5, sharey=True)
        for axes, part in zip(figure.axes, PARTS, strict=True):
            draw_runs(axes, study.of("plain20"), part, GREY, "plain20")
            draw_runs(axes, study.of(name), part, RESIDUAL if skip else PLAIN, name)
            label(axes, title=PART[part].capitalize(), x="epoch", y=f"{PART[part]} error (%)")
            axes.set_ylim(0, 100)
            axes.legend()
        final = [run.last.train_error for run in study.of(name)]
        message = f"{'Residual' if skip else 'Plain'}, {depth} layers: training error {mean(final):.1f} %"
        figure.suptitle(f"{message} (mean of {len(final)} runs)", x=0.01, ha="left", weight="bold")
        return figure


def depth_and_skip_grid(study: Recorded) -> Figure:
    """The static twin: training error of every depth, plain above and residual below."""
    with course_style():
        figure = new_figure(2, len(DEPTHS), width=8.6, height=4.4, sharex=True, sharey=True)
        for index, axes in enumerate(figure.axes):
            skip, depth = index >= len(DEPTHS), DEPTHS[index % len(DEPTHS)]
            draw_runs(axes, study.of(setting(depth, skip=skip)), "train", RESIDUAL if skip else PLAIN, "mean")
            axes.set_title(f"{'residual' if skip else 'plain'} {depth}", fontsize=11)
            axes.set_ylim(0, 100)
            axes.set_xlabel("epoch" if skip else "")
        for axes in figure.axes[:: len(DEPTHS)]:
            axes.set_ylabel("training error (%)")
        message = f"Depth hurts plain nets and leaves residual nets unharmed ({len(study.seeds)} runs each, mean thick)"
        figure.suptitle(message, x=0.01, ha="left", weight="bold")
        return figure


def setting(depth: int, *, skip: bool) -> str:
    """What the study calls the net."""
    return f"{'resnet' if skip else 'plain'}{depth}"


def draw_runs(axes: Axes, runs: list[History], part: Part, colour: str, name: str) -> None:
    """Every run as a thin line, their mean as a thick one."""
    for run in runs:
        draw_error(axes, run, part, color=colour, lw=0.8, alpha=0.5)
    passes = list(zip(*(run.epochs for run in runs), strict=True))
    means = [mean(error_of(epoch, part) for epoch in epochs) for epochs in passes]
    axes.plot([epochs[0].epoch for epochs in passes], means, color=colour, lw=2.6, label=name)


def loss_surfaces(surfaces: Mapping[str, Surface], *, limit: float = 8.0, title: str = "Loss surfaces") -> Figure:
    """One filled contour plot a net on one scale, logarithmic, so that a valley and its rim both show.

    Args:
        surfaces: by name; a star marks the trained weights at the centre.
        limit: losses above it, and those that are not finite, are drawn as this value.
        title: the figure's message.
    """
    losses = {name: surface.capped(limit).numpy() for name, surface in surfaces.items()}
    lowest = max(1e-3, min(float(values.min()) for values in losses.values()))
    levels = np.geomspace(lowest, limit, 22)
    with course_style():
        figure = new_figure(1, len(surfaces), width=3.5 * len(surfaces) + 0.8, height=3.9)
        for axes, (name, surface) in zip(figure.axes, surfaces.items(), strict=True):
            values = np.clip(losses[name], lowest, limit)
            axes.contourf(surface.alphas, surface.betas, values.T, levels=levels, norm="log", cmap="viridis")
            axes.contour(surface.alphas, surface.betas, values.T, levels=levels[::3], colors="white", linewidths=0.6)
            axes.plot(0, 0, marker="*", color="white", markersize=13, markeredgecolor="black")
            axes.set_title(f"{name}: {surface.centre:.2f} at the star")
            axes.set_xlabel("step along direction 1 (filter norms)")
            axes.set_aspect("equal")
            axes.grid(False)
        figure.axes[0].set_ylabel("step along direction 2 (filter norms)")
        ticks = [tick for tick in (0.01, 0.03, 0.1, 0.3, 1, 2, 4, 8) if lowest <= tick <= limit]
        scale = ScalarMappable(LogNorm(lowest, limit), "viridis")
        bar = figure.colorbar(scale, ax=figure.axes, label="training loss (nats)", ticks=ticks)
        bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
        bar.ax.minorticks_off()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
