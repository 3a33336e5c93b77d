"""How alike two maps are, whatever their scale: the correlation of their ranks (Spearman 1904).

Adebayo et al. 2018 (https://arxiv.org/abs/1810.03292) compare maps of trained and of randomised networks by it.
"""

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """1 for the smallest value, n for the largest; equal values share the mean of their ranks. Float64 `(n,)`."""
    _, place, counts = values.flatten().unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0)  # the highest rank of each distinct value
    return (last - (counts - 1) / 2).double()[place]


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two tensors of one shape.

    Returns:
        1 where both order their entries alike, −1 where one reverses the other, about 0 where they have nothing to
        do with each other; not a number where one of them is constant and so has no order.

    Raises:
        ValueError: different shapes, or fewer than two entries.
    """
    if a.shape != b.shape or a.numel() < 2:
        raise ValueError(
            f"Got tensors of shapes {tuple(a.shape)} and {tuple(b.shape)}; expected one shape with two entries or more."
        )
    return float(torch.corrcoef(torch.stack([ranks(a.detach()), ranks(b.detach())]))[0, 1])
