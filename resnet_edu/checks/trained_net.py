"""A small net as the checks of lesson 10 hand it over: with batch norms that have seen data, and a head called `fc`."""

import random
from typing import Any

import torch
from torch import Tensor, nn

from .explain import kind_of
from .runner import NotYet, Wrong


class TrainedNet(nn.Module):
    """Stem, one stage and `fc`, named as in ResNet; `layer1.0.fc1` is no head, it only sounds like one."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        stage = nn.Sequential()
        stage.add_module("conv1", nn.Conv2d(6, features, 3, padding=1, bias=False))
        stage.add_module("bn1", nn.BatchNorm2d(features))
        stage.add_module("relu1", nn.ReLU())
        stage.add_module("fc1", nn.Conv2d(features, features, 1))
        self.layer1 = nn.Sequential(stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `(N, 3, H, W)`."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.avgpool(self.layer1(x)).flatten(1))


def trained_net(features: int | None = None, num_classes: int = 10) -> TrainedNet:
    """A net whose statistics and batch-norm weights are no longer those of a new one, in evaluation mode."""
    net = TrainedNet(features or random.choice((9, 14, 20)), num_classes)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
        for _ in range(10):
            net(0.5 + 2 * torch.randn(16, 3, 8, 8))
    return net.eval()


def state_of(net: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers by name."""
    return {name: value.clone() for name, value in net.state_dict().items()}


def moved(net: nn.Module, before: dict[str, Tensor], *, head: bool) -> list[str]:
    """The parameters and buffers, of the head or of all else, that are not what they were."""
    now = net.state_dict()
    names = [name for name in before if name.startswith("fc.") is head]
    return [name for name in names if name not in now or not torch.equal(now[name], before[name])]


def need_net(value: Any, name: str) -> nn.Module:
    """The value, if it is a network with a head `fc`.

    Raises:
        NotYet: it is nothing.
        Wrong: it is something else.
    """
    if value is None or value is ...:
        raise NotYet
    if not isinstance(value, nn.Module):
        raise Wrong(f"Expected the network from `{name}`, got {kind_of(value)}.")
    if isinstance(value, nn.Linear):
        raise Wrong(f"`{name}` returns the head alone. Return the whole network, with the head in it.")
    return value
