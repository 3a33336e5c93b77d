"""The loss around a set of weights, along random directions: slices through the loss surface.

Li et al. 2018, "Visualizing the loss landscape of neural nets" (https://arxiv.org/abs/1712.09913). A slice shows the
loss at w + α·d₁ + β·d₂. What makes two nets comparable is the length of d: each filter of a direction is scaled to the
norm of the same filter in w, so a step of 1 is as long as the filter itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ..machine import precision as fastest_precision
from .isolation import check_batch, check_logits, preserved_rng

BatchNormMode = Literal["batch", "running"]
Precision = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class Surface:
    """The loss over a square: `losses[i, j]` belongs to `alphas[i]`, `betas[j]`; a point may be inf or nan."""

    alphas: Tensor
    betas: Tensor
    losses: Tensor

    @property
    def centre(self) -> float:
        """The loss of the unchanged weights."""
        return self.losses[len(self.alphas) // 2, len(self.betas) // 2].item()

    @property
    def not_finite(self) -> int:
        """How many points are infinite or not a number."""
        return count_not_finite(self.losses)

    def capped(self, limit: float) -> Tensor:
        """The losses with everything above `limit`, infinite or not a number set to `limit`: ready to draw."""
        return cap(self.losses, limit)


@dataclass(frozen=True)
class Slice:
    """The loss along a line: `losses[i]` belongs to `alphas[i]`; a point may be inf or nan."""

    alphas: Tensor
    losses: Tensor

    @property
    def centre(self) -> float:
        """The loss of the unchanged weights."""
        return self.losses[len(self.alphas) // 2].item()

    @property
    def not_finite(self) -> int:
        """How many points are infinite or not a number."""
        return count_not_finite(self.losses)

    def capped(self, limit: float) -> Tensor:
        """The losses with everything above `limit`, infinite or not a number set to `limit`: ready to draw."""
        return cap(self.losses, limit)


def loss_surface(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    span: float = 1.0,
    steps: int = 15,
    seed: int = 0,
    batch_norm: BatchNormMode = "batch",
    precision: Precision = "auto",
    loss: Callable[[Any, Tensor], Tensor] = F.cross_entropy,
) -> Surface:
    """The loss on a square around the model's weights, spanned by two filter-normalised random directions.

    The model itself is not touched: a copy of it is moved about. All images go through in one pass, and there are
    `steps²` passes.

    Args:
        model: the network, trained or not.
        images: `(N, C, H, W)`; a few hundred are enough for a picture.
        labels: class numbers, int64 `(N,)`.
        span: the square reaches from −span to span on both axes; 1 is the length of the filters themselves.
        steps: points along each axis, odd, so that the centre is one of them.
        seed: of the two directions; nets of equal shapes get equal noise.
        batch_norm: "batch" normalises with the statistics of these images at every point, "running" with the statistics
            stored in the model. See below.
        precision: "auto" takes bfloat16 where the hardware has it (losses to about 1 %), "float32" is exact.
        loss: scalar function of (output, labels).

    Deviation from Li et al., whose code evaluates with running statistics: these were gathered at the centre and belong
    to no other point. A moved layer feeds on inputs of another spread, and the mismatch multiplies from layer to layer,
    so that a deep net's slice would mostly show stale statistics. "batch" is the function that training sees and
    minimises, and it is blind to a filter's length, as a batch-normalised net should be. Dropout is off in both modes.

    Raises:
        ValueError: labels that do not fit, an even or too small `steps`, or a span that is not positive.
    """
    axis = check_axis(span, steps)
    generator = torch.Generator().manual_seed(seed)
    directions = [random_direction(model, generator=generator) for _ in range(2)]
    points = list(product(axis.tolist(), repeat=2))
    losses = losses_at(model, images, labels, directions, points, batch_norm=batch_norm, precision=precision, loss=loss)
    return Surface(axis, axis.clone(), losses.view(steps, steps))


def loss_slice(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    span: float = 1.0,
    steps: int = 51,
    seed: int = 0,
    batch_norm: BatchNormMode = "batch",
    precision: Precision = "auto",
    loss: Callable[[Any, Tensor], Tensor] = F.cross_entropy,
) -> Slice:
    """The loss on a line through the model's weights: the row β = 0 of `loss_surface`, with the same options.

    Raises:
        ValueError: as in `loss_surface`.
    """
    axis = check_axis(span, steps)
    direction = random_direction(model, generator=torch.Generator().manual_seed(seed))
    points = [(alpha,) for alpha in axis.tolist()]
    losses = losses_at(
        model, images, labels, [direction], points, batch_norm=batch_norm, precision=precision, loss=loss
    )
    return Slice(axis, losses)


def random_direction(model: nn.Module, *, generator: torch.Generator) -> dict[str, Tensor]:
    """A filter-normalised random direction (Li et al. 2018, section 4): one tensor per parameter, by name.

    Each filter of a convolution and each row of a linear layer is Gaussian noise, scaled to the norm of the model's own
    filter. Biases and batch norm's weights stay where they are: their part is zero.
    """
    direction = {}
    for name, value in model.named_parameters():
        if value.ndim < 2:
            direction[name] = torch.zeros_like(value.detach())
            continue
        noise = torch.randn(value.shape, generator=generator).to(value)
        scale = value.detach().flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)  # (filters,), 0 for a zero filter
        direction[name] = noise * scale.view(-1, *[1] * (value.ndim - 1))
    return direction


def losses_at(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    directions: Sequence[Mapping[str, Tensor]],
    points: Iterable[Sequence[float]],
    *,
    batch_norm: BatchNormMode,
    precision: Precision,
    loss: Callable[[Any, Tensor], Tensor],
) -> Tensor:
    """The loss at the model's weights plus Σ pointₖ · directionₖ, one value per point. Works on a copy of the model."""
    check_batch(images, labels)
    if batch_norm not in ("batch", "running"):
        raise ValueError(f"batch_norm must be 'batch' or 'running', got {batch_norm!r}.")
    if precision not in ("auto", "bfloat16", "float32"):
        raise ValueError(f"precision must be 'auto', 'bfloat16' or 'float32', got {precision!r}.")
    dtype = fastest_precision(images.device) if precision == "auto" else getattr(torch, precision)
    centre = {name: value.detach() for name, value in model.named_parameters()}
    copy = deepcopy(model).eval()
    for module in copy.modules():
        if isinstance(module, _BatchNorm):
            module.training = batch_norm == "batch"
    if dtype == torch.float32 and images.ndim == 4:  # a third faster on CPU; bfloat16 convolutions do not care
        copy, images = copy.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    autocast = torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32)
    losses = []
    with torch.no_grad(), preserved_rng(images.device):
        for point in points:
            for name, value in copy.named_parameters():
                steps = [alpha * direction[name] for alpha, direction in zip(point, directions, strict=True)]
                value.copy_(centre[name] + sum(steps))
            with autocast:
                output = copy(images)
            if loss is F.cross_entropy:
                check_logits(output, labels)
                output = output.float()
            losses.append(loss(output, labels))
    return torch.stack(losses).cpu()


def check_axis(span: float, steps: int) -> Tensor:
    """`steps` evenly spaced values from −span to span, 0 exactly in the middle."""
    if not 0 < span < float("inf"):
        raise ValueError(f"span must be a positive number, got {span}. 1.0 moves each filter by its own length.")
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps must be odd and at least 3, so that the centre is a point, got {steps}.")
    half = torch.arange(1, steps // 2 + 1) * (span / (steps // 2))
    return torch.cat([-half.flip(0), torch.zeros(1), half])


def count_not_finite(losses: Tensor) -> int:
    """How many values are infinite or not a number."""
    return int((~torch.isfinite(losses)).sum())


def cap(losses: Tensor, limit: float) -> Tensor:
    """Everything above `limit`, infinite or not a number becomes `limit`."""
    return torch.nan_to_num(losses, nan=limit, posinf=limit, neginf=limit).clamp(max=limit)
