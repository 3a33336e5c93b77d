"""Answers to every exercise: one right, one empty, and at least six wrong ones of the right shape and signature.

One module per lesson, `lesson_NN.py`, with a list `EXERCISES`. `test_mutants.py` finds them by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resnet_edu.checks.runner import Check


@dataclass(frozen=True)
class Exercise:
    """One exercise and answers to it.

    Attributes:
        check: its check.
        reference: a right answer.
        stub: what the learner starts from.
        mutants: wrong answers, each with a phrase that only its own message contains.
        others: more right answers, written in another way.
    """

    check: Check
    reference: Any
    stub: Any
    mutants: list[tuple[Callable[..., Any], str]]
    others: tuple[Any, ...] = ()
