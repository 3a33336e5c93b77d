"""Which number format and memory layout trains fastest on this CPU: tried once, in a moment, and remembered.

The rule is bfloat16 where the processor multiplies it in hardware, and channels_last everywhere. It holds on most
machines, but nothing guarantees it: some have the instructions and emulate half of them, some have kernels for one
layout only. So a small step of training is run both ways. The rule is given up only for a way that was clearly
faster in every round, so that a busy machine cannot change the numbers of a lesson.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs
import torch
from torch import nn

from .course import write_atomically

ROUNDS = 5
MARGIN = 1.25  # another way must be this much faster than the rule, in every round


@dataclass(frozen=True)
class FastPath:
    """A way to train.

    Args:
        bfloat16: compute matrix products in bfloat16, and not in float32.
        channels_last: store the channels of a pixel side by side, and not the pixels of a channel.
    """

    bfloat16: bool
    channels_last: bool


def ways(units: bool) -> list[FastPath]:
    """The rule first, then what is tried against it. Without `units` bfloat16 is emulated, and not worth a try."""
    found = [FastPath(True, True)] if units else []
    return [*found, FastPath(False, True), FastPath(False, False)]


@cache
def fast_path(units: bool, machine: str, folder: Path | None = None) -> FastPath:
    """The way to train here.

    Args:
        units: the processor multiplies bfloat16 in hardware.
        machine: what the answer depends on: processor, cores, threads, version of torch.
        folder: where answers are kept, as `fast-path.json`; the system's folder for caches by default. Where there is
            none, or it cannot be written, each process tries anew.
    """
    try:
        file = (folder or platformdirs.user_cache_path("resnet-edu")) / "fast-path.json"
    except RuntimeError:  # this user has no home folder
        file = None
    known = read(file) if file else {}
    key = f"{machine}, {'with' if units else 'without'} bfloat16 units"
    if key not in known:
        chosen = choose(ways(units), seconds_of_a_step)
        known[key] = [chosen.bfloat16, chosen.channels_last]
        if file:
            with suppress(OSError):  # tried again by the next process
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, json.dumps(known, indent=1).encode())
    return FastPath(*known[key])


def read(file: Path) -> dict[str, list[bool]]:
    """The answers kept in a file that may be missing, damaged or of another form."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {key: [bool(flag) for flag in flags] for key, flags in kept.items() if len(flags) == 2}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def choose(found: Sequence[FastPath], seconds: Callable[[FastPath], float]) -> FastPath:
    """The first way, or the fastest of those that beat it by `MARGIN` in each of `ROUNDS` interleaved rounds."""
    rule, *others = found
    for way in found:
        seconds(way)  # kernels are chosen and memory is fetched in the first step
    rounds = [{way: seconds(way) for way in found} for _ in range(ROUNDS)]
    better = [way for way in others if all(times[way] * MARGIN < times[rule] for times in rounds)]
    return min(better, key=lambda way: sum(times[way] for times in rounds), default=rule)


def seconds_of_a_step(way: FastPath) -> float:
    """Seconds that one small step of training takes: two convolutions of 32 channels on 64 images of 16×16."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):  # the seeds of a lesson stay as they are
        net = nn.Sequential(
            *(nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        ).to(memory_format=layout)
        images = torch.rand(64, 3, 16, 16).contiguous(memory_format=layout)
    started = time.perf_counter()
    # It may be a prediction that asks first, in inference mode.
    with torch.inference_mode(False), torch.enable_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way.bfloat16):
            loss = net(images).float().mean()
        loss.backward()
    return time.perf_counter() - started
