"""Answers to the exercises of lesson 01 on convolution and shapes."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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

# --- 01.2 conv2d ------------------------------------------------------------------------------------------------


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Unfold and multiply."""
    k = weight.shape[-1]
    H = (x.shape[2] + 2 * padding - k) // stride + 1
    W = (x.shape[3] + 2 * padding - k) // stride + 1
    patches = F.unfold(x, k, padding=padding, stride=stride)  # (N, C·k·k, H·W)
    return (weight.flatten(1) @ patches + bias[:, None]).reshape(len(x), len(weight), H, W)


def conv2d_stub(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    raise NotImplementedError("not yet")


def conv2d_loops(x, weight, bias, *, stride=1, padding=0):
    """Seven loops, the slowest right answer."""
    (N, C, H, W), (K, _, k, _) = x.shape, weight.shape
    image = torch.zeros(N, C, H + 2 * padding, W + 2 * padding)
    image[:, :, padding : padding + H, padding : padding + W] = x
    out = torch.zeros(N, K, output_size(H, k, padding, stride), output_size(W, k, padding, stride))
    for n in range(N):
        for channel in range(K):
            for row in range(out.shape[2]):
                for column in range(out.shape[3]):
                    total = bias[channel]
                    for c in range(C):
                        for i in range(k):
                            for j in range(k):
                                pixel = image[n, c, row * stride + i, column * stride + j]
                                total = total + weight[channel, c, i, j] * pixel
                    out[n, channel, row, column] = total
    return out


def conv2d_patches(x, weight, bias, *, stride=1, padding=0, bias_times=1, channels=None, rows_only=False):
    """One loop per output pixel; the options make mistakes that learners make."""
    k = weight.shape[-1]
    x = F.pad(x, (padding,) * 4)[:, :channels]
    across = 1 if rows_only else stride
    rows = range(0, x.shape[2] - k + 1, stride)
    columns = range(0, x.shape[3] - k + 1, across)
    out = torch.zeros(len(x), len(weight), len(rows), len(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            patch = x[:, None, :, row : row + k, column : column + k]
            out[:, :, i, j] = (patch * weight[None, :, :channels]).sum((2, 3, 4)) + bias_times * bias
    return out


def flipped(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight.flip(-1).flip(-2), bias, stride=stride, padding=padding)


def kernel_transposed(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight.transpose(2, 3), bias, stride=stride, padding=padding)


def without_bias(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight, 0 * bias, stride=stride, padding=padding)


def bias_per_channel(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(x, weight, bias, stride=stride, padding=padding, bias_times=x.shape[1])


def bias_per_product(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(x, weight, bias, stride=stride, padding=padding, bias_times=weight[0].numel())


def without_padding(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(x, weight, bias, stride=stride)


def padding_at_the_end(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(F.pad(x, (0, padding, 0, padding)), weight, bias, stride=stride)


def edge_repeated(x, weight, bias, *, stride=1, padding=0):
    return conv2d(F.pad(x, (padding,) * 4, mode="replicate"), weight, bias, stride=stride)


def without_stride(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight, bias, padding=padding)


def stride_down_only(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(x, weight, bias, stride=stride, padding=padding, rows_only=True)


def first_channel(x, weight, bias, *, stride=1, padding=0):
    return conv2d_patches(x, weight, bias, stride=stride, padding=padding, channels=1)


def mean_of_channels(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x / x.shape[1], weight, bias, stride=stride, padding=padding)


def first_image(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x[:1].expand_as(x), weight, bias, stride=stride, padding=padding)


def first_kernel(x, weight, bias, *, stride=1, padding=0):
    one = conv2d(x, weight[:1], bias[:1], stride=stride, padding=padding)
    return one.repeat(1, len(weight), 1, 1)


def columns_for_rows(x, weight, bias, *, stride=1, padding=0):
    out = conv2d(x, weight, bias, stride=stride, padding=padding)
    return out.transpose(2, 3).flatten(2).reshape(out.shape)


def with_relu(x, weight, bias, *, stride=1, padding=0):
    return F.relu(conv2d(x, weight, bias, stride=stride, padding=padding))


def by_torch(x, weight, bias, *, stride=1, padding=0):
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def without_gradient(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x.detach(), weight.detach(), bias.detach(), stride=stride, padding=padding)


def gradient_of_weights_only(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x.detach(), weight, bias, stride=stride, padding=padding)


def in_place(x, weight, bias, *, stride=1, padding=0):
    out = conv2d(x, weight, bias, stride=stride, padding=padding)
    x *= 2
    return out


def batch_summed(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight, bias, stride=stride, padding=padding).sum(0)


def with_noise(x, weight, bias, *, stride=1, padding=0):
    out = conv2d(x, weight, bias, stride=stride, padding=padding)
    return out + torch.rand_like(out)


def as_array(x, weight, bias, *, stride=1, padding=0):
    return np.asarray(conv2d(x, weight, bias, stride=stride, padding=padding))


CONV2D = Exercise(
    checks.check_conv2d,
    conv2d,
    conv2d_stub,
    [
        (flipped, "flip the kernel"),
        (kernel_transposed, "lies on its side"),
        (without_bias, "bias is missing"),
        (bias_per_channel, "once per input channel"),
        (bias_per_product, "innermost loop"),
        (without_padding, "padding has no effect"),
        (padding_at_the_end, "right and at the bottom"),
        (edge_repeated, "means zeros"),
        (without_stride, "stride has no effect"),
        (stride_down_only, "down the rows only"),
        (first_channel, "first input channel"),
        (mean_of_channels, "average over the input channels"),
        (first_image, "first one's result"),
        (first_kernel, "first kernel's result"),
        (columns_for_rows, "in the wrong places"),
        (with_relu, "Negative values are gone"),
        (by_torch, "PyTorch's own convolution"),
        (without_gradient, "cuts the result off from autograd"),
        (gradient_of_weights_only, "gradient of argument 1"),
        (in_place, "changes the tensor it is given"),
        (batch_summed, "got shape (1, 3, 3)"),
        (with_noise, "largest difference"),
        (as_array, "got something of type `ndarray`"),
    ],
    others=(conv2d_loops, conv2d_patches),
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

EXERCISES = [OUTPUT_SIZE, CONV2D, SHAPE_WALK]
