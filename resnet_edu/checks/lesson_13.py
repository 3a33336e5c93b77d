"""The checks of lesson 13: gradients of several processes, the learning rate of a large batch, the slowest stage."""

import random
from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torch import Tensor

from .exercise import Call, exercise
from .values import listed, number, several, tensor, text

# --- 13.1 average the gradients ---------------------------------------------------------------------------------

Gradients = Sequence[Sequence[Tensor]]  # by process, then by parameter


def weighted(gradients: Gradients, weights: Sequence[float]) -> list[Tensor]:
    """For each parameter, the sum over the processes of weight times gradient."""
    terms = [[weight * each for each in own] for own, weight in zip(gradients, weights, strict=True)]
    return [torch.stack(same).sum(dim=0) for same in zip(*terms, strict=True)]


def halved(gradients: Gradients) -> list[Tensor]:
    running = list(gradients[0])
    for own in gradients[1:]:
        running = [(mine + theirs) / 2 for mine, theirs in zip(running, own, strict=True)]
    return running


GRADIENT_MISTAKES = {
    "You take the plain mean over the processes. It is right for equal shares only: here a process with few images "
    "counts as much as one with many. Weight each by its number of images.":
        lambda g, sizes: weighted(g, [1 / len(sizes)] * len(sizes)),
    "You add the gradients up. Each is the gradient of a mean, so the result has to be a mean as well.":
        lambda g, sizes: weighted(g, [1.0] * len(sizes)),
    "You weight by the number of images and do not divide by the number of all images.":
        lambda g, sizes: weighted(g, sizes),
    "You weight by the number of images and divide by the number of processes. Divide by the number of all images.":
        lambda g, sizes: weighted(g, [size / len(sizes) for size in sizes]),
    "You divide the sum of the gradients by the number of all images. The gradients are means already: multiply each "
    "by its number of images first.": lambda g, sizes: weighted(g, [1 / sum(sizes)] * len(sizes)),
    "You divide each gradient by its number of images. It is a mean already: multiply it by its share of them.":
        lambda g, sizes: weighted(g, [1 / size for size in sizes]),
    "Your weights are upside down: the process with the fewest images counts most.":
        lambda g, sizes: weighted(g, [1 / size / sum(1 / each for each in sizes) for size in sizes]),
    "You halve after each process, so that the last one counts half. Give all of them their weight at once.":
        lambda g, sizes: halved(g),
    "You return the gradients of the first process alone.": lambda g, sizes: list(g[0]),
    "You return the gradients of the largest share alone. All images have a part in the gradient of the batch.":
        lambda g, sizes: list(g[sizes.index(max(sizes))]),
}  # fmt: skip


def shares(*sizes: int) -> Call:
    return Call([[torch.randn(shape) for shape in ((3, 2), (3,), ())] for _ in sizes], list(sizes))


@exercise(
    "13.1 average the gradients",
    calls=lambda: [shares(32, 32), shares(48, 16), shares(7, 64, 20), shares(5, 9, 2, 40), shares(11)],
    returns=listed("a list of tensors, one for each parameter", tensor("a list of tensors, one for each parameter")),
    mistakes=GRADIENT_MISTAKES,
)
def average_gradients(gradients: Gradients, sizes: Sequence[int]) -> list[Tensor]:
    """Right for equal and unequal shares, from one process to four."""
    return weighted(gradients, [size / sum(sizes) for size in sizes])


# --- 13.2 scale the learning rate -------------------------------------------------------------------------------

BASE_RATE, BASE_BATCH = 0.1, 256  # He et al. 2015, section 3.4


def ramp(step: int, warmup: int, start: float, target: float, *, ahead: int = 0) -> float:
    return target if step >= warmup else start + (target - start) * (step + ahead) / warmup


def scaled(scale: Callable[[float], float]) -> Callable[[int, int, int], float]:
    return lambda step, batch, warmup: ramp(step, warmup, BASE_RATE, BASE_RATE * scale(batch / BASE_BATCH))


def final(batch: int) -> float:
    return BASE_RATE * batch / BASE_BATCH


RATE_MISTAKES = {
    "The batch size has no effect. A batch k times as large gets k times the base rate.": scaled(lambda k: 1.0),
    "You scale with the square root of k. The linear rule multiplies by k itself.": scaled(sqrt),
    "You divide by k. A larger batch means fewer steps, so each has to be larger.": scaled(lambda k: 1 / k),
    "You forget the base rate: k alone is no learning rate.": scaled(lambda k: k / BASE_RATE),
    "You multiply by the batch size itself. What counts is how many times larger than the base batch it is.":
        scaled(lambda k: k * BASE_BATCH),
    "Your warm-up begins at 0. It begins at the base rate.":
        lambda step, batch, warmup: ramp(step, warmup, 0.0, final(batch)),
    "Your warm-up begins at a tenth of the final rate. It begins at the base rate, whatever the final one is.":
        lambda step, batch, warmup: ramp(step, warmup, final(batch) / 10, final(batch)),
    "There is no warm-up: the first step has the final rate already.": {"warmup_steps": 0},
    "Your warm-up is a step ahead: step 0 has the base rate, step `warmup_steps` the final one.":
        lambda step, batch, warmup: ramp(step, warmup, BASE_RATE, final(batch), ahead=1),
    "Your warm-up is a step behind: step 0 has the base rate, step `warmup_steps` the final one.":
        lambda step, batch, warmup: ramp(step, warmup, BASE_RATE, final(batch), ahead=-1 if step else 0),
    "You reach the final rate one step too early: at step `warmup_steps - 1`.":
        lambda step, batch, warmup: ramp(step, warmup - 1, BASE_RATE, final(batch)),
    "Your rate falls during the warm-up and jumps afterwards: it has to rise.":
        lambda step, batch, warmup: ramp(warmup - step if step < warmup else step, warmup, BASE_RATE, final(batch)),
    "Your rate goes on rising after the warm-up. From step `warmup_steps` on it stays where it is.":
        lambda step, batch, warmup: BASE_RATE + (final(batch) - BASE_RATE) * (step / warmup if warmup else 1),
    "Your rate stays at the base rate and then jumps. That is the constant warm-up; here it rises a little at each "
    "step.": lambda step, batch, warmup: final(batch) if step >= warmup else BASE_RATE,
    "Your rate is multiplied by the same factor at each step. Add the same amount at each step.":
        lambda step, batch, warmup: BASE_RATE * (batch / BASE_BATCH) ** (min(1, step / warmup) if warmup else 1),
    "With `warmup_steps=0` you divide by zero. Ask first whether the warm-up is over.":
        lambda step, batch, warmup: BASE_RATE + (final(batch) - BASE_RATE) * min(1, step / warmup),
}  # fmt: skip


@exercise(
    "13.2 scale the learning rate",
    calls=lambda: [
        *(Call(step, 8192, 10) for step in (0, 1, 4, 9, 10, 11, 500)),
        *(Call(step, 1024, 7) for step in (0, 3, 6, 7, 8)),
        Call(3, 256, 10),
        Call(2, 64, 8),  # a smaller batch: the rate falls
        Call(0, 1024, 0),
    ],
    returns=number("a learning rate, a number"),
    mistakes=RATE_MISTAKES,
)
def scaled_rate(step: int, batch_size: int, warmup_steps: int) -> float:
    """From 64 images a batch to 8,192, during the warm-up, after it and without it."""
    return ramp(step, warmup_steps, BASE_RATE, final(batch_size))


# --- 13.3 find the bottleneck -----------------------------------------------------------------------------------

Stages = dict[str, float]
Key = Callable[[float, int], float]


def each(seconds: float, workers: int) -> float:
    return seconds / workers


def chosen(stages: Stages, workers: dict[str, int], key: Key) -> str:
    return max(stages, key=lambda name: key(stages[name], workers[name]))


def by(key: Key, seconds: Key = each) -> Callable[[Stages, dict[str, int], int], tuple[str, float]]:
    return lambda s, w, batch: ((name := chosen(s, w, key)), batch / seconds(s[name], w[name]))


def slowest(s: Stages, w: dict[str, int]) -> str:
    return chosen(s, w, each)


BOTTLENECK_MISTAKES = {
    "The workers have no effect. Several of them work on batches of their own, so that a stage with w workers hands "
    "one on w times as often.": by(lambda s, w: s, lambda s, w: s),
    "You choose the stage by the seconds of one worker. Divide by the number of workers before you compare.":
        by(lambda s, w: s),
    "The stage is right. Its speed is that of one worker: multiply by their number.": by(each, lambda s, w: s),
    "You choose by seconds times workers. More workers make a stage faster.": by(lambda s, w: s * w),
    "You multiply seconds by workers. More workers make a stage faster: divide.":
        by(lambda s, w: s * w, lambda s, w: s * w),
    "You name the fastest stage. All others wait for the slowest.": by(lambda s, w: -s / w),
    "You name the stage with the fewest workers. It may be fast enough: compare seconds / workers.":
        by(lambda s, w: -w),
    "You add the stages' times, as if each waited for the others. They work at the same time: only the slowest counts.":
        lambda s, w, batch: (slowest(s, w), batch / sum(s[name] / w[name] for name in s)),
    "You return the mean of the stages' speeds. No batch passes faster than the slowest stage lets it.":
        lambda s, w, batch: (slowest(s, w), sum(batch * w[name] / s[name] for name in s) / len(s)),
    "The stage is right, the speed is that of the fastest stage.":
        lambda s, w, batch: (slowest(s, w), max(batch * w[name] / s[name] for name in s)),
    "You return batches a second. Asked are images: multiply by `batch_size`.": {"batch_size": 1},
    "You return seconds an image. Asked are images a second.":
        lambda s, w, batch: ((name := slowest(s, w)), s[name] / w[name] / batch),
    "You return seconds a batch. Asked are images a second.":
        lambda s, w, batch: ((name := slowest(s, w)), s[name] / w[name]),
    "You return the first stage of the table. Look at all of them.":
        lambda s, w, batch: ((name := next(iter(s))), batch * w[name] / s[name]),
    "You return the last stage of the table. Look at all of them.":
        lambda s, w, batch: ((name := list(s)[-1]), batch * w[name] / s[name]),
}  # fmt: skip


def random_pipeline() -> Call:
    """Four stages in random order, no two of them equally fast; the workers are listed in another order."""
    names = random.sample(["read", "decode", "augment", "copy", "compute", "update"], 4)
    while True:
        seconds = {name: random.randrange(20, 2000) / 1000 for name in names}
        workers = {name: random.choice([1, 1, 2, 4, 8]) for name in random.sample(names, 4)}
        if len({each(seconds[name], workers[name]) for name in names}) == len(names):
            return Call(seconds, workers, random.choice([16, 32, 64, 128]))


@exercise(
    "13.3 find the bottleneck",
    calls=lambda: [
        Call({"read": 0.3, "decode": 1.2, "compute": 0.25}, {"read": 1, "decode": 8, "compute": 1}, 64),
        Call({"compute": 0.9, "copy": 0.1, "decode": 1.0}, {"compute": 4, "copy": 1, "decode": 2}, 128),
        *(random_pipeline() for _ in range(20)),
    ],
    returns=several("a pair, the stage and the images a second", text("the name of a stage"), number("a number")),
    mistakes=BOTTLENECK_MISTAKES,
)
def find_bottleneck(seconds: Stages, workers: dict[str, int], batch_size: int) -> tuple[str, float]:
    """Right for 22 pipelines."""
    name = slowest(seconds, workers)
    return name, batch_size * workers[name] / seconds[name]
