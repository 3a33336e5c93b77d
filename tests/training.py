"""What the tests of training share: noise to learn, and nets small enough for it."""

from collections.abc import Mapping

import torch

from resnet_edu.data import Data, Split
from resnet_edu.models import CifarNet, replace_head


def noise(count: int, *, classes: int = 10, channels: int = 1, side: int = 8, seed: int = 0) -> Split:
    """Random images with random labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return Split(images, labels, (0.5,) * channels, (0.25,) * channels)


def tiny_data(count: int = 40, *, channels: int = 1) -> Data:
    """So many images of noise to train on, 20 others to validate and test."""
    train, other = noise(count, channels=channels), noise(20, channels=channels, seed=1)
    return Data("noise", train, other, other, tuple(map(str, range(10))), "made up")


def small_net(*, num_classes: int = 10, in_channels: int = 1, heads: Mapping[str, int] | None = None) -> CifarNet:
    """A ResNet-8 with 4 filters, always with the same first weights."""
    torch.manual_seed(0)
    net = CifarNet(8, residual=True, width=4, num_classes=num_classes, in_channels=in_channels)
    if heads:
        replace_head(net, heads)
    return net
