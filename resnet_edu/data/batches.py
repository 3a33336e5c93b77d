"""Batches out of memory, augmented as whole tensors: every image its own crop, flip and turn.

A data set as one tensor, and augmentation as a few tensor operations, is the idea of Keller Jordan's airbench
(https://github.com/KellerJordan/cifar10-airbench). It needs no workers, and runs on the GPU unchanged.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import check_known
from .split import Split, normalise

AUGMENTATIONS = ("crop", "resized_crop", "flip", "rotation")
SMALLEST_CROP = 0.35  # of the image's area; a tenth, as for ImageNet, is for training of many epochs


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Training steps in one pass: as few as take every image once, with at most `batch_size` images in each."""
    return math.ceil(images / batch_size)


def training_batches(
    split: Split,
    batch_size: int,
    *,
    augment: Sequence[str] = (),
    generator: torch.Generator,
    share: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass in random order: pairs of images `(N, C, H, W)`, normalised, and labels `(N,)`, on the split's device.

    If `batch_size` does not divide the number of images, all batches are a little smaller, not the last one much
    smaller: batch norm needs more than a few. The order and the augmentation come from a `generator` on the CPU, so
    that every device draws the same numbers. Where several processes train together, `share` takes one's rows.
    """
    check_augmentations(augment)
    order = torch.randperm(len(split), generator=generator).to(split.labels.device)
    for indices in order.tensor_split(steps_per_epoch(len(split), batch_size)):
        images = augmented(split.images[indices], augment, generator)  # the same numbers are drawn in each process
        images = normalise(share(images), split.mean, split.std)
        yield images.contiguous(), share(split.labels[indices])  # a network in channels_last converts them itself


def check_augmentations(names: object) -> None:
    """Raise `ValueError` unless it is a list of augmentations; "flip" would be a list of letters."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f'augment takes a list, such as ["crop", "flip"], or [] for none, got {names!r}.')
    check_known("augmentation", AUGMENTATIONS, *names)


def evaluation_batches(split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass in order over every image: pairs of normalised images `(N, C, H, W)` and labels `(N,)`.

    `images_at_once` in a batch, so that memory suffices as in training.
    """
    batch_size = images_at_once(split)
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        yield split.inputs(part), split.labels[part]


def images_at_once(split: Split) -> int:
    """How many images are measured at once: 500 of up to 32×32 pixels, and fewer of larger ones."""
    height, width = split.images.shape[2:]
    return min(500, max(64, 500 * 32 * 32 // (height * width)))


def augmented(images: Tensor, augment: Sequence[str], generator: torch.Generator) -> Tensor:
    """Apply the named augmentations to uint8 images `(N, C, H, W)`; the result is uint8 again."""
    if "crop" in augment:
        images = random_crop(images, min(images.shape[2:]) // 8, generator)
    if "resized_crop" in augment:
        images = random_resized_crop(images, SMALLEST_CROP, generator)
    if "flip" in augment:
        images = random_flip(images, generator)
    if "rotation" in augment:
        images = random_rotation(images, 10, generator)
    return images


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad each side with `padding` black pixels, then cut each image `(N, C, H, W)` out at a place of its own.

    With 4 pixels at side 32 it is the augmentation of He et al. 2015, section 4.2.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))  # (N, C, H + 2p, W + 2p)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 2p + 1, 2p + 1, H, W): every crop, as a view
    top, left = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    return windows[torch.arange(count, device=images.device), :, top, left]  # (N, C, H, W)


def random_resized_crop(images: Tensor, smallest: float, generator: torch.Generator) -> Tensor:
    """Enlarge a part of each image `(N, C, H, W)`, of its own place, size and proportions, to the whole.

    The part has between `smallest` and all of the image's area, and is up to 4/3 wider or narrower than the image, as
    GoogLeNet was trained (Szegedy et al. 2014, section 6).
    """
    area, stretch, x, y = torch.rand(4, len(images), generator=generator)
    area = smallest + (1 - smallest) * area
    stretch = (4 / 3) ** (stretch - 0.5)  # square root of the proportions
    width, height = (area.sqrt() * stretch).clamp_(max=1), (area.sqrt() / stretch).clamp_(max=1)
    return resampled(images, width, height, (2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height))


def resampled(images: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The part of each image around (`x`, `y`), enlarged to the whole: uint8 `(N, C, H, W)`.

    `width` and `height` are shares of the image's; `x` and `y` run from -1, left and top, to 1. All are `(N,)`.
    """
    zero = torch.zeros_like(x)
    return moved(images, torch.stack([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3), outside="border")


def moved(images: Tensor, where: Tensor, *, outside: str) -> Tensor:
    """Images `(N, C, H, W)` whose pixels come from other places: `where`, `(N, 2, 3)`, maps new places to old ones."""
    grid = F.affine_grid(where.to(images.device), list(images.shape), align_corners=False)  # (N, H, W, 2)
    edge = 1 - 1 / torch.tensor(images.shape[:1:-1], device=images.device)  # the outermost pixels: x, y
    grid = grid.clamp(-edge, edge) if outside == "border" else grid  # Apple's GPUs could not before torch 2.11
    sampled = F.grid_sample(images.float(), grid, align_corners=False)
    return sampled.round_().to(torch.uint8)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror about half of the images left to right: `(N, C, H, W)` to `(N, C, H, W)`."""
    mirror = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirror[:, None, None, None], images.flip(3), images)


def random_rotation(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """Turn each image by an angle of its own, up to ± `degrees`; corners left open are black."""
    angle = (torch.rand(len(images), generator=generator) * 2 - 1) * math.radians(degrees)
    ratio = images.shape[3] / images.shape[2]  # the grid runs from -1 to 1 along both sides
    turn = torch.zeros(len(images), 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1] = -angle.sin() / ratio
    turn[:, 1, 0] = angle.sin() * ratio
    return moved(images, turn, outside="zeros")
