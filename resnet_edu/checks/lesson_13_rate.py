"""The check of lesson 13 on the learning rate: in proportion to the batch, after a warm-up."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from .expect import Call, Mistake, judge, need_function, six_digits
from .explain import kind_of
from .runner import Wrong, check

Rate = Callable[..., float]

BASE_RATE, BASE_BATCH = 0.1, 256  # He et al. 2015, section 3.4


def ramp(scale: Callable[[float], float], start: Callable[[float, float], float] = lambda base, target: base,
         share: Callable[[int, int], float] = lambda step, warmup: step / warmup) -> Rate:  # fmt: skip
    """A linear rise over the warm-up to the base rate times `scale(k)`.

    Args:
        scale: of k, how many times larger than the base batch the batch is.
        start: of base rate and final rate, where the rise begins.
        share: of step and warm-up steps, how far the rise has come.
    """

    def rate(step: int, batch_size: int, warmup_steps: int) -> float:
        target = BASE_RATE * scale(batch_size / BASE_BATCH)
        if step >= warmup_steps:
            return target
        first = start(BASE_RATE, target)
        return first + (target - first) * share(step, warmup_steps)

    return rate


def linear(k: float) -> float:
    """The rule."""
    return k


oracle = ramp(linear)


def never_stops(step: int, batch_size: int, warmup_steps: int) -> float:
    """Rises on and on."""
    target = BASE_RATE * batch_size / BASE_BATCH
    return target if not warmup_steps else BASE_RATE + (target - BASE_RATE) * step / warmup_steps


def product(step: int, batch_size: int, warmup_steps: int) -> float:
    """The base rate during the warm-up, and the final one at once afterwards."""
    return oracle(step, batch_size, 0) if step >= warmup_steps else BASE_RATE


def exponential(step: int, batch_size: int, warmup_steps: int) -> float:
    """Equal factors instead of equal steps."""
    return BASE_RATE * (batch_size / BASE_BATCH) ** (min(1.0, step / warmup_steps) if warmup_steps else 1.0)


MISTAKES = tuple(
    Mistake(variant, message)
    for variant, message in (
        (ramp(lambda k: 1.0), "The batch size has no effect. A batch k times as large gets k times the base rate."),
        (ramp(math.sqrt), "You scale with the square root of k. The linear rule multiplies by k itself."),
        (ramp(lambda k: 1 / k), "You divide by k. A larger batch means fewer steps, so each has to be larger."),
        (ramp(lambda k: k / BASE_RATE), "You forget the base rate: k alone is no learning rate."),
        (ramp(lambda k: k * BASE_BATCH), "You multiply by the batch size itself. What counts is how many times larger "
         "than the base batch it is."),
        (ramp(linear, lambda base, target: 0.0), "Your warm-up begins at 0. It begins at the base rate."),
        (ramp(linear, lambda base, target: target / 10), "Your warm-up begins at a tenth of the final rate. It begins "
         "at the base rate, whatever the final one is."),
        (ramp(linear, lambda base, target: target), "There is no warm-up: the first step has the final rate already."),
        (ramp(linear, share=lambda step, warmup: (step + 1) / warmup), "Your warm-up is a step ahead: step 0 has the "
         "base rate, step `warmup_steps` the final one."),
        (ramp(linear, share=lambda step, warmup: max(0, step - 1) / warmup), "Your warm-up is a step behind: step 0 "
         "has the base rate, step `warmup_steps` the final one."),
        (ramp(linear, share=lambda step, warmup: step / max(1, warmup - 1)), "You reach the final rate one step too "
         "early: at step `warmup_steps - 1`."),
        (ramp(linear, share=lambda step, warmup: 1 - step / warmup), "Your rate falls during the warm-up and jumps "
         "afterwards: it has to rise."),
        (never_stops, "Your rate goes on rising after the warm-up. From step `warmup_steps` on it stays where it is."),
        (product, "Your rate stays at the base rate and then jumps. That is the constant warm-up; here it rises a "
         "little at each step."),
        (exponential, "Your rate is multiplied by the same factor at each step. Add the same amount at each step."),
    )
)  # fmt: skip


@check("13.2 scale the learning rate")
def check_scaled_rate(scaled_rate: Any) -> str:
    """`scaled_rate(step, batch_size, warmup_steps) -> float`: base rate 0.1 for 256 images, linear rule, warm-up."""
    calls = [
        *(Call(step, 8192, 10) for step in (0, 1, 4, 9, 10, 11, 500)),
        *(Call(step, 1024, 7) for step in (0, 3, 6, 7, 8)),
        Call(3, 256, 10),
        Call(2, 64, 8),  # a smaller batch: the rate falls
    ]
    name = need_function(scaled_rate, "scaled_rate(step, batch_size, warmup_steps)", 0, 256, 10)
    judge(scaled_rate, rounded(oracle), calls, [Mistake(rounded(m.variant), m.message) for m in MISTAKES], name=name,
          clean=lambda value: need_rate(value, name))  # fmt: skip
    try:
        value = need_rate(scaled_rate(0, 1024, 0), name)
    except ZeroDivisionError:
        raise Wrong("With `warmup_steps=0` you divide by zero. Ask first whether the warm-up is over.") from None
    if value != rounded(oracle)(0, 1024, 0):
        raise Wrong(
            f"Without a warm-up (`warmup_steps=0`) step 0 has the final rate, 0.4 for 1,024 images, not {value:g}."
        )
    return "From 64 images a batch to 8,192, during the warm-up and after it."


def rounded(rate: Rate) -> Rate:
    """Six digits, so that the order of the operations does not matter."""
    return lambda *args: six_digits(rate(*args))


def need_rate(value: Any, name: str) -> float:
    """The value as a float with six digits.

    Raises:
        Wrong: it is no number.
    """
    if isinstance(value, Tensor) and value.ndim == 0 and value.dtype.is_floating_point:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"Expected a learning rate from `{name}`, a number, got {kind_of(value)}.")
    return six_digits(value)
