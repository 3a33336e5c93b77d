"""Lesson 11: choose a photo or upload your own, and see where a network finds its evidence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from .. import plots
from ..models import Pretrained
from .explorer import explorer
from .upload import photo_picker


def attribution_explorer(network: Pretrained, photos: Mapping[str, Path]) -> ipywidgets.VBox:
    """A photo, the method and the answer to ask about; the static twin is `plots.attribution_grid`.

    Args:
        network: see `models.pretrained`.
        photos: files by name, to begin with; see `photo_picker` for uploads.
    """
    upload, which, pictures = photo_picker(photos)

    def draw(which: str, method: str, place: int) -> Any:
        return plots.photo_attribution(network, pictures[which], method=method, place=place)

    shown = explorer(
        draw,
        which=which,
        method=ipywidgets.Dropdown(options=list(plots.ATTRIBUTIONS), description="method"),
        place=ipywidgets.ToggleButtons(options=[("first", 1), ("second", 2), ("third", 3)], description="answer"),
    )
    return ipywidgets.VBox([upload, shown])
