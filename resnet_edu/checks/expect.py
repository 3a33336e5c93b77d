"""The questions that checks ask of an answer: is it the right kind of thing, and does it behave like the oracle?

When it does not, a list of known mistakes is tried: a mistake that explains *every* answer is named.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .explain import kind_of
from .runner import NotYet, Wrong


class Call:
    """Arguments for one call, with words for them: `conv2d(x of shape (2, 3, 7, 5), …, stride=2)`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args, self.options = args, options

    def of(self, function: Callable[..., Any]) -> Any:
        """Call `function` with copies of the arguments."""
        return function(*[copied(arg) for arg in self.args], **self.options)

    def says(self, name: str) -> str:
        """The call as it would be written."""
        words = [shown(arg) for arg in self.args] + [f"{key}={shown(value)}" for key, value in self.options.items()]
        return f"`{name}({', '.join(words)})`"


@dataclass(frozen=True)
class Mistake:
    """A wrong variant of the oracle and what to say to someone who wrote it."""

    variant: Callable[..., Any]
    message: str


def copied(value: Any) -> Any:
    """A tensor of its own for every call, so that nothing done in place reaches the next one."""
    return value.detach().clone().requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value


def shown(value: Any) -> str:
    """A value inside a written call; tensors by their shape."""
    return f"tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def alike(got: Any, wanted: Any, *, tolerance: float = 1e-4) -> bool:
    """Whether two answers are the same: tensors in shape and to `tolerance`, everything else by `==`."""
    if isinstance(wanted, Tensor):
        if not isinstance(got, Tensor) or got.shape != wanted.shape:
            return False
        return torch.allclose(got.detach().float(), wanted.detach().float(), rtol=tolerance, atol=tolerance)
    return not isinstance(got, Tensor) and type(got) is type(wanted) and bool(got == wanted)


def six_digits(value: float) -> float:
    """A number to six significant digits, so that the order of the operations does not matter.

    A number with few decimals, like 0.0046875 to four digits, may lie just half way between two others; there the
    last bit of the computation would decide. All are moved by a little, so that none lies there.
    """
    return float(f"{value * (1 + 3e-10):.6g}")


def need_function(answer: object, signature: str, *args: Any, **options: Any) -> str:
    """Make sure that `answer` is a function that can be called with `args` and `options`; its name.

    Raises:
        Wrong: it is something else; `signature` is what is shown as expected.
    """
    if not callable(answer) or isinstance(answer, type | nn.Module):
        raise Wrong(f"Expected a function `{signature}`, got {kind_of(answer)}.")
    name = getattr(answer, "__name__", "your function")
    need_call(answer, f"Expected a function `{signature}`.", name, args, options)
    return name


def need_module_class(answer: object, signature: str, *args: Any, **options: Any) -> str:
    """Make sure that `answer` is a subclass of `nn.Module` that can be built with `args` and `options`; its name.

    Raises:
        Wrong: it is something else; `signature` is what is shown as expected.
    """
    expected = f"Expected a class `{signature}` derived from `nn.Module`"
    if isinstance(answer, nn.Module):
        raise Wrong(f"{expected}, got a module built from it. Hand over the class itself, without calling it.")
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        raise Wrong(f"{expected}, got {kind_of(answer)}.")
    need_call(answer, f"{expected}.", answer.__name__, args, options)
    return answer.__name__


def need_call(answer: Callable[..., Any], expected: str, name: str, args: tuple, options: dict[str, Any]) -> None:
    """Make sure that the arguments fit the parameters.

    Raises:
        Wrong: they do not.
    """
    try:
        parameters = inspect.signature(answer)
    except (TypeError, ValueError):  # written in C, it does not tell
        return
    try:
        parameters.bind(*args, **options)
    except TypeError as error:
        raise Wrong(f"{expected} Yours is `{name}{parameters}` and cannot be called that way: {error}.") from None


def judge(
    answer: Callable[..., Any],
    oracle: Callable[..., Any],
    calls: Sequence[Call],
    mistakes: Sequence[Mistake],
    *,
    name: str,
    clean: Callable[[Any], Any] = lambda value: value,
) -> None:
    """Compare the answer with the oracle on every call.

    Args:
        answer: the learner's function.
        oracle: what it should equal.
        calls: the arguments to try.
        mistakes: known wrong variants; the first that explains all of the answers is named.
        name: the answer's name, for messages.
        clean: applied to each of the learner's values first; may raise `Wrong` where it is the wrong kind.

    Raises:
        NotYet: the answer returns nothing.
        Wrong: it differs from the oracle, or changes its arguments.
    """
    got = [clean(attempt(answer, call, name)) for call in calls]
    wanted = [call.of(oracle) for call in calls]
    differing = [i for i in range(len(calls)) if not alike(got[i], wanted[i])]
    if not differing:
        return
    for mistake in mistakes:
        if all(alike(value, tried(mistake.variant, call)) for call, value in zip(calls, got, strict=True)):
            raise Wrong(mistake.message)
    i = differing[0]
    raise Wrong(f"{calls[i].says(name)}: {difference(got[i], wanted[i])}")


def attempt(answer: Callable[..., Any], call: Call, name: str) -> Any:
    """The answer's value for one call; an error gets a note that says which call it was."""
    args = [copied(arg) for arg in call.args]
    try:
        value = answer(*args, **call.options)
    except Exception as error:
        error.add_note(f"It was called as {call.says(name)}.")
        raise
    if value is None or value is ...:
        raise NotYet
    for arg, before in zip(args, call.args, strict=True):
        if isinstance(arg, Tensor) and not torch.equal(arg, before):
            raise Wrong(f"`{name}` changes the tensor it is given. Work on a new tensor; leave the caller's alone.")
    return value


def same_gradients(answer: Callable[..., Any], oracle: Callable[..., Any], call: Call, *, name: str) -> None:
    """Compare the gradients that reach the call's tensors, under one random weighting of the result.

    Raises:
        Wrong: a gradient does not arrive, or is another one than the oracle's.
    """
    for arg in call.args:
        arg.requires_grad_()
    args = [copied(arg) for arg in call.args]
    wanted = oracle(*call.args, **call.options)
    weighting = torch.randn_like(wanted)
    wanted.backward(weighting)
    out = answer(*args, **call.options)
    if not out.requires_grad:
        raise Wrong(
            f"The values are right, but `{name}` cuts the result off from autograd, so nothing could be trained "
            "through it. Leave out `.item()`, `float()`, `.detach()`, `.data`, NumPy and `torch.no_grad()`."
        )
    out.backward(weighting)
    for i, (mine, theirs) in enumerate(zip(args, call.args, strict=True), start=1):
        if mine.grad is None or not alike(mine.grad, theirs.grad):
            raise Wrong(
                f"The values are right, but the gradient of argument {i} of `{name}` is not. Is a part of the "
                "computation done with `.item()`, `.detach()`, `.data` or NumPy?"
            )


def tried(variant: Callable[..., Any], call: Call) -> Any:
    """A wrong variant's value, or None where it cannot take the call."""
    try:
        return call.of(variant)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None


def difference(got: Any, wanted: Any) -> str:
    """In words, how a value differs from the expected one."""
    if not isinstance(wanted, Tensor) or not isinstance(got, Tensor):
        return f"expected {kind_of(wanted)}, got {kind_of(got)}."
    if got.shape != wanted.shape:
        return f"expected a tensor of shape {tuple(wanted.shape)}, got shape {tuple(got.shape)}."
    largest = (got.detach().float() - wanted.detach().float()).abs().max().item()
    return f"the shape is right, the values are not; the largest difference is {largest:.2g}."


class Watch(TorchFunctionMode):
    """Notes the names of the PyTorch functions that are called inside `with Watch() as watch:`."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the name, then do what was asked."""
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))
