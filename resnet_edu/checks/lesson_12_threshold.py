"""The check of lesson 12 on a threshold: answer only where enough of the answers are right."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Pick = Callable[[Tensor, Tensor, float], float]


def precision_at(confidence: Tensor, right: Tensor, threshold: float) -> float:
    """Percent right of the answers at or above the threshold."""
    return 100 * int(right[confidence >= threshold].sum()) / int((confidence >= threshold).sum())


def candidates(confidence: Tensor) -> list[float]:
    """The confidences themselves, each once, from low to high."""
    return sorted(set(confidence.tolist()))


def lowest(confidence: Tensor, right: Tensor, precision: float) -> float:
    """The oracle: the lowest confidence at which enough of what is answered is right, or infinity."""
    fine = [t for t in candidates(confidence) if precision_at(confidence, right, t) >= precision]
    return min(fine, default=math.inf)


def from_above(confidence: Tensor, right: Tensor, precision: float) -> float:
    """Goes down from the surest answer and stops at the first threshold that is not good enough."""
    found = math.inf
    for threshold in reversed(candidates(confidence)):
        if precision_at(confidence, right, threshold) < precision:
            break
        found = threshold
    return found


def strict(confidence: Tensor, right: Tensor, precision: float) -> float:
    """Asks for more than the precision."""
    fine = [t for t in candidates(confidence) if precision_at(confidence, right, t) > precision]
    return min(fine, default=math.inf)


def above_only(confidence: Tensor, right: Tensor, precision: float) -> float:
    """Measures the answers strictly above the threshold."""
    fine = []
    for threshold in candidates(confidence)[:-1]:
        if 100 * int(right[confidence > threshold].sum()) / int((confidence > threshold).sum()) >= precision:
            fine.append(threshold)
    return min(fine, default=math.inf)


def of_all(confidence: Tensor, right: Tensor, precision: float) -> float:
    """Divides by the number of all photos."""
    fine = [t for t in candidates(confidence) if 100 * int(right[confidence >= t].sum()) / len(right) >= precision]
    return min(fine, default=math.inf)


def highest(confidence: Tensor, right: Tensor, precision: float) -> float:
    """The highest threshold that is good enough."""
    fine = [t for t in candidates(confidence) if precision_at(confidence, right, t) >= precision]
    return max(fine, default=math.inf)


def recalled(confidence: Tensor, right: Tensor, precision: float) -> float:
    """The highest threshold that keeps so large a share of the right answers."""
    kept = [t for t in candidates(confidence)
            if 100 * int(right[confidence >= t].sum()) / max(1, int(right.sum())) >= precision]  # fmt: skip
    return max(kept, default=math.inf)


def one_by_one(confidence: Tensor, right: Tensor, precision: float) -> float:
    """Cumulates over the sorted answers, as if equal confidences could be told apart."""
    order = confidence.argsort(descending=True, stable=True)
    running = 100 * right[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
    fine = [float(confidence[order[i]]) for i in range(len(order)) if running[i] >= precision]
    return min(fine, default=math.inf)


def or_else(value: Callable[[Tensor], float]) -> Pick:
    """The oracle, with another value where there is no such threshold."""

    def pick(confidence: Tensor, right: Tensor, precision: float) -> float:
        found = lowest(confidence, right, precision)
        return value(confidence) if math.isinf(found) else found

    return pick


MISTAKES = (
    Mistake(
        from_above,
        "You go down from the surest answers and stop at the first threshold that is not good enough. A lower one can "
        "be good enough again: look at all of them.",
    ),
    Mistake(strict, "Exactly `precision` percent is enough: compare with `>=`."),
    Mistake(above_only, "A photo exactly at the threshold is answered too. Measure `confidence >= threshold`."),
    Mistake(of_all, "You divide by the number of all photos. Divide by the number that get an answer."),
    Mistake(highest, "You return the highest such threshold, which answers the fewest photos. Return the lowest."),
    Mistake(
        recalled,
        "You ask how many of the right answers are kept. Asked is how many of the answers given are right.",
    ),
    Mistake(
        one_by_one,
        "You count answers one by one. Photos of equal confidence are all answered or none of them is.",
    ),
    Mistake(
        lambda confidence, right, precision: precision / 100,
        "You return the precision itself. A net that is 90 % sure need not be right in 90 % of the cases: measure.",
    ),
    Mistake(
        lambda confidence, right, precision: lowest(confidence, right, precision / 100),
        "You compare a share from 0 to 1 with a percentage, or the other way round. `precision` is in percent.",
    ),
    Mistake(
        lambda confidence, right, precision: lowest(confidence, right, 100 * precision),
        "No threshold seems good enough to you. Is your precision in percent, as the one asked for?",
    ),
    Mistake(or_else(lambda confidence: float(confidence.max())), "No threshold is good enough, and you return the "
            "highest confidence, which still gives an answer. Return infinity: answer nothing."),
    Mistake(or_else(lambda confidence: 0.0), "No threshold is good enough, and you return 0, which answers all. "
            "Return infinity."),
    Mistake(or_else(lambda confidence: 1.0), "No threshold is good enough, and you return 1. A net can be 100 % sure "
            "and wrong: return infinity."),
)  # fmt: skip


@check("12.3 pick a threshold")
def check_pick_threshold(pick_threshold: Any) -> str:
    """`pick_threshold(confidence, right, precision)`: the lowest threshold at which enough answers are right."""
    many = torch.rand(60).clamp(0.05, 0.95)
    sure = torch.tensor([0.95, 0.9, 0.8, 0.7, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    calls = [
        Call(sure, flags("1101111000"), 80.0),
        Call(sure, flags("1110101000"), 75.0),
        Call(sure[[3, 7, 0, 9, 2, 5, 1, 8, 4, 6]], flags("0011111001"), 66.0),
        Call(torch.tensor([0.9, 0.8, 0.8, 0.8, 0.5, 0.4]), flags("110011"), 70.0),
        Call(torch.tensor([0.9, 0.8, 0.8, 0.8, 0.5, 0.4]), flags("111000"), 80.0),
        Call(sure, flags("0110110000"), 90.0),  # the surest is wrong: no threshold
        Call(sure[:4], flags("1111"), 100.0),
        Call(many, torch.rand(60) < many, 85.0),
    ]
    name = need_function(pick_threshold, "pick_threshold(confidence, right, precision)", *calls[0].args)
    judge(pick_threshold, lowest, calls, MISTAKES, name=name, clean=lambda value: need_number(value, name))
    return "As many photos as possible get an answer, and enough of the answers are right."


def flags(text: str) -> Tensor:
    """`"110"` as a tensor of bools."""
    return torch.tensor([each == "1" for each in text])


def need_number(value: Any, name: str) -> float:
    """The value as a float.

    Raises:
        Wrong: it is no number.
    """
    if isinstance(value, Tensor) and value.ndim == 0 and value.dtype.is_floating_point:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"Expected a threshold from `{name}`, or `float('inf')`, got {kind_of(value)}.")
    return float(value)
