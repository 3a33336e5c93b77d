"""The data sets that are downloaded, with a few images, byte for byte in the formats of the real ones."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from served import Served
from torchvision.datasets import CIFAR10

from resnet_edu.data import sets

Images = NDArray[np.uint8]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def some_images(count: int, *shape: int, seed: int) -> tuple[Images, list[int]]:
    """Random images `(count, *shape)`, and labels 0 to 9 in turn."""
    values = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return values, [index % 10 for index in range(count)]


# CIFAR-10: pickles as Python 2 wrote them (protocol 2, NumPy 1), in a tar.gz


class Written:
    """A call and what follows it, as they stand in a pickle."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


def cifar_batch(title: str, images: Images, labels: Sequence[int]) -> bytes:
    """One batch file; images `(N, 3, 32, 32)`."""
    rows = images.reshape(len(images), -1)
    state = 1, rows.shape, Written(np.dtype, ("u1", 0, 1)), False, rows.tobytes()  # Python 2 wrote 0 for False
    data = Written(rows.__reduce__()[0], (np.ndarray, (0,), b"b"), state)
    names = [f"image_s_{index:06}.png" for index in range(len(images))]
    return pickle.dumps({"batch_label": title, "labels": [*labels], "data": data, "filenames": names}, protocol=2)


def cifar_files() -> dict[str, bytes]:
    """The eight files of the archive: 5 × 20 training images, 20 test images."""
    names = [*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"]
    files = {name: cifar_batch(name, *some_images(20, 3, 32, 32, seed=seed)) for seed, name in enumerate(names)}
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files["batches.meta"] = pickle.dumps({"num_cases_per_batch": 20, "label_names": classes}, protocol=2)
    return files | {"readme.html": b"<html></html>"}


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


# Fashion-MNIST: idx files, each in a gz


def idx(values: Images) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def fashion_files() -> dict[str, bytes]:
    """The four unpacked files: 100 training images, 20 test images."""
    files = {}
    for part, count in (("train", 100), ("t10k", 20)):
        images, labels = some_images(count, 28, 28, seed=count)
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx(np.array(labels, dtype=np.uint8))
    return files


def fashion_archives() -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in fashion_files().items()}


# Photos: a zip with one folder, as GitHub and PyTorch pack them


def photo_archive(top: str, counts: Mapping[str, int], *extra: str) -> bytes:
    """JPEG files `top/PART/CLASS/NUMBER.jpg`, as many as said for each `PART/CLASS`, and other files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(f"{top}/", b"")
        for seed, (place, count) in enumerate(counts.items()):
            file.writestr(f"{top}/{place}/", b"")
            for index, pixels in enumerate(some_images(count, 40, 60, 3, seed=100 + seed)[0]):
                picture = io.BytesIO()
                Image.fromarray(pixels).save(picture, "JPEG")
                file.writestr(f"{top}/{place}/{index}.jpg", picture.getvalue())
        for name in extra:
            file.writestr(f"{top}/{name}", b"GIF89a" if name.endswith(".gif") else b"text")
    return packed.getvalue()


def photo_archives() -> dict[str, bytes]:
    clothes = {f"{part}/{name}": 3 for part in ("train", "validation", "test") for name in ("dress", "t-shirt")}
    insects = {"train/ants": 6, "train/bees": 6, "val/ants": 2, "val/bees": 2}
    return {
        "clothing.zip": photo_archive("clothing-dataset-small-master", clothes, "README.md"),
        "hymenoptera_data.zip": photo_archive("hymenoptera_data", insects, "train/ants/imageNotFound.gif"),
    }


# What the course and torchvision know of them


def publish(server: Served, patch: pytest.MonkeyPatch) -> None:
    """Put all sets on a server, and make their hashes in the tables of the course and of torchvision fit."""
    files = {f"cifar-10-batches-py/{name}": content for name, content in cifar_files().items()}
    server.files |= {"cifar-10-python.tar.gz": tar_gz(files), **fashion_archives(), **photo_archives()}
    for name, known in sets.SETS.items():
        tiny = tuple(
            replace(
                file, urls=(f"{server.url}/{file.name}",), digest=file.digest and f"md5:{md5(server.files[file.name])}"
            )
            for file in known.files
        )
        patch.setitem(sets.SETS, name, replace(known, files=tiny))
    listed = {name.rpartition("/")[2]: md5(content) for name, content in files.items()}
    patch.setattr(CIFAR10, "train_list", [[name, listed[name]] for name in listed if name.startswith("data_batch")])
    patch.setattr(CIFAR10, "test_list", [["test_batch", listed["test_batch"]]])
    patch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": listed["batches.meta"]})
