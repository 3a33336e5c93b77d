"""Images of your own: a folder with one folder a class, or with `train`, `val` and `test` of them."""

from concurrent.futures import ThreadPoolExecutor
from os import PathLike, cpu_count
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import DatasetUnavailable

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
PARTS = ("train", "val", "test")

#: Files and their labels, in order.
Listing = list[tuple[Path, int]]


def is_folder(name: object) -> bool:
    """Whether `name` is meant as a path and not as the name of a data set: a Path, or a text with a slash or a ~."""
    return isinstance(name, PathLike) or (isinstance(name, str) and (name.startswith((".", "~")) or "/" in name))


def list_folder(folder: Path) -> tuple[dict[str, Listing], tuple[str, ...]]:
    """Every picture of a folder by part, sorted by class and file name, and the classes.

    The only part is called "" where the folder is not divided.

    Raises:
        DatasetUnavailable: there is no such folder, or it holds no pictures in folders of classes.
        ValueError: a class of one part is missing in `train`.
    """
    if not folder.is_dir():
        raise DatasetUnavailable(f"There is no folder {folder}. Expected one with a folder of pictures for each class.")
    divided = (folder / "train").is_dir()
    roots = {part: folder / part for part in PARTS if (folder / part).is_dir()} if divided else {"": folder}
    first = folder / "train" if divided else folder
    classes = tuple(sorted(entry.name for entry in first.iterdir() if entry.is_dir() and entry.name[0] != "."))
    listings = {}
    for part, root in roots.items():
        strange = {entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."} - {*classes}
        if strange:
            raise ValueError(f"{root} has classes that {first} has not: {', '.join(sorted(strange))}.")
        listings[part] = [
            (file, label)
            for label, name in enumerate(classes)
            for file in sorted((root / name).glob("*"))
            if file.suffix.lower() in ENDINGS
        ]
        if not listings[part]:
            raise DatasetUnavailable(f"{root} holds no pictures. Expected {root.name}/CLASS/FILE.jpg for each class.")
    return listings, classes


def read_pictures(listing: Listing, *, size: int, channels: int) -> tuple[Tensor, Tensor]:
    """Images uint8 `(N, channels, size, size)` and labels int64 `(N,)` of the listed files, several at once.

    A picture is squeezed to the square, whatever its proportions.

    Raises:
        ValueError: a file is no picture that can be read.
    """
    pixels = np.empty((len(listing), size, size, channels), dtype=np.uint8)

    def read(index: int) -> None:
        path = listing[index][0]
        try:
            with Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture).convert("L" if channels == 1 else "RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} is no picture that can be read ({error}).") from error
        if upright.size != (size, size):
            upright = upright.resize((size, size), Image.Resampling.BILINEAR)
        pixels[index] = np.asarray(upright).reshape(size, size, channels)

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(read, range(len(listing))))
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([label for _, label in listing])
