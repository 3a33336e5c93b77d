"""Answers to the exercise of lesson 00."""

import torch
from torch import Tensor


def first_answer(images: Tensor) -> tuple[int, int, int]:
    N, _, H, W = images.shape
    return N, H, W


def channels_last(images: Tensor):
    N, H, W, _ = images.shape
    return N, W, H


RIGHT = {"00.1": [first_answer, lambda images: [len(images), *images.shape[2:]]]}

WRONG = {
    "00.1": [
        (lambda images: images.numel(), "got the int"),
        (lambda images: torch.tensor(first_answer(images)), "got a tensor"),
        (lambda images: tuple(n / 1 for n in first_answer(images)), "got the float"),
        (channels_last, "expected "),
    ],
}
