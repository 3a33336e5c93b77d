"""Answers to the exercises of lesson 09 on counting layers and parameters."""

import math

import torch
from torch import nn

from resnet_edu import checks, models

from . import Exercise

# --- 09.1 count the layers --------------------------------------------------------------------------------------


def count_layers(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    return (3 if bottleneck else 2) * sum(blocks) + 2


def count_layers_stub(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    raise NotImplementedError("not yet")


def one_by_one(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    """Right as well: block by block."""
    layers = 1
    for stage in blocks:
        for _ in range(stage):
            layers += 2 + bottleneck
    return layers + 1


def layers(formula):
    return lambda blocks, bottleneck=False: formula(blocks, 2 + bottleneck)


LAYERS = Exercise(
    checks.check_count_layers,
    count_layers,
    count_layers_stub,
    [
        (layers(lambda b, k: k * sum(b)), "linear layer at the end are missing"),
        (layers(lambda b, k: k * sum(b) + 1), "One layer is missing"),
        (layers(lambda b, k: k * sum(b) + 3), "One too many"),
        (layers(lambda b, k: k * sum(b) + 4), "Two too many"),
        (layers(lambda b, k: 2 * sum(b) + 2), "two convolutions in every block"),
        (layers(lambda b, k: 3 * sum(b) + 2), "three convolutions in every block"),
        (layers(lambda b, k: (3 if k == 2 else 2) * sum(b) + 2), "are swapped"),
        (layers(lambda b, k: sum(b) + 2), "Each block counts as one layer"),
        (layers(lambda b, k: k * len(b) + 2), "You count the stages"),
        (layers(lambda b, k: k * math.prod(b) + 2), "You multiply the stages"),
        (layers(lambda b, k: k * sum(b) + 2 + len(b) - (k == 2)), "count the projections"),
        (layers(lambda b, k: 2 * k * sum(b) + 3), "Batch norms are in your count"),
        (layers(lambda b, k: 2 * k * sum(b) + 2), "in your count twice"),
        (layers(lambda b, k: k * sum(b[:4]) + 2), "stop after four stages"),
        (layers(lambda b, k: k * b[0] * len(b) + 2), "as long as the first"),
        (layers(lambda b, k: k * sum(b[:4]) / 1 + 2), "Expected a whole number of layers"),
        (layers(lambda b, k: 50), "expected the int 18, got the int 50"),
    ],
    others=(one_by_one,),
)

# --- 09.2 parameters of a bottleneck ----------------------------------------------------------------------------


def bottleneck_parameters(in_channels: int, channels: int, stride: int = 1) -> int:
    out_channels = 4 * channels
    weights = in_channels * channels + 9 * channels**2 + channels * out_channels
    norms = 2 * (channels + channels + out_channels)
    projection = in_channels * out_channels + 2 * out_channels
    return weights + norms + (projection if stride != 1 or in_channels != out_channels else 0)


def bottleneck_parameters_stub(in_channels: int, channels: int, stride: int = 1) -> int:
    raise NotImplementedError("not yet")


def simplified(in_channels: int, channels: int, stride: int = 1) -> int:
    """Right as well: collected terms."""
    total = channels * (in_channels + 13 * channels + 12)
    return total if (stride, in_channels) == (1, 4 * channels) else total + 4 * channels * (in_channels + 2)


def convolution(i, o, k, norm=2, bias=0):
    return i * o * k * k + (norm + bias) * o


def block(projects=lambda i, c, s: s != 1 or i != 4 * c, around=None, middle=None, up=4, **layer):
    """The sum over the layers, with the given deviations."""

    def wrong(in_channels, channels, stride=1):
        i, c = in_channels, channels
        second = convolution(c, c, 3, **layer) if middle is None else middle(c, stride)
        total = convolution(i, c, 1, **layer) + second + convolution(c, up * c, 1, **layer)
        if projects(i, c, stride):
            total += convolution(i, up * c, 1, **layer) if around is None else around(i, c)
        return total

    return wrong


def all_wide(in_channels, channels, stride=1):
    i, o = in_channels, 4 * channels
    total = convolution(i, o, 1) + convolution(o, o, 3) + convolution(o, o, 1)
    return total + (convolution(i, o, 1) if stride != 1 or i != o else 0)


def by_building(in_channels, channels, stride=1):
    return sum(p.numel() for p in models.Bottleneck(in_channels, channels, stride).parameters())


BOTTLENECK = Exercise(
    checks.check_bottleneck_parameters,
    bottleneck_parameters,
    bottleneck_parameters_stub,
    [
        (block(norm=0), "The batch norms are missing"),
        (block(norm=1), "You count one."),
        (block(norm=4), "running mean and variance"),
        (block(projects=lambda i, c, s: False), "The projection is missing"),
        (block(projects=lambda i, c, s: True), "always count a projection"),
        (block(projects=lambda i, c, s: s == 2), "only where the stride is not 1"),
        (block(projects=lambda i, c, s: i != 4 * c), "only where the channels change"),
        (block(projects=lambda i, c, s: s == 2 or i != c), "You compare in_channels with channels"),
        (block(around=lambda i, c: 4 * i * c), "projection's batch norm is missing"),
        (block(around=lambda i, c: 36 * i * c + 8 * c), "The projection is a 1×1 convolution"),
        (block(middle=lambda c, s: 3 * c * c + 2 * c), "weights for each pair of channels, not 3"),
        (block(middle=lambda c, s: c * c + 2 * c), "count as 1×1"),
        (block(middle=lambda c, s: 9 * c + 2 * c), "leads from `channels` to `channels`"),
        (block(bias=1), "give the convolutions a bias"),
        (block(up=1), "You stay at `channels`"),
        (all_wide, "at full width"),
        (block(middle=lambda c, s: 9 * c * c // s**2 + 2 * c), "The stride changes the size of the map"),
        (by_building, "Write them as a formula"),
        (lambda in_channels, channels, stride=1: 70_400, "expected the int"),
        (lambda in_channels, channels, stride=1: channels / 2, "Divide nothing"),
    ],
    others=(simplified,),
)

# --- 09.4 Keras's count -----------------------------------------------------------------------------------------


def keras_count(model: nn.Module) -> tuple[int, int]:
    trainable = sum(parameter.numel() for parameter in model.parameters())
    moving = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            trainable += module.out_channels
        elif isinstance(module, nn.BatchNorm2d):
            moving += 2 * module.num_features
    return trainable, moving


def keras_count_stub(model: nn.Module) -> tuple[int, int]:
    raise NotImplementedError("not yet")


def keras_by_names(model: nn.Module) -> list[int]:
    """Right as well: from the state dict alone."""
    state = model.state_dict()
    moving = sum(value.numel() for key, value in state.items() if key.endswith(("running_mean", "running_var")))
    total = sum(value.numel() for key, value in state.items() if not key.endswith("num_batches_tracked"))
    kernels = [key.removesuffix("weight") for key, value in state.items() if value.ndim == 4]
    return [total - moving + sum(len(state[f"{key}weight"]) for key in kernels if f"{key}bias" not in state), moving]


def off(trainable=lambda model: 0, moving=lambda model, n: n):
    """The right count with something added to the first number, or another second one."""

    def wrong(model):
        first, second = keras_count(model)
        return first + trainable(model), moving(model, second)

    return wrong


def total(model, kind, number):
    return sum(number(module) for module in model.modules() if isinstance(module, kind))


def biases(model):
    return total(model, nn.Conv2d, lambda m: m.out_channels if m.bias is None else 0)


def keras_top(model):
    return keras_count_of(model.children(), model)


def keras_count_of(layers, model):
    trainable, moving = sum(p.numel() for p in model.parameters()), 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            trainable += layer.out_channels
        if isinstance(layer, nn.BatchNorm2d):
            moving += len(torch.empty(layer.num_features)) * 2
    return trainable, moving


KERAS = Exercise(
    checks.check_keras_count,
    keras_count,
    keras_count_stub,
    [
        (off(lambda m: -biases(m)), "biases of the convolutions are missing"),
        (off(lambda m: total(m, nn.Conv2d, lambda c: c.out_channels) - biases(m)), "You give every convolution a bias"),
        (
            off(lambda m: total(m, nn.Conv2d, lambda c: 0 if c.bias is not None else c.in_channels - c.out_channels)),
            "You add the input channels",
        ),
        (
            off(lambda m: total(m, nn.Conv2d, lambda c: c.bias is None) - biases(m)),
            "one number for each convolution",
        ),
        (off(lambda m: total(m, nn.Linear, lambda f: f.out_features)), "add a bias to the linear layers"),
        (off(lambda m: -2 * total(m, nn.BatchNorm2d, lambda b: b.num_features)), "gamma and beta"),
        (off(moving=lambda m, n: n // 2), "the moving mean and variance."),
        (off(moving=lambda m, n: sum(b.numel() for b in m.buffers())), "num_batches_tracked"),
        (off(moving=lambda m, n: 2 * n), "Weight and bias of a batch norm are trained"),
        (off(moving=lambda m, n: 0), "The moving statistics are missing"),
        (off(lambda m: keras_count(m)[1]), "Your first number is Keras's total"),
        (off(lambda m: keras_count(m)[1], lambda m, n: 0), "count the moving statistics as trainable"),
        (lambda model: keras_count(model)[::-1], "The order is"),
        (off(lambda m: -biases(m), lambda m, n: 0), "PyTorch's own count"),
        (keras_top, "the outermost layers only"),
        (lambda model: sum(keras_count(model)), "Expected two numbers"),
        (lambda model: (keras_count(model)[0] / 1, 0), "Both are whole numbers"),
        (lambda model: (1, 2), "a convolution without bias, one with bias and two batch norms"),
    ],
    others=(keras_by_names,),
)

EXERCISES = [LAYERS, BOTTLENECK, KERAS]
