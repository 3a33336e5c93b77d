"""CIFAR-10 and Fashion-MNIST: downloaded once, checked, cached, read through torchvision.

The cache is a torchvision `root`: one that torchvision made elsewhere can be used as it is (RESNET_EDU_DATA names it).
CIFAR-10 (Krizhevsky 2009): https://www.cs.toronto.edu/~kriz/cifar.html
Fashion-MNIST (Xiao et al. 2017): https://arxiv.org/abs/1708.07747

torchvision is imported inside the functions: that takes a second, which sessions without these sets are spared.
"""

import gzip
import math
import struct
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DatasetUnavailable
from ..files import data_folder, has_digest, locked, place, tilde
from ..machine import download_allowed
from .fetch import download, mirrored

#: Images `(N, C, H, W)` and labels `(N,)` by part.
Parts = dict[str, tuple[Tensor, Tensor]]

#: "train" and "test", the classes, and where they are from.
Contents = tuple[Parts, tuple[str, ...], str]


@dataclass(frozen=True)
class Source:
    """A data set that can be downloaded.

    Args:
        faults: the files that a cache lacks (`False`) or that are damaged (`True`), with that mark.
        get: downloads and unpacks into a cache, from the home server or a mirror.
        read: reads a cache without faults.
    """

    faults: Callable[[Path], Iterator[tuple[Path, bool]]]
    get: Callable[[Path, str | None], None]
    read: Callable[[Path], Contents]


def read_downloaded(name: str) -> Contents:
    """A data set from the cache; downloaded first only where RESNET_EDU_DOWNLOAD=1 allows it.

    Raises:
        DatasetUnavailable: it is not there, or damaged; the message has the command that mends it.
    """
    folder = data_folder()
    try:
        fault = next(SOURCES[name].faults(folder), None)
    except OSError as error:
        raise DatasetUnavailable(f"{name} cannot be read: {error.strerror} ({error.filename}).") from error
    if fault is not None and download_allowed():
        fetch_downloaded(name, folder)
    elif fault is not None:
        path, damaged = fault
        what = f"{path} is damaged and was not read" if damaged else f"there is no {path}"
        raise DatasetUnavailable(f"{name} is not on this machine: {what}. While online, run: resnet-edu fetch {name}")
    return SOURCES[name].read(folder)


def fetch_downloaded(name: str, folder: Path, *, mirror: str | None = None) -> bool:
    """Download a data set into a cache, unless it is there already.

    Args:
        name: "cifar10" or "fashion_mnist".
        folder: the cache, as torchvision's `root`.
        mirror: another address for its files, or a folder that holds them.

    Returns:
        Whether anything had to be downloaded.

    Raises:
        DatasetUnavailable: no network, a wrong hash, a full disk, a cache that cannot be written.
        ValueError: the mirror is neither an address nor a folder.
    """
    source = SOURCES[name]
    if next(source.faults(folder), None) is None:
        return False
    with locked(folder, name):
        if next(source.faults(folder), None) is None:  # another process was faster
            return False
        source.get(folder, mirror)
    return True


def cifar10_files() -> dict[str, str]:
    """The files of CIFAR-10 that are read, and their md5, as torchvision knows them."""
    from torchvision.datasets import CIFAR10

    batches = {name: md5 for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list]}  # noqa: C416 (names the two)
    return batches | {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}


def cifar10_faults(folder: Path) -> Iterator[tuple[Path, bool]]:
    """See `Source`: a batch is a pickle, so it must have the right hash before it is read."""
    from torchvision.datasets import CIFAR10

    for name, md5 in cifar10_files().items():
        path = folder / CIFAR10.base_folder / name
        if not has_digest(path, f"md5:{md5}"):
            yield path, path.is_file()


def get_cifar10(folder: Path, mirror: str | None) -> None:
    """Download the archive and take from it the files we know, each with the right hash, and nothing else."""
    from torchvision.datasets import CIFAR10

    archive = folder / CIFAR10.filename
    found = archive.is_file()
    download(mirrored(CIFAR10.url, mirror), archive, digest=f"md5:{CIFAR10.tgz_md5}")
    wanted = {f"{CIFAR10.base_folder}/{name}": (name, md5) for name, md5 in cifar10_files().items()}
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() and member.name in wanted else None
            if file is not None:
                name, md5 = wanted[member.name]
                place(file.read, folder / CIFAR10.base_folder / name, digest=f"md5:{md5}")
    if not found:
        archive.unlink()


def read_cifar10(folder: Path) -> Contents:
    """50,000 and 10,000 photos of 32×32 in colour. torchvision checks every hash again before it reads."""
    from torchvision.datasets import CIFAR10

    with warnings.catch_warnings():
        # The batches were pickled by Python 2, with 0 for False (pytorch/vision issue 9340).
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        train, test = CIFAR10(folder, train=True), CIFAR10(folder, train=False)
    parts = {
        part: (torch.from_numpy(read.data).permute(0, 3, 1, 2), torch.tensor(read.targets))  # (N, 3, 32, 32), (N,)
        for part, read in (("train", train), ("test", test))
    }
    return parts, tuple(train.classes), f"CIFAR-10, small photos, from {tilde(folder)}"


def fashion_mnist_files(folder: Path) -> dict[Path, tuple[str, str]]:
    """The unpacked files of Fashion-MNIST in a cache, each with the archive's name and md5."""
    from torchvision.datasets import FashionMNIST

    raw = folder / "FashionMNIST" / "raw"
    return {raw / name.removesuffix(".gz"): (name, md5) for name, md5 in FashionMNIST.resources}


def fashion_mnist_faults(folder: Path) -> Iterator[tuple[Path, bool]]:
    """See `Source`: a file is whole if it is as long as its header says."""
    for path in fashion_mnist_files(folder):
        if not path.is_file() or not is_whole_idx(path):
            yield path, path.is_file()


def is_whole_idx(path: Path) -> bool:
    """Whether a file in MNIST's format holds the bytes it announces: 0, 0, type, dimensions, their sizes, values."""
    unsigned_byte = 8
    with open(path, "rb") as file:
        start = file.read(4)
        sizes = file.read(4 * start[3]) if start[:3] == bytes([0, 0, unsigned_byte]) and len(start) == 4 else b""
    if not sizes or len(sizes) != 4 * start[3]:
        return False
    return path.stat().st_size == 4 + len(sizes) + math.prod(struct.unpack(f">{start[3]}I", sizes))


def get_fashion_mnist(folder: Path, mirror: str | None) -> None:
    """Download and unpack those of the four files that are not there."""
    from torchvision.datasets import FashionMNIST

    missing = {path for path, _ in fashion_mnist_faults(folder)}
    for path, (name, md5) in fashion_mnist_files(folder).items():
        if path in missing:
            packed = path.with_name(name)
            found = packed.is_file()
            download(mirrored(FashionMNIST.mirrors[0] + name, mirror), packed, digest=f"md5:{md5}")
            with gzip.open(packed) as file:
                place(file.read, path)
            if not found:
                packed.unlink()


def read_fashion_mnist(folder: Path) -> Contents:
    """60,000 and 10,000 pictures of 28×28 in grey."""
    from torchvision.datasets import FashionMNIST

    train, test = FashionMNIST(folder, train=True), FashionMNIST(folder, train=False)
    parts = {
        part: (read.data.unsqueeze(1), read.targets)  # (N, 1, 28, 28), (N,)
        for part, read in (("train", train), ("test", test))
    }
    return parts, tuple(FashionMNIST.classes), f"Fashion-MNIST, pictures of clothes, from {tilde(folder)}"


SOURCES = {
    "cifar10": Source(cifar10_faults, get_cifar10, read_cifar10),
    "fashion_mnist": Source(fashion_mnist_faults, get_fashion_mnist, read_fashion_mnist),
}
