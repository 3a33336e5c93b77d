"""The check of lesson 00: a warm-up that shows how checks work."""

from typing import Any

import torch
from torch import Tensor

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

SIGNATURE = "first_answer(images)"

#: Shapes as different from each other as they get: no two of the four numbers are equal.
SHAPES = ((8, 3, 32, 48), (1, 4, 20, 16), (64, 1, 7, 9))

MISTAKES = (
    Mistake(
        lambda images: (images.shape[0], images.shape[3], images.shape[2]),
        "Height and width are swapped. The order is (N, C, H, W): height comes before width.",
    ),
    Mistake(
        lambda images: tuple(images.shape[:3]),
        "You took the first three numbers. The second of (N, C, H, W) is the number of channels; leave it out.",
    ),
    Mistake(
        lambda images: tuple(images.shape[1:]),
        "You left out the number of images and kept the channels: of (N, C, H, W) return N, H and W.",
    ),
    Mistake(
        lambda images: (images.shape[0], images.shape[2], images.shape[2]),
        "You return the height twice. Images need not be square; the width is the last number of the shape.",
    ),
    Mistake(
        lambda images: (images.shape[2], images.shape[3], images.shape[0]),
        "The right numbers in another order: the number of images comes first.",
    ),
    Mistake(
        lambda images: tuple(images.shape),
        "You return all four numbers of the shape. Leave out the channels, the second of (N, C, H, W).",
    ),
)


@check("00.1 first answer")
def check_first_answer(first_answer: Any) -> str:
    """`first_answer(images) -> (number of images, height, width)` for images of shape `(N, C, H, W)`."""
    calls = [Call(torch.rand(shape)) for shape in SHAPES]
    name = need_function(first_answer, SIGNATURE, *calls[0].args)
    given: list[tuple[int, ...]] = []

    def three_numbers(value: Any) -> tuple[int, ...]:
        if isinstance(value, Tensor) or not isinstance(value, tuple | list):
            raise Wrong(f"Expected three whole numbers, as in `return a, b, c`; got {kind_of(value)}.")
        for number in value:
            if not isinstance(number, int):
                raise Wrong(f"Expected three whole numbers; one of yours is {kind_of(number)}.")
        given.append(tuple(value))
        return given[-1]

    try:
        judge(first_answer, answer_of_torch, calls, MISTAKES, name=name, clean=three_numbers)
    except Wrong:
        if len(given) == len(calls) and len(set(given)) == 1:
            raise Wrong("The answer is the same for every batch. Ask the tensor itself: `images.shape`.") from None
        raise
    return "Right for three batches of different shapes. This is how every check of the course answers."


def answer_of_torch(images: Tensor) -> tuple[int, int, int]:
    """The oracle."""
    return images.size(0), images.size(2), images.size(3)
