"""All that decides a training run, in one frozen dataclass. The reason stands beside each default."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from . import machine
from .data.batches import check_augmentations
from .errors import check_known

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one_cycle", "cosine", "steps", "constant")
PRECISIONS = ("auto", *machine.PRECISIONS)
MOST_EPOCHS = 1_000_000  # nobody means more


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of `fit`. A `ValueError` says which option cannot be as it was given, and what it may be."""

    epochs: int = 6  # enough on mnist5k for a verdict within seconds
    batch_size: int = 128  # He et al. 2015, section 4.2
    lr: float = 0.1  # the highest rate of the schedule; 0.1 is He et al.'s for SGD, take 0.001 for Adam
    backbone_lr: float | None = None  # of all layers but the last, for fine-tuning; None: the same as lr
    optimizer: str = "sgd"  # all papers of this course train with it
    momentum: float = 0.9  # SGD only; He et al. 2015, section 3.4
    weight_decay: float = 1e-4  # He et al. 2015, section 3.4
    schedule: str = "one_cycle"  # reaches a result in few epochs (Smith 2018); "steps" is the paper's
    warmup_epochs: float = 0.0  # linear from a tenth of lr; the paper needed it for ResNet-110 only
    label_smoothing: float = 0.0  # none in He et al. 2015
    augment: tuple[str, ...] = ("crop", "flip")  # He et al. 2015, section 4.2; never flip digits
    precision: str = "auto"  # bfloat16 where the hardware has units for it
    channels_last: bool = True  # the order in which convolution kernels read memory, where it pays
    fused: bool = True  # updates all weights in one kernel instead of several calls for each
    seed: int = 0  # order of the images, augmentation, dropout

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        for kind, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            check_known(kind, known, value)
        check_augmentations(self.augment)
        object.__setattr__(self, "augment", tuple(self.augment))  # a list would make equal configs differ
        rate, warmup, smoothing = self.backbone_lr, self.warmup_epochs, self.label_smoothing
        if not is_whole(self.epochs) or not 1 <= self.epochs <= MOST_EPOCHS:
            raise ValueError(f"epochs must be a whole number from 1 to {MOST_EPOCHS}, got {self.epochs!r}.")
        for name, allowed, fine in (
            ("batch_size", "a whole number of at least 1", is_whole(self.batch_size) and self.batch_size >= 1),
            ("lr", "a number above 0", is_number(self.lr) and self.lr > 0),
            ("backbone_lr", "a number above 0, or left out", rate is None or (is_number(rate) and rate > 0)),
            ("momentum", "a number from 0 to below 1", is_number(self.momentum) and 0 <= self.momentum < 1),
            ("weight_decay", "a number of at least 0", is_number(self.weight_decay) and self.weight_decay >= 0),
            ("warmup_epochs", "a number from 0 to below epochs", is_number(warmup) and 0 <= warmup < self.epochs),
            ("label_smoothing", "a number from 0 to below 1", is_number(smoothing) and 0 <= smoothing < 1),
            ("channels_last", "true or false", isinstance(self.channels_last, bool)),
            ("fused", "true or false", isinstance(self.fused, bool)),
            ("seed", "a whole number from 0 to 4294967295", is_whole(self.seed) and 0 <= self.seed < 2**32),
        ):
            if not fine:
                raise ValueError(f"{name} must be {allowed}, got {getattr(self, name)!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "augment": list(self.augment)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`; an option left out has its default, and one that does not exist is refused."""
        check_known("training option", [field.name for field in fields(cls)], *values)
        return cls(**values)


def use_plain_numbers(options: Any) -> None:
    """Turn NumPy's numbers, as a loop over `np.logspace` gives them, into Python's, which a file can hold."""
    for each in fields(options):
        if isinstance(value := getattr(options, each.name), np.number):
            object.__setattr__(options, each.name, value.item())


def is_whole(value: object) -> bool:
    """Whether it is a whole number; `True` and `1.0` are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a number, and a finite one."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def schedule(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The learning rate at each step, as a function of the step's number from 0.

    * `one_cycle`: from lr / 25 up to lr in the first 30 % of the steps and down to nearly 0, both along a cosine
      (Smith 2018, https://arxiv.org/abs/1803.09820; the same numbers as `torch.optim.lr_scheduler.OneCycleLR`).
    * `cosine`: from lr to 0 (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983).
    * `steps`: lr, divided by 10 at 1/2 and again at 3/4 of the run (He et al. 2015, section 4.2).
    * `constant`: lr.
    """
    total, warmup = config.epochs * steps, round(config.warmup_epochs * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return 0.1 + 0.9 * step / warmup
        done = (step - warmup) / max(1, total - warmup)  # share of the run, 0 ≤ done < 1
        if config.schedule == "one_cycle" and total - warmup > 1:  # a single step is no cycle
            peak, last = 0.3 * (total - warmup) - 1, total - warmup - 1
            if step - warmup <= peak:
                return cosine(1 / 25, 1, (step - warmup) / peak)
            return cosine(1, 1 / 250_000, (step - warmup - peak) / (last - peak))
        if config.schedule == "cosine":
            return cosine(1, 0, done)
        if config.schedule == "steps":
            return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
        return 1.0

    return lambda step: config.lr * factor(step)


def cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine as `share` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
