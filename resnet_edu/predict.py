"""From picture files to the best labels with percentages."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from .data.pictures import without_warnings
from .errors import UnreadablePicture
from .machine import autocast, cores, device, use_own_cores
from .models import fold_batch_norms
from .models.pretrained import Pretrained, pretrained
from .run import open_run

BATCH = 256  # pictures that are read before the network sees them
SHARE = 16  # of them for one thread to read
PIXELS = 2**20  # that the network sees at once, 256 pictures of 64×64: enough for the cores, and the memory is bounded
CLOSE = 1 / 48  # of the largest logit so far; bfloat16 has changed the distance of the best two by up to 1/58 of it
FEW = 128  # files; for so few, a copy of the network takes longer than it saves, and bfloat16 saves nothing to speak of
SMALL_FILE = 2**14  # bytes; up to here decoding takes less time than the Python around it
SMALL = 2**16  # pixels; up to here the calls cost more than the work, so pictures of one size are prepared together

Given = TypeVar("Given")
Made = TypeVar("Made")


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
        precision: "float32"; "bfloat16"; or "auto", which is the second with hundreds of files where the device has
            units for it. Percentages move a little; where the best label is a close call, float32 decides.

    Returns:
        One prediction a file, in order. Percentages are the softmax of the logits, times 100.

    Raises:
        UnreadablePicture: a file is no picture that can be used, and there is no `skip`.
        UnknownName: a precision that does not exist.
        ValueError: `top` is out of range, there is no such run, or the network puts out what is no number.
    """
    network = open_network(network)
    if not 1 <= top <= len(network.categories):
        raise ValueError(f"top must lie between 1 and {len(network.categories)}, got {top}.")
    if isinstance(paths, str | Path):
        raise ValueError(f"paths takes several files: write [{str(paths)!r}] for one.")
    files, here = [Path(path) for path in paths], device()
    precision = "float32" if precision == "auto" and len(files) <= FEW else precision
    use_own_cores()
    model = network.model.to(here).eval()
    if len(files) > FEW:
        model = fold_batch_norms(model)
    predictions: list[Prediction] = []
    doubtful: list[tuple[int, Tensor]] = []  # places of close calls in that list, and their images
    largest = 1.0  # logit, by its magnitude: rounding is relative to that
    with torch.inference_mode():
        for used, images in loaded(network, files, skip):
            images = images.to(here)
            logits, rounded = computed(model, images, precision)
            if rounded:
                largest = max(largest, logits.abs().nan_to_num(0.0, posinf=0.0).max().item())
                close = close_calls(logits, CLOSE * largest)
                doubtful += zip((len(predictions) + close).tolist(), images[close], strict=True)
            predictions += named(used, logits, network.categories, top)
            if len(doubtful) >= BATCH:
                decide(doubtful, predictions, model, network.categories, top)
        decide(doubtful, predictions, model, network.categories, top)
    return predictions


def computed(model: nn.Module, images: Tensor, precision: str) -> tuple[Tensor, bool]:
    """The logits in float32, `(N, classes)`, and whether they were computed in bfloat16."""
    at_once = max(1, PIXELS // (images.shape[2] * images.shape[3]))
    with autocast(images.device, precision):
        rounded = torch.is_autocast_enabled(images.device.type)
        logits = torch.cat([model(part).float() for part in images.split(at_once)])  # (N, classes)
    return logits, rounded


def close_calls(logits: Tensor, distance: float) -> Tensor:
    """Which rows of the logits `(N, classes)` have their best two closer than that: their numbers."""
    best = logits.topk(min(2, logits.shape[1])).values  # (N, 2), or (N, 1) where there is but one class
    return ((best[:, 0] - best[:, -1] < distance) & (logits.shape[1] > 1)).nonzero()[:, 0]


def named(files: Sequence[Path], logits: Tensor, categories: Sequence[str], top: int) -> list[Prediction]:
    """Files with their best labels, from logits `(N, classes)`."""
    if not logits.isfinite().all():
        file = files[int((~logits.isfinite()).any(dim=1).nonzero()[0])]
        raise ValueError(f"The network's outputs for {file} are not finite: its training has failed. Train it again.")
    best = (logits.softmax(dim=1) * 100).topk(top)
    return [
        Prediction(file, [(categories[int(index)], value) for index, value in zip(indices, values, strict=True)])
        for file, indices, values in zip(files, best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def decide(
    doubtful: list[tuple[int, Tensor]],
    predictions: list[Prediction],
    model: nn.Module,
    categories: Sequence[str],
    top: int,
) -> None:
    """Make the close calls again in float32, many at a time; none is left afterwards."""
    if doubtful:
        places, images = zip(*doubtful, strict=True)
        logits, _ = computed(model, torch.stack(images), "float32")
        again = named([predictions[place].file for place in places], logits, categories, top)
        for place, prediction in zip(places, again, strict=True):
            predictions[place] = prediction
        doubtful.clear()


def open_network(network: Pretrained | Path | str) -> Pretrained:
    """A network that can predict: itself, the bundled one, or that of a run's folder."""
    if isinstance(network, Pretrained):
        return network
    return pretrained(source="bundled") if network == "bundled" else open_run(Path(network))


def loaded(
    network: Pretrained, paths: Sequence[Path], skip: Callable[[UnreadablePicture], object] | None
) -> Iterator[tuple[list[Path], Tensor]]:
    """Files that can be used and their tensors `(N, C, H, W)`, a batch at a time.

    While a GPU computes, the next batch is read. A CPU does one after the other, for both want all of its cores: a
    network's threads lose more by waiting for one that reads than the reading takes.
    """
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(cores()) as pool, without_warnings():

        def read(files: Sequence[Path]) -> list[Tensor | UnreadablePicture]:
            if are_small(files):
                return prepared(network, files)
            share = min(SHARE, -(-len(files) // cores()))
            parts = [files[at : at + share] for at in range(0, len(files), share)]
            return list(chain.from_iterable(pool.map(partial(prepared, network), parts)))

        batches_read = map(read, batches) if device().type == "cpu" else one_ahead(read, batches)
        for files, found in zip(batches, batches_read, strict=True):
            used, images = [], []
            for file, each in zip(files, found, strict=True):
                if isinstance(each, Tensor):
                    used.append(file)
                    images.append(each)
                elif skip is None:
                    raise each
                else:
                    skip(each)
            if used:
                yield used, torch.stack(images)


def one_ahead(work: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """Like `map`, but another thread works on the next one while the caller has this one."""
    with ThreadPoolExecutor(1) as thread:
        begun: deque[Future[Made]] = deque()
        for each in given:
            begun.append(thread.submit(work, each))
            if len(begun) == 2:
                yield begun.popleft().result()
        for last in begun:
            yield last.result()


def are_small(files: Sequence[Path]) -> bool:
    """Whether one thread reads these faster than several, of which Python lets only one run at a time."""
    return sum(map(size_of, files)) <= SMALL_FILE * len(files)


def size_of(file: Path) -> int:
    """Bytes; 0 where that cannot be told, as reading it will say why."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return 0


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
