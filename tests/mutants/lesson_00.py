"""Answers to the exercise of lesson 00."""

import torch
from torch import Tensor

from resnet_edu import checks

from . import Exercise


def first_answer(images: Tensor) -> tuple[int, int, int]:
    N, _, H, W = images.shape
    return N, H, W


def stub(images: Tensor) -> tuple[int, int, int]:
    raise NotImplementedError("not yet")


def width_first(images: Tensor):
    N, _, H, W = images.shape
    return N, W, H


def three_first(images: Tensor):
    return images.shape[:3]


def one_image(images: Tensor):
    return images[0].shape


def square(images: Tensor):
    return len(images), images.shape[2], images.shape[2]


def sides_first(images: Tensor):
    return images.shape[2], images.shape[3], len(images)


def everything(images: Tensor):
    return images.shape


def always(images: Tensor):
    return 64, 28, 28


def product(images: Tensor):
    return images.numel()


def as_tensor(images: Tensor):
    return torch.tensor([len(images), images.shape[2], images.shape[3]])


def halves(images: Tensor):
    return len(images), images.shape[2] / 1, images.shape[3] / 1


def channels_last(images: Tensor):
    N, H, W, _ = images.shape
    return N, W, H


EXERCISES = [
    Exercise(
        checks.check_first_answer,
        first_answer,
        stub,
        [
            (width_first, "height comes before width"),
            (three_first, "first three numbers"),
            (one_image, "kept the channels"),
            (square, "height twice"),
            (sides_first, "number of images comes first"),
            (everything, "all four numbers"),
            (always, "same for every batch"),
            (product, "got the int"),
            (as_tensor, "got a tensor"),
            (halves, "one of yours is the float"),
            (channels_last, "expected the tuple"),
        ],
        others=(lambda images: [images.shape[0], images.shape[2], images.shape[3]],),
    )
]
