"""Signal and gradient at every layer of a stack: how far do they get, and by which factor do they change?"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import activations, isolated_forward
from .gradients import gradient_norms, is_weighted


class LayerSignals(NamedTuple):
    """One number per layer with weights, first to last.

    `signal` is the standard deviation of what the layer hands on, over the batch and all units. `gradient` is the
    Euclidean norm of the loss's gradient with respect to the same numbers, `weight` that with respect to the weights.
    `likeness` is the mean cosine between what two different images become: 1 if the layer cannot tell them apart
    (Poole et al. 2016, https://arxiv.org/abs/1606.05340; Schoenholz et al. 2017, https://arxiv.org/abs/1611.01232).
    """

    signal: list[float]
    gradient: list[float]
    weight: list[float]
    likeness: Sequence[float] = ()

    @property
    def gradient_factor(self) -> float:
        """Factor of the gradient per layer, on its way from the last hidden layer back to the first.

        The classifier is left out, since its shape is another one. Raises `ValueError` as `factor_per_layer` does.
        """
        return factor_per_layer(self.gradient[-2::-1])


def layer_signals(net: nn.Sequential, images: Tensor, labels: Tensor) -> LayerSignals:
    """One pass forwards and back through a copy of the net in float64; the net itself is not touched.

    In float32 a gradient below 1e-45 is 0, and a deep sigmoid net gets there within 40 layers. In float64 the limit is
    1e-323.

    Args:
        net: a sequence whose children have one layer with weights each, or none, such as `models.deep_net`. A child
            may add its input to what its layer outputs, and do nothing else after the layer.

    Raises:
        ValueError: a child has several layers with weights, or the labels do not fit.
    """
    weighted = {name: sum(map(is_weighted, child.modules())) for name, child in net.named_children()}
    for name, count in weighted.items():
        if count > 1:
            raise ValueError(f"Child {name!r} of the net has {count} layers with weights; expected one at most.")
    net, images, labels = deepcopy(net).cpu().double(), images.cpu().double(), labels.cpu()
    with torch.no_grad(), activations(net, [name for name, count in weighted.items() if count]) as seen:
        isolated_forward(net, images)
    rows = gradient_norms(net, images, labels)
    return LayerSignals(
        [output.std(correction=0).item() for output in seen.values()],
        [row.activation for row in rows],
        [row.weight for row in rows],
        [mean_cosine(output) for output in seen.values()],
    )


def mean_cosine(outputs: Tensor) -> float:
    """Mean cosine of the angles between the rows of `(N, …)`, each with each other; not a number for a single row."""
    rows = outputs.flatten(1)
    lengths = rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)  # `F.normalize` ends at 1e-12
    rows = rows / lengths
    return float((rows @ rows.T).fill_diagonal_(0).sum() / (len(rows) * (len(rows) - 1)))


def factor_per_layer(values: Sequence[float]) -> float:
    """The factor from one value to the next, by a straight line through the logarithms (least squares).

    Below 1 the values shrink geometrically, above 1 they grow.

    Raises:
        ValueError: fewer than two values, or one that is not positive.
    """
    if len(values) < 2 or not all(0 < value < math.inf for value in values):
        raise ValueError(f"Expected two or more positive numbers, got {list(values)}.")
    return math.exp(np.polyfit(range(len(values)), np.log(values), deg=1)[0])


class Flow(NamedTuple):
    """Root mean square of the numbers that flow through a stack, from its input to its output: one more than blocks.

    `signal` is that of the numbers on the way forward, `gradient` on the way back, in multiples of what enters there.
    """

    signal: tuple[float, ...]
    gradient: tuple[float, ...]


def residual_flow(depth: int, *, residual: bool, batch_norm: bool = False, gain: float = 1.0) -> Flow:
    """Send random numbers through an untrained stack of blocks, forward and back: the residual idea at its smallest.

    Each block is F(x) = W₂ · ReLU(W₁ · x), two square matrices with He's initial values, and ReLU(F(x) + x) or
    ReLU(F(x)). 128 samples of 64 numbers go through, the same in each call.

    Args:
        depth: number of blocks, at least 1.
        residual: add x before each block's last ReLU.
        batch_norm: normalise F(x) over the batch.
        gain: factor of F(x), as the weight of a last batch norm is; 0 switches the branch off.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    samples, width, generator = 128, 64, torch.Generator().manual_seed(0)

    def normal(rows: int) -> Tensor:
        return torch.randn(rows, width, generator=generator)

    values = [normal(samples).relu().requires_grad_()]
    with torch.enable_grad():
        for _ in range(depth):
            x = values[-1]
            branch = (x @ normal(width) * (2 / width) ** 0.5).relu() @ normal(width) * (2 / width) ** 0.5
            if batch_norm:
                branch = F.batch_norm(branch, None, None, training=True)
            values.append((gain * branch + x if residual else gain * branch).relu())
        entering = normal(samples)
        gradients = torch.autograd.grad(values[-1], values, entering)
    return Flow(
        tuple(map(root_mean_square, values)),
        tuple(root_mean_square(gradient) / root_mean_square(entering) for gradient in gradients),
    )


def root_mean_square(values: Tensor) -> float:
    """The square root of the mean square."""
    return values.detach().double().square().mean().sqrt().item()
