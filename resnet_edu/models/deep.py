"""Nets made to be deep and nothing else, with every choice that decides whether their gradients survive.

Equal layers on top of each other; activation, initial weights, batch norm and skip connections are free. A layer
computes W φ(x), or x + W φ(x) with a skip; batch norm stands in front of φ.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from .heads import check_options

Activation = Literal["sigmoid", "tanh", "relu"]
Init = Literal["small", "xavier", "he", "large"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}

#: Standard deviation of the initial weights, from the numbers of inputs and outputs of one unit.
INIT_STD: dict[str, Callable[[int, int], float]] = {
    "small": lambda fan_in, fan_out: 0.01,  # the custom before 2015, as in AlexNet
    "xavier": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,  # Glorot and Bengio 2010, equation 12
    "he": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,  # He et al. 2015, arXiv 1502.01852, equation 10
    "large": lambda fan_in, fan_out: 2 * (2 / fan_in) ** 0.5,  # twice He's
}


class DeepLayer(nn.Module):
    """W φ(BN(x)), or x + W φ(BN(x)) with a skip: `(N, width)` to `(N, width)`."""

    def __init__(self, norm: nn.Module, activation: nn.Module, linear: nn.Module, *, skip: bool) -> None:
        super().__init__()
        self.norm, self.activation, self.linear, self.skip = norm, activation, linear, skip

    def forward(self, x: Tensor) -> Tensor:
        """The input is added whole, or not at all."""
        out = self.linear(self.activation(self.norm(x)))
        return x + out if self.skip else out


def deep_net(
    depth: int,
    *,
    activation: Activation = "relu",
    init: Init = "he",
    batch_norm: bool = False,
    skip: bool = False,
    width: int = 128,
    inputs: int = 256,
    num_classes: int = 10,
) -> nn.Sequential:
    """A net of `depth` layers with weights: one that brings the input to `width`, equal ones, and a classifier.

    Maps images `(N, C, H, W)` to logits. Weights are drawn from a normal distribution, biases start at 0.

    Args:
        depth: layers with weights, at least 2.
        activation: "sigmoid", "tanh" or "relu".
        init: the spread of the initial weights; see `INIT_STD`.
        batch_norm: in front of every activation.
        skip: add the input of every layer but the first and the last to its output.
        width: units of every layer.
        inputs: numbers in one image, C·H·W.
        num_classes: length of the logits.

    Raises:
        ValueError: a name that does not exist, or a number that is too small.
    """
    check_options(deep_net, locals())
    if depth < 2:
        raise ValueError(f"depth must be at least 2, the first layer and the classifier, got {depth}.")

    def norm() -> nn.Module:
        return nn.BatchNorm1d(width) if batch_norm else nn.Identity()

    act = ACTIVATIONS[activation]
    layers = [DeepLayer(norm(), act(), nn.Linear(width, width), skip=skip) for _ in range(depth - 2)]
    ends = nn.Linear(inputs, width), nn.Linear(width, num_classes)
    net = nn.Sequential(nn.Flatten(), ends[0], *layers, norm(), act(), ends[1])
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in, fan_out = module.weight[0].numel(), module.weight[:, 0].numel()
            nn.init.normal_(module.weight, std=INIT_STD[init](fan_in, fan_out))
            module.bias.data.zero_()  # type: ignore[union-attr]
    return net
