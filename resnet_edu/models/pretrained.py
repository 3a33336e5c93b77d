"""Networks that have already learned something: torchvision's ImageNet weights, or the ones in this package.

torchvision's weights lie in the cache of torch.hub, so those that another program downloaded are found. Their hash is
checked at every reading, and nothing but tensors is accepted from a file.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .. import files
from ..data.download import File, fetch_file
from ..data.pictures import read_photo
from ..errors import DatasetUnavailable, WrongCheckpoint, check_known
from ..machine import download_allowed
from .registry import available, build

WeightSource = Literal["auto", "imagenet", "bundled"]
BUNDLED = {"resnet18": "resnet18_tiny_imagenet"}  # the networks in this package, and their files in assets/weights
DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"  # finds the things in a photo
SURE = 0.5  # score from which a detection counts
#: What programs put before every name: DistributedDataParallel, torch.compile, Lightning, models made of two parts.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
ONE_AT_A_TIME = Lock()  # the detector's anchors are made anew for each picture, and folders are read in threads


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
        name: of the network; the bundled weights are those of `resnet18`.
        source: "imagenet" takes torchvision's IMAGENET1K_V1 weights, and downloads them if they are not cached;
            "bundled" takes the weights in this package; "auto" takes ImageNet's if they are cached, or if you allow
            downloads with the environment variable RESNET_EDU_DOWNLOAD=1 and the server can be reached, else the
            bundled ones.

    Raises:
        UnknownName: no weights exist under this name, or `source` is none of the three.
        DatasetUnavailable: the weights asked for cannot be had.
        WrongCheckpoint: the file of weights is damaged, or does not fit the network.
    """
    check_known("source of weights", get_args(WeightSource), source)
    if source == "bundled":
        return from_bundle(name)
    file, reason = imagenet_file(name), ""
    if not os.path.isfile(file):
        if source == "imagenet" or download_allowed():
            try:
                fetch_imagenet(name)
            except DatasetUnavailable as error:
                reason = str(error)
        else:
            reason = f"{file.name} is not cached; while online, run: resnet-edu fetch {name}"
    if not reason:
        return from_imagenet(name)
    if source == "imagenet" or name not in BUNDLED:
        raise DatasetUnavailable(reason)
    network = from_bundle(name)
    return replace(network, source=f"{network.source}. Not ImageNet's: {reason}")


# The weights in this package


def from_bundle(name: str) -> Pretrained:
    """The weights in assets/weights, and what the JSON file beside them says of them."""
    check_known("bundled network", BUNDLED, name)
    file = files.assets() / "weights" / f"{BUNDLED[name]}.safetensors"
    try:
        card, state = json.loads(file.with_suffix(".json").read_text(encoding="utf-8")), load_file(file)
    except FileNotFoundError as error:
        raise DatasetUnavailable(f"{file.name} is missing: install the package again.") from error
    except SafetensorError as error:
        raise WrongCheckpoint(f"{file.name} is damaged ({error}): install the package again.") from error
    model = build(name, num_classes=len(card["classes"]))
    load_state(model, state, name=name)  # half precision in the file, float32 in the network
    transforms = PhotoTransforms(card["size"], tuple(card["mean"]), tuple(card["std"]))
    return Pretrained(model.eval(), tuple(card["classes"]), transforms, f"{name}, bundled weights: {card['summary']}")


@dataclass(frozen=True)
class PhotoTransforms:
    """Shorter side to `size` pixels, centre crop, float32 from 0 to 1, normalise by each channel's `mean` and `std`.

    The same numbers as by torchvision's `v2` transforms, whose import takes a second; older ones than 0.29 may round a
    pixel to the next of the 256 values.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, picture: Image.Image) -> Tensor:
        """A picture to a float tensor `(3, size, size)`."""
        image = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)  # (3, H, W), uint8
        height, width = image.shape[1:]
        top, left = (max(0, height - 32 * width) // 2, max(0, width - 32 * height) // 2)  # 32 squares of a strip
        image = image[:, top : height - top, left : width - left]
        sides = [self.size * side // min(image.shape[1:]) for side in image.shape[1:]]  # the shorter becomes size
        if sides != [*image.shape[1:]]:
            image = F.interpolate(image[None], sides, mode="bilinear", antialias=True)[0]
        top, left = (round((side - self.size) / 2) for side in sides)
        image = image[:, top : top + self.size, left : left + self.size].float().mul_(1 / 255)
        return image.sub_(torch.tensor(self.mean).view(-1, 1, 1)).div_(torch.tensor(self.std).view(-1, 1, 1))


def normalisation(transforms: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, on a scale of 0 to 1, by which `transforms` normalise."""
    return tuple(transforms.mean), tuple(transforms.std)


# torchvision's weights


def from_imagenet(name: str) -> Pretrained:
    """Our own network with torchvision's weights, from the cache."""
    weights = imagenet_weights(name)
    # torchvision trained its GoogLeNet on images in another normalisation, and converts them inside the network.
    model = build(name, transform_input=True) if name == "googlenet" else build(name)
    load_state(model, imagenet_state(name), name=name)
    source = f"{name}, ImageNet weights of torchvision ({imagenet_file(name).name}, in the cache)"
    return Pretrained(model.eval(), tuple(weights.meta["categories"]), weights.transforms(), source)


def imagenet_names() -> list[str]:
    """The networks of the course that torchvision has weights for."""
    from torchvision import models  # takes a second

    return [name for name in available() if name in models.list_models(module=models)]


def imagenet_weights(name: str) -> Any:
    """Torchvision's `WeightsEnum` for a network or the detector: address, categories, transforms, measured accuracy."""
    from torchvision.models import get_model_weights

    if name == DETECTOR:
        return get_model_weights(name)["COCO_V1"]
    check_known("pretrained network", imagenet_names(), name)
    return get_model_weights(name)["IMAGENET1K_V1"]


def imagenet_file(name: str, folder: Path | None = None) -> Path:
    """Where torchvision keeps its weights for a network: in torch.hub's folder, or in one laid out like TORCH_HOME."""
    hub = Path(torch.hub.get_dir()) if folder is None else folder / "hub"
    return hub / "checkpoints" / imagenet_weights(name).url.rpartition("/")[2]


def imagenet_download(name: str) -> File:
    """The file of weights, with the beginning of its sha256, which torchvision writes into its name."""
    url = imagenet_weights(name).url  # …/resnet18-f37072fd.pth
    return File(url.rpartition("/")[2], (url,), "sha256:" + Path(url).stem.rpartition("-")[2])


def fetch_imagenet(name: str, folder: Path | None = None, *, mirror: str | None = None) -> bool:
    """Download torchvision's weights of a network or the detector, unless they are cached already; see `fetch_file`.

    They go to torch.hub's folder, or to one laid out like TORCH_HOME; a mirror is another address, or a folder with it.
    """
    return fetch_file(imagenet_download(name), imagenet_file(name, folder).parent, mirror=mirror)


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Torchvision's weights of a network from the cache, by parameter name; without GoogLeNet's auxiliary heads."""
    file, again = imagenet_file(name), f"Get it anew: resnet-edu fetch {name}"
    if not os.path.isfile(file):
        raise DatasetUnavailable(f"There is no {file}. While online, run: resnet-edu fetch {name}")
    try:
        whole = files.is_there(file, imagenet_download(name).digest)
        state = torch.load(file, map_location="cpu", weights_only=True) if whole else {}
    except OSError as error:
        raise DatasetUnavailable(f"{name}'s weights cannot be read: {error.strerror} ({error.filename}).") from error
    except Exception as error:  # on what is no checkpoint, the unpickler can stumble over anything
        raise WrongCheckpoint(f"{file} holds something other than weights and was not read. {again}") from error
    if not whole:
        raise WrongCheckpoint(f"{file} is damaged (its hash does not match its name) and was not read. {again}")
    if isinstance(state, dict) and name == "googlenet":
        return {key: value for key, value in state.items() if not str(key).startswith(("aux1.", "aux2."))}
    return state


def detected_box(picture: Image.Image) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom of the thing a detector is surest of, in pixels; None if it finds nothing.

    torchvision's Faster R-CNN (Ren et al. 2015, https://arxiv.org/abs/1506.01497) on a MobileNetV3, the smallest of its
    detectors, with weights trained on COCO, from the cache. For `data.load(…, crop="objects", find=detected_box)`.

    Raises:
        DatasetUnavailable: the weights are not cached; the message has the command that gets them.
    """
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255  # (3, H, W)
    with ONE_AT_A_TIME, torch.inference_mode():
        (found,) = detector(imagenet_file(DETECTOR))([pixels])
    sure = found["boxes"][found["scores"] >= SURE].tolist()  # (N, 4), surest first
    return tuple(sure[0]) if sure else None


@cache
def detector(file: Path) -> nn.Module:
    """The detector with the weights in `file`, its place in the cache, in evaluation mode."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    load_state(model, imagenet_state(DETECTOR), name=DETECTOR)
    return model.eval()


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Copy `state` into `model`: every key must be there, none may be left over, all shapes must agree.

    A prefix that all names share, as in "module.conv1.weight", is taken off. Batch norm's step counters may be missing,
    as they are in weights saved before PyTorch 0.4.1. An error calls the network by its `name`.

    Raises:
        WrongCheckpoint: some keys are missing or unexpected or have another shape, or `state` holds no weights.
    """
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise WrongCheckpoint(f"Expected weights of {name} by parameter name, got {type(state).__name__}.")
    try:
        model.load_state_dict(without_prefixes(state, model.state_dict()))
    except RuntimeError as error:
        raise WrongCheckpoint(
            f"These weights do not fit {name}: {' '.join(str(error).split()):.300} … "
            "Build the network with the name, num_classes and other options with which it was trained."
        ) from error


def without_prefixes(state: Mapping[str, Tensor], own: Iterable[str]) -> Mapping[str, Tensor]:
    """The state without those of `PREFIXES` that all its names begin with, unless the network's own names do."""
    for prefix in PREFIXES * len(PREFIXES):  # they can be nested, in any order
        if all(key.startswith(prefix) for key in state) and not all(key.startswith(prefix) for key in own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
