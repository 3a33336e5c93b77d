"""The check of lesson 09 on the parameters of a bottleneck, by formula."""

import random
from collections.abc import Callable
from typing import Any

import torch

from ..models import Bottleneck
from .expect import Call, Mistake, Watch, attempt, judge, need_function
from .explain import kind_of
from .runner import Wrong, check


def of_module(in_channels: int, channels: int, stride: int = 1) -> int:
    """The oracle: the package's block, built without memory."""
    with torch.device("meta"):
        block = Bottleneck(in_channels, channels, stride)
    return sum(parameter.numel() for parameter in block.parameters())


def counted(
    *,
    kernel: int = 9,
    squared: bool = True,
    norm: int = 2,
    bias: int = 0,
    expansion: int = 4,
    wide: bool = False,
    projects: Callable[[int, int, int], bool] = lambda i, c, s: s != 1 or i != 4 * c,
    projection_kernel: int = 1,
    projection_norm: int = 2,
    strided: bool = False,
) -> Callable[..., int]:
    """A count with one or more mistakes in it; without options it is right."""

    def count(in_channels: int, channels: int, stride: int = 1) -> int:
        i, c, out = in_channels, channels, expansion * channels
        middle = kernel * c * (c if squared else 1)
        total = i * c + (middle // stride**2 if strided else middle) + c * out + (norm + bias) * (2 * c + out)
        if wide:  # every convolution works on all channels
            total = i * out + kernel * out * out + out * out + (norm + bias) * 3 * out
        if projects(i, c, stride):
            total += projection_kernel * i * out + (projection_norm + bias) * out
        return total

    return count


MISTAKES = (
    Mistake(counted(norm=0, projection_norm=0), "The batch norms are missing: each has a weight and a bias a channel."),
    Mistake(
        counted(norm=1, projection_norm=1),
        "A batch norm has two parameters for each channel, a weight and a bias. You count one.",
    ),
    Mistake(
        counted(norm=4, projection_norm=4),
        "You count the running mean and variance too. They are not trained, so PyTorch keeps them as buffers.",
    ),
    Mistake(
        counted(projects=lambda i, c, s: False),
        "The projection is missing. Where the stride is not 1 or in_channels is not 4 · channels, the shortcut has a "
        "1×1 convolution and a batch norm.",
    ),
    Mistake(
        counted(projects=lambda i, c, s: True),
        "You always count a projection. With stride 1 and in_channels = 4 · channels, x is added as it is.",
    ),
    Mistake(
        counted(projects=lambda i, c, s: s != 1),
        "You project only where the stride is not 1. The first block of ResNet-50 has stride 1 and leads from 64 "
        "channels to 256, so it projects too.",
    ),
    Mistake(
        counted(projects=lambda i, c, s: i != 4 * c),
        "You project only where the channels change. With stride 2 the sides differ, so x does not fit either.",
    ),
    Mistake(
        counted(projects=lambda i, c, s: s != 1 or i != c),
        "You compare in_channels with channels. The block puts out 4 · channels: compare with that.",
    ),
    Mistake(counted(projection_norm=0), "The projection's batch norm is missing: 2 · 4 · channels parameters."),
    Mistake(
        counted(projection_kernel=9),
        "The projection is a 1×1 convolution. You count 9 weights for each pair of channels.",
    ),
    Mistake(counted(kernel=3), "The 3×3 convolution has 3 · 3 weights for each pair of channels, not 3."),
    Mistake(counted(kernel=1), "All three convolutions count as 1×1. The one in the middle is 3×3."),
    Mistake(
        counted(squared=False),
        "The 3×3 convolution leads from `channels` to `channels`: 9 · channels · channels weights.",
    ),
    Mistake(
        counted(bias=1, norm=2, projection_norm=2),
        "You give the convolutions a bias. They have none: the batch norm behind each takes a constant off again.",
    ),
    Mistake(counted(expansion=1), "The last convolution leads up to 4 · channels. You stay at `channels`."),
    Mistake(counted(wide=True), "You count every convolution at full width. The first leads *down* to `channels`."),
    Mistake(
        counted(strided=True), "The stride changes the size of the map, not the number of weights. Do not divide by it."
    ),
)


@check("09.2 parameters of a bottleneck")
def check_bottleneck_parameters(bottleneck_parameters: Any) -> str:
    """`bottleneck_parameters(in_channels, channels, stride=1) -> int`, with the projection where there is one."""
    c = random.randint(20, 90)
    calls = [
        Call(64, 64),
        Call(256, 64),
        Call(256, 128, 2),
        Call(512, 128),
        Call(4 * c, c, stride=2),
        Call(c, c, 2),
        Call(4 * c, c),
        Call(c + 7, c),
    ]
    signature = "bottleneck_parameters(in_channels, channels, stride=1)"
    name = need_function(bottleneck_parameters, signature, 256, 128, stride=2)
    need_function(bottleneck_parameters, signature, 256, 64)

    def whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"Expected a whole number of parameters, got {kind_of(value)}. Divide nothing.")
        return value

    judge(bottleneck_parameters, of_module, calls, MISTAKES, name=name, clean=whole)
    with Watch() as watch:
        attempt(bottleneck_parameters, calls[0], name)
    if watch.names:
        raise Wrong("The numbers are right, but PyTorch built the block and counted. Write them as a formula.")
    return f"Equal to the block of ResNet-50 for {len(calls)} combinations of channels and stride."
