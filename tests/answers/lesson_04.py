"""Answers to the exercises of lesson 04."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.models.googlenet import ConvBlock

# --- 04.1 break even --------------------------------------------------------------------------------------------


def break_even(in_channels: int, channels: int, kernel: int) -> int:
    alone = kernel**2 * in_channels * channels
    reduced = 0
    while (reduced + 1) * (in_channels + kernel**2 * channels) < alone:
        reduced += 1
    return reduced


def break_even_by_formula(in_channels: int, channels: int, kernel: int) -> int:
    return (kernel**2 * in_channels * channels - 1) // (in_channels + kernel**2 * channels)


def break_even_by_numpy(in_channels, channels, kernel):
    widths = np.arange(1, kernel**2 * in_channels)
    return (widths * (in_channels + kernel**2 * channels) < kernel**2 * in_channels * channels).sum()


# --- 04.2 inception block ---------------------------------------------------------------------------------------


class Inception(nn.Module):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvBlock(in_channels, pool, 1))

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), 1)


class Chained(Inception):
    def parts(self, x: Tensor) -> list[Tensor]:
        one = self.branch1(x)
        return [one, self.branch2(one), self.branch3(x), self.branch4(x)]


class Detached(Inception):
    def forward(self, x: Tensor) -> Tensor:
        one, three, five, pool = self.parts(x)
        return torch.cat([one, three.detach(), five, pool], 1)


class OtherNames(Inception):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__(in_channels, one, three_reduced, three, five_reduced, five, pool)
        self.pooled = self.branch4
        del self.branch4

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.pooled(x)]


# --- 04.3 widest block ------------------------------------------------------------------------------------------


def cost(in_channels: int, side: int, unit: int) -> int:
    one, three_reduced, three, five_reduced, five, pool = (size * unit for size in (4, 6, 8, 1, 2, 2))
    weights = in_channels * (one + three_reduced + five_reduced + pool)
    return side * side * (weights + 9 * three_reduced * three + 25 * five_reduced * five)


def widest_block(in_channels: int, side: int, budget: int) -> tuple[int, ...]:
    unit = 1
    while cost(in_channels, side, unit + 1) <= budget:
        unit += 1
    return tuple(size * unit for size in (4, 6, 8, 1, 2, 2))


def widest_block_by_root(in_channels, side, budget):
    """Right as well: solves the quadratic equation, and gives a list of NumPy's whole numbers."""
    half, room = 13 * in_channels / 2, budget / side**2
    unit = math.floor((-half + math.sqrt(half**2 + 482 * room)) / 482 + 1e-9)
    return list(np.array([4, 6, 8, 1, 2, 2]) * unit)


# --- 04.4 silent branch -----------------------------------------------------------------------------------------


def silent_branch(block: nn.Module, images: Tensor) -> str:
    with torch.no_grad():
        for name, branch in block.named_children():
            out = branch(images)
            if (out - out[:1]).abs().max() < 1e-6:
                return name
    raise AssertionError("unreachable")


def silent_branch_by_range(block, images):
    ranges = {}
    for name in ("branch1", "branch2", "branch3", "branch4"):
        out = getattr(block, name)(images).detach()
        ranges[name] = float((out.amax(0) - out.amin(0)).sum())
    return min(ranges, key=ranges.__getitem__)


def silent_in_train_mode(block, images):
    block.train()
    return silent_branch(block, images)


def silenced(block, images):
    name = silent_branch(block, images)
    block.get_submodule(name).requires_grad_(False)
    return name


RIGHT = {
    "04.1": [break_even, break_even_by_formula, break_even_by_numpy],
    "04.2": [Inception, models.Inception],
    "04.3": [widest_block, widest_block_by_root],
    "04.4": [silent_branch, silent_branch_by_range],
}

WRONG = {
    "04.1": [
        (lambda i, o, k: k * k * i * o / (i + k * k * o), "Channels cannot be divided"),
        (lambda in_channels, channels, kernel: in_channels, "expected"),
        (lambda in_channels, channels, kernel: (1, 2), "a whole number of channels"),
    ],
    "04.2": [
        (Chained, "channels"),
        (Detached, "no gradient reaches"),
        (OtherNames, "branch4"),
    ],
    "04.3": [
        (lambda in_channels, side, budget: widest_block(in_channels, side, budget)[0], "six whole numbers"),
        (lambda in_channels, side, budget: [16.5] * 6, "whole number"),
        (lambda in_channels, side, budget: (1, 2, 3, 4, 5, 6), "at position 0"),
    ],
    "04.4": [
        (lambda block, images: 2, "the name of a branch"),
        (lambda block, images: "branch5", "Known: branch1"),
        (silent_in_train_mode, "changes the network"),
        (silenced, "changes the network"),
    ],
}
