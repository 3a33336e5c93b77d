"""The check of lesson 13 on the bottleneck: stages that work at the same time, and the one that limits."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from .expect import Call, Mistake, judge, need_function, six_digits
from .explain import kind_of
from .runner import Wrong, check

#: Stage → seconds that one worker of it needs for a batch, and stage → workers.
Find = Callable[[Mapping[str, float], Mapping[str, int], int], tuple[str, float]]
Key = Callable[[float, int], float]


def found(key: Key, pick: Callable[..., str] = max, seconds: Key = lambda seconds, workers: seconds / workers) -> Find:
    """The stage with the largest `key(seconds, workers)`, and the images a second if it takes `seconds(…)` a batch."""

    def find(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
        stage = pick(times, key=lambda name: key(times[name], workers[name]))
        return stage, batch_size / seconds(times[stage], workers[stage])

    return find


def each(seconds: float, workers: int) -> float:
    """Seconds between two batches of a stage: its workers share them out."""
    return seconds / workers


oracle = found(each)


def one_after_the_other(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """The stages wait for each other."""
    return oracle(times, workers, batch_size)[0], batch_size / sum(each(times[name], workers[name]) for name in times)


def mean_rate(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """The mean of the stages' speeds."""
    rates = [batch_size * workers[name] / times[name] for name in times]
    return oracle(times, workers, batch_size)[0], sum(rates) / len(rates)


def of_the_fastest(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """The right stage with the speed of the fastest."""
    return oracle(times, workers, batch_size)[0], found(each, min)(times, workers, batch_size)[1]


def in_batches(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """Batches a second."""
    return oracle(times, workers, 1)


def upside_down(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """Seconds an image."""
    stage, rate = oracle(times, workers, batch_size)
    return stage, 1 / rate


def between_batches(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
    """Seconds a batch."""
    stage, rate = oracle(times, workers, 1)
    return stage, 1 / rate


def placed(index: int) -> Find:
    """The stage at a place of the table."""

    def find(times: Mapping[str, float], workers: Mapping[str, int], batch_size: int) -> tuple[str, float]:
        stage = list(times)[index]
        return stage, batch_size * workers[stage] / times[stage]

    return find


MISTAKES = (
    Mistake(found(lambda s, w: s, seconds=lambda s, w: s), "The workers have no effect. Several of them work on "
            "batches of their own, so that a stage with w workers hands one on w times as often."),
    Mistake(found(lambda s, w: s), "You choose the stage by the seconds of one worker. Divide by the number of workers "
            "before you compare."),
    Mistake(found(each, seconds=lambda s, w: s), "The stage is right. Its speed is that of one worker: multiply by "
            "their number."),
    Mistake(found(lambda s, w: s * w), "You choose by seconds times workers. More workers make a stage faster."),
    Mistake(found(lambda s, w: s * w, seconds=lambda s, w: s * w), "You multiply seconds by workers. More workers make "
            "a stage faster: divide."),
    Mistake(found(each, min), "You name the fastest stage. All others wait for the slowest."),
    Mistake(found(lambda s, w: -w), "You name the stage with the fewest workers. It may be fast enough: compare "
            "seconds / workers."),
    Mistake(one_after_the_other, "You add the stages' times, as if each waited for the others. They work at the same "
            "time: only the slowest counts."),
    Mistake(mean_rate, "You return the mean of the stages' speeds. No batch passes faster than the slowest stage lets "
            "it."),
    Mistake(of_the_fastest, "The stage is right, the speed is that of the fastest stage."),
    Mistake(in_batches, "You return batches a second. Asked are images: multiply by `batch_size`."),
    Mistake(upside_down, "You return seconds an image. Asked are images a second."),
    Mistake(between_batches, "You return seconds a batch. Asked are images a second."),
    Mistake(placed(0), "You return the first stage of the table. Look at all of them."),
    Mistake(placed(-1), "You return the last stage of the table. Look at all of them."),
)  # fmt: skip


@check("13.3 find the bottleneck")
def check_bottleneck_stage(find_bottleneck: Any) -> str:
    """`find_bottleneck(seconds, workers, batch_size) -> (stage, images a second)` of stages that run side by side.

    `seconds` maps a stage to what one worker of it needs for a batch, `workers` to how many of them there are.
    """
    calls = [
        Call({"read": 0.3, "decode": 1.2, "compute": 0.25}, {"read": 1, "decode": 8, "compute": 1}, 64),
        Call({"compute": 0.9, "copy": 0.1, "decode": 1.0}, {"compute": 4, "copy": 1, "decode": 2}, 128),
        *(Call(*random_pipeline()) for _ in range(20)),
    ]
    name = need_function(find_bottleneck, "find_bottleneck(seconds, workers, batch_size)", *calls[0].args)
    judge(find_bottleneck, rounded(oracle), calls, [Mistake(rounded(m.variant), m.message) for m in MISTAKES],
          name=name, clean=lambda value: need_pair(value, name))  # fmt: skip
    return f"Right for {len(calls)} pipelines."


def random_pipeline() -> tuple[dict[str, float], dict[str, int], int]:
    """Four stages in random order, no two of them equally fast."""
    names = random.sample(["read", "decode", "augment", "copy", "compute", "update"], 4)
    while True:
        seconds = {name: random.randrange(20, 2000) / 1000 for name in names}
        workers = {name: random.choice([1, 1, 2, 4, 8]) for name in names}
        if len({each(seconds[name], workers[name]) for name in names}) == len(names):
            return seconds, workers, random.choice([16, 32, 64, 128])


def rounded(find: Find) -> Find:
    """Six digits, so that the order of the operations does not matter."""

    def six(*args: Any) -> tuple[str, float]:
        stage, rate = find(*args)
        return stage, six_digits(rate)

    return six


def need_pair(value: Any, name: str) -> tuple[str, float]:
    """The value as a name and a float with six digits.

    Raises:
        Wrong: it is something else.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Wrong(f"Expected a pair from `{name}`, the stage and the images a second, got {kind_of(value)}.")
    stage, rate = value
    if not isinstance(stage, str):
        raise Wrong(f"Expected the name of a stage as the first of the pair, got {kind_of(stage)}.")
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise Wrong(f"Expected images a second, a number, as the second of the pair, got {kind_of(rate)}.")
    return stage, six_digits(rate)
