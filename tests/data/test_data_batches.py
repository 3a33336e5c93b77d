"""Batches out of memory: every augmentation against a loop over single images, or against torchvision."""

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Generator, Tensor
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from resnet_edu.data import AUGMENTATIONS, Split, augmented, evaluation_batches, steps_per_epoch, training_batches
from resnet_edu.data.batches import (
    random_crop,
    random_flip,
    random_resized_crop,
    random_rotation,
    resampled,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=seeded(seed))


def numbered(count: int, channels: int = 1) -> Split:
    """Images that are their own label: every pixel of image i, and its label, is i."""
    labels = torch.arange(count)
    images = labels.to(torch.uint8)[:, None, None, None].repeat(1, channels, 8, 8)
    return Split(images, labels, (0.0,) * channels, (1 / 255,) * channels)


shapes = st.tuples(st.integers(1, 6), st.sampled_from([1, 3]), st.integers(3, 9), st.integers(3, 9))


# Oracle: a loop, one image at a time


@given(shapes, st.integers(0, 3), st.integers(0, 99))
def test_crop_is_a_loop_of_crops(shape: tuple[int, int, int, int], padding: int, seed: int) -> None:
    images = pixels(*shape)
    cropped = random_crop(images, padding, seeded(seed))
    top, left = torch.randint(2 * padding + 1, (2, shape[0], 1), generator=seeded(seed))
    for image, got, y, x in zip(images, cropped, top.flatten().tolist(), left.flatten().tolist(), strict=True):
        padded = F.pad(image, (padding,) * 4)
        assert torch.equal(got, padded[:, y : y + shape[2], x : x + shape[3]])


@given(shapes, st.integers(0, 99))
def test_flip_is_a_loop_of_flips(shape: tuple[int, int, int, int], seed: int) -> None:
    images = pixels(*shape)
    mirror = (torch.rand(shape[0], generator=seeded(seed)) < 0.5).tolist()
    expected = [V.horizontal_flip(image) if flip else image for image, flip in zip(images, mirror, strict=True)]
    assert torch.equal(random_flip(images, seeded(seed)), torch.stack(expected))


# Oracle: torchvision, one image at a time


@pytest.mark.parametrize("channels", [1, 3])
def test_a_resampled_part_is_torchvisions_resized_crop(channels: int) -> None:
    images = v2.functional.gaussian_blur(pixels(6, channels, 24, 32), [5, 5])
    boxes = [(0, 0, 24, 32), (2, 4, 12, 16), (0, 5, 20, 16), (6, 0, 18, 32), (12, 16, 12, 16), (3, 3, 9, 21)]
    top, left, height, width = torch.tensor(boxes).float().T
    got = resampled(images, width / 32, height / 24, (2 * left + width) / 32 - 1, (2 * top + height) / 24 - 1)
    for image, box, ours in zip(images, boxes, got, strict=True):
        theirs = V.resized_crop(image.float(), *box, [24, 32], antialias=False)
        assert (ours - theirs)[:, 2:-2, 2:-2].abs().max() <= 0.51  # at the edge, ours sees the pixels outside
    assert torch.equal(got[0], images[0])


@pytest.mark.parametrize("shape", [(8, 1, 16, 16), (8, 3, 12, 20), (8, 1, 21, 9)])
@pytest.mark.parametrize("degrees", [10, 60])
def test_rotation_is_torchvisions(shape: tuple[int, ...], degrees: float) -> None:
    images = v2.functional.gaussian_blur(pixels(*shape), [5, 5])
    turned = random_rotation(images, degrees, seeded(1))
    angles = ((torch.rand(shape[0], generator=seeded(1)) * 2 - 1) * degrees).tolist()
    assert max(angles) > degrees / 3
    assert min(angles) < -degrees / 3
    for image, got, angle in zip(images, turned, angles, strict=True):
        expected = V.rotate(image.float(), angle, V.InterpolationMode.BILINEAR)  # counter-clockwise
        inside = V.rotate(torch.ones_like(image).float(), angle, V.InterpolationMode.BILINEAR) > 0.999
        assert (got.float() - expected)[inside].abs().max() <= 0.51  # rounding
        assert inside.float().mean() > 0.3


# Properties of every augmentation


@given(shapes, st.lists(st.sampled_from(AUGMENTATIONS), unique=True), st.integers(0, 99))
def test_augmentation_keeps_shape_and_type_and_follows_the_generator(
    shape: tuple[int, int, int, int], names: list[str], seed: int
) -> None:
    images = pixels(*shape)
    before = images.clone()
    first, again = augmented(images, names, seeded(seed)), augmented(images, names, seeded(seed))
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert torch.equal(images, before)
    if not names:
        assert torch.equal(first, images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_image_is_augmented_in_its_own_way(name: str) -> None:
    image = v2.functional.gaussian_blur(pixels(1, 3, 32, 32), [3, 3])
    got = augmented(image.repeat(64, 1, 1, 1), (name,), seeded())
    different = len({bytes(one.flatten().tolist()) for one in got})
    assert different == 2 if name == "flip" else different > 35  # of 81 crops 64 draws meet 44 or so


@pytest.mark.parametrize("shape", [(64, 512), (512, 64)])
def test_a_crop_shows_most_of_a_long_picture_too(shape: tuple[int, int]) -> None:
    whole = torch.full((200, 1, *shape), 9, dtype=torch.uint8)
    assert (augmented(whole, ("crop",), seeded()) > 0).float().mean(dim=(1, 2, 3)).min() > 0.75


def test_resized_crop_shows_a_part_of_every_size_without_a_border() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(2000, 1, 64, 64) * 4
    got = random_resized_crop(ramp, 0.25, seeded())[:, 0].float()
    width = (got[:, 32, -1] - got[:, 32, 0]) / 252  # of the part, as a share of the image's
    assert 0.42 < width.min() < 0.46  # a quarter of the area, at proportions of 3/4
    assert width.max() > 0.98
    assert (got[:, 0] == got[:, -1]).all()
    assert torch.equal(random_resized_crop(ramp, 1, seeded()).amax(), ramp.amax())
    assert got[:, 32, 0].min() == 0
    assert got[:, 32, -1].max() == 252  # the parts reach both sides


# Batches


@given(count=st.integers(1, 60), size=st.integers(1, 70), seed=st.integers(0, 99))
def test_training_batches_are_even_and_show_each_image_once(count: int, size: int, seed: int) -> None:
    split = numbered(count)
    batches = [*training_batches(split, size, generator=seeded(seed))]
    assert len(batches) == steps_per_epoch(count, size)
    sizes = [len(labels) for _, labels in batches]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert torch.cat([labels for _, labels in batches]).sort().values.tolist() == list(range(count))
    for images, labels in batches:
        assert images.dtype == torch.float32
        assert images.shape == (len(labels), 1, 8, 8)
        torch.testing.assert_close(images[:, 0, 0, 0], labels.float())  # the label still belongs to the image


def test_training_batches_are_augmented_normalised_images() -> None:
    images = pixels(6, 3, 8, 8)
    split = Split(images, torch.arange(6), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    generator = seeded(5)
    order = torch.randperm(6, generator=generator)
    expected = split.subset(order)
    expected = Split(augmented(expected.images, AUGMENTATIONS, generator), expected.labels, split.mean, split.std)
    ((got, labels),) = training_batches(split, 6, augment=AUGMENTATIONS, generator=seeded(5))
    torch.testing.assert_close(got, expected.inputs(), rtol=0, atol=0)
    assert torch.equal(labels, expected.labels)
    assert got.is_contiguous()
    with pytest.raises(ValueError, match=r'augment takes a list, such as \["crop", "flip"\].*got \'flip\''):
        next(training_batches(split, 6, augment="flip", generator=generator))


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1203])
def test_evaluation_batches_show_each_image_once_in_order(count: int) -> None:
    split = numbered(count)
    batches = [*evaluation_batches(split)]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(count))
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), split.inputs(), rtol=0, atol=0)
    assert max(len(labels) for _, labels in batches) <= 500


def test_several_processes_share_what_all_of_them_draw() -> None:
    split = numbered(12)
    ((whole, labels),) = training_batches(split, 12, augment=("flip",), generator=seeded())
    halves = [
        next(training_batches(split, 12, augment=("flip",), generator=seeded(), share=lambda batch: batch[rank::2]))  # noqa: B023
        for rank in range(2)
    ]
    for rank, (images, own) in enumerate(halves):
        assert torch.equal(images, whole[rank::2])
        assert torch.equal(own, labels[rank::2])


# Bad input


@pytest.mark.parametrize(("side", "largest"), [(16, 500), (32, 500), (48, 222), (64, 125), (224, 64)])
def test_larger_images_are_evaluated_in_smaller_batches(side: int, largest: int) -> None:
    images = torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(600, 1, side, side)
    split = Split(images, torch.zeros(600, dtype=torch.int64), (0.5,), (0.5,))
    sizes = [len(labels) for _, labels in evaluation_batches(split)]
    assert max(sizes) == largest
    assert sum(sizes) == 600
