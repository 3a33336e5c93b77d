"""The check of lesson 01 on conv2d, written by hand."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .expect import Call, Mistake, Watch, attempt, judge, need_function, same_gradients
from .explain import kind_of
from .runner import Wrong, check


def conv2d_of_torch(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """The oracle."""
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def variant(formula: Callable[[Tensor, Tensor, Tensor, int, int], Tensor]) -> Callable[..., Tensor]:
    """A formula in x, weight, bias, stride and padding, with the parameters of the exercise."""
    return lambda x, weight, bias, *, stride=1, padding=0: formula(x, weight, bias, stride, padding)


def replicated(x: Tensor, padding: int) -> Tensor:
    """The image with its edge repeated around it."""
    return F.pad(x, (padding,) * 4, mode="replicate")


def column_order(out: Tensor) -> Tensor:
    """Pixels read column by column and laid out row by row."""
    return out.mT.reshape(out.shape)


CONV2D_MISTAKES = (
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w.flip(2, 3), b, s, p)),
        "You flip the kernel. That is the convolution of mathematics; in deep learning the kernel is laid on as it is.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w.mT, b, s, p)),
        "The kernel lies on its side: its first index runs down the rows, its second along the columns.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, None, s, p)),
        "The bias is missing. Add `bias[k]` to every pixel of output channel k.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b * x.shape[1], s, p)),
        "The bias is added once per input channel. Add it once, after the sum over the channels.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b * w[0].numel(), s, p)),
        "The bias is added inside the innermost loop. Add it once per output pixel, after the sum.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b, s)),
        "The padding has no effect. Put `padding` rows and columns of zeros around the image first.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(F.pad(x, (0, p, 0, p)), w, b, s)),
        "The padding is on the right and at the bottom only. It goes on all four sides.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(replicated(x, p), w, b, s)),
        "The border repeats the edge's pixels. `padding` means zeros.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b, 1, p)),
        "The stride has no effect. With stride 2 the kernel moves by two pixels.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b, (s, 1), p)),
        "The stride works down the rows only. It applies along the columns as well.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x[:, :1], w[:, :1], b, s, p)),
        "Only the first input channel is used. Sum over all of them.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w / x.shape[1], b, s, p)),
        "You average over the input channels. A convolution sums over them.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x[:1], w, b, s, p).expand(len(x), -1, -1, -1)),
        "Every image of the batch gets the first one's result. Use `x[n]` for image n.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w[:1], b[:1], s, p).expand(-1, len(w), -1, -1)),
        "Every output channel gets the first kernel's result. Use `weight[k]` for channel k.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: column_order(F.conv2d(x, w, b, s, p))),
        "The right numbers in the wrong places: height and width are mixed up in the last `reshape` or `view`.",
    ),
    Mistake(
        variant(lambda x, w, b, s, p: F.conv2d(x, w, b, s, p).relu()),
        "Negative values are gone. A convolution has no ReLU in it.",
    ),
)


@check("01.2 conv2d")
def check_conv2d(conv2d: Any) -> str:
    """`conv2d(x, weight, bias, *, stride=1, padding=0)`: x `(N, C, H, W)`, weight `(K, C, k, k)`, bias `(K,)`.

    Written by hand: PyTorch's own convolutions are refused. Gradients must flow through it.
    """
    calls = [
        images_and_kernels((1, 1, 5, 5), 1, 3),
        images_and_kernels((2, 3, 6, 4), 2, 3),
        images_and_kernels((2, 2, 7, 5), 3, 3, stride=2),
        images_and_kernels((1, 2, 4, 3), 2, 3, padding=1),
        images_and_kernels((2, 1, 6, 9), 2, 4, stride=2, padding=1),
        images_and_kernels((1, 3, random.randint(5, 7), 4), random.randint(2, 3), 1, stride=3, padding=2),
    ]
    signature = "conv2d(x, weight, bias, *, stride=1, padding=0)"
    name = need_function(conv2d, signature, *calls[0].args, stride=1, padding=0)
    need_function(conv2d, signature, *calls[0].args)

    def tensor(value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise Wrong(f"Expected a tensor of shape (N, K, H_out, W_out), got {kind_of(value)}.")
        return value

    judge(conv2d, conv2d_of_torch, calls, CONV2D_MISTAKES, name=name, clean=tensor)
    with Watch() as watch:
        attempt(conv2d, calls[0], name)
    if any("conv" in function for function in watch.names):
        raise Wrong(
            "The result is right, but PyTorch's own convolution computes it. Write the loops, or a `@`, yourself."
        )
    same_gradients(conv2d, conv2d_of_torch, images_and_kernels((2, 2, 4, 3), 2, 2, padding=1), name=name)
    return "Equal to `F.conv2d`, gradients too: several channels, strides, paddings, images that are not square."


def images_and_kernels(shape: tuple[int, int, int, int], kernels: int, side: int, **options: int) -> Call:
    """Random x, weight and bias, and options. The images are not centred on 0, so that borders show."""
    weight = torch.randn(kernels, shape[1], side, side)
    return Call(torch.randn(shape) + 1, weight, torch.randn(kernels) + 3, **options)
