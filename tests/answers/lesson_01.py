"""Answers to the exercises of lesson 01."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# --- 01.2 conv2d ------------------------------------------------------------------------------------------------


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Unfold and multiply."""
    k = weight.shape[-1]
    H = (x.shape[2] + 2 * padding - k) // stride + 1
    W = (x.shape[3] + 2 * padding - k) // stride + 1
    patches = F.unfold(x, k, padding=padding, stride=stride)  # (N, C·k·k, H·W)
    return (weight.flatten(1) @ patches + bias[:, None]).reshape(len(x), len(weight), H, W)


def conv2d_loops(x, weight, bias, *, stride=1, padding=0):
    """Seven loops, the slowest right answer."""
    (N, C, H, W), (K, _, k, _) = x.shape, weight.shape
    image = torch.zeros(N, C, H + 2 * padding, W + 2 * padding)
    image[:, :, padding : padding + H, padding : padding + W] = x
    out = torch.zeros(N, K, (H + 2 * padding - k) // stride + 1, (W + 2 * padding - k) // stride + 1)
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


def conv2d_patches(x, weight, bias, *, stride=1, padding=0):
    """One loop per output pixel."""
    k = weight.shape[-1]
    x = F.pad(x, (padding,) * 4)
    rows, columns = (range(0, side - k + 1, stride) for side in x.shape[2:])
    out = torch.zeros(len(x), len(weight), len(rows), len(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            patch = x[:, None, :, row : row + k, column : column + k]
            out[:, :, i, j] = (patch * weight).sum((2, 3, 4)) + bias
    return out


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


RIGHT = {"01.2": [conv2d, conv2d_loops, conv2d_patches]}

WRONG = {
    "01.2": [
        (by_torch, "PyTorch's own convolution"),
        (without_gradient, "cuts the result off from autograd"),
        (gradient_of_weights_only, "gradient of `x` is not"),
        (in_place, "changes the tensor it is given as `x`"),
        (batch_summed, "got shape (1, 3, 3)"),
        (with_noise, "largest difference"),
        (as_array, "got a NumPy array"),
    ],
}
