"""From picture files to the best labels with percentages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .errors import UnreadablePicture
from .hardware import cores
from .models.folding import folded
from .models.pretrained import Pretrained, pretrained
from .runtime import autocast, device
from .trained import open_run

BATCH = 64  # pictures at a time: enough to keep the cores busy, little enough to bound the memory
SHARE = 16  # of them for one thread to read
SMALL = 2**16  # pixels; up to here the calls cost more than the work, so pictures of one size are prepared together


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
    precision: str = "float32",
) -> list[Prediction]:
    """The `top` most probable labels of each picture.

    Args:
        network: a trained network with its categories and transforms; see `models.pretrained`. Or the folder of a
            finished run; or "bundled", for the weights in this package.
        paths: picture files.
        top: labels a file, at most as many as there are categories.
        skip: is told of each file that cannot be used, which is then left out; by default it is an error.
        precision: "float32", or "auto" for bfloat16 where the device has units for it: faster with thousands of
            files, and the percentages move by up to about one.

    Returns:
        One prediction a file, in order. Percentages are the softmax of the logits, times 100.

    Raises:
        UnreadablePicture: a file is no picture that can be used, and there is no `skip`.
        UnknownName: a precision that does not exist.
        ValueError: `top` is out of range, or there is no such run.
    """
    network = open_network(network)
    if not 1 <= top <= len(network.categories):
        raise ValueError(f"top must lie between 1 and {len(network.categories)}, got {top}.")
    if isinstance(paths, str | Path):
        raise ValueError(f"paths takes several files: write [{str(paths)!r}] for one.")
    files, here = [Path(path) for path in paths], device()
    model = network.model.to(here).eval()
    predictions = []
    with torch.inference_mode(), autocast(here, precision):
        for number, (used, images) in enumerate(loaded(network, files, skip)):
            images = images.to(here)
            if number == 0 and len(files) > 2 * BATCH:  # worth the moment that a faster copy takes
                model = folded(model, images[:8])
            percentages = model(images).float().softmax(dim=1) * 100  # (N, classes)
            best = percentages.topk(top)
            for file, indices, values in zip(used, best.indices.tolist(), best.values.tolist(), strict=True):
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
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(cores()) as pool:

        def begin(files: Sequence[Path]) -> list[Future[list[Tensor | UnreadablePicture]]]:
            share = min(SHARE, -(-len(files) // cores()))
            return [pool.submit(prepared, network, files[at : at + share]) for at in range(0, len(files), share or 1)]

        ahead = begin(batches[0] if batches else [])
        for files, following in zip(batches, [*batches[1:], []], strict=True):
            now, ahead = ahead, begin(following)
            used, images = [], []
            for file, found in zip(files, (each for future in now for each in future.result()), strict=True):
                if isinstance(found, Tensor):
                    used.append(file)
                    images.append(found)
                elif skip is None:
                    raise found
                else:
                    skip(found)
            if used:
                yield used, torch.stack(images)


def prepared(network: Pretrained, paths: Sequence[Path]) -> list[Tensor | UnreadablePicture]:
    """What becomes of each file: its tensor `(C, H, W)`, or why it cannot be used."""
    found: dict[int, Tensor | UnreadablePicture] = {}
    small: dict[tuple[int, int], list[tuple[int, Image.Image]]] = {}
    for number, path in enumerate(paths):
        try:
            picture = network.read(path)
        except UnreadablePicture as error:
            found[number] = error
            continue
        if picture.width * picture.height > SMALL:  # at once, for a large one must not wait in memory
            found[number] = network.transforms(picture)
        else:
            small.setdefault(picture.size, []).append((number, picture))
    for alike in small.values():
        numbers, pictures = zip(*alike, strict=True)
        found |= zip(numbers, network.inputs(pictures), strict=True)
    return [found[number] for number in range(len(paths))]
