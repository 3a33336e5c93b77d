"""Answers to the exercises of lesson 05 on backpropagation and on He's initialisation."""

import torch
from torch import Tensor

from resnet_edu import checks

from . import Exercise

# --- 05.1 backpropagation by hand -------------------------------------------------------------------------------


def backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h1 = torch.sigmoid(x @ w1)
    h2 = torch.sigmoid(h1 @ w2)
    error = (h2 @ w3 - target) / len(x)
    delta2 = (error @ w3.T) * h2 * (1 - h2)
    delta1 = (delta2 @ w2.T) * h1 * (1 - h1)
    return x.T @ delta1, h1.T @ delta2, h2.T @ error


def backward_stub(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    raise NotImplementedError("not yet")


def sample_by_sample(x, target, w1, w2, w3):
    """Right as well: one sample at a time, with outer products."""
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


def layers(x, w1, w2, w3):
    h1 = torch.sigmoid(x @ w1)
    h2 = torch.sigmoid(h1 @ w2)
    return h1, h2, h2 @ w3


def without_slopes(x, target, w1, w2, w3):
    h1, h2, y = layers(x, w1, w2, w3)
    error = (y - target) / len(x)
    return x.T @ error @ w3.T @ w2.T, h1.T @ error @ w3.T, h2.T @ error


def with_slope(slope, *, first=True, second=True, on=True):
    def wrong(x, target, w1, w2, w3):
        h1, h2, y = layers(x, w1, w2, w3)
        error = (y - target) / len(x)
        back = error @ w3.T
        delta2 = back * slope(h2) if second else back
        delta1 = (delta2 if on else back) @ w2.T
        return x.T @ (delta1 * slope(h1) if first else delta1), h1.T @ delta2, h2.T @ error

    return wrong


def times(factor):
    return lambda x, target, w1, w2, w3: tuple(factor(len(x)) * g for g in backward(x, target, w1, w2, w3))


def w2_left_out(x, target, w1, w2, w3):
    h1, h2, y = layers(x, w1, w2, w3)
    error = (y - target) / len(x)
    delta2 = (error @ w3.T) * h2 * (1 - h2)
    return x.T @ (delta2.sum(1, keepdim=True) * h1 * (1 - h1)), h1.T @ delta2, h2.T @ error


def by_autograd(x, target, w1, w2, w3):
    weights = [w.clone().requires_grad_() for w in (w1, w2, w3)]
    loss = ((layers(x, *weights)[2] - target) ** 2).sum() / 2 / len(x)
    loss.backward()
    return tuple(w.grad for w in weights)


def by_grad(x, target, w1, w2, w3):
    """The same with the other function, to be refused with the same words."""
    weights = [w.clone().requires_grad_() for w in (w1, w2, w3)]
    return torch.autograd.grad(((layers(x, *weights)[2] - target) ** 2).sum() / 2 / len(x), weights)


def in_place(x, target, w1, w2, w3):
    gradients = backward(x, target, w1, w2, w3)
    for w, gradient in zip((w1, w2, w3), gradients, strict=True):
        w -= gradient
    return gradients


BACKPROP = Exercise(
    checks.check_backprop,
    backward,
    backward_stub,
    [
        (without_slopes, "sigmoids are missing on the way back"),
        (with_slope(lambda h: h * (1 - h), first=False), "slope of the first sigmoid is missing"),
        (with_slope(lambda h: h * (1 - h), second=False), "slope of the second sigmoid is missing"),
        (with_slope(lambda h: h * (1 - h), on=False), "pass on to the first layer lacks"),
        (with_slope(lambda h: torch.sigmoid(h) * (1 - torch.sigmoid(h))), "apply the sigmoid twice"),
        (with_slope(lambda h: 1 - h * h), "slope of tanh"),
        (with_slope(lambda h: h), "by h alone"),
        (with_slope(lambda h: 1 - h), "by 1 − h alone"),
        (times(lambda n: n), "N times too large"),
        (times(lambda n: 1 / n), "N times too small"),
        (times(lambda n: -1), "signs are flipped"),
        (times(lambda n: 2), "twice too large"),
        (w2_left_out, "leave out w2"),
        (by_autograd, "Autograd computes these gradients"),
        (in_place, "changes the tensor it is given"),
        (lambda x, target, w1, w2, w3: backward(x, target, w1, w2, w3)[::-1], "from last to first"),
        (lambda x, target, w1, w2, w3: tuple(g.T for g in backward(x, target, w1, w2, w3)), "transposed"),
        (lambda x, target, w1, w2, w3: (w1.sum(1), w2, w3), "has the shape of its weights"),
        (lambda x, target, w1, w2, w3: backward(x, target, w1, w2, w3)[0], "Expected three gradients"),
        (lambda x, target, w1, w2, w3: (1.0, 2.0, 3.0), "Expected a tensor for g1"),
        (lambda x, target, w1, w2, w3: (w1, w2, w3), "values are not"),
    ],
    others=(sample_by_sample,),
)

EXERCISES = [BACKPROP]
