"""The check of lesson 03 on the receptive field: how many pixels one number at the end of a stack depends on."""

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Layers = Sequence[tuple[int, int]]

#: Pixels of the strip that the oracle measures on; more than any stack of the check can see.
STRIP = 4096


def field_of_torch(layers: Layers) -> int:
    """The oracle: the gradient of one number, from its first pixel to its last, through real convolutions."""
    strip = torch.zeros(1, 1, STRIP, dtype=torch.float64, requires_grad=True)
    x = strip
    for kernel, stride in layers:
        x = F.conv1d(x, torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64), stride=stride)
    (gradient,) = torch.autograd.grad(x[0, 0, 0], strip)
    seen = gradient[0, 0].nonzero().flatten()
    return int(seen[-1] - seen[0]) + 1


def forward(layers: Layers, *, start: int = 1, less: int = 1, own_stride: bool = False, add: bool = False) -> int:
    """The recurrence from the first layer to the last. The options make wrong variants."""
    size, jump = start, 1
    for kernel, stride in layers:
        if own_stride:
            jump *= stride
        size += (kernel - less) * jump
        if not own_stride:
            jump = jump + stride - 1 if add else jump * stride
    return size


def last_stride_only(layers: Layers) -> int:
    """The step between two neighbours taken from the layer before alone."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump = stride
    return size


def backward(layers: Layers) -> int:
    """The recurrence from the last layer to the first; in the other order it is a mistake."""
    size = 1
    for kernel, stride in layers:
        size = (size - 1) * stride + kernel
    return size


MISTAKES = (
    Mistake(
        lambda layers: 1 + sum(k - 1 for k, _ in layers),
        "The strides have no effect. Behind a layer with stride 2 a neighbour lies two pixels away: multiply k − 1 by "
        "the product of all strides before.",
    ),
    Mistake(
        lambda layers: sum(k for k, _ in layers),
        "You add up the kernels. The windows of neighbours overlap, so a kernel of k adds k − 1 steps, not k.",
    ),
    Mistake(
        lambda layers: forward(layers, own_stride=True),
        "You multiply by a layer's own stride before its kernel is added. The stride sets the layers behind it apart: "
        "add first, then multiply.",
    ),
    Mistake(
        last_stride_only,
        "You use the stride of the layer just before. The steps multiply up: two layers with stride 2 set neighbours "
        "four pixels apart.",
    ),
    Mistake(
        lambda layers: forward(layers, add=True),
        "Your steps add up. They multiply: two layers with stride 3 set neighbours nine pixels apart, not five.",
    ),
    Mistake(
        lambda layers: forward(layers, start=0),
        "One too few. Without any layer a number depends on itself: begin with 1.",
    ),
    Mistake(
        lambda layers: forward(layers, less=0),
        "Each kernel adds one step too many: from the first of k neighbours to the last there are k − 1 steps.",
    ),
    Mistake(
        backward,
        "Your recurrence is right from the last layer to the first, but you run it from the first to the last. Turn "
        "the list round with `reversed`.",
    ),
    Mistake(
        lambda layers: max((k for k, _ in layers), default=1),
        "You return the largest kernel. Each further layer widens the window.",
    ),
    Mistake(
        lambda layers: layers[-1][0] if layers else 1,
        "You return the last layer's kernel. The layers before it widen the window.",
    ),
    Mistake(
        lambda layers: math.prod([k for k, _ in layers]),
        "You multiply the kernels. The windows of neighbours overlap: each layer adds to the size.",
    ),
    Mistake(
        lambda layers: math.prod([s for _, s in layers]),
        "That is the jump, the distance between the windows of two neighbours, not the size of one.",
    ),
)


@check("03.1 receptive field")
def check_receptive_field(receptive_field: Any) -> str:
    """`receptive_field(layers)`: pixels along one side that one number depends on; layers are (kernel, stride)."""
    stacks: list[Layers] = [
        [],
        [(3, 1)],
        [(3, 1), (3, 1)],
        [(3, 1), (3, 1), (3, 1)],
        [(3, 1), (2, 2), (3, 1)],
        [(5, 2), (3, 3), (3, 2), (2, 2), (3, 1)],
    ]
    for _ in range(12):
        count = random.randint(2, 5)
        stacks.append([(random.randint(2, 7), random.randint(1, 3)) for _ in range(count)])
    name = need_function(receptive_field, "receptive_field(layers)", [(3, 1)])
    judge(receptive_field, field_of_torch, [Call(stack) for stack in stacks], MISTAKES, name=name, clean=whole)
    return f"Equal to what the gradient reaches, for {len(stacks)} stacks of layers, the empty one among them."


def whole(value: Any) -> int:
    """The value, if it is a whole number.

    Raises:
        Wrong: it is not.
    """
    if isinstance(value, list | tuple):
        raise Wrong("Expected one number, the size after the last layer. You return a list of them.")
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"Expected a whole number of pixels, got {kind_of(value)}.")
    return value
