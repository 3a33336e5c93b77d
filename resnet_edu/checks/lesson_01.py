"""The checks of lesson 01: conv2d, written by hand."""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from .exercise import Call, exercise
from .values import tensor

# --- 01.2 conv2d ------------------------------------------------------------------------------------------------


def images_and_kernels(shape: tuple[int, int, int, int], kernels: int, side: int, **options: int) -> Call:
    """Random x, weight and bias, and options. The images are not centred on 0, so that borders show."""
    weight = torch.randn(kernels, shape[1], side, side)
    return Call(torch.randn(shape) + 1, weight, torch.randn(kernels) + 3, **options)


CONV2D_MISTAKES = {
    "You flip the kernel. That is the convolution of mathematics; in deep learning the kernel is laid on as it is.":
        lambda x, w, b, s, p: F.conv2d(x, w.flip(2, 3), b, s, p),
    "The kernel lies on its side: its first index runs down the rows, its second along the columns.":
        lambda x, w, b, s, p: F.conv2d(x, w.mT, b, s, p),
    "The bias is missing. Add `bias[k]` to every pixel of output channel k.":
        lambda x, w, b, s, p: F.conv2d(x, w, None, s, p),
    "The bias is added once per input channel. Add it once, after the sum over the channels.":
        lambda x, w, b, s, p: F.conv2d(x, w, b * x.shape[1], s, p),
    "The bias is added inside the innermost loop. Add it once per output pixel, after the sum.":
        lambda x, w, b, s, p: F.conv2d(x, w, b * w[0].numel(), s, p),
    "The padding has no effect. Put `padding` rows and columns of zeros around the image first.":
        {"padding": 0},
    "The padding is on the right and at the bottom only. It goes on all four sides.":
        lambda x, w, b, s, p: F.conv2d(F.pad(x, (0, p, 0, p)), w, b, s),
    "The border repeats the edge's pixels. `padding` means zeros.":
        lambda x, w, b, s, p: F.conv2d(F.pad(x, (p, p, p, p), mode="replicate"), w, b, s),
    "The stride has no effect. With stride 2 the kernel moves by two pixels.":
        {"stride": 1},
    "The stride works down the rows only. It applies along the columns as well.":
        lambda x, w, b, s, p: F.conv2d(x, w, b, (s, 1), p),
    "Only the first input channel is used. Sum over all of them.":
        lambda x, w, b, s, p: F.conv2d(x[:, :1], w[:, :1], b, s, p),
    "You average over the input channels. A convolution sums over them.":
        lambda x, w, b, s, p: F.conv2d(x, w / x.shape[1], b, s, p),
    "Every image of the batch gets the first one's result. Use `x[n]` for image n.":
        lambda x, w, b, s, p: F.conv2d(x[:1], w, b, s, p).expand(len(x), -1, -1, -1),
    "Every output channel gets the first kernel's result. Use `weight[k]` for channel k.":
        lambda x, w, b, s, p: F.conv2d(x, w[:1], b[:1], s, p).expand(-1, len(w), -1, -1),
    "The right numbers in the wrong places: height and width are mixed up in the last `reshape` or `view`.":
        lambda x, w, b, s, p: (out := F.conv2d(x, w, b, s, p)).mT.reshape(out.shape),
    "Negative values are gone. A convolution has no ReLU in it.":
        lambda x, w, b, s, p: F.conv2d(x, w, b, s, p).relu(),
}  # fmt: skip


@exercise(
    "01.2 conv2d",
    calls=lambda: [
        images_and_kernels((1, 1, 5, 5), 1, 3),
        images_and_kernels((2, 3, 6, 4), 2, 3),
        images_and_kernels((2, 2, 7, 5), 3, 3, stride=2),
        images_and_kernels((1, 2, 4, 3), 2, 3, padding=1),
        images_and_kernels((2, 1, 6, 9), 2, 4, stride=2, padding=1),
        images_and_kernels((1, 3, random.randint(5, 7), 4), random.randint(2, 3), 1, stride=3, padding=2),
    ],
    returns=tensor("a tensor of shape (N, K, H_out, W_out)"),
    gradients=True,
    forbids={
        "conv": "The result is right, but PyTorch's own convolution computes it. Write the loops, or a `@`, yourself."
    },
    mistakes=CONV2D_MISTAKES,
)
def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Equal to `F.conv2d`, gradients too: several channels, strides, paddings, images that are not square."""
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)
