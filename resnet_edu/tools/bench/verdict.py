"""How long the live experiment of lesson 06 takes here: plain-20 and plain-56, trained until one is found worse."""

import time
from typing import Any

from torch import nn

from ... import data, models
from ...errors import StopTraining
from ...history import Epoch
from ...studies import STUDIES
from ...study import Setting
from ...train import fit
from .measured import Measured
from .workloads import Workload

NETS = ("plain20", "plain56")


def measure_verdict(rounds: int) -> dict[str, Any]:
    """Train both nets with the settings of lesson 06, which are those of the recorded study.

    Every epoch counts as one measurement of both nets: its seconds, with the evaluation, times the number of epochs.

    Args:
        rounds: end after so many epochs, if the lesson has more.
    """
    settings = {name: STUDIES["mnist5k-degradation"].settings[name] for name in NETS}
    epochs = settings[NETS[0]].config.epochs
    runs = {name: timed(setting, min(rounds, epochs)) for name, setting in settings.items()}
    together = [sum(seconds) * epochs for seconds in zip(*(times for times, _ in runs.values()), strict=True)]
    operations = sum(operations_of(setting) * images_of(setting) for setting in settings.values())
    training = [sum(pair) for pair in zip(*(own for _, own in runs.values()), strict=True)]
    return {
        "nets": list(NETS),
        "epochs": epochs,
        "seconds": Measured("s", tuple(together)).to_dict(),
        "rate": Measured("GFLOP/s", tuple(operations / seconds / 1e9 for seconds in training)).to_dict(),
    }


def timed(setting: Setting, epochs: int) -> tuple[list[float], list[float]]:
    """Seconds of each of the first so many epochs: whole, and of the training in it."""
    whole: list[float] = []
    own: list[float] = []
    model, images = models.build(setting.model, **setting.options), data.load(**setting.data)
    last = time.perf_counter()

    def note(epoch: Epoch, _: nn.Module) -> None:
        nonlocal last
        now = time.perf_counter()
        whole.append(now - last)
        own.append(epoch.seconds)
        last = now
        if len(whole) == epochs:
            raise StopTraining

    fit(model, images, setting.config, callbacks=[note])
    return whole, own


def operations_of(setting: Setting) -> float:
    """Floating-point operations for one image of a training step."""
    channels, side = int(setting.options["in_channels"]), int(setting.data["size"])
    options = {name: value for name, value in setting.options.items() if name != "in_channels"}
    return Workload("", setting.model, side=side, channels=channels, options=options).operations()


def images_of(setting: Setting) -> int:
    """Training images that one epoch sees, in whole batches."""
    return setting.data["limit"] // setting.config.batch_size * setting.config.batch_size
