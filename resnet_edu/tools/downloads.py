"""All that `resnet-edu fetch` can get, by name: data sets, ImageNet weights, the script that shows slides."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from torchvision.datasets import CIFAR10, FashionMNIST

from ..data.downloaded import SOURCES, fetch_downloaded
from ..data.fetch import download, mirrored
from ..errors import UnknownName
from ..files import data_folder, locked
from ..models.pretrained import (
    DETECTOR,
    fetch_imagenet,
    imagenet_digest,
    imagenet_file,
    imagenet_names,
    imagenet_weights,
)
from . import reveal


def require_known(names: Iterable[str], *, slides: bool = True) -> None:
    """Refuse a name that nothing goes by, before anything is fetched.

    Raises:
        UnknownName: says the nearest one.
    """
    known = [*SOURCES, *imagenet_names(), DETECTOR, *([reveal.NAME] if slides else [])]
    for name in names:
        if name not in known:
            raise UnknownName("download", name, known)


def fetch(name: str, to: Path | None = None, *, mirror: str | None = None) -> tuple[Path, bool]:
    """Get one of them, unless it is there already.

    Returns:
        Where it is, and whether anything had to be fetched.

    Raises:
        DatasetUnavailable: no network, a wrong hash, a full disk, a cache that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    if name == reveal.NAME:
        return reveal.reveal_folder(to), reveal.fetch_reveal(to, mirror=mirror)
    if name in SOURCES:
        place = to or data_folder()
        return place, fetch_downloaded(name, place, mirror=mirror)
    return imagenet_file(name, to), fetch_imagenet(name, to, url=mirrored(imagenet_weights(name).url, mirror))


def fetch_packed(name: str, folder: Path, *, mirror: str | None = None) -> list[Path]:
    """Put the files of a data set or of weights into a folder as their home server has them.

    Such a folder is a mirror: `resnet-edu fetch NAME --mirror FOLDER` takes them from there, and checks them.

    Raises:
        DatasetUnavailable: no network, a wrong hash, a full disk, a folder that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    wanted = packed_files(name)
    with locked(folder, name):
        for url, digest in wanted.items():
            path = folder / url.rpartition("/")[2]
            if name not in SOURCES and not path.exists() and imagenet_file(name).is_file():
                shutil.copyfile(imagenet_file(name), path)  # `download` checks it
            download(mirrored(url, mirror), path, digest=digest)
    return [folder / url.rpartition("/")[2] for url in wanted]


def packed_files(name: str) -> dict[str, str]:
    """The addresses of a data set's archives, or of a network's weights, each with its digest."""
    if name == "cifar10":
        return {CIFAR10.url: f"md5:{CIFAR10.tgz_md5}"}
    if name == "fashion_mnist":
        return {FashionMNIST.mirrors[0] + file: f"md5:{md5}" for file, md5 in FashionMNIST.resources}
    return {imagenet_weights(name).url: imagenet_digest(name)}
