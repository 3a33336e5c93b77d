"""A data set that lives in memory: uint8 images and int64 labels as two tensors, nothing else.

60,000 images of 32×32 in colour take 184 MB; there is no need for files, workers or a Dataset class.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

PARTS = ("train", "val", "test")
SHARES = {"val": 0.1, "test": 0.2}  # of each class, the rest is to train on: 3,500, 500 and 1,000 of 5,000


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one part of a data set; a `ValueError` if they do not fit each other."""

    images: Tensor  # uint8, (N, C, H, W), values 0 to 255
    labels: Tensor  # int64, (N,), values 0 to classes - 1
    mean: tuple[float, ...]  # of each channel over the *training* images, on a scale of 0 to 1
    std: tuple[float, ...]  # likewise, the standard deviation

    def __post_init__(self) -> None:
        for name, value in (("images", self.images), ("labels", self.labels)):
            if not isinstance(value, Tensor):
                raise ValueError(f"{name} must be a tensor, got {type(value).__name__}: torch.as_tensor makes one.")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            got = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise ValueError(f"images must be uint8 of shape (N, C, H, W), got {got}.")
        if len(self.images) == 0:
            raise ValueError("The split is empty: a split needs at least one image.")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            got = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise ValueError(f"labels must be int64 of shape ({len(self.images)},), one an image, got {got}.")
        if int(self.labels.min()) < 0:
            raise ValueError(f"labels count from 0, got {int(self.labels.min())}.")
        if not len(self.mean) == len(self.std) == self.images.shape[1]:
            raise ValueError(f"mean and std need one value for each of the {self.images.shape[1]} channels.")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def subset(self, indices: Tensor) -> "Split":
        """The images at `indices` (int64, `(M,)`), in that order, with the same normalisation."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def to(self, device: torch.device) -> "Split":
        """The same split with its tensors on `device`."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def inputs(self, indices: Tensor | slice = slice(None)) -> Tensor:
        """Normalised float32 images `(M, C, H, W)`, as a network sees them."""
        return normalise(self.images[indices], self.mean, self.std)


@dataclass(frozen=True, eq=False)
class Data:
    """A named data set in three parts; a `ValueError` if a label lies outside the classes."""

    name: str  # by which it was loaded
    train: Split  # to learn from
    val: Split  # to choose by (learning rate, number of epochs)
    test: Split  # to report on, once
    classes: tuple[str, ...]  # the labels' names, in the order of the labels
    source: str  # one line that says what was really loaded, and from where
    notes: tuple[str, ...] = ()  # what to know before trusting a result: files that were skipped, pictures in two parts

    def __post_init__(self) -> None:
        for part in PARTS:
            if not isinstance(split := getattr(self, part), Split):
                raise ValueError(f"{part} must be a Split, got {type(split).__name__}.")
            labels = split.labels
            if int(labels.max()) >= len(self.classes):
                raise ValueError(
                    f"{self.name}: the {part} labels run from {int(labels.min())} to {int(labels.max())}, but there "
                    f"are {len(self.classes)} classes, so they must lie between 0 and {len(self.classes) - 1}."
                )


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Map uint8 `(N, C, H, W)` to float32 with mean 0 and standard deviation 1 in each channel."""
    shift = torch.tensor(mean, device=images.device).view(-1, 1, 1) * 255  # (C, 1, 1)
    scale = torch.tensor(std, device=images.device).view(-1, 1, 1) * 255
    return images.float().sub_(shift).div_(scale)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 images `(N, C, H, W)`, on a scale of 0 to 1."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for part in images.split(1024):
        counts += torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in part.unbind(dim=1)])
    values = torch.arange(256, dtype=torch.float64) / 255
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    mean = (shares * values).sum(dim=1)
    std = (shares * (values - mean[:, None]) ** 2).sum(dim=1).sqrt().clamp(min=1e-3)  # a blank channel has none
    return tuple(mean.tolist()), tuple(std.tolist())


def split_indices(labels: Tensor, seed: int, *, missing: Collection[str] = tuple(SHARES)) -> dict[str, Tensor]:
    """Shuffled, stratified indices of the training images and of the `missing` parts, cut from them as `SHARES` says.

    A class with as many members as there are parts has at least one in each.
    """
    cut = {part: share for part, share in SHARES.items() if part in missing}
    shares = {"train": round(1 - sum(cut.values()), 6), **cut}
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    parts: dict[str, list[Tensor]] = {part: [] for part in shares}
    for label in labels.unique():
        members = order[shuffled == label]
        start, share = 0, 0.0
        for later, part in zip(reversed(range(len(shares))), shares, strict=True):  # later: parts still to come
            share += shares[part]
            stop = round(share * len(members))
            if len(members) >= len(shares):
                stop = min(max(stop, start + 1), len(members) - later)
            parts[part].append(members[start:stop])
            start = stop
    whole = {part: torch.cat(members) for part, members in parts.items()}
    return {part: each[torch.randperm(len(each), generator=generator)] for part, each in whole.items()}


def equal_shares(labels: Tensor, limit: int, *, classes: int, name: str) -> Tensor:
    """Indices of `limit` images, in their order: equally many from each class, as far as there are enough."""
    if not isinstance(limit, int) or not classes <= limit <= len(labels):
        raise ValueError(
            f"limit must be a whole number from {classes}, one image a class, to {len(labels)}, "
            f"all training images of {name}, got {limit!r}."
        )
    rank = torch.empty_like(labels)  # 0 for the first of its class, 1 for the second, …
    for label in labels.unique():
        members = labels == label
        rank[members] = torch.arange(int(members.sum()))
    return rank.argsort(stable=True)[:limit].sort().values


def described(parts: Mapping[str, Split]) -> str:
    """Number, size and colour of the images in each part: "90 train · 10 val · 20 test, 32×32, colour"."""
    numbers = " · ".join(f"{len(split):,} {part}" for part, split in parts.items())
    _, channels, height, width = parts["train"].images.shape
    return f"{numbers}, {width}×{height}, {'grey' if channels == 1 else 'colour'}"
