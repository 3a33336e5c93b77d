"""Answers to the exercises of lesson 04."""

import numpy as np
import torch

# --- 04.2 cost of a branch --------------------------------------------------------------------------------------


def branch_cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> tuple[int, int]:
    if reduced is None:
        parameters = in_channels * channels * kernel**2
    else:
        parameters = in_channels * reduced + reduced * channels * kernel**2
    return parameters, parameters * side**2


def branch_cost_by_torch(side, in_channels, channels, kernel, reduced=None):
    """Right as well: a list, counted in layers."""
    convs = [torch.nn.Conv2d(reduced or in_channels, channels, kernel, bias=False, device="meta")]
    if reduced:
        convs.append(torch.nn.Conv2d(in_channels, reduced, 1, bias=False, device="meta"))
    parameters = sum(conv.weight.numel() for conv in convs)
    return [parameters, parameters * side * side]


def branch_cost_by_numpy(*args, **options):
    """Right as well: whole numbers of NumPy and of PyTorch."""
    parameters, macs = branch_cost(*args, **options)
    return np.prod([parameters]), torch.tensor([macs])


RIGHT = {"04.2": [branch_cost, branch_cost_by_torch, branch_cost_by_numpy]}

WRONG = {
    "04.2": [
        (lambda *args, **options: [n / 1 for n in branch_cost(*args, **options)], "Nothing needs to be divided"),
        (lambda *args, **options: branch_cost(*args, **options)[0], "Expected two numbers"),
        (lambda *args, **options: (1, 2), "in place 0: expected 221184, got 1"),
    ],
}
