"""A data set that lives in memory: uint8 images and int64 labels as two tensors, nothing else.

60,000 images of 32×32 in colour take 184 MB; there is no need for files, workers or a Dataset class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of each class; 3,500, 500 and 1,000 of 5,000


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one part of a data set.

    Args:
        images: uint8, `(N, C, H, W)`, values 0 to 255.
        labels: int64, `(N,)`, values 0 to classes - 1.
        mean: mean of each channel over the *training* images, on a scale of 0 to 1.
        std: standard deviation of each channel, likewise.

    Raises:
        ValueError: wrong type or shape, no images at all, not as many labels as images, or a label below 0.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
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
    """A named data set in three parts.

    Args:
        name: the name it was loaded by.
        train: to learn from.
        val: to choose by (learning rate, number of epochs).
        test: to report on, once.
        classes: the label's names, in the order of the labels.
        source: one line that says what was really loaded, and from where.
        notes: what to know before trusting a result, a line each: files that were skipped, pictures in two parts.

    Raises:
        ValueError: a label lies outside the classes.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "val", "test"):
            labels = getattr(self, part).labels
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
    """Mean and standard deviation of each channel of uint8 images `(N, C, H, W)`, on a scale of 0 to 1.

    Counts the 256 possible values instead of making a float copy four times the size.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(dim=1):
        counts = sum(torch.bincount(some.flatten(), minlength=256) for some in channel.split(1024))  # bounded memory
        shares = torch.as_tensor(counts).double() / channel.numel()
        mean = (shares * values).sum()
        means.append(float(mean))
        stds.append(max(float((shares * (values - mean) ** 2).sum().sqrt()), 1e-3))  # a blank channel has none
    return tuple(means), tuple(stds)


def split_indices(labels: Tensor, seed: int, *, shares: Mapping[str, float] = SHARES) -> dict[str, Tensor]:
    """Shuffled, stratified indices of each part: `{"train": (N₁,), "val": (N₂,), "test": (N₃,)}`.

    A class with as many members as there are parts has at least one in each.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    parts: dict[str, list[Tensor]] = {part: [] for part in shares}
    for label in labels.unique():
        members = order[labels[order] == label]
        start, share = 0, 0.0
        for later, part in zip(reversed(range(len(shares))), shares, strict=True):  # later: parts still to come
            share += shares[part]
            stop = round(share * len(members))
            if len(members) >= len(shares):
                stop = min(max(stop, start + 1), len(members) - later)
            parts[part].append(members[start:stop])
            start = stop
    return {part: order_of(torch.cat(members), generator) for part, members in parts.items()}


def order_of(indices: Tensor, generator: torch.Generator) -> Tensor:
    """The same indices in random order."""
    return indices[torch.randperm(len(indices), generator=generator)]


def stratified(labels: Tensor, count: int) -> Tensor:
    """Indices of `count` labels in their order, of every class as many (one more of some if it does not divide)."""
    rank = torch.empty_like(labels)  # 0 for the first of its class, 1 for the second, …
    for label in labels.unique():
        members = labels == label
        rank[members] = torch.arange(int(members.sum()))
    return rank.argsort(stable=True)[:count].sort().values


def recolour(images: Tensor, channels: int) -> Tensor:
    """Uint8 images `(N, 1 or 3, H, W)` with 1 or 3 channels: grey is the luma of ITU-R BT.601, as in Pillow."""
    if channels == images.shape[1] or channels == 3:
        return images.expand(-1, channels, -1, -1)
    weights = torch.tensor([19595, 38470, 7471]).view(3, 1, 1)  # 0.299, 0.587, 0.114 of 2¹⁶
    grey = [((part.int() * weights).sum(dim=1, keepdim=True) + 2**15) // 2**16 for part in images.split(4096)]
    return torch.cat([part.byte() for part in grey])
