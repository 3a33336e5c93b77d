"""Images a second and peak memory of `fit` beside the plain loop, and the share of the machine's limit it reaches."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ... import machine
from ...config import TrainConfig
from ...data.split import Data
from ...metrics import evaluate
from ...train import fit
from .limits import SIDE, matrix_product_rate
from .measured import Measured, ratio, take_turns
from .plain_loop import PlainLoop, Slice
from .side import Side
from .workloads import WORKLOADS, Workload


class Fit:
    """A network and its data, trained by `fit` a slice at a time."""

    def __init__(self, model: nn.Module, data: Data, config: TrainConfig) -> None:
        self.model, self.data, self.config = model, data, config
        self.part = data

    def train(self, images: int) -> Slice:
        """One epoch of so many training images, from the start again where there are fewer; `fit` times it itself."""
        if len(self.part.train) != images:
            train = self.data.train.subset(torch.arange(images) % len(self.data.train))
            self.part = replace(self.data, train=train, val=self.data.val.subset(torch.arange(2)))
        epoch = fit(self.model, self.part, self.config).last
        return Slice(round(epoch.images_per_second * epoch.seconds), epoch.seconds, epoch.train_loss)

    def evaluate(self) -> float:
        """Error on the test images in percent."""
        return evaluate(self.model, self.data.test).top1_error


def plain_side(workload: Workload) -> PlainLoop:
    """The plain loop's process."""
    return PlainLoop(workload.build(), workload.data(), workload.config())


def fit_side(workload: Workload) -> Fit:
    """The process of `fit`."""
    return Fit(workload.build(), workload.data(), workload.config())


def measure_training(
    rounds: int, seconds: float, *, workloads: Sequence[Workload] = WORKLOADS, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Every workload, one after the other; within each the two sides and the matrix products take turns.

    Args:
        rounds: slices of each side.
        seconds: about how long a slice is; never less than a step.
        workloads: what to train.
        say: is told what is being measured.
    """
    found = []
    for workload in workloads:
        say(f"training {workload.title}: fit and the plain loop")
        found.append(race(workload, rounds, seconds))
    return found


def race(workload: Workload, rounds: int, seconds: float) -> dict[str, Any]:
    """One workload, each side in a process of its own. Rates and the limit of a round are compared within it."""
    here = machine.device()
    kind = machine.precision(here)
    with ExitStack() as stack:
        plain, own = (stack.enter_context(Side(make, workload)) for make in (plain_side, fit_side))
        slices = {side: calibrated(side, workload.batch, seconds) for side in (plain, own)}
        rates = take_turns(
            {
                "plain": lambda: rate(plain, slices[plain]),
                "matrix": lambda: matrix_product_rate(side=SIDE, repeats=3, dtype=kind, device=here),
                "fit": lambda: rate(own, slices[own]),
            },
            rounds,
        )
        for side in (plain, own):
            side.ask("evaluate")  # its memory counts as well
    gigaflops = workload.operations() / 1e9
    share = [100 * gigaflops * images / limit for images, limit in zip(rates["fit"], rates["matrix"], strict=True)]
    return {
        "title": workload.title,
        "model": workload.model,
        "side": workload.side,
        "channels": workload.channels,
        "batch": workload.batch,
        "gflop_per_image": gigaflops,
        "precision": str(kind).removeprefix("torch."),
        "plain": Measured("images/s", rates["plain"]).to_dict(),
        "fit": Measured("images/s", rates["fit"]).to_dict(),
        "ratio": ratio("fit / plain", rates["fit"], rates["plain"]).to_dict(),
        "matrix": Measured("GFLOP/s", rates["matrix"]).to_dict(),
        "share": Measured("% of matrix", tuple(share)).to_dict(),
        "plain_peak_gb": plain.peak_bytes / 1e9,
        "fit_peak_gb": own.peak_bytes / 1e9,
    }


def calibrated(side: Side, batch: int, seconds: float) -> int:
    """Images for a slice of about so many seconds, in whole batches; the side has then run one of them to warm up."""
    side.ask("train", batch)
    images = batch * max(1, round(rate(side, batch) * seconds / batch))
    side.ask("train", images)
    return images


def rate(side: Side, images: int) -> float:
    """Images a second of one slice."""
    slice_ = side.ask("train", images)
    return slice_.images / slice_.seconds
