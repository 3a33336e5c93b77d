"""Answers to the exercises of lesson 05."""

import math

import numpy as np
import torch
from torch import Tensor, nn

# --- 05.2 He's variance -----------------------------------------------------------------------------------------


def he_std(shape: tuple[int, ...], negative_slope: float = 0.0) -> float:
    return math.sqrt(2 / ((1 + negative_slope**2) * math.prod(shape[1:])))


def he_std_by_tensors(shape: tuple[int, ...], negative_slope: float = 0.0) -> Tensor:
    """Right as well: a tensor of one number, computed in float32."""
    gain = torch.tensor([2.0]) / (1 + torch.tensor(negative_slope) ** 2)
    return torch.sqrt(gain / torch.empty(shape)[0].numel())


def he_std_by_numpy(shape, negative_slope=0.0):
    return np.sqrt(np.float32(2) / ((1 + negative_slope**2) * np.prod(shape[1:])))


def he_std_of_torch(shape: tuple[int, ...], negative_slope: float = 0.0) -> float:
    return nn.init.calculate_gain("leaky_relu", negative_slope) / math.prod(shape[1:]) ** 0.5


RIGHT = {"05.2": [he_std, he_std_by_tensors, he_std_by_numpy, he_std_of_torch]}

WRONG = {
    "05.2": [
        (lambda shape, negative_slope=0.0: 0.01, "expected 0.125, got 0.01"),
        (lambda shape, negative_slope=0.0: 0.125004, "expected 0.125, got 0.125004"),
        (lambda shape, negative_slope=0.0: torch.randn(shape), "Expected one number"),
        (lambda shape, negative_slope=0.0: True, "Expected one number"),
    ],
}
