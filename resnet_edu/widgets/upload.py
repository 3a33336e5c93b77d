"""A list of photos to choose from, to which the reader adds photos of their own."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
from PIL import Image

from ..data.pictures import read_photo
from ..errors import UnreadablePicture


def photo_picker(photos: Mapping[str, Path]) -> tuple[ipywidgets.HBox, ipywidgets.Dropdown, dict[str, Image.Image]]:
    """A button for uploads with room for a message, a list of photos, and the pictures by their name in the list.

    An uploaded photo joins the list and is chosen. A file that cannot be read is answered by one line.

    Args:
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

    upload.observe(take, "value")
    return ipywidgets.HBox([upload, said]), which, pictures


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
