"""Answers to the exercises of lesson 05."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# --- 05.1 backpropagation by hand -------------------------------------------------------------------------------


def backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h1 = torch.sigmoid(x @ w1)
    h2 = torch.sigmoid(h1 @ w2)
    error = (h2 @ w3 - target) / len(x)
    delta2 = (error @ w3.T) * h2 * (1 - h2)
    delta1 = (delta2 @ w2.T) * h1 * (1 - h1)
    return x.T @ delta1, h1.T @ delta2, h2.T @ error


@torch.no_grad()
def sample_by_sample(x, target, w1, w2, w3):
    """Right: one sample at a time, with outer products, and no autograd."""
    sums = [torch.zeros_like(w) for w in (w1, w2, w3)]
    for sample, wanted in zip(x, target, strict=True):
        h1 = 1 / (1 + torch.exp(-(sample @ w1)))
        h2 = 1 / (1 + torch.exp(-(h1 @ w2)))
        d3 = h2 @ w3 - wanted
        d2 = (w3 @ d3) * h2 * (1 - h2)
        d1 = (w2 @ d2) * h1 * (1 - h1)
        for total, left, right in zip(sums, (sample, h1, h2), (d1, d2, d3), strict=True):
            total += torch.outer(left, right)
    return [total / len(x) for total in sums]


def by_autograd(x, target, w1, w2, w3):
    weights = [w.clone().requires_grad_() for w in (w1, w2, w3)]
    output = torch.sigmoid(torch.sigmoid(x @ weights[0]) @ weights[1]) @ weights[2]
    (((output - target) ** 2).sum() / 2 / len(x)).backward()
    return [w.grad for w in weights]


def steps_in_place(x, target, w1, w2, w3):
    gradients = backward(x, target, w1, w2, w3)
    for w, gradient in zip((w1, w2, w3), gradients, strict=True):
        w -= gradient
    return gradients


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


# --- 05.3 layers that stand still -------------------------------------------------------------------------------


def still_layers(net, images, labels, lr=0.1):
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    F.cross_entropy(net(images), labels).backward()
    torch.optim.SGD(net.parameters(), lr=lr).step()
    return [name for name, parameter in net.named_parameters() if torch.equal(parameter, before[name])]


def still_by_hand(net, images, labels, lr=0.1):
    """Right: no optimizer, and a tuple."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), parameters)
    moved = [bool((p - lr * g != p).any()) for p, g in zip(parameters, gradients, strict=True)]
    return tuple(name for name, moves in zip(names, moved, strict=True) if not moves)


def without_clone(net, images, labels, lr=0.1):
    before = dict(net.named_parameters())
    F.cross_entropy(net(images), labels).backward()
    torch.optim.SGD(net.parameters(), lr=lr).step()
    return [name for name, parameter in net.named_parameters() if torch.equal(parameter, before[name])]


# --- 05.4 gradient clipping -------------------------------------------------------------------------------------


def norm_of(gradients: list[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def clip(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    norm = norm_of(gradients)
    return [gradient * min(1.0, max_norm / (float(norm) + 1e-12)) for gradient in gradients]


def clip_with_if(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """Right, and free of a division by 0."""
    norm = sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5
    return [gradient / norm * max_norm for gradient in gradients] if norm > max_norm else gradients


def clip_in_place(gradients, max_norm):
    factor = min(1.0, max_norm / float(norm_of(gradients) + 1e-12))
    for gradient in gradients:
        gradient *= factor
    return gradients


RIGHT = {
    "05.1": [backward, sample_by_sample],
    "05.2": [he_std, he_std_by_tensors, he_std_by_numpy, he_std_of_torch],
    "05.3": [still_layers, still_by_hand],
    "05.4": [clip, clip_with_if],
}

WRONG = {
    "05.1": [
        (by_autograd, "Autograd computes these gradients"),
        (steps_in_place, "changes the tensor it is given as `w1`"),
        (lambda x, target, w1, w2, w3: (w1.sum(1), w2, w3), "expected a tensor of shape"),
        (lambda x, target, w1, w2, w3: backward(x, target, w1, w2, w3)[0], "Expected three gradients"),
        (lambda x, target, w1, w2, w3: (1.0, 2.0, 3.0), "Expected a tensor for each of g1, g2, g3"),
    ],
    "05.2": [
        (lambda shape, negative_slope=0.0: 0.01, "expected 0.125, got 0.01"),
        (lambda shape, negative_slope=0.0: 0.125004, "expected 0.125, got 0.125004"),
        (lambda shape, negative_slope=0.0: torch.randn(shape), "Expected one number"),
        (lambda shape, negative_slope=0.0: True, "Expected one number"),
    ],
    "05.3": [
        (without_clone, "expected "),
        (lambda net, images, labels, lr=0.1: still_layers(net, images, labels, lr)[1:], "expected "),
        (lambda net, images, labels, lr=0.1: len(still_layers(net, images, labels, lr)), "a list of names"),
        (lambda net, images, labels, lr=0.1: [1, 2], "the name of a parameter"),
    ],
    "05.4": [
        (clip_in_place, "changes the list it is given as `gradients`"),
        (lambda gradients, max_norm: gradients[:1], "expected 3 entries"),
        (lambda gradients, max_norm: norm_of(gradients).item(), "Expected a list of tensors"),
        (lambda gradients, max_norm: [gradient * 0.5 for gradient in gradients], "the values are not"),
    ],
}
