"""The check of lesson 00: a warm-up that shows how checks work."""

import torch
from torch import Tensor

from .exercise import Call, exercise
from .values import listed, whole

WORDS = "three whole numbers, as in `return a, b, c`"

FIRST_MISTAKES = {
    "Height and width are swapped. The order is (N, C, H, W): height comes before width.":
        lambda x: (x.shape[0], x.shape[3], x.shape[2]),
    "You took the first three numbers. The second of (N, C, H, W) is the number of channels; leave it out.":
        lambda x: x.shape[:3],
    "You left out the number of images and kept the channels: of (N, C, H, W) return N, H and W.":
        lambda x: x.shape[1:],
    "You return the height twice. Images need not be square; the width is the last number of the shape.":
        lambda x: (x.shape[0], x.shape[2], x.shape[2]),
    "The right numbers in another order: the number of images comes first.":
        lambda x: (x.shape[2], x.shape[3], x.shape[0]),
    "You return all four numbers of the shape. Leave out the channels, the second of (N, C, H, W).":
        lambda x: x.shape,
    "The answer is the same for every batch. Ask the tensor itself: `images.shape`.":
        [lambda x, n=n, side=side: (n, side, side) for n in (8, 32, 64, 128) for side in (28, 32, 224)],
}  # fmt: skip


@exercise(
    "00.1 first answer",
    calls=lambda: [Call(torch.rand(shape)) for shape in ((8, 3, 32, 48), (1, 4, 20, 16), (64, 1, 7, 9))],
    returns=listed(WORDS, whole(WORDS, hint="")),
    mistakes=FIRST_MISTAKES,
)
def first_answer(images: Tensor) -> tuple[int, int, int]:
    """Right for three batches of different shapes. This is how every check of the course answers."""
    return images.size(0), images.size(2), images.size(3)
