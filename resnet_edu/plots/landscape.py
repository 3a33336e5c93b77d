"""Loss surfaces side by side (Li et al. 2018, https://arxiv.org/abs/1712.09913)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..probe import Surface
from .style import course_style, new_figure


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
