"""The network of a finished run: open it anywhere, measure it on its test images or on others."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from . import models
from .config import is_number
from .data import Data, normalise
from .data.folder import is_folder, load_one_part
from .data.listing import PARTS
from .data.pictures import View
from .data.sets import resize
from .errors import WrongCheckpoint
from .files import quoted
from .metrics import Metrics, evaluate
from .models import Pretrained
from .recipe import Recipe


@dataclass(frozen=True)
class Preprocessing:
    """A picture as this run's network wants it: the view that the training images had, and their normalisation.

    Args:
        view: size, channels and crop.
        mean: of each channel of the training images.
        std: likewise, the standard deviation.
        side: to which the images of a data set with a name were resized, in pixels; None: they have the view's size.
    """

    view: View
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int | None = None

    def __call__(self, picture: Image.Image) -> Tensor:
        """A picture in RGB to a float tensor `(C, H, W)`."""
        return self.together([picture])[0]

    def together(self, pictures: Sequence[Image.Image]) -> Tensor:
        """N pictures in RGB to a float tensor `(N, C, H, W)`."""
        pixels = np.stack([self.view.fit(picture) for picture in pictures])  # (N, H, W, C)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return normalise(resize(images, self.side) if self.side else images, self.mean, self.std)


def open_run(folder: Path) -> Pretrained:
    """The network of a finished run, with its categories and the very preprocessing it was trained with.

    Raises:
        ValueError: the folder holds no finished run.
        WrongCheckpoint: its files are damaged.
    """
    if not folder.exists():
        raise ValueError(f"There is no run {folder}. Name a run's folder, or bundled for the network of the package.")
    weights = folder / "weights.safetensors"
    if not weights.is_file():
        if (folder / "report.json").exists():
            raise WrongCheckpoint(f"The run {folder} is damaged: {weights.name} is missing. Train it again.")
        started = (folder / "config.toml").is_file()
        again = f"It is not finished: resnet-edu train --resume {quoted(folder)}"
        raise ValueError(f"{folder} holds no finished run. {again if started else 'It has no config.toml.'}")
    facts = read_object(folder / "network.json")
    try:
        view = View(**facts["view"], max_megabytes=facts["max_megabytes"])
        model = models.build(facts["model"], num_classes=len(facts["classes"]), **facts["options"])
        state = load_file(weights)
        mean, std = (numbers(facts[key], view.channels) for key in ("mean", "std"))
        side = facts.get("side")
        if side is not None:
            replace(view, width=side)  # which says what is wrong with it
        preprocessing = Preprocessing(view, mean, std, side)
        classes, data = tuple(map(text, facts["classes"])), facts["data"]
        if facts["options"]["in_channels"] != view.channels:
            raise ValueError(f"a network for {facts['options']['in_channels']} channels, images with {view.channels}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise WrongCheckpoint(f"The run {folder} is damaged ({error}). Train it again.") from error
    models.load_state(model, state, name=facts["model"])
    source = f"{facts['model']}, trained on {data}"
    return Pretrained(model.eval(), classes, preprocessing, source, view.read)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises:
        WrongCheckpoint: there is no such file, or it holds something else.
    """
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise WrongCheckpoint(f"The run {file.parent} is damaged: {file.name} is missing. Train it again.") from error
    except ValueError as error:
        raise WrongCheckpoint(f"The run {file.parent} is damaged: {file.name}, {error}. Train it again.") from error
    if not isinstance(values, dict):
        raise WrongCheckpoint(f"The run {file.parent} is damaged: {file.name} holds no JSON object. Train it again.")
    return values


def as_json(values: Mapping[str, Any]) -> bytes:
    """In UTF-8. What is none, in the names of files, is escaped, and reads back equal."""
    return json.dumps(values, indent=1, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def read_report(folder: Path) -> dict[str, Any] | None:
    """What a finished run found, None if it is not finished.

    Raises:
        WrongCheckpoint: the file is damaged.
    """
    file = folder / "report.json"
    if not file.exists():
        return None
    report = read_object(file)
    for key, kind in (("epochs", int), ("test_error", float), ("right_by_class", dict)):
        if not isinstance(report.get(key), kind):
            raise WrongCheckpoint(f"The run {folder} is damaged: {key} in {file.name}. Train it again.")
    return report


def numbers(values: Sequence[Any], count: int) -> tuple[float, ...]:
    """So many finite numbers.

    Raises:
        ValueError: there are more or fewer, or something else is among them.
    """
    if len(values) != count or not all(map(is_number, values)):
        raise ValueError(f"{values} in place of {count} numbers")
    return tuple(values)


def text(value: Any) -> str:
    """A string.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} in place of a name")
    return value


def right_by_class(confusion: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Percent of the images of each class that were named rightly; classes without images are left out."""
    counts = confusion.sum(dim=1).tolist()
    right = confusion.diagonal().tolist()
    return {name: 100 * each / count for name, each, count in zip(classes, right, counts, strict=True) if count}


def pictures_of(data: Data) -> dict[str, Any]:
    """What tells these pictures, cut in this way, from others; as it stands in `network.json`.

    Args:
        data: as it was loaded. The normalisation of a pretrained network would say nothing about the pictures.
    """
    return {
        "classes": list(data.classes),
        "images": {part: len(getattr(data, part)) for part in PARTS},
        "brightness": {"mean": list(data.train.mean), "std": list(data.train.std)},
    }


def changes(before: Mapping[str, Any], pictures: Mapping[str, Any]) -> str:
    """In what the pictures are others than `network.json` says: "images, brightness"; empty if they are the same."""
    return ", ".join(key for key, value in pictures.items() if before.get(key, value) != value)


def evaluate_run(
    folder: Path,
    other: str | None = None,
    *,
    network: Pretrained | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Metrics, str]:
    """Measure a finished run.

    Args:
        folder: of the run.
        other: a folder of pictures or the name of a data set, of which the test images are taken, or all images
            of a folder that is not divided into parts; by default the run's own test images.
        network: the run's, if it is open already.
        say: is told which files of another folder were skipped.

    Returns:
        What was measured, and one line about the images.

    Raises:
        ValueError: no finished run; its pictures have changed, and with them which ones it was trained on; or the
            other data set has classes that the network does not know.
    """
    network, recipe = network or open_run(folder), Recipe.from_toml(folder / "config.toml")
    preprocessing: Any = network.transforms
    if other and is_folder(other):
        found = load_one_part(Path(os.path.expanduser(other)), preprocessing.view)
        name, split, classes = found.name, found.split, found.classes
        if preprocessing.side:
            split = replace(split, images=resize(split.images, preprocessing.side))
        for note in found.notes:
            say(note)
    else:
        data = (replace(recipe, data=other, crop="none") if other else recipe).load()
        before = read_object(folder / "network.json")
        if not other and (changed := changes(before, pictures_of(data))):
            raise ValueError(
                f"The pictures in {recipe.data} are others than when {folder} was trained ({changed} changed), so its "
                "test images are not known any more. Name pictures that it has not seen: --data DIR."
            )
        name, split, classes = data.name, data.test, data.classes
    unknown = {*classes} - {*network.categories}
    if unknown:
        known = ", ".join(network.categories)
        raise ValueError(f"The network does not know the classes {', '.join(sorted(unknown))}. It knows {known}.")
    places = torch.tensor([network.categories.index(each) for each in classes])
    split = replace(split, labels=places[split.labels], mean=preprocessing.mean, std=preprocessing.std)
    return evaluate(network.model, split), f"{len(split):,} images of {name}"
