"""The check of lesson 05 on backpropagation by hand: three layers, held to autograd."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .expect import Call, Mistake, Watch, attempt, judge, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

#: Functions by which autograd would do the exercise.
AUTOGRAD = {"backward", "grad", "vjp", "vjp_fn", "jacrev", "jacobian", "_autograd_grad"}


def flat(*gradients: Tensor) -> Tensor:
    """Several gradients as one vector, so that they are compared as one answer."""
    return torch.cat([gradient.flatten() for gradient in gradients])


def by_autograd(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
    """The oracle."""
    weights = [w.detach().clone().requires_grad_() for w in (w1, w2, w3)]
    h1 = torch.sigmoid(x @ weights[0])
    h2 = torch.sigmoid(h1 @ weights[1])
    loss = (h2 @ weights[2] - target).square().sum() / (2 * len(x))
    return flat(*torch.autograd.grad(loss, weights))


def by_hand(
    *,
    scale: Callable[[int], float] = lambda n: 1 / n,
    slope: Callable[[Tensor], Tensor] = lambda h: h * (1 - h),
    slope2: bool = True,
    slope1: bool = True,
    passed_on: bool = True,
    through_w2: bool = True,
) -> Callable[..., Tensor]:
    """The formula with a choice of mistakes: factor of the error, slope, and where the slope is left out."""

    def backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
        h1 = torch.sigmoid(x @ w1)
        h2 = torch.sigmoid(h1 @ w2)
        error = (h2 @ w3 - target) * scale(len(x))
        back2 = error @ w3.T
        d2 = back2 * slope(h2) if slope2 else back2
        back1 = (d2 if passed_on else back2) @ (w2.T if through_w2 else torch.ones_like(w2.T))
        d1 = back1 * slope(h1) if slope1 else back1
        return flat(x.T @ d1, h1.T @ d2, h2.T @ error)

    return backward


def twice(h: Tensor) -> Tensor:
    """The slope taken at h, as if h were what went into the sigmoid."""
    return torch.sigmoid(h) * (1 - torch.sigmoid(h))


BACKPROP_MISTAKES = (
    Mistake(
        by_hand(slope1=False, slope2=False),
        "The sigmoids are missing on the way back. Multiply what comes back through a layer by the slope, h · (1 − h).",
    ),
    Mistake(
        by_hand(slope1=False),
        "g3 and g2 are right. In g1 the slope of the first sigmoid is missing: multiply by h1 · (1 − h1).",
    ),
    Mistake(
        by_hand(slope2=False, passed_on=True),
        "g3 is right. The slope of the second sigmoid is missing: multiply by h2 · (1 − h2) before you go on.",
    ),
    Mistake(
        by_hand(passed_on=False),
        "g3 and g2 are right. What you pass on to the first layer lacks the slope of the second sigmoid: every slope "
        "on the way stays in the product.",
    ),
    Mistake(
        by_hand(slope=twice),
        "You apply the sigmoid twice. h1 and h2 have been through it already: the slope is h · (1 − h), not "
        "σ(h) · (1 − σ(h)).",
    ),
    Mistake(by_hand(slope=lambda h: 1 - h * h), "1 − h² is the slope of tanh. The sigmoid's is h · (1 − h)."),
    Mistake(by_hand(slope=lambda h: h), "The sigmoid's slope is h · (1 − h). You multiply by h alone."),
    Mistake(by_hand(slope=lambda h: 1 - h), "The sigmoid's slope is h · (1 − h). You multiply by 1 − h alone."),
    Mistake(
        by_hand(scale=lambda n: 1.0),
        "Your gradients are N times too large: the loss is a mean over the N samples. `error` has the division in it.",
    ),
    Mistake(
        by_hand(scale=lambda n: 1 / n**2),
        "Your gradients are N times too small. `error` has the division by N in it; do not divide again.",
    ),
    Mistake(by_hand(scale=lambda n: -1 / n), "All signs are flipped: the error is output − target."),
    Mistake(
        by_hand(scale=lambda n: 2 / n),
        "Everything is twice too large. The ½ in front of the square takes up the 2 of its derivative.",
    ),
    Mistake(
        by_hand(through_w2=False),
        "g3 and g2 are right. On the way to the first layer you leave out w2: multiply by `w2.T`.",
    ),
)


@check("05.1 backpropagation by hand")
def check_backprop(backward: Any) -> str:
    """`backward(x, target, w1, w2, w3) -> (g1, g2, g3)`: gradients of a three-layer net's loss by its weights.

    x `(N, D)`, target `(N, K)`, w1 `(D, H1)`, w2 `(H1, H2)`, w3 `(H2, K)`, no biases. The net is
    h1 = σ(x w1), h2 = σ(h1 w2), y = h2 w3 with σ the sigmoid, the loss ½ Σ (y − target)² / N, summed over N and K.
    Written by hand: autograd is refused. Each gradient has the shape of its weights.
    """
    calls = [three_layers(*random.sample(range(2, 9), 5)) for _ in range(5)]
    by_name = dict(zip(("x", "target", "w1", "w2", "w3"), calls[0].args, strict=True))
    name = need_function(backward, "backward(x, target, w1, w2, w3)", **by_name)
    for call in calls:
        need_shapes(attempt(backward, call, name), call, name)
    with Watch() as watch:
        attempt(backward, calls[0], name)
    if watch.names & AUTOGRAD:
        raise Wrong(
            "Autograd computes these gradients. Here you do its work: matrix products and slopes, nothing else."
        )
    judge(backward, by_autograd, calls, BACKPROP_MISTAKES, name=name, clean=lambda value: flat(*value))
    return f"Equal to autograd for {len(calls)} nets of random sizes. This is all that `loss.backward()` does."


def three_layers(n: int, d: int, h1: int, h2: int, k: int) -> Call:
    """Random inputs, targets and weights. Large targets keep the gradients well above the tolerance."""
    shapes = ((n, d), (n, k), (d, h1), (h1, h2), (h2, k))
    x, target, *weights = [torch.randn(shape) for shape in shapes]
    return Call(x, 20 * target, *weights)


def need_shapes(value: Any, call: Call, name: str) -> None:
    """Three tensors, shaped like the three weights.

    Raises:
        NotYet: one of them is still None.
        Wrong: something else.
    """
    if not isinstance(value, tuple | list) or len(value) != 3:
        raise Wrong(f"Expected three gradients, `return g1, g2, g3`, got {kind_of(value)}.")
    if any(gradient is None or gradient is ... for gradient in value):
        raise NotYet
    for i, gradient in enumerate(value, start=1):
        if not isinstance(gradient, Tensor):
            raise Wrong(f"Expected a tensor for g{i}, got {kind_of(gradient)}.")
    got, wanted = [tuple(g.shape) for g in value], [tuple(w.shape) for w in call.args[2:]]
    if got == wanted:
        return
    if got == wanted[::-1]:
        raise Wrong(f"`{name}` returns the gradients from last to first. The order is g1, g2, g3.")
    for i, (mine, theirs) in enumerate(zip(got, wanted, strict=True), start=1):
        if mine == theirs[::-1] and mine != theirs:
            raise Wrong(
                f"g{i} has shape {mine}, that of w{i} transposed: the layer's input stands left, `h.T @ delta`."
            )
        if mine != theirs:
            raise Wrong(f"g{i} has shape {mine}; a gradient has the shape of its weights, here {theirs}.")
