"""What this machine can do at most: matrix products and memory copies, by torch itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from ... import machine
from .measured import Measured, take_turns

SIDE = 2048  # of the matrices: large enough for the full rate, three of them fit a cache of 32 MB in bfloat16


def measure_limits(rounds: int) -> dict[str, Any]:
    """Matrix products in float32 and bfloat16 (GFLOP/s), with one thread also; copies (GB/s read and written)."""
    sides: dict[str, Callable[[], float]] = {
        "float32": lambda: matrix_product_rate(side=SIDE, repeats=3),
        "bfloat16": lambda: matrix_product_rate(side=SIDE, repeats=3, dtype=torch.bfloat16),
        "one_thread": lambda: with_one_thread(lambda: matrix_product_rate(side=SIDE, repeats=1)),
        "copy": copy_rate,
    }
    values = take_turns(sides, rounds)
    units = {"copy": "GB/s"}
    return {name: Measured(units.get(name, "GFLOP/s"), values[name]).to_dict() for name in sides}


def matrix_product_rate(
    *, side: int = 1024, repeats: int = 7, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> float:
    """Products of two square matrices, in 10⁹ operations a second: the median of `repeats`.

    Minutes depend on how busy the machine is; quoted beside them this says how busy it was.
    """
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: torch.mm(left, right), repeats, left.device) / 1e9


def copy_rate(*, megabytes: int = 128, repeats: int = 3) -> float:
    """Copies from one place in memory to another, in 10⁹ bytes a second, counted both when read and when written."""
    here = machine.device()
    source = torch.ones(megabytes * 250_000, device=here)
    target = torch.empty_like(source)
    return 2 * megabytes * 1e6 / seconds_of(lambda: target.copy_(source), repeats, here) / 1e9


def seconds_of(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """How long the work takes: the median of `repeats`, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        finish(device)
        start = time.perf_counter()
        work()
        finish(device)
        times.append(time.perf_counter() - start)
    return median(times[1:])


def finish(device: torch.device) -> None:
    """Wait for a GPU to do what it was told."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def with_one_thread(work: Callable[[], float]) -> float:
    """What the work returns while torch uses one thread."""
    with threads(1):
        return work()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use this many threads inside the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
