"""The parts of the bench by name, what each needs of the others, and the record they make together."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ... import machine
from ...errors import UnknownName
from .accuracy import measure_accuracy
from .folder_prediction import measure_folder_prediction
from .growth import listed, measure_growth
from .imports import measure_imports
from .lessons import estimate_lessons, recorded
from .limits import measure_limits
from .prediction import measure_prediction
from .training import measure_training
from .verdict import measure_verdict

#: What each part measures, in the order in which they run.
PARTS = {
    "limits": "matrix products and memory copies",
    "training": "fit beside the plain loop: images a second, peak memory, share of the limit",
    "verdict": "seconds until plain-56 is found worse than plain-20",
    "prediction": "predict beside one picture after the other",
    "imports": "import resnet_edu on top of torch and torchvision",
    "lessons": "minutes of each lesson here, estimated",
    "naming": "predict over 10,000 small pictures beside a plain script; only when asked for",
    "accuracy": "test error of fit and of the plain loop after the same training; only when asked for",
    "growth": "cost of a step against depth, width, side and batch; only when asked for",
}
ONLY_WHEN_ASKED = {"naming", "accuracy", "growth"}  # they take minutes, and say little about this very machine
NEEDS = {"training": ("limits",), "lessons": ("training", "verdict")}


def measure(
    parts: Sequence[str] = (),
    *,
    rounds: int = 5,
    quick: bool = False,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure some parts, and those that they need.

    Args:
        parts: any of `PARTS`; all but `ONLY_WHEN_ASKED` by default.
        rounds: measurements of each number.
        quick: shorter slices.
        folder: of pictures, for growth; see `measure_growth`.
        say: is told what is being measured.

    Returns:
        Plain values, fit for JSON: the machine, the settings and what each part found.

    Raises:
        UnknownName: a part that does not exist.
        ValueError: no rounds, a folder without growth, or a part that cannot be measured here.
    """
    chosen = with_needs(parts or [name for name in PARTS if name not in ONLY_WHEN_ASKED])
    check(chosen, rounds, folder)
    machine.use_own_cores()
    here = machine.device()
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            **machine.description(),
            "threads": torch.get_num_threads(),
            "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
            "precision": name_of(here),
        },
        "settings": {"parts": chosen, "repeats": rounds, "quick": quick},
    }
    seconds = 0.25 if quick else 1.0  # of a slice
    measurements: dict[str, Callable[[], Any]] = {
        "limits": lambda: measure_limits(rounds),
        "training": lambda: measure_training(rounds, seconds, say=say),
        "verdict": lambda: measure_verdict(rounds),
        "prediction": lambda: measure_prediction(rounds),
        "imports": lambda: measure_imports(rounds),
        "lessons": lambda: estimate_lessons(rounds, training=record["training"], verdict=record["verdict"]),
        "naming": lambda: measure_folder_prediction(rounds, say=say),
        "accuracy": lambda: measure_accuracy(rounds, say=say),
        "growth": lambda: measure_growth(rounds, seconds / 2, folder=folder, say=say),
    }
    for name in chosen:
        say(f"{name}: {PARTS[name]}")
        record[name] = measurements[name]()
    return record


def check(parts: Sequence[str], rounds: int, folder: Path | None) -> None:
    """Say what cannot be measured before minutes have gone into the other parts.

    Raises:
        ValueError: no rounds, too few for a part, or something that it needs is missing.
    """
    least = 2 if "accuracy" in parts else 1
    if rounds < least:
        raise ValueError(f"repeats must be at least {least}, got {rounds}.")
    if folder and "growth" not in parts:
        raise ValueError("A folder is only read to measure growth: resnet-edu bench growth --folder DIR.")
    if folder:
        listed(folder)
    if "lessons" in parts:
        recorded()


def name_of(device: torch.device) -> str:
    """The precision that `fit` uses there: float32 or bfloat16."""
    return str(machine.precision(device)).removeprefix("torch.")


def with_needs(parts: Sequence[str]) -> list[str]:
    """The parts and what they need, in their order.

    Raises:
        UnknownName: a part that does not exist.
    """
    wanted: set[str] = set()
    todo = list(parts)
    while todo:
        name = todo.pop()
        if name not in PARTS:
            raise UnknownName("part of the bench", name, PARTS)
        wanted.add(name)
        todo += NEEDS.get(name, ())
    return [name for name in PARTS if name in wanted]
