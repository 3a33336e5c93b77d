"""Answers to the exercise of lesson 10 on reading a learning curve."""

from itertools import pairwise
from math import inf

from resnet_edu import checks

from . import Exercise

Curve = dict[int, float]


def labels_needed(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured <= error), default=inf)


def stub(curve: Curve, error: float) -> float:
    raise NotImplementedError("not yet")


def by_loop(curve: Curve, error: float) -> float:
    """Right."""
    for labels in sorted(curve):
        if curve[labels] <= error:
            return labels
    return float("inf")


def strictly(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured < error), default=inf)


def largest(curve: Curve, error: float) -> float:
    return max((labels for labels, measured in curve.items() if measured <= error), default=inf)


def unsorted(curve: Curve, error: float) -> float:
    return next((labels for labels, measured in curve.items() if measured <= error), inf)


def turned_around(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured >= error), default=inf)


def on_the_line(curve: Curve, error: float) -> float:
    points = sorted(curve.items())
    if points[0][1] <= error:
        return points[0][0]
    for (fewer, high), (more, low) in pairwise(points):
        if high > error >= low:
            return fewer + (more - fewer) * (high - error) / (high - low)
    return inf


def nearest(curve: Curve, error: float) -> float:
    if by_loop(curve, error) == inf:
        return inf
    return min(curve, key=lambda labels: abs(curve[labels] - error))


def position(curve: Curve, error: float) -> float:
    return next((i for i, labels in enumerate(sorted(curve)) if curve[labels] <= error), inf)


def the_error(curve: Curve, error: float) -> float:
    return next((curve[labels] for labels in sorted(curve) if curve[labels] <= error), inf)


def counted(curve: Curve, error: float) -> float:
    return sum(measured <= error for measured in curve.values()) or inf


def the_most(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured <= error), default=max(curve))


def zero(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured <= error), default=0)


def minus_one(curve: Curve, error: float) -> float:
    return min((labels for labels, measured in curve.items() if measured <= error), default=-1)


def as_text(curve: Curve, error: float) -> str:
    return f"{labels_needed(curve, error)} labels"


def never_found(curve: Curve, error: float) -> float:
    return inf


EXERCISES = [
    Exercise(
        checks.check_labels_needed,
        labels_needed,
        stub,
        [
            (strictly, "exactly at the error counts as well"),
            (largest, "Asked is for the smallest"),
            (unsorted, "need not be sorted"),
            (turned_around, "The comparison is turned around"),
            (on_the_line, "You interpolate"),
            (nearest, "nearest to the error"),
            (position, "You return the position"),
            (the_error, "You return the error at that point"),
            (counted, "You count the points"),
            (the_most, "Even that is too few"),
            (zero, "as if no labels were needed"),
            (minus_one, "less than any number of labels"),
            (as_text, "Expected a number of labels"),
            (never_found, "got the float inf"),
        ],
        others=(by_loop,),
    )
]
