"""Small folders of pictures, and what was made of them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from resnet_edu.data import Data

CLASSES = ("cat", "dog", "emu")


def noise(seed: int, size: tuple[int, int] = (20, 16)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def fill(root: Path, counts: dict[str, int], *, first: int = 0, kind: str = "png") -> Path:
    """Lossless noise, a different picture in every file."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise(first + 1000 * number + index).save(root / name / f"{index:03}.{kind}")
    return root


def sizes(loaded: Data) -> tuple[int, ...]:
    return len(loaded.train), len(loaded.val), len(loaded.test)


def everything(loaded: Data) -> torch.Tensor:
    return torch.cat([loaded.train.images, loaded.val.images, loaded.test.images])
