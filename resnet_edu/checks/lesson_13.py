"""The checks of lesson 13: gradients of several processes, the learning rate of a large batch, the slowest stage."""

import random
from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torch import Tensor

from .exercise import Call, exercise
from .values import listed, number, several, tensor, text

Gradients = Sequence[Sequence[Tensor]]  # by process, then by parameter


def shares(*sizes: int) -> Call:
    return Call([[torch.randn(shape) for shape in ((3, 2), (3,), ())] for _ in sizes], list(sizes))


@exercise(
    "13.1 average the gradients",
    calls=lambda: [shares(32, 32), shares(48, 16), shares(7, 64, 20), shares(5, 9, 2, 40), shares(11)],
    returns=listed("a list of tensors, one for each parameter", tensor("a list of tensors, one for each parameter")),
    mistakes={
        "You take the plain mean over the processes. It is right for equal shares only: here a process with few images "
        "counts as much as one with many. Weight each by its number of images.":
            {"_weights": lambda sizes: [1 / len(sizes)] * len(sizes)},
        "You add the gradients up. Each is the gradient of a mean, so the result has to be a mean as well.":
            {"_weights": lambda sizes: [1.0] * len(sizes)},
        "You weight by the number of images and do not divide by the number of all images.":
            [{"_weights": lambda sizes: sizes}, {"_weights": lambda sizes: [size / len(sizes) for size in sizes]}],
        "You divide by a number of images and do not multiply. The gradients are means already: multiply each by its "
        "share, its own number of images over that of all.":
            [{"_weights": lambda sizes: [1 / sum(sizes)] * len(sizes)},
             {"_weights": lambda sizes: [1 / n for n in sizes]},
             {"_weights": lambda sizes: [1 / n / sum(1 / each for each in sizes) for n in sizes]}],
        "You return the gradients of one process alone. All images have a part in the gradient of the batch.":
            [lambda g, sizes: list(g[0]), lambda g, sizes: list(g[sizes.index(max(sizes))])],
    },
)  # fmt: skip
def average_gradients(
    gradients: Gradients, sizes: Sequence[int], *,
    _weights: Callable[[Sequence[int]], Sequence[float]] = lambda sizes: [size / sum(sizes) for size in sizes],
) -> list[Tensor]:  # fmt: skip
    """Right for equal and unequal shares, from one process to four."""
    weighted = [[w * each for each in own] for own, w in zip(gradients, _weights(sizes), strict=True)]
    return [torch.stack(same).sum(dim=0) for same in zip(*weighted, strict=True)]


BASE_RATE, BASE_BATCH = 0.1, 256  # He et al. 2015, section 3.4


def ramp(step: int, warmup: int) -> float:
    """Which share of the way from the base rate to the final one has been gone."""
    return step / warmup if step < warmup else 1.0


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
    mistakes={
        "Your final rate is not k times the base rate, with k = batch_size / 256. The linear rule takes no root and "
        "does not divide.":
            [{"_final": lambda k: BASE_RATE}, {"_final": lambda k: BASE_RATE * sqrt(k)}, {"_final": lambda k: k},
             {"_final": lambda k: BASE_RATE / k}, {"_final": lambda k: BASE_RATE * k * BASE_BATCH}],
        "Your warm-up begins at 0 or at a share of the final rate. It begins at the base rate, whatever the final one "
        "is.": [{"_start": lambda final: 0.0}, {"_start": lambda final: final / 10}],
        "There is no warm-up: the first step has the final rate already.": {"warmup_steps": 0},
        "Your warm-up is a step ahead or behind: step 0 has the base rate, step `warmup_steps` the final one.":
            [{"_way": lambda step, warmup: (step + 1) / warmup if step < warmup else 1.0},
             {"_way": lambda step, warmup: max(step - 1, 0) / warmup if step < warmup else 1.0},
             {"_way": lambda step, warmup: ramp(step, warmup - 1)}],
        "Your rate falls during the warm-up and jumps afterwards: it has to rise.":
            {"_way": lambda step, warmup: 1 - step / warmup if step < warmup else 1.0},
        "Your rate goes on rising after the warm-up. From step `warmup_steps` on it stays where it is.":
            {"_way": lambda step, warmup: step / warmup if warmup else 1.0},
        "Your rate stays at the base rate and then jumps. That is the constant warm-up; here it rises a little at each "
        "step.": {"_way": lambda step, warmup: float(step >= warmup)},
        "Your rate is multiplied by the same factor at each step. Add the same amount at each step.":
            lambda step, batch, warmup: BASE_RATE * (batch / BASE_BATCH) ** ramp(step, warmup),
        "With `warmup_steps=0` you divide by zero. Ask first whether the warm-up is over.":
            {"_way": lambda step, warmup: min(1, step / warmup)},
    },
)  # fmt: skip
def scaled_rate(
    step: int, batch_size: int, warmup_steps: int, *, _final: Callable[[float], float] = lambda k: BASE_RATE * k,
    _start: Callable[[float], float] = lambda final: BASE_RATE, _way: Callable[[int, int], float] = ramp,
) -> float:  # fmt: skip
    """From 64 images a batch to 8,192, during the warm-up, after it and without it."""
    final = _final(batch_size / BASE_BATCH)
    return _start(final) + (final - _start(final)) * _way(step, warmup_steps)


Stages = dict[str, float]
Key = Callable[[float, int], float]  # of a stage's seconds and workers


def each(seconds: float, workers: int) -> float:
    return seconds / workers


def alone(seconds: float, workers: int) -> float:
    return seconds


def times(seconds: float, workers: int) -> float:
    return seconds * workers


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
    returns=several("a pair, the stage and the images per second", text("the name of a stage"), number("a number")),
    mistakes={
        "The workers have no effect. Several of them work on batches of their own, so that a stage with w workers "
        "hands one on w times as often.": {"_key": alone, "_seconds": alone},
        "You choose the stage by the seconds of one worker. Divide by the number of workers before you compare.":
            {"_key": alone},
        "The stage is right. Its speed is that of one worker: multiply by their number.": {"_seconds": alone},
        "You multiply seconds by workers. More workers make a stage faster: divide.":
            [{"_key": times}, {"_key": times, "_seconds": times}],
        "You name the fastest stage. All others wait for the slowest.": {"_key": lambda s, w: -s / w},
        "You name the stage with the fewest workers. It may be fast enough: compare seconds / workers.":
            {"_key": lambda s, w: -w},
        "You add the stages' times, as if each waited for the others. They work at the same time: only the slowest "
        "counts.": {"_speed": lambda own, speeds: 1 / sum(1 / speed for speed in speeds)},
        "The stage is right, but you give the mean speed, or the fastest. Give the speed of that stage, the slowest.":
            [{"_speed": lambda own, speeds: sum(speeds) / len(speeds)}, {"_speed": lambda own, speeds: max(speeds)}],
        "You return batches per second, or the seconds that an image or a batch takes. Return images per second.":
            [{"batch_size": 1}, {"_speed": lambda own, speeds: 1 / own},
             {"batch_size": 1, "_speed": lambda own, speeds: 1 / own}],
        "You return the first or the last stage of the table. Look at all of them.":
            [{"_choose": lambda keys: next(iter(keys))}, {"_choose": lambda keys: list(keys)[-1]}],
    },
)  # fmt: skip
def find_bottleneck(
    seconds: Stages, workers: dict[str, int], batch_size: int, *, _key: Key = each, _seconds: Key = each,
    _choose: Callable[[Stages], str] = lambda keys: max(keys, key=lambda name: keys[name]),
    _speed: Callable[[float, list[float]], float] = lambda own, speeds: own,
) -> tuple[str, float]:  # fmt: skip
    """Right for 22 pipelines."""
    name = _choose({name: _key(seconds[name], workers[name]) for name in seconds})
    speeds = {name: batch_size / _seconds(seconds[name], workers[name]) for name in seconds}
    return name, _speed(speeds[name], list(speeds.values()))
