"""From a picture file to the best labels with percentages."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from .data.pictures import read_photo
from .models.pretrained import Pretrained
from .runtime import device


@dataclass(frozen=True)
class Prediction:
    """The best labels of one file.

    Args:
        file: the picture.
        top: label and percentage, best first.
    """

    file: Path
    top: list[tuple[str, float]]

    def __str__(self) -> str:
        """The file's name, then one label a line with its percentage as a bar."""
        width = max(len(label) for label, _ in self.top)
        lines = [f"  {label:{width}}  {percent:5.1f} %  {'█' * round(percent / 4)}" for label, percent in self.top]
        return "\n".join([self.file.name, *lines])


def predict(network: Pretrained, paths: Iterable[Path | str], *, top: int = 5) -> list[Prediction]:
    """The `top` most probable labels of each picture.

    Args:
        network: a trained network with its categories and transforms; see `models.pretrained`.
        paths: picture files.
        top: labels a file, at most as many as there are categories.

    Returns:
        One prediction a file, in order. Percentages are the softmax of the logits, times 100.

    Raises:
        UnreadablePicture: a file is no picture that can be used.
        ValueError: `top` is out of range.
    """
    if not 1 <= top <= len(network.categories):
        raise ValueError(f"top must lie between 1 and {len(network.categories)}, got {top}.")
    if isinstance(paths, str | Path):
        raise ValueError(f"paths takes several files: write [{str(paths)!r}] for one.")
    model = network.model.to(device()).eval()
    predictions = []
    for path in map(Path, paths):
        image = network.transforms(read_photo(path))  # (C, H, W)
        with torch.inference_mode():
            percentages = model(image[None].to(device()))[0].softmax(dim=0) * 100  # (classes,)
        best = percentages.topk(top)
        labels = [network.categories[index] for index in best.indices.tolist()]
        predictions.append(Prediction(path, list(zip(labels, best.values.tolist(), strict=True))))
    return predictions
