"""An estimate of each lesson's minutes on this machine, in both profiles, from a rehearsal recorded elsewhere.

Quick: the recorded minutes, times the quotient of the two machines' float32 matrix products. Full: the same, with
the long cells multiplied by what the full profile asks of them. Where it makes the nets larger, the work is counted
and divided by the rate that `fit` reaches here on nets of that size. An estimate, no measurement: `resnet-edu
rehearse` measures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from ... import files
from .limits import matrix_product_rate
from .measured import Measured
from .verdict import NETS
from .workloads import Workload

LONG = 2.0  # seconds: a longer cell is an experiment, whose size the profile decides
IMAGES = 3500 / 2000  # training images of mnist5k in the full and the quick profile
SMALL = {name: Workload("", name, side=16, channels=1, options={"width": 8}) for name in NETS}
LARGE = {name: replace(small, side=32, options={"width": 16}) for name, small in SMALL.items()}


@dataclass(frozen=True)
class Full:
    """What the full profile multiplies in a lesson's long cells.

    Args:
        times: images, seeds, epochs or points: as many times the same work.
        larger: whether nets and images are larger too: 32 pixels and width 16 for 16 and 8.
    """

    times: float = 1.0
    larger: bool = False


#: The lessons that ask for the profile. The others are the same in both.
FULL = {
    "01_lenet": Full(28 / 14),  # epochs
    "02_alexnet": Full(IMAGES),
    "03_vgg": Full(IMAGES, larger=True),
    "04_googlenet": Full(5 * IMAGES),  # seeds
    "05_vanishing_gradients": Full(20 / 8),  # random nets
    "06_degradation": Full(IMAGES, larger=True),
    "07_residual_blocks": Full(IMAGES, larger=True),
    "08_resnet34": Full(IMAGES, larger=True),
    "09_resnet_family": Full(5),  # seeds
    "10_transfer_learning": Full(3),  # seeds
    "11_looking_inside": Full(10 / 3),  # seeds
    "13_at_scale": Full(64 / 16),  # images a batch
}


def estimate_lessons(
    rounds: int, *, training: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]
) -> dict[str, Any]:
    """Minutes of each lesson here.

    Args:
        rounds: measurements of the matrix products.
        training: what `measure_training` found; its CIFAR nets are as large as those of the full profile.
        verdict: what `measure_verdict` found; its nets are those of the quick profile.

    Raises:
        ValueError: the record of the rehearsal is missing.
    """
    here = Measured("GFLOP/s", tuple(matrix_product_rate() for _ in range(rounds)))  # as `rehearse` measures it
    slower = larger_nets(training, verdict)
    rows = [minutes(run, here.median, slower) for run in recorded()]
    total = {profile: sum(row[profile] for row in rows) for profile in ("quick", "full")}
    return {"matrix": here.to_dict(), "larger_nets": slower, "lessons": rows, "total": total}


def recorded() -> list[dict[str, Any]]:
    """The rehearsal that the course carries.

    Raises:
        ValueError: it does not carry one.
    """
    file = files.course_folder() / "docs" / "rehearsal.json"
    if not file.is_file():
        raise ValueError(f"No rehearsal in {file}: make one with resnet-edu rehearse --jobs 1 --json.")
    return json.loads(file.read_text(encoding="utf-8"))


def larger_nets(training: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> float:
    """How many times as long an image takes in the nets of the full profile.

    Sixteen times the operations, at a higher rate, since small nets keep no core busy.
    """
    work = [sum(net.operations() for net in nets.values()) for nets in (LARGE, SMALL)]
    rates = [
        entry["fit"]["median"] * entry["gflop_per_image"]
        for entry in training
        if entry["model"] in ("resnet20", "resnet56")
    ]
    return work[0] / work[1] * verdict["rate"]["median"] / mean(rates)


def minutes(run: Mapping[str, Any], gflops: float, slower: float) -> dict[str, Any]:
    """One lesson's minutes on a machine with this rate of matrix products."""
    full = FULL.get(run["lesson"], Full())
    long = sum(cell["seconds"] for cell in run["cells"] if cell["seconds"] > LONG)
    more = long * (full.times * (slower if full.larger else 1.0) - 1)
    speed = run["gflops"] / gflops
    return {
        "lesson": run["lesson"],
        "quick": run["seconds"] * speed / 60,
        "full": (run["seconds"] + more) * speed / 60,
    }
