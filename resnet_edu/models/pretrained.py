"""Networks that have already learned something: torchvision's ImageNet weights, or the ones in this package."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms import v2

from .. import course
from ..data.fetch import download_allowed
from ..data.pictures import read_photo
from ..errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from .imagenet import fetch_imagenet, imagenet_file, imagenet_state, imagenet_weights
from .registry import build
from .weights import load_state

WeightSource = Literal["auto", "imagenet", "bundled"]
BUNDLED = ("resnet18",)


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network with all that is needed to use it.

    Args:
        model: the network, in evaluation mode.
        categories: the label's names, in the order of the logits.
        transforms: maps a PIL image to a normalised float tensor `(C, H, W)`.
        source: one line that says whose weights these are.
        read: opens a file as the picture that `transforms` takes.
    """

    model: nn.Module
    categories: tuple[str, ...]
    transforms: Callable[[Image.Image], Tensor]
    source: str
    read: Callable[[Path], Image.Image] = read_photo


def pretrained(name: str = "resnet18", *, source: WeightSource = "auto") -> Pretrained:
    """A pretrained network, and a line that says which weights were taken and why.

    Args:
        name: name of the network; the bundled weights are those of `resnet18`.
        source: "imagenet" takes torchvision's IMAGENET1K_V1 weights, and downloads them if they are not cached;
            "bundled" takes the weights in this package; "auto" takes ImageNet's if they are cached, or if you allow
            downloads with the environment variable RESNET_EDU_DOWNLOAD=1 and the server can be reached, else the
            bundled ones.

    Returns:
        Model, categories, transforms and source; a lesson prints the last.

    Raises:
        UnknownName: no weights exist under this name, or `source` is none of the three.
        DatasetUnavailable: the weights asked for cannot be had.
        WrongCheckpoint: the file of weights is damaged, or does not fit the network.
    """
    if source not in ("auto", "imagenet", "bundled"):
        raise UnknownName("source of weights", source, ("auto", "imagenet", "bundled"))
    if source == "bundled":
        return from_bundle(name)
    reason = why_not_imagenet(name, download=source == "imagenet" or download_allowed())
    if reason is None:
        return from_imagenet(name)
    if source == "imagenet" or name not in BUNDLED:
        raise DatasetUnavailable(reason)
    network = from_bundle(name)
    return replace(network, source=f"{network.source}. Not ImageNet's: {reason}")


def why_not_imagenet(name: str, *, download: bool) -> str | None:
    """What keeps torchvision's weights from being used, `None` if nothing does; downloads them where it may.

    Raises:
        UnknownName: torchvision has no such weights.
    """
    file = imagenet_file(name)
    try:
        if not file.exists() and download:
            fetch_imagenet(name)
        elif not file.exists():
            return f"{file.name} is not cached; while online, run: resnet-edu fetch {name}"
    except DatasetUnavailable as error:
        return str(error)
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    return None


def from_imagenet(name: str) -> Pretrained:
    """Our own network with torchvision's weights, from the cache."""
    weights = imagenet_weights(name)
    # torchvision trained its GoogLeNet on images in another normalisation, and converts them inside the network.
    model = build(name, transform_input=True) if name == "googlenet" else build(name)
    load_state(model, imagenet_state(name), name=name)
    source = f"{name}, ImageNet weights of torchvision ({imagenet_file(name).name}, in the cache)"
    return Pretrained(model.eval(), tuple(weights.meta["categories"]), weights.transforms(), source)


def from_bundle(name: str) -> Pretrained:
    """The weights in assets/weights: `NAME_cifar10.safetensors` and the JSON beside it.

    Raises:
        UnknownName: the package has no weights for this network.
        DatasetUnavailable: the file is missing from this installation.
        WrongCheckpoint: the file is damaged.
    """
    if name not in BUNDLED:
        raise UnknownName("bundled network", name, BUNDLED)
    file = course.assets() / "weights" / f"{name}_cifar10.safetensors"
    if not file.is_file():
        raise DatasetUnavailable(f"{file.name} is missing from this installation: install the package again.")
    card = json.loads(file.with_suffix(".json").read_text())
    model = build(name, num_classes=len(card["classes"]))
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise WrongCheckpoint(f"{file.name} is damaged ({error}): install the package again.") from error
    load_state(
        model, {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, name=name
    )
    transforms = photo_transforms(card["size"], card["mean"], card["std"])
    return Pretrained(model.eval(), tuple(card["classes"]), transforms, f"{name}, bundled weights: {card['summary']}")


def photo_transforms(size: int, mean: list[float], std: list[float]) -> v2.Compose:
    """Shorter side to `size`, centre crop, float32 from 0 to 1, normalise."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(size, antialias=True),
            v2.CenterCrop(size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
            v2.ToPureTensor(),
        ]
    )
