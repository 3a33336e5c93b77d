"""Answers to exercise 11.3: Integrated Gradients and the error of completeness."""

from typing import Any

import torch
from torch import Tensor

from resnet_edu import checks

from . import Exercise


def slope(f: Any, point: Tensor) -> Tensor:
    point = point.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(point).sum(), point)
    return gradient


def gap(f: Any, x: Tensor, baseline: Tensor, attribution: Tensor) -> float:
    with torch.no_grad():
        return float(attribution.sum() - (f(x) - f(baseline)).sum())


def integrated(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
    total = torch.zeros_like(x)
    for k in range(steps):
        total = total + slope(f, baseline + (k + 0.5) / steps * (x - baseline))
    attribution = (x - baseline) * total / steps
    return attribution, gap(f, x, baseline, attribution)


def integrated_stub(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
    raise NotImplementedError("not yet")


def in_one_batch(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Right, all steps at once, the error as a tensor."""
    t = ((torch.arange(steps) + 0.5) / steps).reshape(-1, *[1] * (x.ndim - 1))
    points = (baseline + t * (x - baseline)).requires_grad_()
    (gradients,) = torch.autograd.grad(f(points).sum(), points)
    attribution = (x - baseline) * gradients.mean(0, keepdim=True)
    return attribution, attribution.sum() - f(x) + f(baseline)


def attributed(change: Any) -> Any:
    """Another attribution, with the error that belongs to it."""

    def answer(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
        attribution = change(f, x, baseline, steps)
        return attribution, gap(f, x, baseline, attribution)

    return answer


def at(places: Any) -> Any:
    def attribution(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
        gradients = [slope(f, baseline + float(t) * (x - baseline)) for t in places(steps)]
        return (x - baseline) * sum(gradients) / len(gradients)

    return attributed(attribution)


def from_zero(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    return integrated(f, x, torch.zeros_like(x), steps)[0]


def without_start(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    way = x - baseline
    return way * sum(slope(f, (k + 0.5) / steps * way) for k in range(steps)) / steps


def in_error(change: Any) -> Any:
    """The right attribution with another error."""

    def answer(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
        attribution, _ = integrated(f, x, baseline, steps)
        return attribution, change(float(attribution.sum()), float(f(x).detach()), float(f(baseline).detach()))

    return answer


def no_error(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    return integrated(f, x, baseline, steps)[0]


def one_number(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    attribution, error = integrated(f, x, baseline, steps)
    return attribution.sum(), error


def error_of_every_pixel(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    attribution, error = integrated(f, x, baseline, steps)
    return attribution, attribution - error


def in_place(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    found = integrated(f, x, baseline, steps)
    x -= baseline
    return found


def backward(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    f(x).sum().backward()
    return integrated(f, x, baseline, steps)


INTEGRATED = Exercise(
    checks.check_integrated_gradients,
    integrated,
    integrated_stub,
    [
        (attributed(lambda f, x, b, n: integrated(f, x, b, n)[0] / (x - b)), "The factor is missing"),
        (attributed(lambda f, x, b, n: integrated(f, x, b, n)[0] / (x - b) * x), "You multiply by `x`"),
        (attributed(lambda f, x, b, n: -integrated(f, x, b, n)[0]), "The sign is turned"),
        (attributed(lambda f, x, b, n: n * integrated(f, x, b, n)[0]), "Divide by the number of steps"),
        (attributed(lambda f, x, b, n: (x - b) * slope(f, x)), "gradient × input"),
        (attributed(lambda f, x, b, n: (x - b) * slope(f, (x + b) / 2)), "average the points"),
        (at(lambda n: [k / n for k in range(n)]), "represented by its beginning"),
        (at(lambda n: [(k + 1) / n for k in range(n)]), "represented by its end"),
        (at(lambda n: torch.linspace(0, 1, n).tolist()), "ends included"),
        (attributed(from_zero), "Your way begins at zero"),
        (attributed(without_start), "between zero and the difference"),
        (attributed(lambda f, x, b, n: integrated(f, x, b, n)[0].abs()), "You drop the sign"),
        (attributed(lambda f, x, b, n: torch.zeros_like(x)), "the attribution is not right"),
        (in_error(lambda s, fx, fb: fx - fb - s), "turned round"),
        (in_error(lambda s, fx, fb: abs(s - fx + fb)), "without its sign"),
        (in_error(lambda s, fx, fb: s - fx), "measured from f(x) alone"),
        (in_error(lambda s, fx, fb: s), "the sum itself"),
        (in_error(lambda s, fx, fb: fx - fb), "the difference of the scores"),
        (in_error(lambda s, fx, fb: s + fx - fb), "made with f(baseline) − f(x)"),
        (in_error(lambda s, fx, fb: (s - fx + fb) / (fx - fb)), "a share of the difference"),
        (in_error(lambda s, fx, fb: 1.0), "should be"),
        (no_error, "Expected two things"),
        (one_number, "of the image's shape"),
        (error_of_every_pixel, "error as one number"),
        (in_place, "changes the tensors it is given"),
        (backward, "keep gradients"),
    ],
    others=(in_one_batch,),
)

EXERCISES = [INTEGRATED]
