"""Answers to the exercises of lesson 09."""

import numpy as np
from torch import nn

from resnet_edu import models

Nets = dict[str, tuple[float, float, float]]


def count_layers(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    return (3 if bottleneck else 2) * sum(blocks) + 2


def one_by_one(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    """Right: block by block."""
    layers = 1
    for stage in blocks:
        for _ in range(stage):
            layers += 2 + bottleneck
    return layers + 1


def by_numpy(blocks, bottleneck=False):
    return 2 + (2 + bottleneck) * np.sum(blocks)


def bottleneck_parameters(in_channels: int, channels: int, stride: int = 1) -> int:
    out_channels = 4 * channels
    weights = in_channels * channels + 9 * channels**2 + channels * out_channels
    norms = 2 * (channels + channels + out_channels)
    projection = in_channels * out_channels + 2 * out_channels
    return weights + norms + (projection if stride != 1 or in_channels != out_channels else 0)


def simplified(in_channels: int, channels: int, stride: int = 1) -> int:
    """Right: collected terms."""
    total = channels * (in_channels + 13 * channels + 12)
    return total if (stride, in_channels) == (1, 4 * channels) else total + 4 * channels * (in_channels + 2)


def by_building(in_channels, channels, stride=1):
    return sum(p.numel() for p in models.Bottleneck(in_channels, channels, stride).parameters())


def choose_net(nets: Nets, gmacs: float, million: float) -> str | None:
    fitting = [name for name, (_, macs, size) in nets.items() if macs <= gmacs and size <= million]
    return min(fitting, key=lambda name: nets[name][0], default=None)


def sorted_first(nets: Nets, gmacs: float, million: float) -> str | None:
    """Right: go through the table by error."""
    for name, (_, macs, size) in sorted(nets.items(), key=lambda item: item[1]):
        if macs <= gmacs and size <= million:
            return name
    return None


def raises_when_nothing_fits(nets, gmacs, million):
    fitting = [name for name, (_, macs, size) in nets.items() if macs <= gmacs and size <= million]
    return min(fitting, key=lambda name: nets[name][0])


def smallest_when_nothing_fits(nets, gmacs, million):
    return choose_net(nets, gmacs, million) or min(nets, key=lambda name: nets[name][1])


def keras_count(model: nn.Module) -> tuple[int, int]:
    trainable = sum(parameter.numel() for parameter in model.parameters())
    moving = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            trainable += module.out_channels
        elif isinstance(module, nn.BatchNorm2d):
            moving += 2 * module.num_features
    return trainable, moving


def keras_by_names(model: nn.Module) -> list[int]:
    """Right: from the state dict alone."""
    state = model.state_dict()
    moving = sum(value.numel() for key, value in state.items() if key.endswith(("running_mean", "running_var")))
    total = sum(value.numel() for key, value in state.items() if not key.endswith("num_batches_tracked"))
    kernels = [key.removesuffix("weight") for key, value in state.items() if value.ndim == 4]
    return [total - moving + sum(len(state[f"{key}weight"]) for key in kernels if f"{key}bias" not in state), moving]


def biases_added(model: nn.Module) -> tuple[int, int]:
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(module.weight.new_zeros(module.out_channels))
    return sum(parameter.numel() for parameter in model.parameters()), keras_count(model)[1]


RIGHT = {
    "09.1": [count_layers, one_by_one, by_numpy],
    "09.2": [bottleneck_parameters, simplified],
    "09.3": [choose_net, sorted_first],
    "09.4": [keras_count, keras_by_names],
}

WRONG = {
    "09.1": [
        (lambda blocks, bottleneck=False: count_layers(blocks, bottleneck) / 1, "Expected a whole number of layers"),
        (lambda blocks, bottleneck=False: 50, "expected 18, got 50"),
    ],
    "09.2": [
        (by_building, "Write them as a formula"),
        (lambda in_channels, channels, stride=1: 70_400, "expected "),
        (lambda in_channels, channels, stride=1: channels / 2, "Divide nothing"),
    ],
    "09.3": [
        (raises_when_nothing_fits, "empty"),
        (smallest_when_nothing_fits, "expected None, got 'net "),
        (lambda nets, gmacs, million: 1.0, "Expected the name of a net or None"),
        (lambda nets, gmacs, million: "resnet50", "got 'resnet50'"),
    ],
    "09.4": [
        (biases_added, "changes the network it is given as `model`"),
        (lambda model: sum(keras_count(model)), "Expected two numbers"),
        (lambda model: (keras_count(model)[0] / 1, 0), "Nothing needs to be divided"),
        (lambda model: (1, 2), "got 1"),
    ],
}
