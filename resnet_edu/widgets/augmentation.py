"""Lesson 02: shift and mirror an image, and see what a net is shown in its place."""

from collections.abc import Mapping

import ipywidgets
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from .explorer import explorer


def augmentation_explorer(images: Mapping[str, Tensor]) -> ipywidgets.VBox:
    """Seven views of an image; the static twin is `plots.augmentation_grid`.

    Args:
        images: `(C, H, W)` uint8, by name.
    """

    def draw(image: str, padding: float, flip: bool, seed: int) -> Figure:
        pixels = round(padding * images[image].shape[-1] / 100)
        return plots.augmented_views(images[image], padding=pixels, flip=flip, seed=seed)

    return explorer(
        draw,
        image=ipywidgets.Dropdown(options=list(images), description="image"),
        padding=ipywidgets.IntSlider(10, 0, 30, description="padding %", continuous_update=False),
        flip=ipywidgets.Checkbox(value=True, description="flip"),
        seed=ipywidgets.IntSlider(0, 0, 20, description="seed", continuous_update=False),
    )
