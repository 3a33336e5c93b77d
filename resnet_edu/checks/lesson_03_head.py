"""The check of lesson 03 on the cheap head: global average pooling and one linear layer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .block import run
from .expect import alike, difference, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

SIGNATURE = "cheap_head(channels, num_classes)"

R = torch.relu

Variant = Callable[[Tensor, Tensor, Tensor], Tensor]


def head(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The oracle: mean of each map, then one linear layer."""
    return F.linear(x.mean(dim=(2, 3)), weight, bias)


#: Wrong ways with the right parameters, and what to say to them.
MISTAKES: tuple[tuple[Variant, str], ...] = (
    (
        lambda x, w, b: F.linear(x.amax(dim=(2, 3)), w, b),
        "You take the largest number of each map. Global *average* pooling takes the mean.",
    ),
    (
        lambda x, w, b: F.linear(x.sum(dim=(2, 3)), w, b),
        "You take the sum of each map, which grows with the image. Take the mean.",
    ),
    (
        lambda x, w, b: R(head(x, w, b)),
        "A ReLU follows the linear layer. Logits may be negative: leave it off.",
    ),
    (
        lambda x, w, b: F.softmax(head(x, w, b), dim=1),
        "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.",
    ),
    (
        lambda x, w, b: F.log_softmax(head(x, w, b), dim=1),
        "You end with a log-softmax. Return the logits: cross-entropy applies it itself.",
    ),
    (
        lambda x, w, b: F.linear(R(x).mean(dim=(2, 3)), w, b),
        "A ReLU stands before the pooling. The maps have been through one: take the mean as it is.",
    ),
    (
        lambda x, w, b: F.linear(x[:, :, 0, 0], w, b),
        "You look at the first pixel of each map only. Take the mean over the whole map.",
    ),
    (
        lambda x, w, b: F.linear(x.mean(dim=(0, 2, 3)).expand(len(x), -1), w, b),
        "You average over the batch too, so all images get the same logits. Keep dimension 0.",
    ),
)


@check("03.4 cheaper head")
def check_cheap_head(cheap_head: Any) -> str:
    """`cheap_head(channels, num_classes)`: a module, maps `(N, channels, H, W)` of any side to logits."""
    name = need_function(cheap_head, SIGNATURE, 8, 5)
    for channels, classes in ((8, 5), (6, 11)):
        model = cheap_head(channels, classes)
        if model is None or model is ...:
            raise NotYet
        if not isinstance(model, nn.Module):
            raise Wrong(f"Expected a module from `{name}`, got {kind_of(model)}. `nn.Sequential(…)` is one.")
        called = f"{name}({channels}, {classes})"
        weight, bias = one_layer(model, channels, classes, called)
        with torch.no_grad():
            bias.uniform_(-1, 1)
        for height, width in ((7, 7), (5, 8), (1, 1)):
            x = torch.randn(3, channels, height, width) + 0.3
            with torch.no_grad():
                bias -= head(x, weight, bias).mean()  # so that there are negative logits, which a ReLU would cut
            need_logits(model, x, weight, bias, called)
    saved = 123_642_856 - 512 * 1_000 - 1_000
    return f"One mean a map, one linear layer, images of any size. In VGG-16 it would save {saved:,} parameters."


def one_layer(model: nn.Module, channels: int, classes: int, called: str) -> tuple[Tensor, Tensor]:
    """Weight `(classes, channels)` and bias `(classes,)` of the only layer.

    Raises:
        Wrong: there are other layers, or none.
    """
    parameters = list(model.parameters())
    count, right = sum(parameter.numel() for parameter in parameters), channels * classes + classes
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if len(layers) > 1:
        raise Wrong(
            f"`{called}` has {len(layers)} layers with weights. One is enough: the means go straight to the logits."
        )
    if any(isinstance(module, nn.Dropout) for module in model.modules()):
        raise Wrong("There is a dropout in the head. With so few parameters it is not needed: leave it out.")
    if count == right - classes:
        raise Wrong(f"The linear layer has no bias. With it `{called}` has {right} parameters.")
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    if len(weights) == 1 and weights[0].ndim == 2 and weights[0].shape[1] > channels:
        raise Wrong(
            f"Your linear layer takes {weights[0].shape[1]} numbers an image. After global average pooling there are "
            f"{channels}, one for each map: that is what makes the head cheap."
        )
    if count != right or len(weights) != 1 or weights[0].shape[:2] != (classes, channels):
        raise Wrong(f"`{called}` has {count} parameters; expected {right} = {channels} · {classes} + {classes}.")
    return weights[0].flatten(1), next(parameter for parameter in parameters if parameter.ndim == 1)


def need_logits(model: nn.Module, x: Tensor, weight: Tensor, bias: Tensor, called: str) -> None:
    """The logits and the gradient at the maps are those of the oracle.

    Raises:
        NotYet: `forward` returns nothing.
        Wrong: they are others.
    """
    try:
        logits = model(x)
    except Exception as error:
        error.add_note(f"It was given maps of shape {tuple(x.shape)}.")
        raise
    if logits is None:
        raise NotYet
    if not isinstance(logits, Tensor):
        raise Wrong(f"Expected logits, a tensor; `{called}` returns {kind_of(logits)}.")
    wanted_shape = (len(x), len(bias))
    if logits.ndim == 4 and tuple(logits.shape[:2]) == wanted_shape:
        raise Wrong(
            f"The logits have shape {tuple(logits.shape)}; expected {wanted_shape}. Flatten after the pooling: "
            "`nn.Flatten()`."
        )
    if tuple(logits.shape) != wanted_shape:
        raise Wrong(f"The logits have shape {tuple(logits.shape)}; expected {wanted_shape}.")
    (out, gradient), (wanted, wanted_gradient) = run(model, x), run(lambda x: head(x, weight, bias), x)
    if not alike(out, wanted):
        for variant, message in MISTAKES:
            if x.shape[2:] != (1, 1) and alike(out, variant(x, weight, bias)):
                raise Wrong(message)
        raise Wrong(f"The layer is right, what happens before it is not: {difference(out, wanted)}")
    if gradient is None or not alike(gradient, wanted_gradient):
        raise Wrong("The logits are right, the gradient that reaches the maps is not. Is a part detached?")
