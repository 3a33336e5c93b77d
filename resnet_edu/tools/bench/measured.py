"""A number with its spread, and sides that take turns so that a slow moment of the machine meets all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measured:
    """The values of several rounds, in the order they were measured; quoted as median (lowest to highest)."""

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value, or the mean of the two in the middle."""
        return median(self.values)

    def __str__(self) -> str:
        """For example `613 (598–640)`; three digits count."""
        low, high = min(self.values), max(self.values)
        return f"{digits(self.median)} ({digits(low)}–{digits(high)})"

    def short(self) -> str:
        """For example `613 ±4 %`: the largest distance from the median."""
        away = max(abs(value - self.median) for value in self.values)
        return f"{digits(self.median)} ±{100 * away / abs(self.median):.0f} %"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "unit": self.unit,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measured":
        """The inverse of `to_dict`."""
        return cls(values["unit"], tuple(values["values"]))


def digits(value: float) -> str:
    """Three digits, without an exponent: 1,234, 56.7, 0.123."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def ratio(unit: str, above: Sequence[float], below: Sequence[float]) -> Measured:
    """The quotients of values that were measured in the same rounds."""
    return Measured(unit, tuple(one / other for one, other in zip(above, below, strict=True)))


def turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Each name once a round; every other round in reverse, so that nobody is always the first."""
    for number in range(rounds):
        yield from names if number % 2 == 0 else reversed(names)


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Let each side measure itself once a round; the values of each, a round's at the same place in all."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for name in turns(list(sides), rounds):
        values[name].append(sides[name]())
    return {name: tuple(some) for name, some in values.items()}
