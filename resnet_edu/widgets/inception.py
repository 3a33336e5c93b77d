"""Lesson 04: move the channels of an inception block, and see what it costs and how wide it comes out."""

import ipywidgets

from .. import plots
from .explorer import explorer


def channel_budget() -> ipywidgets.VBox:
    """Inception 3a to begin with; its static twin is `plots.channel_budget_grid`."""

    def slider(name: str, value: int, high: int) -> ipywidgets.IntSlider:
        return ipywidgets.IntSlider(value, min=8, max=high, step=8, description=name, continuous_update=False)

    return explorer(
        plots.channel_budget,
        one=slider("1×1", 64, 384),
        three_reduced=slider("3×3 reduce", 96, 192),
        three=slider("3×3", 128, 384),
        five_reduced=slider("5×5 reduce", 16, 192),
        five=slider("5×5", 32, 128),
        pool=slider("pool proj", 32, 192),
        kernel=ipywidgets.ToggleButtons(options=[("5×5, paper", 5), ("3×3, torchvision", 3)], description="third"),
    )
