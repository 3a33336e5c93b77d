"""Lesson 06: choose a depth, switch the additions on and off."""

from functools import partial

import ipywidgets

from .. import plots
from ..study import Recorded
from .explorer import explorer


def depth_and_skip(study: Recorded) -> ipywidgets.VBox:
    """The recorded degradation study, one net at a time; its static twin is `plots.depth_and_skip_grid`.

    Args:
        study: as for `plots.depth_and_skip`.
    """
    depth = ipywidgets.SelectionSlider(options=[20, 32, 44, 56], value=56, description="depth", continuous_update=False)
    skip = ipywidgets.ToggleButtons(options=[("plain", False), ("residual", True)], description="block")
    return explorer(partial(plots.depth_and_skip, study), depth=depth, skip=skip)
