"""Lesson 11: choose a photo or upload your own, and see where a network finds its evidence."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
from PIL import Image

from .. import plots
from ..data.pictures import read_photo
from ..errors import UnreadablePicture
from ..models import Pretrained
from .explorer import explorer


def attribution_explorer(network: Pretrained, photos: Mapping[str, Path]) -> ipywidgets.VBox:
    """A photo, the method and the answer to ask about; the static twin is `plots.attribution_grid`.

    An uploaded photo joins the list and is shown. A file that cannot be read is answered by one line.

    Args:
        network: see `models.pretrained`.
        photos: files by name, to begin with.
    """
    pictures = {name: read_photo(path) for name, path in photos.items()}
    upload = ipywidgets.FileUpload(accept="image/*", description="your photo")
    said = ipywidgets.HTML()
    which = ipywidgets.Dropdown(options=list(pictures), description="photo")

    def take(_: object) -> None:
        try:
            name, picture = uploaded(upload.value)
        except UnreadablePicture as error:
            said.value = escape(str(error))
            return
        said.value = ""
        pictures[name] = picture
        which.options = list(pictures)
        which.value = name

    def draw(which: str, method: str, place: int) -> Any:
        return plots.photo_attribution(network, pictures[which], method=method, place=place)

    upload.observe(take, "value")
    shown = explorer(
        draw,
        which=which,
        method=ipywidgets.Dropdown(options=list(plots.ATTRIBUTIONS), description="method"),
        place=ipywidgets.ToggleButtons(options=[("first", 1), ("second", 2), ("third", 3)], description="answer"),
    )
    return ipywidgets.VBox([ipywidgets.HBox([upload, said]), shown])


def uploaded(files: Sequence[Mapping[str, Any]]) -> tuple[str, Image.Image]:
    """Name and picture of the last file that a `FileUpload` brought.

    Raises:
        UnreadablePicture: it is no picture that can be used.
    """
    name = Path(str(files[-1]["name"])).name or "upload"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(bytes(files[-1]["content"]))
        try:
            return name, read_photo(path)
        except UnreadablePicture as error:
            raise UnreadablePicture(name, error.reason) from error
