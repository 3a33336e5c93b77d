"""From picture files to the best labels with percentages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .data.pictures import read_at_once
from .errors import UnreadablePicture
from .machine import autocast, device, use_own_cores
from .models import Pretrained, fold_batch_norms, pretrained
from .run import open_run

BATCH = 256  # pictures that are read before the network sees them
PIXELS = 2**20  # that the network sees at once, 256 pictures of 64×64: enough for the cores, and the memory is bounded
CLOSE = 1 / 48  # of the largest logit; bfloat16 has changed the distance of the best two by up to 1/58 of it
FEW = 128  # files; for so few, a copy of the network takes longer than it saves, and bfloat16 saves nothing to speak of


@dataclass(frozen=True)
class Prediction:
    """The best labels of one file."""

    file: Path  # the picture
    top: list[tuple[str, float]]  # label and percentage, best first

    def __str__(self) -> str:
        """The file's name, then one label a line with its percentage as a bar."""
        width = max(len(label) for label, _ in self.top)
        lines = [f"  {label:{width}}  {percent:5.1f} %  {'█' * round(percent / 4)}" for label, percent in self.top]
        return "\n".join([self.file.name, *lines])


def predict(
    network: Pretrained | Path | str,
    paths: Iterable[Path | str],
    *,
    top: int | None = None,
    skip: Callable[[UnreadablePicture], object] | None = None,
    precision: str = "auto",
) -> list[Prediction]:
    """The `top` most probable labels of each picture.

    Args:
        network: a trained network with its categories and transforms; see `models.pretrained`. Or the folder of a
            finished run; or "bundled", for the weights in this package.
        paths: picture files.
        top: labels a file, at most as many as there are categories; by default 5, or all of fewer.
        skip: is told of each file that cannot be used, which is then left out; by default it is an error.
        precision: "auto" is bfloat16 for hundreds of files, where the device has units for it. Percentages then move a
            little; where the best label is a close call, float32 decides. "float32" keeps every digit.

    Returns:
        One prediction a file, in order. Percentages are the softmax of the logits, times 100.

    Raises:
        UnreadablePicture: a file is no picture that can be used, and there is no `skip`.
        ValueError: an argument that cannot be, or the network puts out what is no number.
    """
    network = open_network(network)
    top = min(5, len(network.categories)) if top is None else top
    if not 1 <= top <= len(network.categories):
        raise ValueError(f"top must lie between 1 and {len(network.categories)}, got {top}.")
    if isinstance(paths, str | Path):
        raise ValueError(f"paths takes several files: write [{str(paths)!r}] for one.")
    paths = list(paths)
    if others := [type(path).__name__ for path in paths if not isinstance(path, str | Path)]:
        advice = "For an open picture: network.transforms(it)."
        raise ValueError(f"paths takes the paths of files, got {others[0]}. {advice}")
    files = [Path(path) for path in paths]
    use_own_cores()
    model = network.model.to(device()).eval()
    if len(files) > FEW:
        model = fold_batch_norms(model)
    elif precision == "auto":
        precision = "float32"
    predictions: list[Prediction] = []
    with torch.inference_mode():
        for used, images in loaded(network, files, skip):
            logits = forward(model, images.to(device()), precision)  # (N, classes)
            if not logits.isfinite().all():
                file = used[int((~logits.isfinite()).any(dim=1).nonzero()[0])]
                raise ValueError(f"The outputs for {file} are not finite: the training has failed. Train it again.")
            percents, places = (logits.softmax(dim=1) * 100).topk(top)
            for file, row, shares in zip(used, places.tolist(), percents.tolist(), strict=True):
                labels = [network.categories[place] for place in row]
                predictions.append(Prediction(file, list(zip(labels, shares, strict=True))))
    return predictions


def open_network(network: Pretrained | Path | str) -> Pretrained:
    """A network that can predict: itself, the bundled one, or that of a run's folder."""
    if isinstance(network, Pretrained):
        return network
    if isinstance(network, nn.Module):
        raise ValueError("A bare network has no class names: give a models.Pretrained(…), a run's folder or bundled.")
    return pretrained(source="bundled") if network == "bundled" else open_run(Path(network))


def forward(model: nn.Module, images: Tensor, precision: str) -> Tensor:
    """The logits in float32, `(N, classes)`; close calls are computed in float32, whatever the precision."""
    at_once = max(1, PIXELS // (images.shape[2] * images.shape[3]))
    with autocast(images.device, precision, images.shape):
        rounded = torch.is_autocast_enabled(images.device.type)
        logits = torch.cat([model(part).float() for part in images.split(at_once)])
    if rounded and logits.shape[1] > 1:
        best = logits.topk(2).values  # (N, 2)
        close = best[:, 0] - best[:, 1] < CLOSE * logits.abs().max()
        if close.any():
            logits[close] = forward(model, images[close], "float32")
    return logits


def loaded(
    network: Pretrained, paths: Sequence[Path], skip: Callable[[UnreadablePicture], object] | None
) -> Iterator[tuple[list[Path], Tensor]]:
    """Files that can be used and their tensors `(N, C, H, W)`, a batch at a time.

    The network waits meanwhile: both want all cores, and its threads lose more by waiting for one that reads than the
    reading takes.
    """
    for start in range(0, len(paths), BATCH):
        files = paths[start : start + BATCH]
        found = read_at_once(lambda file: network.transforms(network.read(file)), files)
        used, images = [], []
        for file, result in zip(files, found, strict=True):
            if isinstance(result, Tensor):
                used.append(file)
                images.append(result)
            elif skip is None:
                raise result
            else:
                skip(result)
        if used:
            yield used, torch.stack(images)
