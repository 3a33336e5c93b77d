"""All that `resnet-edu fetch` can get, by name: data sets, ImageNet weights, the script that shows slides."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..data import sets
from ..data.download import File, fetch_file
from ..errors import UnknownName
from ..files import data_folder
from ..models.pretrained import DETECTOR, fetch_imagenet, imagenet_download, imagenet_file, imagenet_names
from . import reveal


def require_known(names: Iterable[str], *, slides: bool = True) -> None:
    """Refuse a name that nothing goes by, before anything is fetched.

    Raises:
        UnknownName: says the nearest one.
    """
    data = [name for name, known in sets.SETS.items() if known.files]
    known = [*data, *imagenet_names(), DETECTOR, *([reveal.NAME] if slides else [])]
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
    if name in sets.SETS:
        folder = to or data_folder()
        return folder, sets.fetch(name, folder, mirror=mirror)
    return imagenet_file(name, to), fetch_imagenet(name, to, mirror=mirror)


def terms(name: str) -> str:
    """Under which a data set may be used; empty for what is no data set."""
    return sets.SETS[name].terms if name in sets.SETS else ""


def fetch_packed(name: str, folder: Path, *, mirror: str | None = None) -> list[Path]:
    """Put the files of a data set or of weights into a folder as their home server has them.

    Such a folder is a mirror: `resnet-edu fetch NAME --mirror FOLDER` takes them from there, and checks them.

    Raises:
        DatasetUnavailable: no network, a wrong hash, a full disk, a folder that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    files = packed_files(name)
    if name not in sets.SETS and imagenet_file(name).is_file() and not (folder / files[0].name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(imagenet_file(name), folder / files[0].name)  # it is checked below
    for file in files:
        fetch_file(file, folder, mirror=mirror)
    return [folder / file.name for file in files]


def packed_files(name: str) -> tuple[File, ...]:
    """The archives of a data set, or the weights of a network."""
    return sets.SETS[name].files if name in sets.SETS else (imagenet_download(name),)
