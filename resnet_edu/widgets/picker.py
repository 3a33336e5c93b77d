"""Lesson 09: two sliders set a budget, the figure shows the best net within it."""

from functools import partial

import ipywidgets

from .. import plots
from .explorer import explorer


def model_picker() -> ipywidgets.VBox:
    """The nets of the course on ImageNet; the static twin is `plots.model_picker_grid`."""
    slider = ipywidgets.FloatSlider
    return explorer(
        partial(plots.model_picker, plots.published_nets()),
        gmacs=slider(5.0, min=0.5, max=20, step=0.5, description="GMACs ≤", continuous_update=False),
        million=slider(60.0, min=5, max=150, step=5, description="million ≤", continuous_update=False),
    )
