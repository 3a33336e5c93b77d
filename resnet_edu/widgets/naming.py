"""Lesson 12: upload a photo to a network of your own, and see its answer, how sure it is, and where it looked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from .. import plots
from ..models import Pretrained
from .explorer import explorer
from .upload import photo_picker


def naming_explorer(network: Pretrained, photos: Mapping[str, Path]) -> ipywidgets.VBox:
    """A photo, the number of labels and the threshold; the static twin is `plots.named_photos` of several photos.

    Args:
        network: see `run.open_run` and `models.pretrained`.
        photos: files by name, to begin with; see `photo_picker` for uploads.
    """
    upload, which, pictures = photo_picker(photos)
    most = min(5, len(network.categories))

    def draw(which: str, top: int, threshold: float) -> Any:
        return plots.named_photos(network, {which: pictures[which]}, top=top, threshold=threshold)

    shown = explorer(
        draw,
        which=which,
        top=ipywidgets.IntSlider(value=min(3, most), min=1, max=most, description="labels"),
        threshold=ipywidgets.IntSlider(value=50, min=0, max=100, step=5, description="threshold %"),
    )
    return ipywidgets.VBox([upload, shown])
