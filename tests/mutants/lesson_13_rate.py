"""Answers to the exercise of lesson 13 on the learning rate."""

import math

from resnet_edu import checks

from . import Exercise


def scaled_rate(step, batch_size, warmup_steps):
    base, final = 0.1, 0.1 * batch_size / 256
    if step >= warmup_steps:
        return final
    return base + (final - base) * step / warmup_steps


def scaled_rate_stub(step, batch_size, warmup_steps):
    raise NotImplementedError("not yet")


def with_min(step, batch_size, warmup_steps):
    """Right as well: one formula, the share capped at 1."""
    share = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return 0.1 * (1 + (batch_size / 256 - 1) * share)


def ramp(final, start=lambda final: 0.1, share=lambda step, warmup: step / warmup):
    """A rise from `start(final)` to `final(k)`."""

    def wrong(step, batch_size, warmup_steps):
        last = final(batch_size / 256)
        if step >= warmup_steps:
            return last
        return start(last) + (last - start(last)) * share(step, warmup_steps)

    return wrong


def rises_on(step, batch_size, warmup_steps):
    final = 0.1 * batch_size / 256
    return 0.1 + (final - 0.1) * step / warmup_steps if warmup_steps else final


def constant(step, batch_size, warmup_steps):
    return 0.1 if step < warmup_steps else 0.1 * batch_size / 256


def factors(step, batch_size, warmup_steps):
    return 0.1 * (batch_size / 256) ** (min(1, step / warmup_steps) if warmup_steps else 1)


def divides(step, batch_size, warmup_steps):
    share = min(1, step / warmup_steps)
    return 0.1 + (0.1 * batch_size / 256 - 0.1) * share


def starts_late(step, batch_size, warmup_steps):
    if step == warmup_steps == 0:
        return 0.1
    return scaled_rate(step, batch_size, warmup_steps)


def linear(k):
    return 0.1 * k


RATE = Exercise(
    checks.check_scaled_rate,
    scaled_rate,
    scaled_rate_stub,
    [
        (ramp(lambda k: 0.1), "The batch size has no effect"),
        (ramp(lambda k: 0.1 * math.sqrt(k)), "square root"),
        (ramp(lambda k: 0.1 / k), "You divide by k"),
        (ramp(lambda k: k), "You forget the base rate"),
        (ramp(lambda k: 0.1 * 256 * k), "You multiply by the batch size itself"),
        (ramp(linear, lambda final: 0.0), "Your warm-up begins at 0"),
        (ramp(linear, lambda final: final / 10), "begins at a tenth"),
        (ramp(linear, lambda final: final), "There is no warm-up"),
        (ramp(linear, share=lambda step, warmup: (step + 1) / warmup), "a step ahead"),
        (ramp(linear, share=lambda step, warmup: max(0, step - 1) / warmup), "a step behind"),
        (ramp(linear, share=lambda step, warmup: step / (warmup - 1)), "one step too early"),
        (ramp(linear, share=lambda step, warmup: 1 - step / warmup), "falls during the warm-up"),
        (rises_on, "goes on rising"),
        (constant, "the constant warm-up"),
        (factors, "Add the same amount"),
        (divides, "you divide by zero"),
        (starts_late, "has the final rate, 0.4"),
        (lambda step, batch_size, warmup_steps: [0.1], "Expected a learning rate"),
    ],
    others=(with_min,),
)

EXERCISES = [RATE]
