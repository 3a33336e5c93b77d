"""Every check: the right answers pass, the stub is "not yet", each wrong answer gets a message of its own."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import mutants
import pytest
import torch
from mutants import Exercise
from torch import nn

from resnet_edu.checks.exercise import REGISTRY, Exercise as CheckByOracle

MODULES = [importlib.import_module(f"mutants.{module.name}") for module in pkgutil.iter_modules(mutants.__path__)]
EXERCISES: list[Exercise] = [exercise for module in MODULES for exercise in module.EXERCISES]


def named(answer: Callable[..., Any]) -> str:
    return getattr(answer, "__name__", "answer").replace("<lambda>", "lambda")


every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=[e.check.exercise for e in EXERCISES])
every_mutant = pytest.mark.parametrize(
    ("exercise", "mutant", "phrase"),
    [
        pytest.param(e, mutant, phrase, id=f"{e.check.exercise} {named(mutant)} {phrase}")
        for e in EXERCISES
        for mutant, phrase in e.mutants
    ],
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors gain nothing from more, and a busy machine loses much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def progress_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_EDU_PROGRESS", str(tmp_path / "progress.json"))


def test_every_check_has_answers_here():
    assert sorted(e.check.exercise for e in EXERCISES) == sorted(
        title for title, check in REGISTRY.items() if not isinstance(check, CheckByOracle)
    )


@every_exercise
def test_at_least_six_mutants_with_phrases_of_their_own(exercise: Exercise):
    phrases = [phrase for _, phrase in exercise.mutants]
    assert len(set(phrases)) == len(phrases) >= 6


@every_exercise
def test_right_answers_pass_whatever_the_random_input(exercise: Exercise):
    for answer in (exercise.reference, exercise.reference, exercise.reference, *exercise.others):
        result = exercise.check(answer)
        assert result.passed, f"{named(answer)}: {result}"


@every_exercise
def test_a_stub_is_not_yet(exercise: Exercise):
    for stub in (exercise.stub, None, ...):
        assert exercise.check(stub).status == "not yet"


@every_mutant
def test_a_mutant_is_refused_with_a_message_of_its_own(exercise: Exercise, mutant: Callable[..., Any], phrase: str):
    result = exercise.check(mutant)
    assert result.status == "wrong"
    assert phrase in result.message
    others = [other for _, other in exercise.mutants if other != phrase and other in result.message]
    assert not others, f"the message would suit these as well: {others}"
    assert "Traceback" not in str(result)


class OtherSignature(nn.Module):
    def __init__(self, one: int, two: int, three: int, four: int, five: int) -> None:
        super().__init__()


def raises(*args: Any, **options: Any) -> None:
    raise ZeroDivisionError("on purpose")


def with_another_signature(one: int, two: int, three: int, four: int, five: int) -> None:
    """Five arguments, which no exercise has."""


class Raises(nn.Module):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(1, 1).weight)

    def forward(self, x: Any) -> None:
        raise ZeroDivisionError("on purpose")


WRONG_KINDS = [3, 2.5, "text", [1, 2], {}, object(), int, nn.Linear(2, 2), OtherSignature, with_another_signature]


@every_exercise
@pytest.mark.parametrize("kind", WRONG_KINDS, ids=lambda kind: getattr(kind, "__name__", type(kind).__name__))
def test_the_wrong_kind_of_thing_is_told_what_was_expected(exercise: Exercise, kind: Any):
    result = exercise.check(kind)
    assert result.status == "wrong"
    assert "Expected" in result.message


@every_exercise
def test_an_answer_that_raises_is_told_where(exercise: Exercise):
    is_class = isinstance(exercise.reference, type)
    result = exercise.check(Raises if is_class else raises)
    assert result.status == "wrong"
    assert 'raise ZeroDivisionError("on purpose")`, raised ZeroDivisionError: on purpose' in result.message
