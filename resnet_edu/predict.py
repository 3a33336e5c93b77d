"""From picture files to the best labels with percentages."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .errors import UnreadablePicture
from .models.pretrained import Pretrained, pretrained
from .runtime import device
from .trained import open_run

BATCH = 64  # pictures at a time: enough to keep the cores busy, little enough to bound the memory


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


def predict(
    network: Pretrained | Path | str,
    paths: Iterable[Path | str],
    *,
    top: int = 5,
    skip: Callable[[UnreadablePicture], object] | None = None,
) -> list[Prediction]:
    """The `top` most probable labels of each picture.

    Args:
        network: a trained network with its categories and transforms; see `models.pretrained`. Or the folder of a
            finished run; or "bundled", for the weights in this package.
        paths: picture files.
        top: labels a file, at most as many as there are categories.
        skip: is told of each file that cannot be used, which is then left out; by default it is an error.

    Returns:
        One prediction a file, in order. Percentages are the softmax of the logits, times 100.

    Raises:
        UnreadablePicture: a file is no picture that can be used, and there is no `skip`.
        ValueError: `top` is out of range, or there is no such run.
    """
    network = open_network(network)
    if not 1 <= top <= len(network.categories):
        raise ValueError(f"top must lie between 1 and {len(network.categories)}, got {top}.")
    if isinstance(paths, str | Path):
        raise ValueError(f"paths takes several files: write [{str(paths)!r}] for one.")
    model = network.model.to(device()).eval()
    predictions = []
    for files, images in loaded(network, [Path(path) for path in paths], skip):
        with torch.inference_mode():
            percentages = model(images.to(device())).softmax(dim=1) * 100  # (N, classes)
        best = percentages.topk(top)
        for file, indices, values in zip(files, best.indices.tolist(), best.values.tolist(), strict=True):
            labels = [network.categories[index] for index in indices]
            predictions.append(Prediction(file, list(zip(labels, values, strict=True))))
    return predictions


def open_network(network: Pretrained | Path | str) -> Pretrained:
    """A network that can predict: itself, the bundled one, or that of a run's folder."""
    if isinstance(network, Pretrained):
        return network
    return pretrained(source="bundled") if network == "bundled" else open_run(Path(network))


def loaded(
    network: Pretrained, paths: Sequence[Path], skip: Callable[[UnreadablePicture], object] | None
) -> Iterator[tuple[list[Path], Tensor]]:
    """Files that can be used and their tensors `(N, C, H, W)`, a batch at a time; the next one is read meanwhile."""

    def load(path: Path) -> Tensor:
        return network.transforms(network.read(path))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(paths), BATCH)
        ahead: list[list[Future[Tensor]]] = []
        for number, start in enumerate([*starts, len(paths)]):
            ahead.append([pool.submit(load, path) for path in paths[start : start + BATCH]])
            if number == 0:
                continue
            files, images = [], []
            for path, future in zip(paths[starts[number - 1] :], ahead.pop(0), strict=False):
                try:
                    images.append(future.result())
                    files.append(path)
                except UnreadablePicture as error:
                    if skip is None:
                        raise
                    skip(error)
            if files:
                yield files, torch.stack(images)
