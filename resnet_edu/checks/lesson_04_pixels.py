"""The check of lesson 04 on the 1×1 convolution, written as a matrix product."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .expect import Call, Mistake, Watch, attempt, judge, need_function, same_gradients
from .explain import kind_of
from .runner import Wrong, check


def of_torch(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The oracle."""
    return F.conv2d(x, weight[:, :, None, None], bias)


def rows_of_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The product with the channels last, `(N, H, W, K)`."""
    return x.permute(0, 2, 3, 1) @ weight.T + bias


def cut_across(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Rows of C neighbours in memory, which are not the channels of one pixel."""
    rows = x.reshape(len(x), -1, x.shape[1]) @ weight.T + bias
    return rows.mT.reshape(len(x), len(weight), *x.shape[2:])


def changed(formula: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The right result with something done to it at the end."""
    return lambda x, weight, bias: formula(of_torch(x, weight, bias))


PIXEL_MISTAKES = (
    Mistake(
        cut_across,
        "You cut the numbers into rows of C with `reshape` or `view`. They lie in memory channel by channel, so such a "
        "row holds neighbours of one channel. Bring the channels to the end with `permute` first.",
    ),
    Mistake(
        lambda x, w, b: rows_of_pixels(x, w, b).reshape(len(x), len(w), *x.shape[2:]),
        "The product is right, and then `reshape` calls the last dimension the second. The numbers do not move with "
        "it. Use `permute(0, 3, 1, 2)` to bring the channels back.",
    ),
    Mistake(
        changed(lambda out: out.mT.reshape(out.shape)),
        "Right numbers in wrong places: rows and columns of the image have changed places on the way.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x, w, 0 * b),
        "The bias is missing. Add `bias[k]` to every pixel of output channel k.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x, w, b * x.shape[1]),
        "The bias is added once per input channel. Add it once, after the sum over the channels.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x, w / x.shape[1], b),
        "You average over the input channels. A convolution sums over them.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x[:, :1], w[:, :1], b),
        "Only the first input channel is used. Each output channel mixes all of them.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x[:1], w, b).expand(len(x), -1, -1, -1),
        "Every image of the batch gets the first one's result.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x, w[:1].expand_as(w), b),
        "Every output channel gets the mix of the first. Row k of `weight` belongs to output channel k.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x.mean((2, 3), keepdim=True).expand_as(x), w, b),
        "All pixels come out the same: you average over the image first. Each pixel is mixed on its own.",
    ),
    Mistake(
        lambda x, w, b: of_torch(x, w.softmax(1), b),
        "The weights are made into shares that add up to 1. Use them as they are, negative ones too.",
    ),
    Mistake(
        changed(torch.relu),
        "Negative values are gone. The ReLU comes after the convolution and is no part of it.",
    ),
)


@check("04.1 mix pixels")
def check_mix_pixels(mix_pixels: Any) -> str:
    """`mix_pixels(x, weight, bias)`: x `(N, C, H, W)`, weight `(K, C)`, bias `(K,)`; the result is `(N, K, H, W)`.

    Written as a matrix product: PyTorch's convolutions are refused. Gradients must flow through it.
    """
    calls = [
        images_and_weights(1, 3, 4, 5, 3),
        images_and_weights(2, 3, 4, 5, 6),
        images_and_weights(3, 4, 6, 3, 4),
        images_and_weights(2, 5, 3, 3, 2),
        images_and_weights(2, random.randint(2, 7), 4, 6, random.randint(2, 7)),
    ]
    name = need_function(mix_pixels, "mix_pixels(x, weight, bias)", *calls[0].args)

    def tensor(value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise Wrong(f"Expected a tensor of shape (N, K, H, W), got {kind_of(value)}.")
        return value

    judge(mix_pixels, of_torch, calls, PIXEL_MISTAKES, name=name, clean=tensor)
    with Watch() as watch:
        attempt(mix_pixels, calls[1], name)
    if any("conv" in function for function in watch.names):
        raise Wrong("The result is right, but PyTorch's own convolution computes it. Write the product with `@`.")
    same_gradients(mix_pixels, of_torch, images_and_weights(2, 3, 4, 2, 5), name=name)
    return "Equal to a 1×1 convolution, gradients too: one matrix, applied to every pixel."


def images_and_weights(n: int, channels: int, height: int, width: int, kernels: int) -> Call:
    """Random images that are not centred on 0, weights and biases."""
    return Call(torch.randn(n, channels, height, width) + 1, torch.randn(kernels, channels), torch.randn(kernels) + 3)
