"""Every exercise: right answers pass, stubs are "not yet", each mistake of its table is told by its own message.

Right answers in other styles, and wrong ones that no table holds, stand in `answers/lesson_NN.py`: RIGHT by the
exercise's number, WRONG too, each with a phrase of its message.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from resnet_edu.checks.exercise import REGISTRY

ANSWERS = Path(__file__).resolve().parents[1] / "answers"
MODULES = [importlib.import_module(f"answers.{path.stem}") for path in sorted(ANSWERS.glob("lesson_*.py"))]
RIGHT: dict[str, list[Any]] = {number: answers for m in MODULES for number, answers in m.RIGHT.items()}
WRONG: dict[str, list[tuple[Any, str]]] = {number: answers for m in MODULES for number, answers in m.WRONG.items()}
CHECKS = {title.split()[0]: check for title, check in sorted(REGISTRY.items())}


def table(names: str, rows: Iterable[tuple[Any, ...]]) -> Any:
    """Each row is a test, named by its number and what is said; a whole ResNet-34, 08.2, takes its time."""
    return pytest.mark.parametrize(
        names, [pytest.param(*row, id=" ".join([row[0], *row[2:]]), marks=SLOW[row[0] == "08.2"]) for row in rows]
    )


SLOW = ([], [pytest.mark.slow])
every_exercise = table("number", ((number,) for number in CHECKS))
every_mistake = table("number, answer, message", ((n, a, m) for n, c in CHECKS.items() for m, a in c.wrong_answers()))
every_wrong_answer = table("number, answer, phrase", ((n, *row) for n, rows in WRONG.items() for row in rows))


class Stub(nn.Module):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("not yet")


class Raises(Stub):
    def forward(self, x: Any) -> Any:
        raise ZeroDivisionError("on purpose")


class OtherSignature(Stub):
    def __init__(self, one: int, two: int, three: int, four: int, five: int, six: int, seven: int, eight: int) -> None:
        super().__init__()


def stub(*args: Any, **options: Any) -> Any: raise NotImplementedError  # fmt: skip


def raises(*args: Any, **options: Any) -> Any:
    raise ZeroDivisionError("on purpose")


def other_signature(*, an_option_that_no_exercise_has: int) -> None:
    """It cannot be called as any exercise asks."""


WRONG_KINDS = [3, 2.5, "text", [1, 2], {}, object(), int, nn.Linear(2, 2), OtherSignature, other_signature]


def wants_class(number: str) -> bool:
    return isinstance(CHECKS[number].oracle, type)


@every_exercise
def test_right_answers_pass_whatever_the_random_input(number: str):
    for answer in RIGHT[number]:
        for _ in range(2):
            result = CHECKS[number](answer, recorded=False)
            assert result.passed, f"{answer.__name__}: {result}"


@every_exercise
def test_a_stub_is_not_yet(number: str):
    for answer in (Stub if wants_class(number) else stub, None, ...):
        assert CHECKS[number](answer, recorded=False).status == "not yet"


@every_mistake
def test_each_mistake_is_told_by_its_own_message(number: str, answer: Any, message: str):
    result = CHECKS[number](answer, recorded=False)
    assert (result.status, result.message) == ("wrong", message)


@every_wrong_answer
def test_other_wrong_answers_are_refused_with_these_words(number: str, answer: Any, phrase: str):
    result = CHECKS[number](answer, recorded=False)
    assert result.status == "wrong"
    assert phrase in result.message
    assert "Traceback" not in str(result)


@every_exercise
@pytest.mark.parametrize("kind", WRONG_KINDS, ids=lambda kind: getattr(kind, "__name__", type(kind).__name__))
def test_the_wrong_kind_of_thing_is_told_what_was_expected(number: str, kind: Any):
    result = CHECKS[number](kind, recorded=False)
    assert result.status == "wrong"
    assert result.message.startswith("Expected a ")


@every_exercise
def test_an_answer_that_raises_is_told_where(number: str):
    result = CHECKS[number](Raises if wants_class(number) else raises, recorded=False)
    assert result.status == "wrong"
    assert 'raise ZeroDivisionError("on purpose")`, raised ZeroDivisionError: on purpose' in result.message
