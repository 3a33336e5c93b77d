"""Lesson 07: switch the addition on and off, and see signal and gradient of a stack of blocks."""

import ipywidgets

from .. import plots
from .explorer import explorer


def residual_explorer() -> ipywidgets.VBox:
    """An untrained stack of blocks; its static twin is `plots.signal_and_gradient_grid`."""
    return explorer(
        plots.signal_and_gradient,
        depth=ipywidgets.SelectionSlider(options=[5, 10, 20, 50], value=20, description="blocks"),
        residual=ipywidgets.ToggleButtons(
            options=[("plain", False), ("residual", True)], value=True, description="addition"
        ),
        batch_norm=ipywidgets.Checkbox(value=False, description="batch norm on F"),
        gain=ipywidgets.FloatSlider(1.0, min=0, max=2, step=0.25, description="gain of F", continuous_update=False),
    )
