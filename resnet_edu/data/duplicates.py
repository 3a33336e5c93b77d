"""Pictures that stand in two parts of a data set: a test error measured on them says nothing.

Two pictures are taken for one if their 16×16 grey miniatures correlate, whatever their size, brightness, contrast
or JPEG quality.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 16
ALIKE = 0.995  # correlation of two miniatures that are taken for one picture
CHUNK = 512  # images at a time, to bound the memory


def miniatures(images: Tensor) -> Tensor:
    """Grey miniatures of uint8 `(N, C, H, W)` with mean 0 and length 1, float32 `(N, 256)`; blank ones stay 0."""
    small = []
    for some in images.split(CHUNK):
        grey = F.interpolate(some.float(), size=(SIDE, SIDE), mode="area").mean(dim=1).flatten(1)
        grey = grey - grey.mean(dim=1, keepdim=True)
        small.append(F.normalize(torch.where(grey.std(dim=1, keepdim=True) > 2, grey, 0)))
    return torch.cat(small)


def across_parts(images: Tensor, parts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices of nearly equal images in different parts: of each image its best twin in an earlier part.

    Args:
        images: uint8 `(N, C, H, W)`, sorted by part.
        parts: the part of each image.
    """
    small, pairs = miniatures(images), []
    for start in (parts.index(part) for part in dict.fromkeys(parts) if parts.index(part) > 0):
        end = start + parts.count(parts[start])
        for first in range(start, end, CHUNK):
            alike, twins = (small[first : min(first + CHUNK, end)] @ small[:start].T).max(dim=1)
            found = (alike > ALIKE).nonzero().flatten().tolist()
            pairs += [(int(twins[row]), first + row) for row in found]
    return pairs
