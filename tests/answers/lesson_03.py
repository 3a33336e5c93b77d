"""Answers to the exercises of lesson 03."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layers = list[tuple[int, int]]

# --- 03.1 receptive field ---------------------------------------------------------------------------------------


def field(layers: Layers) -> int:
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size


def field_from_the_end(layers: Layers) -> int:
    size = 1
    for kernel, stride in reversed(layers):
        size = (size - 1) * stride + kernel
    return size


def field_by_numpy(layers: Layers) -> np.integer:
    kernels, strides = np.array(layers, dtype=int).reshape(-1, 2).T
    return 1 + np.sum((kernels - 1) * np.cumprod([1, *strides])[:-1])


def field_of_torch(layers: Layers) -> int:
    """What the gradient of one number reaches, from its first pixel to its last, through real convolutions."""
    strip = torch.zeros(1, 1, 4096, dtype=torch.float64, requires_grad=True)
    x = strip
    for kernel, stride in layers:
        x = F.conv1d(x, torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64), stride=stride)
    (gradient,) = torch.autograd.grad(x[0, 0, 0], strip)
    reached = gradient[0, 0].nonzero().flatten()
    return int(reached[-1] - reached[0]) + 1


def field_popped(layers: Layers) -> int:
    size = 1
    while layers:
        kernel, stride = layers.pop()
        size = (size - 1) * stride + kernel
    return size


# --- 03.2 VGG block ---------------------------------------------------------------------------------------------


def block(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convolutions):
        layers += [nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def block_pooled_before_the_last_relu(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    """Right: the maximum and the ReLU may change places."""
    *layers, relu, pool = block(in_channels, channels, convolutions)
    return nn.Sequential(*layers, pool, relu)


def block_nested(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    """Right: lazy, named and nested, and with an output that is kept."""

    class Pair(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            self.kept = super().forward(x)
            return self.kept

    whole = nn.Sequential()
    for i in range(convolutions):
        whole.add_module(f"step{i}", Pair(nn.LazyConv2d(channels, (3, 3), padding="same"), nn.ReLU()))  # pyright: ignore[reportArgumentType]
    return whole.append(nn.MaxPool2d((2, 2), stride=2))


def with_part(position: int, part: Callable[[Any], nn.Module]) -> Callable[..., nn.Sequential]:
    """The block with a part exchanged; `part` gets the one that stood there."""

    def changed(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
        layers = list(block(in_channels, channels, convolutions))
        layers[position] = part(layers[position])
        return nn.Sequential(*layers)

    return changed


def with_convolutions(**settings: Any) -> Callable[..., nn.Sequential]:
    """The block with other settings of its convolutions."""
    usual: dict[str, Any] = {"kernel_size": 3, "padding": 1}

    def changed(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(convolutions):
            layers += [nn.Conv2d(channels if i else in_channels, channels, **usual | settings), nn.ReLU()]
        return nn.Sequential(*layers, nn.MaxPool2d(2))

    return changed


def one_relu(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    layers, relu = list(block(in_channels, channels, convolutions)), nn.ReLU()
    return nn.Sequential(*[relu if isinstance(layer, nn.ReLU) else layer for layer in layers])


def shared_convolution(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    first, second = nn.Conv2d(in_channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
    pairs = [(first if i == 0 else second, nn.ReLU()) for i in range(convolutions)]
    return nn.Sequential(*[part for pair in pairs for part in pair], nn.MaxPool2d(2))


class Functional(nn.Module):
    def __init__(self, in_channels: int, channels: int, convolutions: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(list(block(in_channels, channels, convolutions))[:-1:2])

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return F.max_pool2d(x, 2)


class Detached(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x.detach())


# --- 03.3 memory of activations ---------------------------------------------------------------------------------


def memory(stages: Layers, side: int, batch_size: int = 1) -> int:
    numbers = 0
    for convolutions, channels in stages:
        numbers += convolutions * channels * side * side
        side = side // 2
        numbers += channels * side * side
    return 4 * batch_size * numbers


def memory_of_torch(stages: Layers, side: int, batch_size: int = 1) -> int:
    """The sizes of real layers' outputs, on a device without memory."""
    x, total = torch.empty(batch_size, 3, side, side, device="meta"), 0
    for convolutions, channels in stages:
        for _ in range(convolutions):
            x = F.conv2d(x, torch.empty(channels, x.shape[1], 3, 3, device="meta"), padding=1)
            total += x.numel() * x.element_size()
        x = F.max_pool2d(x, 2)
        total += x.numel() * x.element_size()
    return total


def memory_by_numpy(stages: Layers, side: int, batch_size: int = 1) -> np.integer:
    sides = side // 2 ** np.arange(len(stages) + 1)
    count, channels = np.array(stages).T
    return 4 * batch_size * np.sum(channels * (count * sides[:-1] ** 2 + sides[1:] ** 2))


# --- 03.4 batch norm by hand ------------------------------------------------------------------------------------


def norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    if training:
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)  # (C,)
        n = x.numel() // x.shape[1]
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
    else:
        mean, var = running_mean, running_var
    mean, var, weight, bias = (each.view(1, -1, 1, 1) for each in (mean, var, weight, bias))
    return weight * (x - mean) / torch.sqrt(var + eps) + bias, running_mean, running_var


def norm_in_columns(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """Right: the channels as columns of a matrix."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])  # (N · H · W, C)
    mean, var = running_mean, running_var
    if training:
        mean, var = rows.mean(0), ((rows - rows.mean(0)) ** 2).mean(0)
        running_mean = running_mean + momentum * (mean - running_mean)
        running_var = running_var + momentum * (rows.var(0) - running_var)
    out = (rows - mean) * (var + eps).rsqrt() * weight + bias
    return out.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2), running_mean, running_var


def norm_of_torch(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    mean, var = running_mean.clone(), running_var.clone()
    return nn.functional.batch_norm(x, mean, var, weight, bias, training, momentum, eps), mean, var


def norm_in_place(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    out, mean, var = norm(x, weight, bias, running_mean, running_var, training, momentum, eps)
    return out, running_mean.copy_(mean), running_var.copy_(var)


RIGHT = {
    "03.1": [field, field_from_the_end, field_by_numpy, field_of_torch],
    "03.2": [block, block_pooled_before_the_last_relu, block_nested],
    "03.3": [memory, memory_of_torch, memory_by_numpy],
    "03.4": [norm, norm_in_columns],
}

WRONG = {
    "03.1": [
        (lambda layers: [field(layers[:i]) for i in range(len(layers) + 1)], "a whole number of pixels, got the list"),
        (lambda layers: float(field(layers)), "got the float"),
        (lambda layers: field(layers) + 2, "expected 1, got 3"),
        (lambda layers: math.nan if not layers else field(layers), "got the float nan"),
        (lambda layers: layers[0][0], "IndexError"),
        (field_popped, "changes the list it is given as `layers`"),
    ],
    "03.2": [
        (with_part(-1, lambda _: nn.MaxPool2d(4)), "expected a tensor of shape (2, 8, 6, 5), got shape (2, 8, 3, 2)"),
        (with_part(-1, lambda _: nn.MaxPool2d(2, ceil_mode=True)), "got shape (2, 8, 4, 5)"),
        (with_part(1, lambda _: nn.ReLU(inplace=True)), "Leave `inplace` off"),
        (one_relu, "Make an `nn.ReLU()` for each use"),
        (shared_convolution, "would share their weights"),
        (with_convolutions(kernel_size=5, padding=2), "has `kernel_size=5`, expected `kernel_size=3`"),
        (with_convolutions(padding=0), "has `padding=0`"),
        (with_convolutions(stride=2), "has `stride=2`"),
        (with_convolutions(padding=2, dilation=2), "has `padding=2`"),
        (with_convolutions(padding_mode="reflect"), "has `padding_mode='reflect'`"),
        (with_convolutions(bias=False), "has no bias"),
        (lambda i, c, n: list(block(i, c, n)), "Expected a module"),
        (lambda i, c, n: nn.ModuleList(block(i, c, n)), "It cannot be called"),
        (lambda i, c, n: Functional(i, c, n), "nor see `F.relu`"),
        (lambda i, c, n: Detached(*block(i, c, n)), "no gradient reaches the input"),
    ],
    "03.3": [
        (lambda stages, side, batch_size=1: memory(stages, side, batch_size) / 2**20, "do not convert to megabytes"),
        (lambda stages, side, batch_size=1: memory(stages, side, batch_size) + 4, "expected 60"),
        (lambda stages, side, batch_size=1: torch.zeros(3), "got a tensor"),
        (lambda stages, side, batch_size=1: stages[99], "IndexError"),
    ],
    "03.4": [
        (norm_of_torch, "but they are PyTorch's"),
        (norm_in_place, "changes the tensor it is given as `running_mean`"),
        (lambda *args, **options: norm(*args, **options)[0], "Expected three tensors"),
        (lambda *args, **options: norm(*args, **options)[::-1], "at position 0: expected a tensor of shape"),
        (lambda *args, **options: tuple(each + 1 for each in norm(*args, **options)), "at position 0: the shape is"),
    ],
}
