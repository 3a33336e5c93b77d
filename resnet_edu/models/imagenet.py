"""Torchvision's ImageNet weights: where they are cached, how they get there, and reading them without risk.

The cache is torch.hub's own, so weights that another program downloaded are found. torchvision would unpickle such a
file as it is; here its hash is checked at every reading, and nothing but tensors is accepted from it.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..data.fetch import download, mirrored
from ..errors import DatasetUnavailable, UnknownName, WrongCheckpoint
from ..files import has_digest, locked
from .registry import available

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"  # finds the things in a photo; see detector.py


def imagenet_names() -> list[str]:
    """The networks of the course that torchvision has weights for."""
    from torchvision import models  # takes a second

    known = models.list_models(module=models)
    return [name for name in available() if name in known]


def imagenet_weights(name: str) -> "WeightsEnum":
    """Torchvision's entry for a network or the detector: address, categories, transforms, measured accuracy.

    Raises:
        UnknownName: torchvision has no such network, or the course has not.
    """
    from torchvision.models import get_model_weights

    if name == DETECTOR:
        return get_model_weights(name)["COCO_V1"]
    if name not in imagenet_names():
        raise UnknownName("pretrained network", name, imagenet_names())
    return get_model_weights(name)["IMAGENET1K_V1"]


def imagenet_file(name: str, folder: Path | None = None) -> Path:
    """Where torchvision keeps its weights for a network: in torch.hub's folder, or in one laid out like TORCH_HOME."""
    hub = Path(torch.hub.get_dir()) if folder is None else folder / "hub"
    return hub / "checkpoints" / imagenet_weights(name).url.rpartition("/")[2]


def imagenet_digest(name: str) -> str:
    """The beginning of the file's sha256, which torchvision writes into its name: `resnet18-f37072fd.pth`."""
    return "sha256:" + Path(imagenet_weights(name).url).stem.rpartition("-")[2]


def fetch_imagenet(name: str, folder: Path | None = None, *, mirror: str | None = None) -> bool:
    """Download torchvision's weights of a network, unless they are cached already.

    Args:
        name: one of `imagenet_names()`, or `DETECTOR`.
        folder: a folder laid out like TORCH_HOME; torch.hub's own by default.
        mirror: another address for the file, or a folder that holds it.

    Returns:
        Whether anything had to be downloaded.

    Raises:
        UnknownName: torchvision has no such weights.
        DatasetUnavailable: no network, a wrong hash, a full disk, a cache that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    file, digest = imagenet_file(name, folder), imagenet_digest(name)
    if has_digest(file, digest):
        return False
    with locked(file.parent, name):
        if has_digest(file, digest):  # another process was faster
            return False
        download(mirrored(imagenet_weights(name).url, mirror), file, digest=digest)
    return True


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Torchvision's weights of a network from the cache, by parameter name.

    GoogLeNet's file also holds two auxiliary heads; they are left out, as torchvision leaves them.

    Raises:
        DatasetUnavailable: they are not cached, or cannot be read.
        WrongCheckpoint: the file is damaged, or holds something else than tensors.
    """
    file, digest = imagenet_file(name), imagenet_digest(name)
    again = f"Get it anew: resnet-edu fetch {name}"
    try:
        if not file.is_file():
            raise DatasetUnavailable(f"There is no {file}. While online, run: resnet-edu fetch {name}")
        if not has_digest(file, digest):
            raise WrongCheckpoint(f"{file} is damaged, it has not the {digest}… of its name, and was not read. {again}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            state = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DatasetUnavailable(f"{name}'s weights cannot be read: {error.strerror} ({error.filename}).") from error
    except (DatasetUnavailable, WrongCheckpoint):
        raise
    except Exception as error:  # on what is no checkpoint, the unpickler can stumble over anything
        raise WrongCheckpoint(f"{file} holds something else than weights and was not read. {again}") from error
    if isinstance(state, dict) and name == "googlenet":
        return {key: value for key, value in state.items() if not str(key).startswith(("aux1.", "aux2."))}
    return state
