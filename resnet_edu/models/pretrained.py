"""Networks that have already learned something: torchvision's ImageNet weights, or the ones in this package."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.transforms import v2

from .. import course
from ..errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from .registry import build
from .weights import load_state

WeightSource = Literal["auto", "imagenet", "bundled"]


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A trained network with all that is needed to use it.

    Args:
        model: the network, in evaluation mode.
        categories: the label's names, in the order of the logits.
        transforms: maps a PIL image to a normalised float tensor `(C, H, W)`.
        source: one line that says whose weights these are.
    """

    model: nn.Module
    categories: tuple[str, ...]
    transforms: Callable[[Image.Image], Tensor]
    source: str


def pretrained(name: str = "resnet18", *, source: WeightSource = "auto") -> Pretrained:
    """A pretrained network. Nothing is downloaded unless `source="imagenet"` asks for it.

    Args:
        name: name of the network; the bundled weights are those of `resnet18`.
        source: "imagenet" takes torchvision's IMAGENET1K_V1 weights, from the cache or the network; "bundled" takes
            the weights in this package; "auto" takes ImageNet's where they are cached, else the bundled ones.

    Returns:
        Model, categories, transforms and a line on their source, which a lesson prints.

    Raises:
        UnknownName: no weights exist under this name, or `source` is none of the three.
        DatasetUnavailable: the weights asked for cannot be had.
    """
    if source not in ("auto", "imagenet", "bundled"):
        raise UnknownName("source of weights", source, ("auto", "imagenet", "bundled"))
    if source == "imagenet" or (source == "auto" and imagenet_file(name).is_file()):
        return from_imagenet(name)
    return from_bundle(name)


def imagenet_file(name: str) -> Path:
    """Where torchvision keeps its weights for this network once they are downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / imagenet_weights(name).url.rpartition("/")[2]


def imagenet_weights(name: str) -> torchvision_models.WeightsEnum:
    """Torchvision's entry for a network: address, categories, transforms, measured accuracy.

    Raises:
        UnknownName: torchvision has no such network.
    """
    known = torchvision_models.list_models(module=torchvision_models)
    if name not in known:
        raise UnknownName("pretrained network", name, known)
    return torchvision_models.get_model_weights(name)["IMAGENET1K_V1"]


def from_imagenet(name: str) -> Pretrained:
    """Our own network with torchvision's weights."""
    weights = imagenet_weights(name)
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network; a file that is not what its name says
        raise DatasetUnavailable(
            f"The ImageNet weights of {name} cannot be had ({error}). "
            "Connect to the internet once, or use source='bundled'."
        ) from error
    model = build(name)
    load_state(model, state, name=name)
    categories = tuple(weights.meta["categories"])
    cached = imagenet_file(name).name
    return Pretrained(
        model.eval(), categories, weights.transforms(), f"{name}, ImageNet weights of torchvision ({cached})"
    )


def from_bundle(name: str) -> Pretrained:
    """The weights in assets/weights: `NAME_cifar10.safetensors` and the JSON beside it.

    Raises:
        UnknownName: the package has no weights for this network.
        DatasetUnavailable: the file is missing from this installation.
        WrongCheckpoint: the file is damaged.
    """
    if name != "resnet18":
        raise UnknownName("bundled network", name, ("resnet18",))
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
