"""How the cost grows: a training step with depth, width, side and batch; loading a folder with its pictures."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ... import data
from ...errors import DatasetUnavailable
from .measured import Measured, take_turns
from .side import Side
from .training import Fit, fit_side
from .workloads import Workload

PICTURES = (1_000, 3_000, 10_000, 30_000, 60_000)


def net(depth: int = 20, *, width: int = 16, side: int = 32, batch: int = 128) -> Workload:
    """A CIFAR ResNet; what is not given stays the same along a curve."""
    return Workload("", f"resnet{depth}", side=side, batch=batch, options={"width": width})


#: For each curve: its name, what x and y are, and its nets by x. Each y should grow along a straight line.
CURVES: dict[str, tuple[str, str, dict[int, Workload]]] = {
    "depth": ("layers", "ms an image", {depth: net(depth) for depth in (20, 32, 44, 56, 110)}),
    "width": ("filters²", "ms an image", {width**2: net(width=width) for width in (8, 16, 24, 32, 48)}),
    "side": ("pixels", "ms an image", {side**2: net(side=side) for side in (16, 24, 32, 48, 64)}),
    "batch": ("images a step", "ms a step", {batch: net(batch=batch) for batch in (16, 32, 64, 128, 256, 512)}),
}


def measure_growth(
    rounds: int,
    seconds: float,
    *,
    folder: Path | None = None,
    curves: Mapping[str, tuple[str, str, dict[int, Workload]]] = CURVES,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """All curves; their points take turns.

    Args:
        rounds: measurements of each point.
        seconds: about how long a slice is; never less than a step.
        folder: pictures as `train/CLASS/FILE` and `test/CLASS/FILE`, to measure loading; left out without it.
        curves: which ones.
        say: is told what is being measured.
    """
    known = listed(folder) if folder else None  # a wrong folder is told at once
    workloads = list({repr(each): each for _, _, points in curves.values() for each in points.values()}.values())
    say(f"growth of a training step: {len(workloads)} nets")
    sides = {repr(each): partial(milliseconds, fit_side(each), each.batch, seconds) for each in workloads}
    take_turns(sides, 1)  # warm up
    cost = take_turns(sides, rounds)
    found = {}
    for name, (x, y, points) in curves.items():
        factors = [each.batch if y == "ms a step" else 1 for each in points.values()]
        values = [
            Measured(y, tuple(factor * value for value in cost[repr(each)]))
            for factor, each in zip(factors, points.values(), strict=True)
        ]
        found[name] = curve(x, list(points), values)
    return {"curves": found, "loading": measure_loading(known, rounds, say=say) if known else None}


def milliseconds(fit: Fit, batch: int, seconds: float) -> float:
    """An image's share of a training step, from a slice of at least one step."""
    images = batch
    first = fit.train(images)
    if first.seconds < seconds:
        images = batch * max(1, round(seconds / first.seconds))
        first = fit.train(images)
    return 1000 * first.seconds / first.images


def curve(x: str, at: Sequence[int], values: Sequence[Measured]) -> dict[str, Any]:
    """The points, and how straight they lie."""
    medians = [value.median for value in values]
    return {
        "x": x,
        "at": list(at),
        "y": values[0].unit,
        "values": [value.to_dict() for value in values],
        "exponent": exponent(at, medians),
        "r2": straightness(at, medians),
    }


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The power of x that y grows with: the slope in logarithms. 1 is proportional."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def straightness(x: Sequence[float], y: Sequence[float]) -> float:
    """R² of the best straight line: the share of y's variance that it explains."""
    left = np.asarray(y) - np.polyval(np.polyfit(x, y, 1), x)
    return float(1 - (left**2).sum() / ((np.asarray(y) - np.mean(y)) ** 2).sum())


def measure_loading(known: Mapping[str, list[Path]], rounds: int, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds and peak memory of the first `data.load` of a folder, for growing numbers of pictures."""
    total = sum(map(len, known.values()))
    counts = [count for count in PICTURES if count <= total]
    say(f"loading {', '.join(f'{count:,}' for count in counts)} pictures")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        sides = {}
        for count in counts:
            folder = Path(scratch) / str(count)
            link(known, folder, share=count / total)
            sides[str(count)] = stack.enter_context(Side(Loading, folder))
        seconds = take_turns({name: partial(side.ask, "load") for name, side in sides.items()}, rounds)
        peaks = [side.peak_bytes / 1e9 for side in sides.values()]
    values = [Measured("s", seconds[str(count)]) for count in counts]
    return {**curve("pictures", counts, values), "peak_gb": peaks}


class Loading:
    """Loads a folder as if for the first time, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> float:
        """Seconds to list, decode and keep every picture."""
        with tempfile.TemporaryDirectory() as cache:
            os.environ["RESNET_EDU_DATA"] = cache
            start = time.perf_counter()
            loaded = data.load(self.folder, size=32)
            seconds = time.perf_counter() - start
            del loaded  # it lies in the cache, mapped
            shutil.rmtree(cache, ignore_errors=True)
            Path(cache).mkdir(exist_ok=True)
        return seconds


def listed(folder: Path) -> dict[str, list[Path]]:
    """The pictures by `train/CLASS` and `test/CLASS`.

    Raises:
        DatasetUnavailable: too few of them, or not in such folders.
    """
    found = {
        f"{part}/{place.name}": sorted(file for file in place.iterdir() if file.is_file())
        for part in ("train", "test")
        if (folder / part).is_dir()
        for place in sorted((folder / part).iterdir())
        if place.is_dir()
    }
    if len({name.partition("/")[0] for name in found}) < 2 or sum(map(len, found.values())) < 3 * PICTURES[0]:
        raise DatasetUnavailable(
            f"{folder} does not hold train/CLASS/FILE and test/CLASS/FILE with {3 * PICTURES[0]:,} pictures or more."
        )
    return found


def link(known: Mapping[str, list[Path]], folder: Path, *, share: float) -> None:
    """Fill a new folder with a share of the pictures, the same share of each class; without copying where that goes."""
    for name, files in known.items():
        place = folder / name
        place.mkdir(parents=True)
        for file in islice(files, round(len(files) * share)):
            try:
                os.link(file, place / file.name)  # not a symbolic link: `data.load` follows none out of a folder
            except OSError:  # another disk
                shutil.copy(file, place / file.name)
