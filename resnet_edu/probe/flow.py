"""Signal and gradient through a stack of blocks, with the addition and without it: the residual idea at its smallest.

Each block is F(x) = W₂ · ReLU(W₁ · x), two square matrices with He's initial values, and ReLU(F(x) + x) or ReLU(F(x)).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Flow(NamedTuple):
    """Size of signal and gradient, from the stack's input to its output: one value more than there are blocks.

    `signal` is the root mean square of the numbers that flow forward, `gradient` that of the numbers that flow back,
    in multiples of what enters at the output.
    """

    signal: tuple[float, ...]
    gradient: tuple[float, ...]


def residual_flow(
    depth: int,
    *,
    residual: bool,
    batch_norm: bool = False,
    gain: float = 1.0,
    width: int = 64,
    samples: int = 128,
    seed: int = 0,
) -> Flow:
    """Send random numbers through an untrained stack of blocks, forward and back.

    Args:
        depth: number of blocks.
        residual: add x before each block's last ReLU.
        batch_norm: normalise F(x) over the batch.
        gain: factor of F(x), as the weight of a last batch norm is; 0 switches the branch off.
        width: numbers per sample.
        samples: size of the batch.
        seed: of input, matrices and the gradient that enters at the output.

    Raises:
        ValueError: depth is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    places = [normal(samples, width).relu().requires_grad_()]
    with torch.enable_grad():
        for _ in range(depth):
            x = places[-1]
            branch = (x @ normal(width, width) * (2 / width) ** 0.5).relu() @ normal(width, width) * (2 / width) ** 0.5
            if batch_norm:
                branch = (branch - branch.mean(dim=0)) / (branch.var(dim=0, correction=0) + 1e-5).sqrt()
            places.append((gain * branch + x if residual else gain * branch).relu())
        entering = normal(samples, width)
        gradients = torch.autograd.grad(places[-1], places, entering)
    return Flow(tuple(map(size, places)), tuple(size(gradient) / size(entering) for gradient in gradients))


def size(values: Tensor) -> float:
    """Root mean square."""
    return values.detach().double().square().mean().sqrt().item()
