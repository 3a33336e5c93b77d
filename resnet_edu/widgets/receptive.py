"""Lesson 03: choose a stack of convolutions, and see the window of one number grow."""

from functools import partial

import ipywidgets
from torch import Tensor

from .. import plots
from .explorer import explorer


def receptive_explorer(image: Tensor) -> ipywidgets.VBox:
    """Sizes and jumps of a stack of convolutions; its static twin is `plots.receptive_growth_grid`.

    Args:
        image: `(H, W)` or `(3, H, W)`, 0 to 255.
    """
    slider = ipywidgets.SelectionSlider
    pooling = [("never", 0), ("after every one", 1), ("after every two", 2), ("after every three", 3)]
    return explorer(
        partial(plots.receptive_growth, image),
        kernel=slider(options=[1, 3, 5, 7, 11], value=3, description="kernel", continuous_update=False),
        layers=ipywidgets.IntSlider(3, 1, 8, description="layers", continuous_update=False),
        first_stride=ipywidgets.ToggleButtons(options=[1, 2, 4], description="first stride"),
        pool_every=ipywidgets.Dropdown(options=pooling, description="pooling"),
    )
