"""Lesson 08: choose depth, width and side, and see where a ResNet's parameters and multiply-adds go."""

import ipywidgets

from .. import plots
from .explorer import explorer


def stage_explorer() -> ipywidgets.VBox:
    """The table of stages; its static twin is `plots.stage_table_grid`."""
    return explorer(
        plots.stage_table,
        depth=ipywidgets.SelectionSlider(options=[18, 34, 50, 101, 152], value=34, description="depth"),
        width=ipywidgets.SelectionSlider(options=[8, 16, 32, 64, 128], value=64, description="width"),
        side=ipywidgets.SelectionSlider(options=[32, 64, 96, 128, 224, 320, 448], value=224, description="side"),
    )
