"""The network of a finished run: open it anywhere, measure it on its test images or on others."""

import json
from collections.abc import Mapping, Sequence
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
from .data import Data, Split, normalise
from .data.folder import is_folder
from .data.listing import PARTS
from .data.pictures import View
from .errors import WrongCheckpoint
from .metrics import Metrics, evaluate
from .models import Pretrained
from .recipe import Recipe


@dataclass(frozen=True)
class Preprocessing:
    """A picture as this run's network wants it: the view that the training images had, and their normalisation."""

    view: View
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, picture: Image.Image) -> Tensor:
        """A picture in RGB to a float tensor `(C, H, W)`."""
        return self.together([picture])[0]

    def together(self, pictures: Sequence[Image.Image]) -> Tensor:
        """N pictures in RGB to a float tensor `(N, C, H, W)`."""
        pixels = np.stack([self.view.fit(picture) for picture in pictures])  # (N, H, W, C)
        return normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.mean, self.std)


def open_run(folder: Path) -> Pretrained:
    """The network of a finished run, with its categories and the very preprocessing it was trained with.

    Raises:
        ValueError: the folder holds no finished run.
        WrongCheckpoint: its files are damaged.
    """
    if not (folder / "weights.safetensors").is_file():
        started = (folder / "config.toml").is_file()
        advice = f"It is not finished: resnet-edu train --resume {folder}" if started else "It has no config.toml."
        raise ValueError(f"{folder} holds no finished run. {advice}")
    try:
        facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        view = View(**facts["view"], max_megabytes=facts["max_megabytes"])
        model = models.build(facts["model"], num_classes=len(facts["classes"]), **facts["options"])
        state = load_file(folder / "weights.safetensors")
        preprocessing = Preprocessing(view, tuple(facts["mean"]), tuple(facts["std"]))
        classes, data = tuple(facts["classes"]), facts["data"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WrongCheckpoint(f"The run {folder} is damaged ({error}). Train it again.") from error
    models.load_state(model, state, name=facts["model"])
    source = f"{facts['model']}, trained on {data}"
    return Pretrained(model.eval(), classes, preprocessing, source, view.read)


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


def evaluate_run(folder: Path, other: str | None = None, *, network: Pretrained | None = None) -> tuple[Metrics, str]:
    """Measure a finished run.

    Args:
        folder: of the run.
        other: a folder of pictures or the name of a data set, of which the test images are taken, or all images
            of a folder that is not divided into parts; by default the run's own test images.
        network: the run's, if it is open already.

    Returns:
        What was measured, and one line about the images.

    Raises:
        ValueError: no finished run; its pictures have changed, and with them which ones it was trained on; or the
            other data set has classes that the network does not know.
    """
    network, recipe = network or open_run(folder), Recipe.from_toml(folder / "config.toml")
    data = (replace(recipe, data=other) if other else recipe).load()
    before = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if not other and (changed := changes(before, pictures_of(data))):
        raise ValueError(
            f"The pictures in {recipe.data} are others than when {folder} was trained ({changed} changed), so its test "
            "images are not known any more. Name pictures that it has not seen: --data DIR."
        )
    unknown = {*data.classes} - {*network.categories}
    if unknown:
        known = ", ".join(network.categories)
        raise ValueError(f"The network does not know the classes {', '.join(sorted(unknown))}. It knows {known}.")
    parts = [data.test]
    if other and is_folder(other) and not (Path(other).expanduser() / "test").is_dir():
        parts += [data.train, data.val]
    numbers = torch.tensor([network.categories.index(name) for name in data.classes])
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    preprocessing: Any = network.transforms
    split = Split(images, numbers[labels], preprocessing.mean, preprocessing.std)
    return evaluate(network.model, split), f"{len(split):,} images of {data.name}"
