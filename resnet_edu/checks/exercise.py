"""How an exercise is judged: a right answer, the oracle, is the specification; a table names the usual mistakes.

`@exercise("05.2 He's variance", calls=…, returns=…, mistakes={message: wrong variant})` turns the oracle into a check.
The oracle's signature is the one asked for, its docstring the praise. The learner's answer, the oracle and the wrong
variants get equal arguments and equal random numbers; a mistake that explains *every* result of the answer is named.
"""

import copy
import inspect
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .progress import record
from .result import CheckResult, Graded, NotPassed, NotYet, Wrong, is_not_yet, kind_of, said_of, under_nbgrader, verdict
from .values import Returns, difference, identical, shown, tensors_in

#: A wrong variant: a function of the values of all parameters, in the oracle's order, or arguments of the oracle that
#: are fixed, private ones too: `{"padding": 0}` for an answer in which the padding has no effect.
Variant = Callable[..., Any] | dict[str, Any]

#: Every check of the course by exercise id.
REGISTRY: dict[str, "Exercise"] = {}


class Call:
    """Arguments for one call, with words for them: `conv2d(tensor (2, 3, 7, 5), …, stride=2)`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args, self.options = args, options

    def copied(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Copies of the arguments: what one side does to them, no other side sees."""
        return copy.deepcopy((self.args, self.options))

    def says(self, name: str) -> str:
        """The call as it would be written."""
        words = [shown(arg) for arg in self.args] + [f"{key}={shown(value)}" for key, value in self.options.items()]
        return f"`{name}({', '.join(words)})`"


@dataclass(eq=False, kw_only=True)
class Exercise:
    """A check that knows the right answer and, by message, wrong ones.

    Called with the learner's answer it returns the result and raises nothing (but see `result`). It runs in the cell's
    own thread, so that the stop button ends an endless loop, with float32 as default, gradients on and fresh random
    numbers; the learner's random state and modes come back afterwards.
    """

    title: str  # its id and title, "LL.E title"
    # the right answer, a function or a class; its parameters that begin with an underscore only make wrong variants
    oracle: Callable[..., Any]
    calls: Callable[[], Sequence[Call]]  # makes the calls to try, fixed ones first; drawn anew for every answer
    # wrong variants by message, the likeliest first; a list where several deserve the same message
    mistakes: Mapping[str, Variant | list[Variant]]
    last_question: Callable[[Any], None] = lambda answer: None  # for one that is right so far; raises `Wrong`

    def __post_init__(self) -> None:
        if self.title in REGISTRY:
            raise ValueError(f"Two checks are called {self.title!r}. Give each exercise an id of its own.")
        REGISTRY[self.title] = self
        asked = [p for p in inspect.signature(self.oracle).parameters.values() if not p.name.startswith("_")]
        self.signature = inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in asked])
        self.name, self.praise = self.oracle.__name__, " ".join((self.oracle.__doc__ or "Right.").split())

    def __call__(self, answer: Any, /, *, recorded: bool = True) -> CheckResult:
        """Judge an answer; a demonstration with `recorded=False` is not counted as a try."""
        if not recorded or not under_nbgrader():
            result = self.result(answer)
            return replace(result, note=record(self.title, result.status)) if recorded else result
        with redirect_stderr(sys.stdout):  # nbgrader takes what an answer writes to stderr for a failure
            result = self.result(answer)
        if not result.passed:
            raise NotPassed(str(result))
        return Graded(**vars(result))

    def result(self, answer: Any) -> CheckResult:
        """The verdict, without a trace in the notebook."""
        try:
            if answer is None or answer is ...:
                raise NotYet
            with undisturbed():
                return verdict(self.title, "passed", self.judge_answer(answer))
        except (Exception, SystemExit) as error:  # the stop button's KeyboardInterrupt passes through
            return verdict(self.title, *said_of(error))

    def judge_answer(self, answer: Any) -> str:
        """The praise; raises `Wrong` or `NotYet`."""
        raise NotImplementedError

    def as_answer(self, variant: Variant) -> Callable[..., Any]:
        """A variant with the signature that is asked for."""

        def answer(*args: Any, **options: Any) -> Any:
            if isinstance(variant, dict):
                return self.oracle(**(self.values(*args, **options) | variant))
            return variant(*self.values(*args, **options).values())

        answer.__name__ = self.name
        return answer

    def wrong_answers(self) -> list[tuple[str, Callable[..., Any]]]:
        """Every message with an answer that a learner could hand in and that deserves it."""
        pairs = ((m, each if isinstance(each, list) else [each]) for m, each in self.mistakes.items())
        return [(message, self.as_answer(variant)) for message, variants in pairs for variant in variants]

    def values(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The values of all parameters in one call, by name and in the oracle's order."""
        bound = self.signature.bind(*args, **options)
        bound.apply_defaults()
        return bound.arguments

    def need_kind(self, answer: Any, calls: Sequence[Call]) -> str:
        """Make sure that the answer is a function, or a class of modules, that takes the calls' arguments; its name."""
        if isinstance(self.oracle, type):
            expected = f"Expected a class `{self.name}{self.signature}` derived from `nn.Module`"
            if isinstance(answer, nn.Module):
                raise Wrong(f"{expected}, got a module built from it. Hand over the class itself, without calling it.")
            fits = isinstance(answer, type) and issubclass(answer, nn.Module)
        else:
            expected = f"Expected a function `{self.name}{self.signature}`"
            fits = callable(answer) and not isinstance(answer, type | nn.Module)
        if not fits:
            raise Wrong(f"{expected}, got {kind_of(answer)}.")
        name = getattr(answer, "__name__", "your function")
        try:
            parameters = inspect.signature(answer)
        except (TypeError, ValueError):  # written in C, it does not tell
            return name
        for call in calls:
            try:
                parameters.bind(*call.args, **call.options)
            except TypeError as error:
                yours = f"Yours is `{name}{parameters}` and cannot be called that way: {error}."
                raise Wrong(f"{expected}. {yours}") from None
        return name


@dataclass(eq=False, kw_only=True)
class FunctionExercise(Exercise):
    """The check of a function: its results, and where wanted the gradients through it, equal the oracle's."""

    returns: Returns  # what an answer may return, see `values`
    gradients: bool = False  # compare the gradients of all tensors as well
    # part of the name of a PyTorch function, like "conv", and what to say to someone who uses it
    forbids: Mapping[str, str] = field(default_factory=dict)
    may_change: Sequence[str] = ()  # parameters whose values the answer is meant to change

    def judge_answer(self, answer: Any) -> str:
        """The oracle's praise; raises `NotYet` where the answer returns nothing, `Wrong` where it differs."""
        calls = self.calls()
        name = self.need_kind(answer, calls)
        seed = random.getrandbits(32)
        watch = Watch()
        with watch if self.forbids else nullcontext():
            raw = [self.attempt(answer, call, name, seed) for call in calls]
        if all(value is None or value is ... for value in raw):
            raise NotYet
        got = [value if isinstance(value, Exception) else self.cleaned(value, seed) for value in raw]
        wanted = [self.outcome(self.oracle, call, seed) for call in calls]
        faults = [difference(mine, right, self.returns.tolerance) for mine, right in zip(got, wanted, strict=True)]
        if any(faults):
            self.name_mistake(got, calls, seed)
            for value, call, fault in zip(got, calls, faults, strict=True):
                if fault and isinstance(value, Exception):
                    raise value
                if fault:
                    raise Wrong(f"{call.says(name)}: {fault}.")
        for part, message in self.forbids.items():
            if any(part in each and each != "_set_grad_enabled" for each in watch.names):
                raise Wrong(message)
        if self.gradients:
            for call in calls:
                self.need_gradients(answer, call, name, seed)
        self.last_question(answer)
        return self.praise

    def attempt(self, answer: Callable[..., Any], call: Call, name: str, seed: int) -> Any:
        """The answer's value for one call, or the error that it raised, with a note that says which call it was."""
        args, options = call.copied()
        seed_all(seed)
        try:
            value = answer(*args, **options)
        except Exception as error:
            if is_not_yet(error):
                raise
            error.add_note(f"It was called as {call.says(name)}.")
            return error
        before, after = self.values(*call.args, **call.options), self.values(*args, **options)
        for key in before:
            if key not in self.may_change and not identical(before[key], after[key]):
                kind = next((word for cls, word in KINDS.items() if isinstance(before[key], cls)), "value")
                hint = "Work on a copy; leave the caller's alone."
                if kind == "network" and any(p.grad is not None for p in after[key].parameters()):
                    hint = "`backward()` leaves gradients in it, to which the next step would add; use `autograd.grad`."
                raise Wrong(f"`{name}` changes the {kind} it is given as `{key}`. {hint}")
        return value

    def cleaned(self, value: Any, seed: int) -> Any:
        """A returned value in the form in which it is compared; looking at it may take random numbers as well."""
        seed_all(seed)
        return self.returns.clean(value)

    def outcome(self, function: Callable[..., Any], call: Call, seed: int) -> Any:
        """What the oracle or a wrong variant returns for one call; the error where it raises one."""
        args, options = call.copied()
        seed_all(seed)
        try:
            return self.cleaned(function(*args, **options), seed)
        except Exception as error:
            return error

    def name_mistake(self, got: Sequence[Any], calls: Sequence[Call], seed: int) -> None:
        """Find the variant that does the same in every call, errors of the same type included."""
        if all(isinstance(value, Exception) for value in got):
            return
        for message, answer in self.wrong_answers():
            theirs = (self.outcome(answer, call, seed) for call in calls)  # as far as they agree
            if all(not difference(a, b, self.returns.tolerance) for a, b in zip(got, theirs, strict=True)):
                raise Wrong(message)

    def need_gradients(self, answer: Callable[..., Any], call: Call, name: str, seed: int) -> None:
        """The gradients that reach the call's tensors, under one random weighting of the result, are the oracle's."""
        sides = []
        for function in (self.oracle, answer):
            args, options = call.copied()
            leaves = tensors_in(self.values(*args, **options))
            for leaf in leaves.values():
                leaf.requires_grad_()
            seed_all(seed)
            out = function(*args, **options)
            if not out.requires_grad:
                raise Wrong(
                    f"The values are right, but `{name}` cuts the result off from autograd, so nothing could be "
                    "trained through it. Leave out `.item()`, `float()`, `.detach()`, `.data`, NumPy and "
                    "`torch.no_grad()`."
                )
            out.backward(torch.linspace(-1, 2, out.numel()).reshape(out.shape))
            sides.append({key: leaf.grad for key, leaf in leaves.items()})
        for key, right in sides[0].items():
            if right is not None and (sides[1][key] is None or difference(sides[1][key], right)):
                raise Wrong(
                    f"The values are right, but the gradient of `{key}` is not. Is a part of the computation done with "
                    "`.item()`, `.detach()`, `.data` or NumPy?"
                )


KINDS = {Tensor: "tensor", list: "list", dict: "dictionary", nn.Module: "network"}


def exercise(title: str, **specification: Any) -> Callable[[Callable[..., Any]], FunctionExercise]:
    """Turn a function, the oracle, into the check of its exercise; see the attributes of `FunctionExercise`."""
    return lambda oracle: FunctionExercise(title=title, oracle=oracle, **specification)


class Watch(TorchFunctionMode):
    """Notes the name of each PyTorch function that is called inside `with Watch() as watch:`."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


def seed_all(seed: int) -> None:
    """Start all random numbers of the CPU anew: `torch.manual_seed` would reach a GPU that is not in use yet."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Fresh random numbers and PyTorch's usual modes inside; the learner's come back afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    cpu = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    try:
        with torch.random.fork_rng(gpus), torch.inference_mode(False), torch.enable_grad(), cpu:
            seed_all(int.from_bytes(os.urandom(4), "little"))
            torch.set_default_dtype(torch.float32)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_default_dtype(states[2])
