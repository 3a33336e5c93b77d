"""Answers to the exercises of lesson 01 on convolution and shapes."""

import math

import torch

from resnet_edu import checks

from . import Exercise

# --- 01.1 output size -------------------------------------------------------------------------------------------


def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def output_size_stub(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    raise NotImplementedError("not yet")


def output_size_by_counting(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return len(range(0, size + 2 * padding - kernel + 1, stride))


OUTPUT_SIZE = Exercise(
    checks.check_output_size,
    output_size,
    output_size_stub,
    [
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding - kernel) // stride, "One too few"),
        (lambda size, kernel, padding=0, stride=1: (size + padding - kernel) // stride + 1, "both sides"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding - kernel + 1) // stride, "Divide first"),
        (lambda size, kernel, padding=0, stride=1: math.ceil((size + 2 * padding - kernel) / stride) + 1, "round up"),
        (lambda size, kernel, padding=0, stride=1: round((size + 2 * padding - kernel) / stride) + 1, "nearest"),
        (lambda size, kernel, padding=0, stride=1: size + 2 * padding - kernel + 1, "stride has no effect"),
        (lambda size, kernel, padding=0, stride=1: (size - kernel) // stride + 1, "padding has no effect"),
        (lambda size, kernel, padding=0, stride=1: (size - 2 * padding - kernel) // stride + 1, "subtracted"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding) // stride, "kernel's size has no effect"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding - kernel + 1) // stride + 1, "One too many"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding - kernel) / stride + 1, "the float"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding + kernel) // stride + 1, "expected the int"),
        (lambda size, kernel, padding=0, stride=1: torch.tensor(size), "got a tensor"),
        (lambda size, kernel, padding=0, stride=1: 1 // 0, "ZeroDivisionError"),
    ],
    others=(output_size_by_counting,),
)

# --- 01.4 predict a shape ---------------------------------------------------------------------------------------


def shape_walk(side: int) -> list[tuple[int, int, int]]:
    c1 = side - 4
    s2 = c1 // 2
    c3 = s2 - 4
    s4 = c3 // 2
    return [(6, c1, c1), (6, s2, s2), (16, c3, c3), (16, s4, s4)]


def shape_walk_stub(side: int) -> list[tuple[int, int, int]]:
    raise NotImplementedError("not yet")


def walk(side, *, off=4, pool=lambda n: n // 2, channels=(6, 16)):
    shapes = []
    for number in channels:
        side = side - off
        shapes.append((number, side, side))
        side = pool(side)
        shapes.append((number, side, side))
    return shapes


def up(n):
    return (n + 1) // 2


SHAPE_WALK = Exercise(
    checks.check_shape_walk,
    shape_walk,
    shape_walk_stub,
    [
        (lambda side: walk(side, off=0), "LeNet-5 pads nothing"),
        (lambda side: walk(side, off=2), "as 3×3 kernels do"),
        (lambda side: walk(side, off=5), "take 5 pixels off"),
        (lambda side: walk(side, pool=up), "round up after pooling"),
        (lambda side: [(1, side, side), *walk(side)], "begins with the input"),
        (lambda side: walk(side)[:3], "last pooling is missing"),
        (lambda side: [walk(side)[0], walk(side)[2]], "Only the convolutions"),
        (lambda side: [(h, w, c) for c, h, w in walk(side)], "Channels stand last"),
        (lambda side: walk(side, channels=(6, 12)), "has 16 filters"),
        (lambda side: walk(32), "32-pixel image whatever the side"),
        (lambda side: walk(side, pool=lambda n: n / 2), "numbers of a shape are whole"),
        (lambda side: [(c, h) for c, h, _ in walk(side)], "one of yours is the tuple"),
        (lambda side: walk(side)[-1], "one of yours is the int"),
        (lambda side: walk(side, channels=(3, 16)), "expected the list"),
        (lambda side: {"C1": side}, "got the dict"),
    ],
    others=(walk,),
)

EXERCISES = [OUTPUT_SIZE, SHAPE_WALK]
