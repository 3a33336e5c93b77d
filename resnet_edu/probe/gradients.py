"""How the training signal reaches each layer: gradient norms, and how fast gradients change with the input.

Vanishing and exploding gradients: Glorot and Bengio 2010, He et al. 2015 (https://arxiv.org/abs/1502.01852). Shattered
gradients: Balduzzi et al. 2017 (https://arxiv.org/abs/1702.08591).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import copies, isolated_forward, leaf_layers, one_tensor, watch


class LayerGradient(NamedTuple):
    """Euclidean norms of the loss's gradients by the weight of a convolution or linear layer, and by its output.

    Both are over the whole batch. 0 means: the loss does not depend on it.
    """

    name: str
    weight: float
    activation: float


def gradient_norms(
    model: nn.Module, images: Tensor, labels: Tensor, *, loss: Callable[[Any, Tensor], Tensor] = F.cross_entropy
) -> list[LayerGradient]:
    """Gradient norm of each convolution's and linear layer's weight and output, for one batch.

    One row per layer that ran, in order of execution. Layers may share a weight; one that computes it, as `weight_norm`
    does, is left out. The model stays in the mode it is in, and nothing in it changes.
    Frozen weights (`requires_grad=False`) are measured like the others.

    Args:
        loss: scalar function of (output, labels). Replace it for a net with several outputs.

    Raises:
        ValueError: the model has no such layers.
    """
    weighted = [name for name, layer in leaf_layers(model).items() if is_weighted(layer)]
    if not weighted:
        raise ValueError(f"{type(model).__name__} has no convolution and no linear layer: nothing to measure.")
    outputs: dict[str, list[Tensor]] = {}

    def record(name: str, module: nn.Module, output: Any) -> Tensor:
        outputs.setdefault(name.split("#")[0], []).append(one_tensor(name, module, output))
        return output.clone()  # an in-place ReLU after the layer now overwrites the copy, not what we keep

    def copy(value: Tensor) -> Tensor:
        return value.detach().requires_grad_() if isinstance(value, nn.Parameter) else value.clone()

    tensors = copies(model, copy)
    with torch.enable_grad(), watch(model, weighted, record):
        output = isolated_forward(model, images, replaced=tensors)
        value = loss(output, labels)

    # By layer, the weight and then the outputs; a lone layer's weight is called "weight".
    wanted = {name: [tensors.get(f"{name}.weight", tensors.get("weight")), *outputs[name]] for name in outputs}
    flat = [tensor for each in wanted.values() for tensor in each]
    gradients = iter(torch.autograd.grad(value, flat, allow_unused=True))
    found = {name: [next(gradients) for _ in each] for name, each in wanted.items()}
    return [LayerGradient(name, norm(each[:1]), norm(each[1:])) for name, each in found.items()]


def is_weighted(layer: nn.Module) -> bool:
    """Whether a layer has a weight matrix or filters; a batch norm's weight is only a vector."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim > 1


def norm(gradients: Sequence[Tensor | None]) -> float:
    """Euclidean norm of several tensors taken together; None counts as zero."""
    return sum(float(gradient.cpu().double().square().sum()) for gradient in gradients if gradient is not None) ** 0.5


def autocorrelation(gradients: Tensor, lags: Sequence[int]) -> Tensor:
    """How alike the gradients at two inputs are, by their distance: 1 is equal, 0 is white noise.

    The autocorrelation function of time-series analysis: with the mean taken off, the sum of the products of values
    `lag` apart, divided by the sum of squares (Balduzzi et al. 2017, figure 2).

    Args:
        gradients: `(N,)` or `(N, …)`, along N at evenly spaced inputs; each further index is a series of its own.
        lags: distances in grid steps, 0 ≤ lag < N.

    Returns:
        `(len(lags),)` or `(len(lags), …)`, between −1 and 1; nan for a series that never changes.
    """
    length = len(gradients)
    for lag in lags:
        if not 0 <= lag < length:
            raise ValueError(f"Got lag {lag} for a series of {length}; allowed are 0 to {length - 1}.")
    deviation = gradients.cpu().double()  # Apple's GPUs have no float64
    deviation = deviation - deviation.mean(dim=0)
    products = [(deviation[: length - lag] * deviation[lag:]).sum(dim=0) for lag in lags]
    return (torch.stack(products) / deviation.square().sum(dim=0)).to(gradients.dtype)
