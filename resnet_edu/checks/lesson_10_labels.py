"""The check of lesson 10 on reading a learning curve: how many labels a method needs."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Curve = dict[int, float]


def enough(curve: Curve, error: float) -> list[int]:
    """The numbers of labels at which the error is reached, from small to large."""
    return sorted(labels for labels, measured in curve.items() if measured <= error)


def right(curve: Curve, error: float) -> float:
    """The oracle."""
    return float(next(iter(enough(curve, error)), math.inf))


def picked(pick: Callable[[Curve, float], Any]) -> Callable[[Curve, float], Any]:
    """A wrong variant, with the right answer where no point is low enough."""
    return lambda curve, error: float(pick(curve, error)) if enough(curve, error) else math.inf


def interpolated(curve: Curve, error: float) -> float:
    """Where the line between two points crosses the error."""
    points = sorted(curve.items())
    for (fewer, high), (more, low) in pairwise(points):
        if high > error >= low:
            return fewer + (more - fewer) * (high - error) / (high - low)
    return float(points[0][0])


MISTAKES = (
    Mistake(
        picked(lambda curve, error: min((n for n, e in curve.items() if e < error), default=math.inf)),
        "A point that lies exactly at the error counts as well: `<=`, not `<`.",
    ),
    Mistake(
        picked(lambda curve, error: max(enough(curve, error))),
        "You return the largest number of labels that is enough. Asked is for the smallest.",
    ),
    Mistake(
        picked(lambda curve, error: next(n for n, e in curve.items() if e <= error)),
        "You take the first point in the order of the dict, which need not be sorted by the number of labels.",
    ),
    Mistake(
        lambda curve, error: float(min((n for n, e in curve.items() if e >= error), default=math.inf)),
        "The comparison is turned around: a low error is good, so the measured error must be at most `error`.",
    ),
    Mistake(
        picked(interpolated),
        "You interpolate between two points. Return a number of labels that was measured.",
    ),
    Mistake(
        picked(lambda curve, error: min(curve, key=lambda n: abs(curve[n] - error))),
        "You take the point nearest to the error, which may lie above it.",
    ),
    Mistake(
        picked(lambda curve, error: sorted(curve).index(enough(curve, error)[0])),
        "You return the position in the curve. Return the number of labels.",
    ),
    Mistake(
        picked(lambda curve, error: curve[enough(curve, error)[0]]),
        "You return the error at that point. Return the number of labels.",
    ),
    Mistake(
        picked(lambda curve, error: len(enough(curve, error))),
        "You count the points. Return the number of labels of the first one.",
    ),
    Mistake(
        lambda curve, error: float(min(enough(curve, error), default=max(curve))),
        "No point is low enough, and you return the largest number of labels. Even that is too few: return infinity.",
    ),
    Mistake(
        lambda curve, error: float(min(enough(curve, error), default=0)),
        "No point is low enough, and you return 0, as if no labels were needed. Return `float('inf')`.",
    ),
    Mistake(
        lambda curve, error: float(min(enough(curve, error), default=-1)),
        "No point is low enough, and you return -1, which is less than any number of labels. Return `float('inf')`.",
    ),
)


@check("10.4 read the learning curve")
def check_labels_needed(labels_needed: Any) -> str:
    """`labels_needed(curve, error)`: the fewest labels a class with an error of at most `error`, or infinity."""
    curve = {5: 31.0, 10: 20.5, 20: 12.0, 50: 6.5, 100: 4.0}
    shuffled = dict(random.sample(list(curve.items()), 5))
    while next(iter(shuffled)) != 100:
        shuffled = dict(random.sample(list(curve.items()), 5))
    calls = [
        Call(curve, 19.0),
        Call(curve, 20.5),
        Call(shuffled, 7.5),
        Call(curve, 2.0),
        Call(curve, 60.0),
        Call({1: 80.0, 3: 50.0, 9: 52.0, 27: 30.0}, 51.0),
    ]
    name = need_function(labels_needed, "labels_needed(curve, error)", *calls[0].args)
    judge(labels_needed, right, calls, MISTAKES, name=name, clean=lambda value: need_number(value, name))
    return "Right, for curves in any order, with points exactly at the error, and where no point is low enough."


def need_number(value: Any, name: str) -> float:
    """The value as a float.

    Raises:
        Wrong: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"Expected a number of labels from `{name}`, or `float('inf')`, got {kind_of(value)}.")
    return float(value)
