"""The loss around a set of weights, along two random directions: a slice through the loss surface.

Li et al. 2018, "Visualizing the loss landscape of neural nets" (https://arxiv.org/abs/1712.09913). A slice shows the
loss at w + α·d₁ + β·d₂. What makes two nets comparable is the length of d: each filter of a direction is scaled to the
norm of the same filter in w, so a step of 1 is as long as the filter itself.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from .. import machine
from .isolation import check_batch, check_logits, preserved_rng


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

    def capped(self, limit: float) -> Tensor:
        """The losses with everything above `limit`, infinite or not a number set to `limit`: ready to draw."""
        return torch.nan_to_num(self.losses, nan=limit, posinf=limit, neginf=limit).clamp(max=limit)


def loss_surface(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    span: float = 1.0,
    steps: int = 15,
    seed: int = 0,
    precision: str = "auto",
) -> Surface:
    """The cross-entropy on a square around the model's weights, spanned by two filter-normalised random directions.

    The model itself is not touched: a copy of it is moved about. All images go through in one pass, and there are
    `steps²` passes. Dropout is off; batch norm normalises with the statistics of these images at every point.

    Deviation from Li et al., whose code evaluates with running statistics: these were gathered at the centre and belong
    to no other point. A moved layer feeds on inputs of another spread, and the mismatch multiplies from layer to layer,
    so that a deep net's slice would mostly show stale statistics. With the batch's own it is the function that training
    sees and minimises, and it is blind to a filter's length, as a batch-normalised net should be.

    Args:
        model: the network, trained or not.
        images: `(N, C, H, W)`; a few hundred are enough for a picture.
        labels: class numbers, int64 `(N,)`.
        span: the square reaches from −span to span on both axes; 1 is the length of the filters themselves.
        steps: points along each axis, odd, so that the centre is one of them.
        seed: of the two directions; nets of equal shapes get equal noise.
        precision: "auto" takes bfloat16 where the hardware has units for it (losses to about 1 %); "float32" is exact.

    Raises:
        ValueError: labels that do not fit, an even or too small `steps`, or a span that is not positive.
    """
    check_batch(images, labels)
    if not 0 < span < float("inf"):
        raise ValueError(f"span must be a positive number, got {span}. 1.0 moves each filter by its own length.")
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps must be odd and at least 3, so that the centre is a point, got {steps}.")
    axis = torch.arange(-(steps // 2), steps // 2 + 1) * (span / (steps // 2))  # 0 exactly in the middle
    generator = torch.Generator().manual_seed(seed)
    first, second = (random_direction(model, generator=generator) for _ in range(2))
    centre = {name: value.detach() for name, value in model.named_parameters()}
    copy = deepcopy(model).eval().to(memory_format=torch.channels_last)  # a third faster on CPU in float32
    for module in copy.modules():
        module.training = isinstance(module, _BatchNorm)
    losses = []
    with torch.no_grad(), preserved_rng(images.device):
        for alpha, beta in torch.cartesian_prod(axis, axis).tolist():
            for name, value in copy.named_parameters():
                value.copy_(centre[name] + alpha * first[name] + beta * second[name])
            with machine.autocast(images.device, precision):
                output = copy(images)
            check_logits(output, labels)
            losses.append(F.cross_entropy(output.float(), labels))
    return Surface(axis, axis.clone(), torch.stack(losses).cpu().view(steps, steps))


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
