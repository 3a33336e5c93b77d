"""A data set in memory: what it refuses, and its normalisation against NumPy and torchvision."""

from collections import Counter
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from resnet_edu.data import Data, Split, normalise
from resnet_edu.data.split import channel_statistics, equal_shares, split_indices


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def split_of(labels: list[int], channels: int = 1) -> Split:
    images = pixels(len(labels), channels, 4, 4)
    return Split(images, torch.tensor(labels, dtype=torch.int64), (0.5,) * channels, (0.25,) * channels)


# Oracle: NumPy and torchvision

sizes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))


@given(sizes, st.integers(0, 2**31))
def test_channel_statistics_are_numpys(shape: tuple[int, int, int, int], seed: int) -> None:
    images = pixels(*shape, seed=seed)
    mean, std = channel_statistics(images)
    exact = images.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(exact.mean(axis=(0, 2, 3)), abs=1e-12)
    assert std == pytest.approx(np.maximum(exact.std(axis=(0, 2, 3)), 1e-3), abs=1e-12)


@given(sizes, st.integers(0, 2**31))
def test_normalise_is_torchvisions(shape: tuple[int, int, int, int], seed: int) -> None:
    images = pixels(*shape, seed=seed)
    mean = tuple(torch.rand(shape[1], generator=torch.Generator().manual_seed(seed)).tolist())
    std = tuple(value + 0.1 for value in mean)
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])(images)
    ours = normalise(images, mean, std)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


# Structure


def test_inputs_take_indices_or_a_slice_and_leave_the_images_alone() -> None:
    split = split_of([0, 1, 2, 3])
    before = split.images.clone()
    torch.testing.assert_close(split.inputs(torch.tensor([3, 1])), split.inputs()[[3, 1]], rtol=0, atol=0)
    torch.testing.assert_close(split.inputs(slice(1, 3)), split.inputs()[1:3], rtol=0, atol=0)
    assert torch.equal(split.images, before)


def test_subset_keeps_the_order_asked_for_and_the_normalisation() -> None:
    split = split_of([0, 1, 2, 3], channels=3)
    part = split.subset(torch.tensor([2, 0]))
    assert part.labels.tolist() == [2, 0]
    assert torch.equal(part.images, split.images[[2, 0]])
    assert (part.mean, part.std, len(part)) == (split.mean, split.std, 2)


# Cutting

SHARES = {("val", "test"): (0.7, 0.1, 0.2), ("val",): (0.9, 0.1), ("test",): (0.8, 0.2), (): (1.0,)}
every_share = pytest.mark.parametrize(("missing", "shares"), SHARES.items(), ids=map(str, SHARES))


def rounded(size: int, shares: tuple[float, ...]) -> list[int]:
    """Members of each part by rounding alone."""
    stops = [0, *(round(share * size) for share in accumulate(shares))]
    return [stop - start for start, stop in pairwise(stops)]


@every_share
def test_each_part_has_a_member_of_each_class_that_is_large_enough(
    missing: tuple[str, ...], shares: tuple[float, ...]
) -> None:
    for size in range(1, 1500):
        parts = split_indices(torch.zeros(size, dtype=torch.int64), seed=size, missing=missing)
        assert [*parts] == ["train", *missing]
        assert torch.cat([*parts.values()]).sort().values.tolist() == [*range(size)]
        counts, expected = [len(part) for part in parts.values()], rounded(size, shares)
        # Recorded studies depend on it that all other sizes are cut by rounding alone.
        assert counts == expected or (0 in expected and (size < len(shares) or min(counts) >= 1))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 99))
def test_any_labels_are_split_in_shares(values: list[int], seed: int) -> None:
    labels = torch.tensor(values)
    parts = split_indices(labels, seed)
    assert sorted(torch.cat([*parts.values()]).tolist()) == list(range(len(values)))
    for label, count in Counter(values).items():
        for indices, share in zip(parts.values(), (0.7, 0.1, 0.2), strict=True):
            # 1.1: of three members, one is for training and not 2.1, so that each part has one
            assert abs(int((labels[indices] == label).sum()) - share * count) <= 1.1 + 1e-9


def test_the_digits_are_cut_as_ever() -> None:
    """The first indices of each part with seed 0, as they were before any rule for small classes."""
    labels = torch.arange(10).repeat(500)
    parts = split_indices(labels, seed=0)
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 3500, "val": 500, "test": 1000}
    assert {part: indices[:5].tolist() for part, indices in parts.items()} == {
        "train": [4528, 3080, 2914, 3683, 4767],
        "val": [2642, 2397, 1533, 4523, 1368],
        "test": [378, 3853, 3292, 2816, 4980],
    }


def test_a_smaller_limit_is_a_part_of_a_larger_one() -> None:
    labels = torch.randint(5, (300,), generator=torch.Generator().manual_seed(0))
    small, large = (equal_shares(labels, limit, classes=5, name="") for limit in (23, 120))
    assert {*small.tolist()} < {*large.tolist()}
    assert sorted(labels[small].bincount().tolist()) == [4, 4, 5, 5, 5]
    assert labels[large].bincount().tolist() == [24] * 5


# Edges and bad input


def test_a_blank_channel_does_not_divide_by_zero() -> None:
    images = torch.full((2, 1, 3, 3), 7, dtype=torch.uint8)
    mean, std = channel_statistics(images)
    assert (mean, std) == ((pytest.approx(7 / 255),), (1e-3,))
    assert normalise(images, mean, std).abs().max() < 1e-3


LABELS = torch.zeros(2, dtype=torch.int64)
IMAGES = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "mean", "message"),
    [
        (IMAGES.float(), LABELS, (0.5,), r"must be uint8 of shape \(N, C, H, W\), got torch.float32 \(2, 1, 4, 4\)"),
        (IMAGES[0], LABELS, (0.5,), r"images must be .* got torch.uint8 \(1, 4, 4\)"),
        (IMAGES[:0], LABELS[:0], (0.5,), "The split is empty"),
        (IMAGES, LABELS.int(), (0.5,), r"labels must be int64 of shape \(2,\), one an image, got torch.int32 \(2,\)"),
        (IMAGES, LABELS[:1], (0.5,), r"labels must be .*, got torch.int64 \(1,\)"),
        (IMAGES, LABELS[:, None], (0.5,), r"labels must be .*, got torch.int64 \(2, 1\)"),
        (IMAGES, LABELS - 1, (0.5,), "labels count from 0, got -1"),
        (IMAGES, [0, 0], (0.5,), r"labels must be a tensor, got list: torch\.as_tensor makes one"),
        (IMAGES.numpy(), LABELS, (0.5,), "images must be a tensor, got ndarray"),
        (IMAGES, LABELS, (0.5, 0.5), "mean and std need one value for each of the 1 channels"),
    ],
)  # fmt: skip
def test_a_malformed_split_is_refused(images: Any, labels: Any, mean: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, labels, mean, (0.5,))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_labels_outside_the_classes_are_refused(part: str) -> None:
    parts: dict[str, Any] = {"train": split_of([0, 1]), "val": split_of([1, 0]), "test": split_of([0, 1])}
    Data("pets", parts["train"], parts["val"], parts["test"], classes=("cat", "dog"), source="")
    parts[part] = split_of([1, 2])
    with pytest.raises(ValueError, match=f"pets: the {part} labels run from 1 to 2, .* 2 classes.* between 0 and 1"):
        Data("pets", parts["train"], parts["val"], parts["test"], classes=("cat", "dog"), source="")
    parts[part] = DataLoader([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{part} must be a Split, got DataLoader"):
        Data("pets", parts["train"], parts["val"], parts["test"], classes=("cat", "dog"), source="")
