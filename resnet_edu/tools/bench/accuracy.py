"""Whether the fast way learns as much: test errors of `fit` and of the plain loop after the same training."""

from collections.abc import Callable
from dataclasses import replace
from statistics import mean, stdev
from typing import Any

from ... import data
from ...data.split import Data
from ...metrics import evaluate
from ...train import fit
from .measured import Measured
from .plain_loop import PlainLoop
from .workloads import Workload

PHASES = ((6, 0.05), (3, 0.005))  # epochs and learning rate; without the second the errors jump from step to step
SMALL = Workload("ResNet-20 of width 8", "resnet20", side=16, channels=1, batch=64, options={"width": 8})


def measure_accuracy(
    seeds: int, *, workload: Workload = SMALL, images: Data | None = None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train both from the same weights, once for each seed, with crops and flips, and count errors on the test images.

    Args:
        seeds: how many; two at least, for there is no spread in one.
        workload: network and batch.
        images: what to train and test on; all of mnist5k at the workload's size by default.
        say: is told what is being measured.

    Returns:
        Test errors in percent, and of their differences (`fit` less the plain loop) the mean and its standard error.
    """
    images = images or data.load("mnist5k", size=workload.side, channels=workload.channels)
    errors: dict[str, list[float]] = {"fit": [], "plain": []}
    for seed in range(seeds):
        say(f"accuracy of {workload.title}: seed {seed}, fit and the plain loop")
        errors["fit"].append(after_fit(workload, images, seed))
        errors["plain"].append(after_plain_loop(workload, images, seed))
    differences = [own - plain for own, plain in zip(errors["fit"], errors["plain"], strict=True)]
    return {
        "title": workload.title,
        "phases": [list(phase) for phase in PHASES],
        "images": {"train": len(images.train), "test": len(images.test)},
        **{name: Measured("% test error", tuple(values)).to_dict() for name, values in errors.items()},
        "difference": {"mean": mean(differences), "standard_error": stdev(differences) / seeds**0.5},
    }


def after_fit(workload: Workload, images: Data, seed: int) -> float:
    """Test error in percent of the network that `fit` has trained."""
    model = workload.build(seed=seed)
    for phase, (epochs, rate) in enumerate(PHASES):  # with orders and crops of its own
        fit(model, images, replace(workload.config(), epochs=epochs, lr=rate, seed=seed + 1000 * phase))
    return evaluate(model, images.test).top1_error


def after_plain_loop(workload: Workload, images: Data, seed: int) -> float:
    """The same of the plain loop, whose batches and crops follow torch's own generator."""
    model = workload.build(seed=seed)
    loops = [(epochs, PlainLoop(model, images, replace(workload.config(), lr=rate))) for epochs, rate in PHASES]
    for epochs, loop in loops:
        for _ in range(epochs):
            loop.train(len(images.train))
    return loops[-1][1].evaluate()
