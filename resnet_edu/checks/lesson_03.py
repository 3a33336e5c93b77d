"""The checks of lesson 03: receptive field, VGG block, memory of the activations, and batch norm by hand."""

import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .exercise import Call, exercise
from .module import module_exercise
from .values import several, tensor, whole


def field_from_the_end(layers: Sequence[tuple[int, int]]) -> int:
    """The recurrence from the last layer to the first; in the other order it is a mistake."""
    size = 1
    for kernel, stride in layers:
        size = (size - 1) * stride + kernel
    return size


def field_calls() -> list[Call]:
    stacks = [[], [(3, 1)], [(3, 1)] * 2, [(3, 1)] * 3, [(3, 1), (2, 2), (3, 1)], [(2, 3), (2, 1)], [(1, 2), (3, 1)]]
    stacks += [[(5, 2), (3, 3), (3, 2), (2, 2), (3, 1)]]
    for _ in range(12):
        stacks.append([(random.randint(1, 7), random.randint(1, 3)) for _ in range(random.randint(2, 5))])
    return [Call(stack) for stack in stacks]


@exercise(
    "03.1 receptive field",
    calls=field_calls,
    returns=whole("a whole number of pixels", hint="Count with whole numbers."),
    mistakes={
        "The strides have no effect. After a layer with stride 2, neighbours are two pixels apart: multiply k − 1 by "
        "the product of all strides before.": {"_jump": lambda jump, stride: 1},
        "You add up the kernels. The windows of neighbours overlap, so a kernel of k adds k − 1 steps, not k.":
            lambda layers: sum(k for k, _ in layers),
        "You multiply by a layer's own stride before its kernel is added. The stride spreads out the layers after it: "
        "add first, then multiply.": {"_own_stride": True},
        "You add the strides up, or use that of the layer just before alone. They multiply: two layers with stride 3 "
        "set neighbours nine pixels apart.":
            [{"_jump": lambda jump, stride: stride}, {"_jump": lambda jump, stride: jump + stride - 1}],
        "One too few. Without any layer a number depends on itself: begin with 1.": {"_start": 0},
        "Each kernel adds one step too many: from the first of k neighbours to the last there are k − 1 steps.":
            {"_less": 0},
        "Your recurrence is right from the last layer to the first, but you run it from the first to the last. Turn "
        "the list round with `reversed`.": field_from_the_end,
        "That is the jump, the distance between the windows of two neighbours, not the size of one.":
            lambda layers: math.prod(s for _, s in layers),
    },
)  # fmt: skip
def receptive_field(
    layers: Sequence[tuple[int, int]], *, _start: int = 1, _less: int = 1, _own_stride: bool = False,
    _jump: Callable[[int, int], int] = lambda jump, stride: jump * stride,
) -> int:  # fmt: skip
    """As many pixels as the gradient reaches, for twenty stacks of layers, the empty one among them."""
    size, jump = _start, 1
    for kernel, stride in layers:
        behind = _jump(jump, stride)
        size += (kernel - _less) * (behind if _own_stride else jump)
        jump = behind
    return size


Parts = Sequence[nn.Module]


def pairs(convs: Parts, relus: Parts) -> list[nn.Module]:
    return [part for pair in zip(convs, relus, strict=False) for part in pair]


@module_exercise(
    "03.2 VGG block",
    calls=lambda: [Call(3, 8, 3), Call(6, 4, 2), Call(4, 4, 1), Call(5, 6, 4)],
    inputs=lambda in_channels, channels, convolutions: [(2, in_channels, 12, 10), (2, in_channels, 7, 9)],
    own_relus=True,
    mistakes={
        "You pool by the average. VGG takes the maximum: `nn.MaxPool2d(2)`.":
            {"_order": lambda c, r, p: [*pairs(c, r), nn.AvgPool2d(2)]},
        "The side stays as it is. The block ends with a pooling that halves it.":
            {"_order": lambda c, r, p: pairs(c, r)},
        "You pool before the convolutions, or after each. One pooling is enough, at the end of the block.":
            [{"_order": lambda c, r, p: [p, *pairs(c, r)]},
             {"_order": lambda c, r, p: [part for pair in zip(c, r, strict=True) for part in (*pair, p)]}],
        "The ReLUs come before the convolutions. The order is convolution, ReLU.":
            {"_order": lambda c, r, p: [*pairs(r, c), p]},
        "A ReLU is missing after a convolution. One follows each: without one in between, two convolutions are no "
        "more than one.":
            [{"_order": lambda c, r, p: [*c, *r, p]}, {"_order": lambda c, r, p: [*pairs(c, r)[:-1], p]},
             {"_order": lambda c, r, p: [*c, p]}],
        "There is batch norm in the block. It was published in 2015; the VGG of 2014 has none.":
            {"_order": lambda c, r, p: [*(n for each, relu in zip(c, r, strict=True)
                                          for n in (each, nn.BatchNorm2d(each.out_channels), relu)), p]},
        "There are not as many convolutions as asked for. Loop over `range(convolutions)`; the one that changes the "
        "channels counts too, and each has weights of its own.":
            [{"convolutions": 1}, {"_count": lambda n: n + 1}, {"_count": lambda n: n - 1}],
        "Every convolution takes `in_channels`. The first leads from `in_channels` to `channels`, the others get its "
        "`channels`.": {"_sizes": lambda i, c, n: [(i, c)] * n},
    },
)  # fmt: skip
def vgg_block(
    in_channels: int, channels: int, convolutions: int, *,
    _order: Callable[..., Parts] = lambda convs, relus, pool: [*pairs(convs, relus), pool],
    _sizes: Callable[[int, int, int], list[tuple[int, int]]] = lambda i, c, n: [(i, c), *[(c, c)] * (n - 1)],
    _count: Callable[[int], int] = lambda convolutions: convolutions,
) -> nn.Module:  # fmt: skip
    """3×3 convolution and ReLU as often as asked, then max pooling: shapes, values and gradients are right."""
    count = _count(convolutions)
    convs = [nn.Conv2d(*sizes, 3, padding=1) for sizes in _sizes(in_channels, channels, count)[:count]]
    return nn.Sequential(*_order(convs, [nn.ReLU() for _ in convs], nn.MaxPool2d(2)))


Stages = Sequence[tuple[int, int]]


def memory_calls() -> list[Call]:
    calls = [Call([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 224), Call([(1, 64)], 32)]
    calls += [Call([(1, 8), (2, 16)], 20, 3), Call([(2, 3), (1, 4)], side=7, batch_size=2), Call([(1, 2)], 5)]
    for _ in range(8):
        stages = [(random.randint(1, 4), random.randint(1, 64)) for _ in range(random.randint(1, 4))]
        calls.append(Call(stages, random.randint(32, 120), random.randint(2, 64)))
    return calls


@exercise(
    "03.3 memory of activations",
    calls=memory_calls,
    returns=whole(
        "a whole number of bytes",
        hint="Halve with `//`, which rounds an odd side down, and do not convert to megabytes.",
    ),
    mistakes={
        "You count numbers, not bytes. A float32 takes four bytes.": {"_each": 1},
        "The batch size has no effect. Each image of the batch has activations of its own.": {"batch_size": 1},
        "The pooled maps are missing. They are the input of the next stage, so they are kept too.": {"_pools": 0},
        "Each stage is counted as if it had a single convolution. Multiply by the number of its convolutions.":
            {"_count": lambda convolutions: 1},
        "You never halve the side, or you halve it before a stage's convolutions. Each stage ends with a pooling that "
        "halves it.": [{"_halve": "never"}, {"_halve": "before"}],
        "You multiply by the side once. A map has side · side numbers.": {"_power": 1},
        "You count each convolution and its ReLU. Of the two maps only the one after the ReLU is kept: count one.":
            {"_count": lambda convolutions: 2 * convolutions},
        "You count the image as well. Count what the layers output.": {"_image": 3},
    },
)  # fmt: skip
def activation_bytes(
    stages: Stages, side: int, batch_size: int = 1, *, _each: int = 4, _pools: int = 1, _halve: str = "after",
    _count: Callable[[int], int] = lambda convolutions: convolutions, _power: int = 2, _image: int = 0,
) -> int:  # fmt: skip
    """Equal to the sizes of real layers' outputs, odd sides among them. VGG-16 keeps 60.3 MB for one image."""
    numbers = _image * side**2
    for convolutions, channels in stages:
        side = side // 2 if _halve == "before" else side
        numbers += _count(convolutions) * channels * side**_power
        side = side // 2 if _halve == "after" else side
        numbers += _pools * channels * side**_power
    return _each * batch_size * numbers


def norm_calls() -> list[Call]:
    calls = []
    for shape, options in (((4, 3, 5, 6), {}), ((2, 5, 3, 3), {"momentum": 0.3}), ((6, 4, 2, 5), {"eps": 0.1})):
        channels = shape[1]
        x = torch.randn(shape) * (0.5 + 2 * torch.rand(channels, 1, 1)) + torch.randn(channels, 1, 1)
        weight, bias = torch.rand(channels) + 0.5, torch.randn(channels)
        running = torch.randn(channels), torch.rand(channels) + 0.5
        calls += [Call(x, weight, bias, *running, training, **options) for training in (True, False)]
    return calls


@exercise(
    "03.4 batch norm by hand",
    calls=norm_calls,
    returns=several("three tensors: the output, the new running mean and the new running variance", *[tensor()] * 3),
    forbids={"batch_norm": "The values are right, but they are PyTorch's. Compute means and variances yourself."},
    mistakes={
        "You average over other dimensions. Each channel has one mean and one variance, taken over the batch and over "
        "the pixels: dimensions 0, 2 and 3.": [{"_dims": dims} for dims in ((0, 1, 2, 3), (2, 3), (1, 2, 3), (0,))],
        "You divide by the variance. Divide by its square root.": {"_root": lambda var, eps: var + eps},
        "You add `eps` to the standard deviation. It belongs under the root, with the variance.":
            {"_root": lambda var, eps: var.sqrt() + eps},
        "`eps` is missing: add it to the variance, under the root.": {"_root": lambda var, eps: var.sqrt()},
        "You divide by n − 1 to normalise. Take n there, `correction=0`: only the running variance takes n − 1.":
            {"_correction": 1},
        "The running variance gets the variance with n in the denominator. PyTorch stores the one with n − 1.":
            {"_stored": 0},
        "The running statistics take another share of the batch. In train mode they move towards those of the new "
        "batch, and the new batch's share is `momentum`.":
            [{"_share": lambda momentum: 1 - momentum}, {"_share": lambda momentum: 1.0},
             {"_share": lambda momentum: 0.0}],
        "In eval mode you still use the batch's own statistics, so an image's result depends on its neighbours.":
            {"_uses_batch": lambda training: True},
        "In train mode you use the running statistics. There the batch's own are used.":
            {"_uses_batch": lambda training: False},
        "The running statistics move in eval mode too. They are measured in train mode only.":
            {"_moves": lambda training: True},
        "`weight` or `bias` has no effect. Multiply each normalised channel by its weight, then add its bias.":
            [{"weight": torch.ones(1)}, {"bias": torch.zeros(1)}],
        "You add `bias` before you multiply by `weight`. First multiply, then add.":
            lambda x, weight, bias, *rest: batch_norm.oracle(x, weight, weight * bias, *rest),  # pyright: ignore[reportGeneralTypeIssues]
    },
)  # fmt: skip
def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor, training: bool,
    momentum: float = 0.1, eps: float = 1e-5, *, _dims: tuple[int, ...] = (0, 2, 3), _correction: int = 0,
    _stored: int = 1, _root: Callable[[Tensor, float], Tensor] = lambda var, eps: (var + eps).sqrt(),
    _share: Callable[[float], float] = lambda momentum: momentum,
    _uses_batch: Callable[[bool], bool] = lambda training: training,
    _moves: Callable[[bool], bool] = lambda training: training,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Equal to PyTorch's `nn.BatchNorm2d` in train and in eval mode, running statistics included."""
    mean, var = x.mean(_dims, keepdim=True), x.var(_dims, keepdim=True, correction=_correction)
    if not _uses_batch(training):
        mean, var = running_mean[:, None, None], running_var[:, None, None]
    out = (x - mean) / _root(var, eps) * weight[:, None, None] + bias[:, None, None]
    share = _share(momentum) if _moves(training) else 0.0
    new_mean, new_var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=_stored)
    return out, running_mean.lerp(new_mean, share), running_var.lerp(new_var, share)
