"""The checks of lesson 03: receptive field, VGG block, memory of the activations, and a cheaper head."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, exercise
from .module import module_exercise
from .values import whole

# --- 03.1 receptive field ---------------------------------------------------------------------------------------


def field_from_the_end(layers: Sequence[tuple[int, int]]) -> int:
    """The recurrence from the last layer to the first; in the other order it is a mistake."""
    size = 1
    for kernel, stride in layers:
        size = (size - 1) * stride + kernel
    return size


FIELD_MISTAKES = {
    "The strides have no effect. Behind a layer with stride 2 a neighbour lies two pixels away: multiply k − 1 by the "
    "product of all strides before.":
        {"_jump": lambda jump, stride: 1},
    "You add up the kernels. The windows of neighbours overlap, so a kernel of k adds k − 1 steps, not k.":
        lambda layers: sum(k for k, _ in layers),
    "You multiply by a layer's own stride before its kernel is added. The stride sets the layers behind it apart: add "
    "first, then multiply.":
        {"_own_stride": True},
    "You use the stride of the layer just before. The steps multiply up: two layers with stride 2 set neighbours four "
    "pixels apart.":
        {"_jump": lambda jump, stride: stride},
    "Your steps add up. They multiply: two layers with stride 3 set neighbours nine pixels apart, not five.":
        {"_jump": lambda jump, stride: jump + stride - 1},
    "One too few. Without any layer a number depends on itself: begin with 1.":
        {"_start": 0},
    "Each kernel adds one step too many: from the first of k neighbours to the last there are k − 1 steps.":
        {"_less": 0},
    "Your recurrence is right from the last layer to the first, but you run it from the first to the last. Turn the "
    "list round with `reversed`.":
        field_from_the_end,
    "You leave pixels out that fall between the kernels of a layer whose stride is larger than its kernel. Count from "
    "the first pixel to the last.":
        {"_jump": lambda jump, stride: jump * min(stride, 2)},
    "You return the largest kernel. Each further layer widens the window.":
        lambda layers: max((k for k, _ in layers), default=1),
    "You return the last layer's kernel. The layers before it widen the window.":
        lambda layers: layers[-1][0] if layers else 1,
    "You multiply the kernels. The windows of neighbours overlap: each layer adds to the size.":
        lambda layers: math.prod(k for k, _ in layers),
    "That is the jump, the distance between the windows of two neighbours, not the size of one.":
        lambda layers: math.prod(s for _, s in layers),
}  # fmt: skip


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
    mistakes=FIELD_MISTAKES,
)
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


# --- 03.2 VGG block ---------------------------------------------------------------------------------------------

Parts = Sequence[nn.Module]


def pairs(convs: Parts, relus: Parts) -> list[nn.Module]:
    return [part for pair in zip(convs, relus, strict=False) for part in pair]


def more_or_fewer(count: Callable[[int], int]) -> Callable[..., nn.Module]:
    return lambda in_channels, channels, convolutions: vgg_block.oracle(in_channels, channels, count(convolutions))


BLOCK_MISTAKES = {
    "You pool by the average. VGG takes the maximum: `nn.MaxPool2d(2)`.":
        {"_order": lambda c, r, p: [*pairs(c, r), nn.AvgPool2d(2)]},
    "The side stays as it is. The block ends with a pooling that halves it.":
        {"_order": lambda c, r, p: pairs(c, r)},
    "You pool windows of 3×3. VGG's are 2×2 and do not overlap.":
        {"_order": lambda c, r, p: [*pairs(c, r), nn.MaxPool2d(3, 2, 1)]},
    "You pool before the convolutions. The pooling ends the block.":
        {"_order": lambda c, r, p: [p, *pairs(c, r)]},
    "You pool behind each convolution. One pooling is enough, at the end of the block.":
        {"_order": lambda c, r, p: [part for pair in zip(c, r, strict=True) for part in (*pair, p)]},
    "The ReLUs come before the convolutions. The order is convolution, ReLU.":
        {"_order": lambda c, r, p: [*pairs(r, c), p]},
    "The ReLUs all stand behind the last convolution. Without one between them the convolutions are one linear "
    "function.":
        {"_order": lambda c, r, p: [*c, *r, p]},
    "No ReLU follows the last convolution. One follows each of them.":
        {"_order": lambda c, r, p: [*pairs(c, r)[:-1], p]},
    "There is no ReLU, so the whole stack is one linear function.":
        {"_order": lambda c, r, p: [*c, p]},
    "There is batch norm in the block. It was published in 2015; the VGG of 2014 has none.":
        {"_order": lambda c, r, p: [*(n for each, relu in zip(c, r, strict=True)
                                      for n in (each, nn.BatchNorm2d(each.out_channels), relu)), p]},
    "There is a single convolution, whatever is asked for. Loop over `range(convolutions)`; each needs weights of its "
    "own.":
        more_or_fewer(lambda n: 1),
    "There are 2 convolutions, whatever is asked for. Loop over `range(convolutions)`.":
        more_or_fewer(lambda n: 2),
    "There is one convolution too many. The one that changes the channels counts too.":
        more_or_fewer(lambda n: n + 1),
    "There is one convolution too few. The one that changes the channels does not come on top.":
        more_or_fewer(lambda n: n - 1),
    "Every convolution takes `in_channels`. The first leads from `in_channels` to `channels`, the others get its "
    "`channels`.":
        {"_sizes": lambda i, c, n: [(i, c)] * n},
    "The last convolution changes the channels. It is the first that does, in VGG.":
        {"_sizes": lambda i, c, n: [*[(i, i)] * (n - 1), (i, c)]},
}  # fmt: skip


@module_exercise(
    "03.2 VGG block",
    calls=lambda: [Call(3, 8, 3), Call(6, 4, 2), Call(4, 4, 1), Call(5, 6, 4)],
    inputs=lambda in_channels, channels, convolutions: [(2, in_channels, 12, 10), (2, in_channels, 7, 9)],
    own_relus=True,
    mistakes=BLOCK_MISTAKES,
)
def vgg_block(
    in_channels: int, channels: int, convolutions: int, *,
    _order: Callable[..., Parts] = lambda convs, relus, pool: [*pairs(convs, relus), pool],
    _sizes: Callable[[int, int, int], list[tuple[int, int]]] = lambda i, c, n: [(i, c), *[(c, c)] * (n - 1)],
) -> nn.Module:  # fmt: skip
    """3×3 convolution and ReLU as often as asked, then max pooling: shapes, values and gradients are right."""
    convs = [nn.Conv2d(*sizes, 3, padding=1) for sizes in _sizes(in_channels, channels, convolutions)[:convolutions]]
    return nn.Sequential(*_order(convs, [nn.ReLU() for _ in convs], nn.MaxPool2d(2)))


# --- 03.3 memory of activations ---------------------------------------------------------------------------------

Stages = Sequence[tuple[int, int]]


def parameter_bytes(stages: Stages, side: int, batch_size: int) -> int:
    """Bytes of the weights and biases of all convolutions."""
    channels = [3, *(channels for convolutions, channels in stages for _ in range(convolutions))]
    return sum(4 * after * (9 * before + 1) for before, after in pairwise(channels))


MEMORY_MISTAKES = {
    "You count numbers, not bytes. A float32 takes four bytes.":
        {"_each": 1},
    "You take eight bytes a number. PyTorch computes in float32, which takes four.":
        {"_each": 8},
    "The batch size has no effect. Each image of the batch has activations of its own.":
        {"batch_size": 1},
    "The pooled maps are missing. They are the input of the next stage, so they are kept too.":
        {"_pools": 0},
    "Each stage is counted as if it had a single convolution. Multiply by the number of its convolutions.":
        {"_count": lambda convolutions: 1},
    "The side stays as it is. Each stage ends with a pooling that halves it.":
        {"_halve": "never"},
    "You halve the side before the convolutions of a stage. The pooling stands at the end of a stage.":
        {"_halve": "before"},
    "You multiply by the side once. A map has side · side numbers.":
        {"_power": 1},
    "You count each convolution and its ReLU. Of the two maps only the one behind the ReLU is kept: count one.":
        {"_count": lambda convolutions: 2 * convolutions},
    "You count the image as well. Count what the layers put out.":
        {"_image": 3},
    "You add up the channels of the stages at the full side. Sides halve, and convolutions repeat.":
        {"_count": lambda convolutions: 1, "_halve": "never", "_pools": 0},
    "These are the parameters. Activations are the maps that the layers put out; they grow with side and batch.":
        parameter_bytes,
}  # fmt: skip


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
    mistakes=MEMORY_MISTAKES,
)
def activation_bytes(
    stages: Stages, side: int, batch_size: int = 1, *, _each: int = 4, _pools: int = 1, _halve: str = "after",
    _count: Callable[[int], int] = lambda convolutions: convolutions, _power: int = 2, _image: int = 0,
) -> int:  # fmt: skip
    """Equal to the sizes of real layers' outputs, odd sides among them. VGG-16 keeps 58 MiB for one image."""
    numbers = _image * side**2
    for convolutions, channels in stages:
        side = side // 2 if _halve == "before" else side
        numbers += _count(convolutions) * channels * side**_power
        side = side // 2 if _halve == "after" else side
        numbers += _pools * channels * side**_power
    return _each * batch_size * numbers


# --- 03.4 cheaper head ------------------------------------------------------------------------------------------


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


HEAD_MISTAKES = {
    "You take the largest number of each map. Global *average* pooling takes the mean.":
        {"_forward": lambda fc, x: fc(x.amax((2, 3)))},
    "You take the sum of each map, which grows with the image. Take the mean.":
        {"_forward": lambda fc, x: fc(x.sum((2, 3)))},
    "A ReLU follows the linear layer. Logits may be negative: leave it off.":
        {"_forward": lambda fc, x: fc(mean(x)).relu()},
    "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
        [{"_forward": lambda fc, x: fc(mean(x)).softmax(1)},
         {"_forward": lambda fc, x: fc(mean(x)) if fc.training else fc(mean(x)).softmax(1)}],
    "You end with a log-softmax. Return the logits: cross-entropy applies it itself.":
        {"_forward": lambda fc, x: fc(mean(x)).log_softmax(1)},
    "A ReLU stands before the pooling. The maps have been through one: take the mean as it is.":
        {"_forward": lambda fc, x: fc(mean(x.relu()))},
    "You look at the first pixel of each map only. Take the mean over the whole map.":
        {"_forward": lambda fc, x: fc(x[:, :, 0, 0])},
    "You average over the batch too, so all images get the same logits. Keep dimension 0.":
        {"_forward": lambda fc, x: fc(mean(x).mean(0).expand(len(x), -1))},
    "There is a dropout in the head. With so few parameters it is not needed: leave it out.":
        {"_forward": lambda fc, x: fc(F.dropout(mean(x), training=fc.training))},
    "`squeeze()` takes the batch away where there is one image. Write `.flatten(1)`.":
        {"_forward": lambda fc, x: fc(mean(x).squeeze())},
    "The logits still have a height and a width of 1. Flatten after the pooling: `nn.Flatten()`.":
        {"_forward": lambda fc, x: fc(mean(x))[:, :, None, None]},
    "Your linear layer takes whole maps of 7×7. After global average pooling there is one number for each map: that is "
    "what makes the head cheap.":
        [{"_forward": lambda fc, x: fc(F.adaptive_avg_pool2d(x, 7).flatten(1)), "_places": 49},
         {"_forward": lambda fc, x: fc(x.flatten(1)), "_places": 49}],
}  # fmt: skip


class Head(nn.Module):
    """One linear layer, and what is done with it."""

    def __init__(self, features: int, classes: int, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.fc, self.way = nn.Linear(features, classes), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self.fc, x)


@module_exercise(
    "03.4 cheaper head",
    calls=lambda: [Call(8, 5), Call(6, 11)],
    inputs=lambda channels, num_classes: [torch.randn(3, channels, *sides) + 0.3 for sides in ((7, 7), (5, 8), (1, 1))],
    mistakes=HEAD_MISTAKES,
)
def cheap_head(
    channels: int, num_classes: int, *, _places: int = 1, _forward: Any = lambda fc, x: fc(mean(x))
) -> nn.Module:
    """One mean a map, one linear layer, images of any size. In VGG-16 it would save 123,129,856 parameters."""
    return Head(channels * _places, num_classes, _forward)
