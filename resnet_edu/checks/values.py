"""What an answer may return, when two values are the same, and how a difference is put into words."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .result import NotYet, Wrong, kind_of


@dataclass(frozen=True)
class Returns:
    """What an answer may return."""

    # takes a value that was returned and gives it in the form in which it is compared; raises `Wrong` where it is the
    # wrong kind of thing
    clean: Callable[[Any], Any]
    # relative difference up to which numbers count as equal; whole numbers are compared exactly
    tolerance: float = 1e-4


def need(fits: bool, words: str, value: Any) -> None:
    """Refuse a value that is not the kind of thing that the words ask for."""
    if not fits:
        raise Wrong(f"Expected {words}, got {kind_of(value)}.")


def number(words: str = "one number", *, tolerance: float = 1e-5) -> Returns:
    """One number: of Python or NumPy, or a tensor or array with one element."""

    def clean(value: Any) -> float:
        value = plain(value)
        need(isinstance(value, int | float) and not isinstance(value, bool), words, value)
        return float(value)

    return Returns(clean, tolerance)


def whole(words: str = "a whole number", *, hint: str = "Divide with `//`, not with `/`.") -> Returns:
    """One whole number, as `number`; 3.0 is refused with the hint."""

    def clean(value: Any) -> int:
        value = plain(value)
        if isinstance(value, float):
            raise Wrong(f"Expected {words}, got the float {value}. {hint}".rstrip())
        need(isinstance(value, int) and not isinstance(value, bool), words, value)
        return value

    return Returns(clean)


def tensor(words: str = "a tensor", *, ndim: int | None = None, tolerance: float = 1e-4) -> Returns:
    """A tensor; with `ndim=0` one with a single element, whatever its shape."""

    def clean(value: Any) -> Tensor:
        need(isinstance(value, Tensor) and (ndim != 0 or value.numel() == 1), words, value)
        return value.reshape(()) if ndim == 0 else value

    return Returns(clean, tolerance)


def text(words: str, *, among: Sequence[str] = ()) -> Returns:
    """A string, in any case and without spaces around it; one of `among` where these are given."""

    def clean(value: Any) -> str:
        need(isinstance(value, str), words, value)
        name: str = value.strip()
        known = {each.lower(): each for each in among}
        if among and name.lower() not in known:
            raise Wrong(f"Expected {words}, got `{value}`. Known: {', '.join(among)}.")
        return known.get(name.lower(), name)

    return Returns(clean)


def several(words: str, *parts: Returns) -> Returns:
    """A tuple or list of so many values, each with a kind of its own."""

    def clean(value: Any) -> list[Any]:
        need(isinstance(value, tuple | list) and len(value) == len(parts), words, value)
        return [part.clean(each) for part, each in zip(parts, value, strict=True)]

    return Returns(clean, max(part.tolerance for part in parts))


def listed(words: str, each: Returns) -> Returns:
    """A list or tuple of any length, all of one kind."""

    def clean(value: Any) -> list[Any]:
        need(isinstance(value, tuple | list), words, value)
        return [each.clean(one) for one in value]

    return Returns(clean, each.tolerance)


def mapping(words: str, each: Returns) -> Returns:
    """A dictionary with values of one kind; the order of its keys does not matter."""

    def clean(value: Any) -> dict[Any, Any]:
        need(isinstance(value, Mapping), words, value)
        return {key: each.clean(one) for key, one in value.items()}

    return Returns(clean, each.tolerance)


def optional(returns: Returns) -> Returns:
    """The same, or None."""
    return Returns(lambda value: None if value is None else returns.clean(value), returns.tolerance)


def seen(words: str, kind: type, look: Callable[[Any], Mapping[str, Any]], *, tolerance: float = 1e-4) -> Returns:
    """A thing of some kind that is judged by what one sees of it: `look` gives facts by their names in words."""

    def clean(value: Any) -> Mapping[str, Any]:
        need(isinstance(value, kind), words, value)
        return look(value)

    return Returns(clean, tolerance)


def plain(value: Any) -> Any:
    """A scalar of NumPy, or a tensor or array with one element, as Python's number; anything else as it is."""
    if value is ...:
        raise NotYet
    one = isinstance(value, np.generic) or (isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1)
    return value.item() if one else value


def difference(got: Any, wanted: Any, tolerance: float = 1e-4) -> str | None:
    """In words, how a value differs from the expected one; None where it does not."""
    match wanted:
        case Exception():
            return None if type(got) is type(wanted) else f"got {kind_of(got)}"
        case Tensor():
            return tensor_difference(got, wanted, tolerance)
        case dict() if isinstance(got, dict):
            for key in wanted:
                if key not in got:
                    return f"{shown(key)} is missing"
                if fault := difference(got[key], wanted[key], tolerance):
                    return f"{key}: {fault}"
            return next((f"{shown(key)} should not be there" for key in got if key not in wanted), None)
        case list() | tuple() if isinstance(got, list | tuple):
            if len(got) != len(wanted):
                return f"expected {len(wanted)} entries, {shown(wanted)}, got {len(got)}, {shown(got)}"
            pairs = zip(got, wanted, strict=True)
            faults = ((i, difference(mine, right, tolerance)) for i, (mine, right) in enumerate(pairs))
            return next((f"at position {i}: {fault}" for i, fault in faults if fault), None)
        case float() if isinstance(got, int | float):
            same = math.isclose(got, wanted, rel_tol=tolerance, abs_tol=1e-12) or (got != got and wanted != wanted)
            return None if same else "expected {}, got {}".format(*digits(wanted, got))
    same = type(got) is type(wanted) and bool(got == wanted)
    return None if same else f"expected {shown(wanted)}, got {shown(got)}"


def tensor_difference(got: Any, wanted: Tensor, tolerance: float) -> str | None:
    """In words, how a tensor differs from the expected one; the tolerance is relative to its largest element."""
    if not isinstance(got, Tensor):
        return f"expected {kind_of(wanted)}, got {kind_of(got)}"
    if got.shape != wanted.shape:
        return f"expected a tensor of shape {tuple(wanted.shape)}, got shape {tuple(got.shape)}"
    dtype = torch.promote_types(torch.promote_types(got.dtype, wanted.dtype), torch.float32)
    mine, right = got.detach().to(dtype), wanted.detach().to(dtype)
    scale = max(right.abs().nan_to_num(posinf=0).max().item(), 1e-2) if right.numel() else 1.0
    if torch.allclose(mine, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
        return None
    largest = (mine - right).abs().max().item()
    return f"the shape is right, the values are not; the largest difference is {largest:.2g}"


def digits(*values: float) -> list[str]:
    """Numbers with as many digits as tell them apart, four at least."""
    words = ([f"{value:.{precision}g}" for value in values] for precision in range(4, 18))
    return next((each for each in words if len(set(each)) == len(each)), [repr(value) for value in values])


def shown(value: Any) -> str:
    """A value inside a sentence or a written call; tensors by their shape."""
    match value:
        case Tensor():
            return f"tensor {tuple(value.shape)}" if value.ndim else digits(value.item())[0]
        case nn.Module() | torch.optim.Optimizer():
            return f"a {type(value).__name__}"
        case FunctionType():
            return "a function"
        case dict():
            return "{" + ", ".join(f"{key!r}: {shown(each)}" for key, each in value.items()) + "}"
        case tuple() if hasattr(value, "_fields"):
            return f"{type(value).__name__}({', '.join(map(shown, value))})"
        case list() | tuple():
            words = ", ".join(map(shown, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
            return f"({words})" if isinstance(value, tuple) else f"[{words}]"
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + " …"


def identical(one: Any, other: Any) -> bool:
    """Whether an argument is still what it was: in values, order and, for a network, modes, frozen parts and hooks."""
    match one:
        case Tensor():
            if not isinstance(other, Tensor) or one.shape != other.shape:
                return False
            return one.is_meta or bool(((one == other) | (one != one)).all())  # nan equals nan here
        case nn.Module():
            return identical(traits(one), traits(other))
        case Mapping():
            return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
        case list() | tuple():
            return len(one) == len(other) and all(map(identical, one, other))
    if type(one).__eq__ is object.__eq__ and hasattr(one, "__dict__"):
        return one is other or identical(vars(one), vars(other))
    return bool(one == other)


def traits(net: nn.Module) -> dict[str, Any]:
    """What somebody who lends a network expects to find again; gradients left in it would add to the next step's."""
    parts = {
        name: [type(part).__name__, part.training, len(part._forward_hooks), len(part._forward_pre_hooks)]
        for name, part in net.named_modules()
    }
    free = {name: [parameter.requires_grad, parameter.grad is None] for name, parameter in net.named_parameters()}
    return {"values": dict(net.state_dict()), "parts": parts, "free": free}


def tensors_in(value: Any, name: str = "") -> dict[str, Tensor]:
    """The floating-point tensors inside arguments, by name."""
    if isinstance(value, Tensor):
        return {name: value} if value.is_floating_point() else {}
    pairs: Sequence[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        pairs = [(f"{name}[{key!r}]" if name else key, each) for key, each in value.items()]
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        pairs = [(f"{name}[{field}]", each) for field, each in zip(fields, value, strict=True)]
    return {key: found for label, each in pairs for key, found in tensors_in(each, label).items()}
