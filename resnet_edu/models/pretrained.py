"""Networks that have already learned something: torchvision's ImageNet weights, or the ones in this package."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .. import files
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

    def inputs(self, pictures: Sequence[Image.Image]) -> Tensor:
        """What the network takes, `(N, C, H, W)`, of N pictures of one size: each as `transforms` makes it.

        Transforms with a method `together` do them at once, which saves most of the time with small pictures.
        """
        together = getattr(self.transforms, "together", None)
        return together(pictures) if together else torch.stack([self.transforms(picture) for picture in pictures])


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
    file = files.assets() / "weights" / f"{name}_cifar10.safetensors"
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
    transforms = PhotoTransforms(card["size"], tuple(card["mean"]), tuple(card["std"]))
    return Pretrained(model.eval(), tuple(card["classes"]), transforms, f"{name}, bundled weights: {card['summary']}")


@dataclass(frozen=True)
class PhotoTransforms:
    """Shorter side to `size`, centre crop, float32 from 0 to 1, normalise.

    The same numbers as by torchvision's `v2` transforms, whose import takes a second; older ones than 0.29 may round a
    pixel to the next of the 256 values.

    Args:
        size: side of the square, in pixels.
        mean: of each channel, on a scale of 0 to 1.
        std: standard deviation of each channel, likewise.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, picture: Image.Image) -> Tensor:
        """A picture to a float tensor `(3, size, size)`."""
        return self.together([picture])[0]

    def together(self, pictures: Sequence[Image.Image]) -> Tensor:
        """N pictures of one size to a float tensor `(N, 3, size, size)`."""
        coloured = [picture if picture.mode == "RGB" else picture.convert("RGB") for picture in pictures]
        pixels = np.stack([np.asarray(picture) for picture in coloured])
        images = without_ends(torch.from_numpy(pixels).permute(0, 3, 1, 2))  # (N, 3, H, W), uint8
        sides = [self.size * side // min(images.shape[2:]) for side in images.shape[2:]]  # the shorter becomes size
        if sides != [*images.shape[2:]]:
            images = F.interpolate(images, sides, mode="bilinear", antialias=True)
        top, left = (round((side - self.size) / 2) for side in sides)
        images = images[:, :, top : top + self.size, left : left + self.size].float().mul_(1 / 255)
        return images.sub_(torch.tensor(self.mean).view(-1, 1, 1)).div_(torch.tensor(self.std).view(-1, 1, 1))


def without_ends(images: Tensor) -> Tensor:
    """Of images `(N, C, H, W)` longer than 32 squares the middle: they would be resized whole, for a square of it."""
    height, width = images.shape[2:]
    top, left = max(0, height - 32 * width) // 2, max(0, width - 32 * height) // 2
    return images[:, :, top : height - top, left : width - left]


def normalisation(transforms: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, on a scale of 0 to 1, by which `transforms` normalises.

    Args:
        transforms: of `pretrained`, or another with the fields `mean` and `std`.
    """
    return tuple(transforms.mean), tuple(transforms.std)
