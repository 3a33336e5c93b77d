"""Answers to the exercises of lesson 09."""

import numpy as np

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


def cost_factor(wide: int, width: int, kernel: int = 3, groups: int = 1, widen: float = 1) -> float:
    inside = int(width * widen)
    return (2 * wide * inside + kernel * kernel * inside * inside // groups) / (2 * wide * width + 9 * width * width)


def by_layers(wide, width, kernel=3, groups=1, widen=1):
    """Right: layer by layer, for maps of 7×7."""

    def block(inside, kernel, groups):
        return 49 * sum((wide * inside, inside * kernel**2 * (inside // groups), inside * wide))

    return block(round(widen * width), kernel, groups) / block(width, 3, 1)


RIGHT = {
    "09.1": [count_layers, one_by_one, by_numpy],
    "09.2": [bottleneck_parameters, simplified],
    "09.3": [choose_net, sorted_first],
    "09.4": [cost_factor, by_layers],
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
        (lambda wide, width, kernel=3, groups=1, widen=1: "2.5", "Expected one number, a factor, got the"),
        (lambda wide, width, kernel=3, groups=1, widen=1: 1.0, "expected 3.059, got 1"),
        (lambda wide, width, kernel=3, groups=1, widen=1: (1.0, widen), "Expected one number"),
    ],
}
