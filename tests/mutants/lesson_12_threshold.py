"""Answers to the exercise of lesson 12 on a threshold."""

from math import inf
from typing import Any

import torch
from torch import Tensor

from resnet_edu import checks

from . import Exercise


def pick_threshold(confidence: Tensor, right: Tensor, precision: float) -> float:
    best = inf
    for threshold in confidence.tolist():
        answered = confidence >= threshold
        if 100 * right[answered].float().mean() >= precision:
            best = min(best, threshold)
    return best


def stub(confidence: Tensor, right: Tensor, precision: float) -> float:
    raise NotImplementedError("not yet")


def by_sorting(confidence: Tensor, right: Tensor, precision: float) -> Tensor:
    """Right, in one pass over the sorted answers."""
    values, order = confidence.sort(descending=True, stable=True)
    running = 100 * right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    last = torch.cat([values[1:] < values[:-1], torch.tensor([True])])  # the last of its equals
    return torch.cat([values[last & (running >= precision - 1e-9)], torch.tensor([inf])]).min()


def picked(measure: Any, choose: Any = min) -> Any:
    """An answer that measures something else at each threshold, or chooses another threshold."""

    def answer(confidence: Tensor, right: Tensor, precision: float) -> float:
        fine = [t for t in confidence.tolist() if measure(confidence, right, t) >= precision]
        return choose(fine, default=inf)

    return answer


def measured(confidence: Tensor, right: Tensor, threshold: float) -> float:
    return 100 * int(right[confidence >= threshold].sum()) / int((confidence >= threshold).sum())


def above(confidence: Tensor, right: Tensor, threshold: float) -> float:
    kept = right[confidence > threshold]
    return 100 * int(kept.sum()) / len(kept) if len(kept) else -1.0


def strictly(confidence: Tensor, right: Tensor, precision: float) -> float:
    return min((t for t in confidence.tolist() if measured(confidence, right, t) > precision), default=inf)


def from_above(confidence: Tensor, right: Tensor, precision: float) -> float:
    best = inf
    for threshold in sorted(confidence.tolist(), reverse=True):
        if measured(confidence, right, threshold) < precision:
            return best
        best = threshold
    return best


def one_by_one(confidence: Tensor, right: Tensor, precision: float) -> float:
    values, order = confidence.sort(descending=True, stable=True)
    running = 100 * right[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
    return min(values[running >= precision].tolist(), default=inf)


def or_else(value: Any) -> Any:
    def answer(confidence: Tensor, right: Tensor, precision: float) -> float:
        found = pick_threshold(confidence, right, precision)
        return value(confidence) if found == inf else found

    return answer


def rounded(confidence: Tensor, right: Tensor, precision: float) -> float:
    return round(pick_threshold(confidence, right, precision), 1) - 0.01


EXERCISES = [
    Exercise(
        checks.check_pick_threshold,
        pick_threshold,
        stub,
        [
            (from_above, "A lower one can be good enough again"),
            (strictly, "Exactly `precision` percent is enough"),
            (picked(above), "exactly at the threshold is answered too"),
            (
                picked(lambda c, r, t: 100 * int(r[c >= t].sum()) / len(r)),
                "You divide by the number of all photos",
            ),
            (picked(measured, max), "answers the fewest photos"),
            (
                picked(lambda c, r, t: 100 * int(r[c >= t].sum()) / max(1, int(r.sum())), max),
                "how many of the right answers",
            ),
            (one_by_one, "You count answers one by one"),
            (lambda confidence, right, precision: precision / 100, "You return the precision itself"),
            (lambda confidence, right, precision: float(confidence.min()), "a share from 0 to 1"),
            (lambda confidence, right, precision: inf, "No threshold seems good enough"),
            (or_else(lambda confidence: float(confidence.max())), "the highest confidence"),
            (or_else(lambda confidence: 0.0), "you return 0, which answers all"),
            (or_else(lambda confidence: 1.0), "A net can be 100 % sure"),
            (rounded, "expected the float"),
            (lambda confidence, right, precision: confidence, "Expected a threshold"),
        ],
        others=(by_sorting,),
    )
]
