"""The check of lesson 03 on memory: how many bytes of activations a VGG keeps for the backward pass."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Stages = Sequence[tuple[int, int]]

VGG16: Stages = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]


def bytes_of_torch(stages: Stages, side: int, batch_size: int = 1) -> int:
    """The oracle: the sizes of real layers' outputs, on a device without memory."""
    x, total = torch.empty(batch_size, 3, side, side, device="meta"), 0
    for convolutions, channels in stages:
        for _ in range(convolutions):
            x = F.conv2d(x, torch.empty(channels, x.shape[1], 3, 3, device="meta"), padding=1)
            total += x.numel() * x.element_size()
        x = F.max_pool2d(x, 2)
        total += x.numel() * x.element_size()
    return total


def counted(
    stages: Stages,
    side: int,
    batch_size: int = 1,
    *,
    each: int = 4,
    pools: bool = True,
    halve: str = "after",
    once: bool = False,
    power: int = 2,
    twice: bool = False,
    image: bool = False,
) -> int:
    """The count by hand. The options make wrong variants."""
    numbers = 3 * side**2 if image else 0
    for convolutions, channels in stages:
        if halve == "before":
            side //= 2
        numbers += (1 if once else convolutions) * (2 if twice else 1) * channels * side**power
        if halve == "after":
            side //= 2
        if pools:
            numbers += channels * side**power
    return each * batch_size * numbers


MISTAKES = (
    Mistake(
        lambda s, n, b=1: counted(s, n, b, each=1),
        "You count numbers, not bytes. A float32 takes four bytes.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, each=8),
        "You take eight bytes a number. PyTorch computes in float32, which takes four.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n),
        "The batch size has no effect. Each image of the batch has activations of its own.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, pools=False),
        "The pooled maps are missing. They are the input of the next stage, so they are kept too.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, once=True),
        "Each stage is counted as if it had a single convolution. Multiply by the number of its convolutions.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, halve="never"),
        "The side stays as it is. Each stage ends with a pooling that halves it.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, halve="before"),
        "You halve the side before the convolutions of a stage. The pooling stands at the end of a stage.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, power=1),
        "You multiply by the side once. A map has side · side numbers.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, twice=True),
        "You count each convolution and its ReLU. Of the two maps only the one behind the ReLU is kept: count one.",
    ),
    Mistake(
        lambda s, n, b=1: counted(s, n, b, image=True),
        "You count the image as well. Count what the layers put out.",
    ),
    Mistake(
        lambda s, n, b=1: 4 * b * n * n * sum(s_[1] for s_ in s),
        "You add up the channels of the stages at the full side. Sides halve, and convolutions repeat.",
    ),
    Mistake(
        lambda s, n, b=1: sum(4 * p for p in parameters(s)),
        "These are the parameters. Activations are the maps that the layers put out; they grow with side and batch.",
    ),
)


def parameters(stages: Stages) -> list[int]:
    """Weights and biases of each convolution."""
    counts, before = [], 3
    for convolutions, channels in stages:
        for _ in range(convolutions):
            counts.append(channels * (9 * before + 1))
            before = channels
    return counts


@check("03.3 memory of activations")
def check_activation_bytes(activation_bytes: Any) -> str:
    """`activation_bytes(stages, side, batch_size=1)`: of the maps behind every convolution and pooling, in float32."""
    calls = [Call(VGG16, 224), Call([(1, 64)], 32), Call([(1, 8), (2, 16)], 20, 3)]
    for _ in range(8):
        stages = [(random.randint(1, 4), random.randint(1, 64)) for _ in range(random.randint(1, 4))]
        calls.append(Call(stages, random.randint(32, 120), random.randint(2, 64)))
    signature = "activation_bytes(stages, side, batch_size=1)"
    name = need_function(activation_bytes, signature, VGG16, 224, 2)
    need_function(activation_bytes, signature, VGG16, 224)
    judge(activation_bytes, bytes_of_torch, calls, MISTAKES, name=name, clean=whole)
    mib = bytes_of_torch(VGG16, 224) / 2**20
    return f"Equal to the sizes of real layers' outputs, {len(calls)} times. VGG-16 keeps {mib:.0f} MiB for one image."


def whole(value: Any) -> int:
    """The value, if it is a whole number.

    Raises:
        Wrong: it is not.
    """
    if isinstance(value, float):
        raise Wrong(
            f"You return the float {value:g}. Bytes are whole: halve with `//`, which rounds an odd side down, and do "
            "not convert to megabytes."
        )
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"Expected a whole number of bytes, got {kind_of(value)}.")
    return value
