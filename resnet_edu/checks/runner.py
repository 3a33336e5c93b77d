"""What every check has in common: it answers in time, never with a traceback, and leaves the notebook as it was.

A check is a function that takes the learner's answer, raises `Wrong` where it finds a mistake and returns a
sentence where it finds none. `@check("01.2 conv2d")` makes it answer with a `CheckResult`.
"""

import functools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from .deadline import GRACE, Outcome, run_with_deadline
from .explain import explain, is_not_yet, learners_line
from .grading import GRADING_DEADLINE, graded, under_nbgrader
from .progress_table import record
from .result import CheckResult, Status

#: Seconds that an answer may take; with the grace period for stopping it, ten at most.
DEADLINE = 10.0 - 2 * GRACE

#: What a check says about a stub.
NOT_YET = "Nothing to judge yet. Complete the exercise above, run its cell, then run this one again."


class Wrong(Exception):
    """The answer is wrong; the message names the likely mistake."""


class NotYet(Exception):
    """The answer is a stub, or a part of it is."""


class Check(Protocol):
    """A finished check: takes the learner's answer, returns the result, raises nothing (but see `grading`)."""

    __name__: str
    exercise: str

    def __call__(self, answer: Any, /, *, deadline: float = DEADLINE, recorded: bool = True) -> CheckResult:
        """Judge `answer` within `deadline` seconds; a demonstration with `recorded=False` is not counted as a try."""
        ...


#: Every check of the course by exercise id, in the order of the lessons.
REGISTRY: dict[str, Check] = {}


def check(exercise: str) -> Callable[[Callable[[Any], str]], Check]:
    """Decorate a check's body and register it under its exercise id, "LL.E title".

    The body runs in a thread with a deadline, with float32 as default and fresh random numbers; the learner's
    random state comes back afterwards. It gets the answer, raises `Wrong` or `NotYet`, returns praise.
    Whatever else is raised in it was raised by the answer and is explained.

    Raises:
        ValueError: another check has this id.
    """

    def decorate(body: Callable[[Any], str]) -> Check:
        def judge(answer: Any, deadline: float) -> CheckResult:
            if answer is None or answer is ...:
                return CheckResult(exercise, "not yet", NOT_YET)
            with undisturbed():
                outcome = run_with_deadline(lambda: body(answer), deadline)
            return CheckResult(exercise, *judged(outcome, deadline), outcome.printed)

        @functools.wraps(body)
        def run(answer: Any, /, *, deadline: float = DEADLINE, recorded: bool = True) -> CheckResult:
            if recorded and under_nbgrader():
                return graded(lambda: judge(answer, max(deadline, GRADING_DEADLINE)))
            result = judge(answer, deadline)
            return replace(result, note=record(exercise, result.status)) if recorded else result

        if exercise in REGISTRY:
            raise ValueError(f"Two checks are called {exercise!r}. Give each exercise an id of its own.")
        finished: Any = run
        finished.exercise = exercise
        REGISTRY[exercise] = finished
        return finished

    return decorate


def judged(outcome: Outcome, deadline: float) -> tuple[Status, str]:
    """Status and message for the way a check's body ended."""
    error = outcome.error
    if outcome.timed_out:
        message = f"No answer after {deadline:g} seconds. Does a loop in your code never end?"
        if outcome.cpu_seconds < deadline / 2:
            message += (
                f" The processor worked on it for only {outcome.cpu_seconds:.1f} of these seconds. If other programs "
                "keep the machine busy, run this cell again."
            )
        if outcome.still_running:
            message += " It could not be stopped and still runs: restart the kernel before you go on."
        return "wrong", message
    if error is None:
        return "passed", str(outcome.value)
    if isinstance(error, Wrong):
        return "wrong", str(error)
    if isinstance(error, NotYet) or is_not_yet(error):
        where = learners_line(error.__traceback__)
        return "not yet", NOT_YET + (f" Still open: `{where[0]}`, line {where[1]} of its cell." if where else "")
    return "wrong", explain(error)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Draw fresh random numbers inside, and give the learner's random states and default dtype back afterwards.

    Only PyTorch's CPU generator is seeded: `torch.manual_seed` would reach a GPU that is not in use yet.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_default_dtype()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    seed = int.from_bytes(os.urandom(4), "little")
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_default_dtype(states[3])
        if on_gpu is not None:
            torch.cuda.set_rng_state_all(on_gpu)
