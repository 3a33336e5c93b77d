"""The check of lesson 01 on LeNet-5: its layers, its 61,706 parameters, and the order of what happens between."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .expect import alike, need_module_class
from .explain import kind_of
from .runner import NotYet, Wrong, check

#: Parameters by layer, weight and bias (LeCun et al. 1998, section II.B; C3 sees all maps of S2).
LAYERS = {"C1": 156, "C3": 2_416, "C5": 48_120, "F6": 10_164, "output": 850}
TOTAL = sum(LAYERS.values())

#: Weight shapes of the five layers. C5 is a 5×5 convolution in the paper; as it covers all of its input, a
#: linear layer on 400 numbers is the same.
SHAPES = {
    "C1": [(6, 1, 5, 5)],
    "C3": [(16, 6, 5, 5)],
    "C5": [(120, 16, 5, 5), (120, 400)],
    "F6": [(84, 120)],
    "output": [(10, 84)],
}

Activation = Callable[[Tensor], Tensor]
Weights = Sequence[tuple[Tensor, Tensor]]


def same(x: Tensor) -> Tensor:
    """No activation."""
    return x


def lenet5(
    x: Tensor,
    weights: Weights,
    *,
    activations: Sequence[Activation] = (torch.tanh,) * 4,
    pool: Callable[[Tensor, int], Tensor] = F.avg_pool2d,
    last: Activation = same,
    pool_first: bool = False,
) -> Tensor:
    """The oracle, on the learner's own weights. The options make wrong variants of it."""
    for (weight, bias), activation in zip(weights[:2], activations[:2], strict=True):
        x = F.conv2d(x, weight, bias)
        x = activation(pool(x, 2)) if pool_first else pool(activation(x), 2)
    x = x.flatten(1)
    for (weight, bias), activation in zip(weights[2:4], activations[2:], strict=True):
        x = activation(F.linear(x, weight.flatten(1), bias))
    return last(F.linear(x, *weights[4]))


T, S, R = torch.tanh, same, torch.relu

#: Options of `lenet5` that make a wrong net, and what to say about it.
MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"activations": (R,) * 4}, "Your activations are ReLUs. In 1998 they were tanh; ReLU came with AlexNet."),
    (
        {"activations": (R,) * 4, "pool": F.max_pool2d},
        "This is today's version, with ReLU and max pooling. Build the one of 1998: tanh and average pooling.",
    ),
    (
        {"activations": (torch.sigmoid,) * 4},
        "Your activations are sigmoids. LeNet-5 uses tanh, which is centred on 0.",
    ),
    ({"pool": F.max_pool2d}, "You pool by the maximum. In 1998 it was the average."),
    ({"activations": (S,) * 4}, "There is no activation at all, so the whole net is one linear function. Add tanh."),
    ({"activations": (S, S, T, T)}, "The tanh after the two convolutions is missing."),
    (
        {"activations": (T, T, S, S)},
        "The tanh between the linear layers is missing: two linear layers in a row are no more than one.",
    ),
    ({"activations": (T, T, S, T)}, "The tanh after C5, the layer with 120 outputs, is missing."),
    ({"activations": (T, T, T, S)}, "The tanh after F6, the layer with 84 outputs, is missing."),
    ({"activations": (S, T, T, T)}, "The tanh after the first convolution is missing."),
    ({"activations": (T, S, T, T)}, "The tanh after the second convolution is missing."),
    ({"pool_first": True}, "You pool before the tanh. The tanh comes directly after the convolution."),
    ({"last": torch.tanh}, "There is a tanh after the output layer. Logits may be any number: leave it off."),
    (
        {"last": lambda x: F.softmax(x, dim=1)},
        "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.",
    ),
    (
        {"last": lambda x: F.log_softmax(x, dim=1)},
        "You end with a log-softmax. Return the logits: cross-entropy applies it itself.",
    ),
)


@check("01.3 LeNet-5")
def check_lenet5(LeNet5: Any) -> str:  # noqa: N803 – the learner's class
    """`LeNet5()`: the net of 1998, images `(N, 1, 32, 32)` to logits `(N, 10)`, tanh and average pooling."""
    name = need_module_class(LeNet5, "LeNet5()")
    model = LeNet5()
    images = 3 * torch.randn(3, 1, 32, 32)
    run(model, images, name)
    extra = {type(m).__name__ for m in model.modules() if isinstance(m, nn.Dropout | nn.BatchNorm1d | nn.BatchNorm2d)}
    if extra:
        raise Wrong(f"{' and '.join(sorted(extra))} came after 1998. LeNet-5 has neither dropout nor batch norm.")
    weights = five_layers(model)
    with torch.no_grad():  # larger weights than at the start, so that every activation makes a difference
        for weight, bias in weights:
            weight.normal_(std=1.5 * weight[0].numel() ** -0.5)
            bias.normal_(std=0.5)
    logits = run(model, images, name)
    if not alike(logits, lenet5(images, weights)):
        for options, message in MISTAKES:
            if alike(logits, lenet5(images, weights, **options)):
                raise Wrong(message)
        raise Wrong(
            "The layers are right, but not what happens between them. The order is: convolution, tanh, average "
            "pooling, twice; then flatten, linear, tanh, linear, tanh, linear."
        )
    if not alike(run(model, images[:1], name), logits[:1]):
        raise Wrong("One image alone gets other logits than in a batch. Each image must be treated by itself.")
    logits.sum().backward()
    if any(parameter.grad is None for parameter in model.parameters()):
        raise Wrong("Some parameters get no gradient. Is a part of `forward` done under `no_grad` or with `.detach()`?")
    return f"Seven layers in the order of 1998 and {TOTAL:,} parameters: " + ", ".join(
        f"{layer} {count:,}" for layer, count in LAYERS.items()
    )


def run(model: nn.Module, images: Tensor, name: str) -> Tensor:
    """The logits.

    Raises:
        NotYet: `forward` returns nothing.
        Wrong: they are no tensor, or of another shape.
    """
    try:
        logits = model(images)
    except Exception as error:
        error.add_note(f"It was given images of shape {tuple(images.shape)}.")
        raise
    if logits is None or logits is ...:
        raise NotYet
    if not isinstance(logits, Tensor):
        raise Wrong(f"Expected logits, a tensor of shape (N, 10); `{name}` returns {kind_of(logits)}.")
    if logits.shape != (len(images), 10):
        raise Wrong(
            f"Expected logits of shape {(len(images), 10)} for images of shape {tuple(images.shape)}, "
            f"got {tuple(logits.shape)}."
        )
    return logits


def five_layers(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of the five layers, found by their shapes.

    Raises:
        Wrong: a layer is missing, has another size or no bias, or there are others.
    """
    left = dict(model.named_parameters())
    found: list[tuple[Tensor, Tensor]] = []
    for layer, shapes in SHAPES.items():
        names = [name for name, parameter in left.items() if tuple(parameter.shape) in shapes]
        if not names:
            have = ", ".join(str(tuple(p.shape)) for p in left.values() if p.ndim > 1) or "none"
            raise Wrong(
                f"Layer {layer} with {LAYERS[layer]:,} parameters is missing: no weight of shape "
                f"{' or '.join(map(str, shapes))}. Your other weights: {have}."
            )
        weight = left.pop(names[0])
        biases = [name for name, parameter in left.items() if tuple(parameter.shape) == weight.shape[:1]]
        if not biases:
            raise Wrong(f"Layer {layer} has no bias. It has {LAYERS[layer]:,} parameters, weights and biases together.")
        found.append((weight, left.pop(biases[0])))
    if left:
        more = sum(parameter.numel() for parameter in left.values())
        raise Wrong(f"{TOTAL + more:,} parameters, {more:,} too many. More than the five layers: {', '.join(left)}.")
    return found
