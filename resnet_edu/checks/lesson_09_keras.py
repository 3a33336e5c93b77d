"""The check of lesson 09 on Keras's count: what Keras would print for a net that PyTorch built."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..models import BasicBlock, Bottleneck, build
from .expect import Call, Mistake, attempt, judge, need_function
from .explain import kind_of
from .runner import Wrong, check


class NetCall(Call):
    """A call with one net, and words for it."""

    def __init__(self, net: nn.Module, words: str) -> None:
        super().__init__(net)
        self.words = words

    def says(self, name: str) -> str:
        """The call, with the net described."""
        return f"`{name}(model)` with {self.words}"


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    """All of them."""
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def without_bias(net: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that get one in Keras's count."""
    return [module for module in convolutions(net) if module.bias is None]


def features(net: nn.Module) -> int:
    """Channels of all batch norms."""
    return sum(module.num_features for module in net.modules() if isinstance(module, nn.BatchNorm2d))


def parameters(net: nn.Module) -> int:
    """What PyTorch counts."""
    return sum(parameter.numel() for parameter in net.parameters())


def outputs(layers: list[nn.Conv2d]) -> int:
    """A bias for each output channel."""
    return sum(layer.out_channels for layer in layers)


def oracle(net: nn.Module) -> tuple[int, int]:
    """Trainable and non-trainable parameters as Keras counts them."""
    return parameters(net) + outputs(without_bias(net)), 2 * features(net)


def at_the_top(net: nn.Module) -> tuple[int, int]:
    """The count of someone who looks at the direct children only."""
    layers = [child for child in net.children() if isinstance(child, nn.Conv2d) and child.bias is None]
    norms = [child.num_features for child in net.children() if isinstance(child, nn.BatchNorm2d)]
    return parameters(net) + outputs(layers), 2 * sum(norms)


def linear_outputs(net: nn.Module) -> int:
    """Outputs of all linear layers."""
    return sum(module.out_features for module in net.modules() if isinstance(module, nn.Linear))


def buffers(net: nn.Module) -> int:
    """Everything a batch norm keeps, the counter of batches too."""
    return sum(buffer.numel() for buffer in net.buffers())


def varied(
    trainable: Callable[[nn.Module], int] = lambda net: oracle(net)[0],
    moving: Callable[[nn.Module], int] = lambda net: 2 * features(net),
) -> Callable[[nn.Module], tuple[int, int]]:
    """A count with another first or second number."""
    return lambda net: (trainable(net), moving(net))


MISTAKES = (
    Mistake(
        varied(parameters),
        "The biases of the convolutions are missing: the Keras listing leaves each convolution its bias.",
    ),
    Mistake(
        varied(lambda net: parameters(net) + outputs(convolutions(net))),
        "You give every convolution a bias. Those that have one (`conv.bias is not None`) are counted with it already.",
    ),
    Mistake(
        varied(lambda net: parameters(net) + sum(layer.in_channels for layer in without_bias(net))),
        "A bias is a number for each *output* channel. You add the input channels.",
    ),
    Mistake(
        varied(lambda net: parameters(net) + len(without_bias(net))),
        "You add one number for each convolution. A bias has as many as the convolution has output channels.",
    ),
    Mistake(
        varied(lambda net: oracle(net)[0] + linear_outputs(net)),
        "You add a bias to the linear layers. They have one in PyTorch too, so it is counted already.",
    ),
    Mistake(
        varied(lambda net: oracle(net)[0] - 2 * features(net)),
        "The batch norms' weight and bias are trained in Keras as well, under the names gamma and beta. Count them.",
    ),
    Mistake(
        varied(moving=features),
        "A batch norm keeps two numbers for each channel that are not trained: the moving mean and variance.",
    ),
    Mistake(
        varied(moving=buffers),
        "You count `num_batches_tracked`, PyTorch's counter of batches. Keras has none: only mean and variance.",
    ),
    Mistake(
        varied(moving=lambda net: 4 * features(net)),
        "Weight and bias of a batch norm are trained. Only its moving mean and variance are non-trainable.",
    ),
    Mistake(varied(moving=lambda net: 0), "The moving statistics are missing: Keras lists them as non-trainable."),
    Mistake(
        varied(lambda net: sum(oracle(net))),
        "Your first number is Keras's total. It holds the trainable parameters only.",
    ),
    Mistake(
        varied(lambda net: sum(oracle(net)), lambda net: 0),
        "You count the moving statistics as trainable. Gradient descent does not touch them: give them apart.",
    ),
    Mistake(lambda net: oracle(net)[::-1], "The order is (trainable, non-trainable)."),
    Mistake(varied(parameters, lambda net: 0), "That is PyTorch's own count. Add what Keras counts besides."),
    Mistake(
        at_the_top,
        "You see the outermost layers only. `model.modules()` goes through the layers inside the blocks as well.",
    ),
)


@check("09.4 Keras's count")
def check_keras_count(keras_count: Any) -> str:
    """`keras_count(model) -> (trainable, non_trainable)`: what Keras would print for this net of `nn` layers.

    A bias in every convolution, in addition to what PyTorch counts where it has none; mean and variance of every
    batch norm as non-trainable.
    """
    a, b, c = random.sample(range(3, 40), 3)
    small = nn.Sequential(
        nn.Conv2d(3, a, 3, bias=False), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, b, 5), nn.BatchNorm2d(b)
    )
    nested = nn.Sequential(
        nn.Conv2d(1, c, 3), nn.Sequential(BasicBlock(c, a, 2), Bottleneck(a, b)), nn.Linear(4 * b, 7)
    )
    flat = nn.Sequential(nn.Conv2d(2, a, 3, bias=False), nn.Flatten(), nn.Linear(a, b), nn.Linear(b, c))
    with torch.device("meta"):
        resnet = build("resnet50", num_classes=6)
    calls = [
        NetCall(small, f"a convolution without bias, one with bias and two batch norms, {a} and {b} channels"),
        NetCall(nested, "a convolution with bias, two residual blocks and a linear layer"),
        NetCall(flat, "a convolution without bias and two linear layers"),
        NetCall(resnet, "ResNet-50 for six classes"),
    ]
    name = need_function(keras_count, "keras_count(model)", small)

    def two_numbers(value: Any) -> tuple[int, int]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise Wrong(f"Expected two numbers, (trainable, non_trainable), got {kind_of(value)}.")
        for number in value:
            if isinstance(number, bool) or not isinstance(number, int):
                raise Wrong(f"Both are whole numbers; one of yours is {kind_of(number)}.")
        return value[0], value[1]

    judge(keras_count, oracle, calls, MISTAKES, name=name, clean=two_numbers)
    trainable, moving = two_numbers(attempt(keras_count, calls[-1], name))
    return f"Right for four nets. ResNet-50 with six classes: {trainable:,} + {moving:,} = {trainable + moving:,}."
