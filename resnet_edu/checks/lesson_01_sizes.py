"""The checks of lesson 01 on sizes: the side of a convolution's output, and the shapes along LeNet-5."""

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

# --- 01.1 output size -------------------------------------------------------------------------------------------


def output_size_of_torch(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """The oracle: ask a real convolution over a strip that is one pixel wide."""
    strip, weight = torch.zeros(1, 1, size, 1), torch.zeros(1, 1, kernel, 1)
    return F.conv2d(strip, weight, stride=(stride, 1), padding=(padding, 0)).shape[2]


def sized(formula: Callable[[int, int, int, int], float]) -> Callable[..., float]:
    """A formula in size, kernel, padding, stride, with the defaults of the exercise."""
    return lambda size, kernel, padding=0, stride=1: formula(size, kernel, padding, stride)


OUTPUT_SIZE_MISTAKES = (
    Mistake(
        sized(lambda n, k, p, s: (n + 2 * p - k) // s),
        "One too few. The kernel's first position counts as well: add 1 after the division.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n + p - k) // s + 1),
        "The padding is counted once. It is added on both sides of the image: 2 · padding.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n + 2 * p - k + 1) // s),
        "You add 1 before you divide by the stride. Divide first, then add the 1 for the first position.",
    ),
    Mistake(
        sized(lambda n, k, p, s: math.ceil((n + 2 * p - k) / s) + 1),
        "You round up. Where the last step does not fit into the image it is left out: round down, with `//`.",
    ),
    Mistake(
        sized(lambda n, k, p, s: round((n + 2 * p - k) / s) + 1),
        "You round to the nearest number. A step that does not fit is left out: round down, with `//`.",
    ),
    Mistake(
        sized(lambda n, k, p, s: n + 2 * p - k + 1),
        "The stride has no effect. With stride 2 the kernel takes every second position only.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n - k) // s + 1),
        "The padding has no effect. It makes the image larger by `padding` pixels on each side.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n - 2 * p - k) // s + 1),
        "The padding is subtracted. It makes the image larger, so the output grows.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n + 2 * p) // s),
        "The kernel's size has no effect. A kernel that is k wide has k − 1 positions fewer than the image has pixels.",
    ),
    Mistake(
        sized(lambda n, k, p, s: (n + 2 * p - k + 1) // s + 1),
        "One too many in most cases: the kernel has size − kernel + 1 positions at stride 1, not more.",
    ),
)


@check("01.1 output size")
def check_output_size(output_size: Any) -> str:
    """`output_size(size, kernel, padding=0, stride=1) -> int`: the side of a convolution's output."""
    calls = [
        Call(32, 5),
        Call(28, 3, 1),
        Call(224, 7, 3, 2),
        Call(9, 2, 0, 2),
        Call(10, kernel=3, stride=4),
        Call(13, 4, 0, 4),
    ]
    for _ in range(20):
        kernel = random.randint(1, 11)
        size, padding, stride = random.randint(kernel, 64), random.randint(0, 4), random.randint(1, 4)
        calls.append(Call(size, kernel, padding=padding, stride=stride))
    name = need_function(output_size, "output_size(size, kernel, padding=0, stride=1)", 32, 5, padding=0, stride=1)
    need_function(output_size, "output_size(size, kernel, padding=0, stride=1)", 32, 5)

    def whole(value: Any) -> int:
        if isinstance(value, float):
            raise Wrong(f"You return the float {value}. A number of pixels is whole: divide with `//`, not with `/`.")
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"Expected a whole number, got {kind_of(value)}.")
        return value

    judge(output_size, output_size_of_torch, calls, OUTPUT_SIZE_MISTAKES, name=name, clean=whole)
    return f"Equal to PyTorch's convolution for {len(calls)} combinations of size, kernel, padding and stride."


# --- 01.4 predict a shape ---------------------------------------------------------------------------------------

Shape = tuple[int, ...]


def walk_of_torch(side: int, *, padding: int = 0, kernel: int = 5, ceil_mode: bool = False) -> list[Shape]:
    """The oracle: send an image without data through the real layers. The options make wrong variants."""
    x, shapes = torch.zeros(1, 1, side, side, device="meta"), []
    for channels in (6, 16):
        x = F.conv2d(x, torch.zeros(channels, x.shape[1], kernel, kernel, device="meta"), padding=padding)
        shapes.append(tuple(x.shape[1:]))
        x = F.avg_pool2d(x, 2, ceil_mode=ceil_mode)
        shapes.append(tuple(x.shape[1:]))
    return shapes


WALK_MISTAKES = (
    Mistake(
        lambda side: walk_of_torch(side, padding=2),
        "Your convolutions keep the side. LeNet-5 pads nothing: a 5×5 kernel takes 4 pixels off.",
    ),
    Mistake(
        lambda side: walk_of_torch(side, kernel=3),
        "Your convolutions take 2 pixels off, as 3×3 kernels do. LeNet-5's are 5×5.",
    ),
    Mistake(
        lambda side: walk_of_torch(side, kernel=6),
        "Your convolutions take 5 pixels off. A 5×5 kernel has side − 5 + 1 positions.",
    ),
    Mistake(
        lambda side: walk_of_torch(side, ceil_mode=True),
        "You round up after pooling. An odd row or column at the end is left out: round down, with `//`.",
    ),
    Mistake(
        lambda side: [(1, side, side), *walk_of_torch(side)],
        "Your list begins with the input. Begin with what comes out of the first convolution.",
    ),
    Mistake(
        lambda side: walk_of_torch(side)[:3],
        "The last pooling is missing: convolution, pooling, convolution, pooling make four shapes.",
    ),
    Mistake(
        lambda side: walk_of_torch(side)[::2],
        "Only the convolutions are in your list. Each of them is followed by a pooling with a shape of its own.",
    ),
    Mistake(
        lambda side: [(*shape[1:], shape[0]) for shape in walk_of_torch(side)],
        "Channels stand last. PyTorch's order is (channels, height, width).",
    ),
    Mistake(
        lambda side: [shape for shape in walk_of_torch(side) for shape in [(6 if shape[0] == 6 else 12, *shape[1:])]],
        "The second convolution has 16 filters in LeNet-5, not 12.",
    ),
    Mistake(
        lambda side: walk_of_torch(32),
        "The walk is that of a 32-pixel image whatever the side. Compute it from `side`.",
    ),
)


@check("01.4 predict a shape")
def check_shape_walk(shape_walk: Any) -> str:
    """`shape_walk(side)`: (channels, height, width) after LeNet-5's two convolutions and poolings, in their order."""
    calls = [Call(side) for side in (32, 28, 64, 29, *random.sample(range(30, 200), 6))]
    name = need_function(shape_walk, "shape_walk(side)", 32)

    def list_of_shapes(value: Any) -> list[Shape]:
        if not isinstance(value, list | tuple):
            raise Wrong(f"Expected a list of shapes, got {kind_of(value)}.")
        for shape in value:
            if not isinstance(shape, list | tuple) or len(shape) != 3:
                raise Wrong(f"Each shape is (channels, height, width); one of yours is {kind_of(shape)}.")
            for number in shape:
                if not isinstance(number, int):
                    raise Wrong(f"The numbers of a shape are whole; in {tuple(shape)} is {kind_of(number)}. Use `//`.")
        return [tuple(shape) for shape in value]

    judge(shape_walk, walk_of_torch, calls, WALK_MISTAKES, name=name, clean=list_of_shapes)
    return f"Right for {len(calls)} sides, odd ones among them: what PyTorch's layers give."
