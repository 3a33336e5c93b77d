"""All that decides a training run, in one frozen dataclass. The reason stands beside each default."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .data.batches import check_augment
from .errors import UnknownName

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one_cycle", "cosine", "steps", "constant")
PRECISIONS = ("auto", "bfloat16", "float32")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of `fit`.

    Raises:
        UnknownName: an optimizer, schedule, precision or augmentation that does not exist.
        ValueError: a number outside its range.
    """

    epochs: int = 6  # enough on mnist5k for a verdict within seconds
    batch_size: int = 128  # He et al. 2015, section 4.2
    lr: float = 0.1  # the highest rate of the schedule; 0.1 is He et al.'s for SGD, take 0.001 for Adam
    optimizer: str = "sgd"  # all papers of this course train with it
    momentum: float = 0.9  # SGD only; He et al. 2015, section 3.4
    weight_decay: float = 1e-4  # He et al. 2015, section 3.4
    schedule: str = "one_cycle"  # reaches a result in few epochs (Smith 2018); "steps" is the paper's
    warmup_epochs: float = 0.0  # linear from a tenth of lr; the paper needed it for ResNet-110 only
    label_smoothing: float = 0.0  # none in He et al. 2015
    augment: tuple[str, ...] = ("crop", "flip")  # He et al. 2015, section 4.2; never flip digits
    precision: str = "auto"  # bfloat16 where the hardware has units for it
    channels_last: bool = True  # the order in which convolution kernels read memory
    seed: int = 0  # order of the images, augmentation, dropout

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UnknownName(kind, value, known)
        if isinstance(self.augment, str):
            raise ValueError(f"augment takes several names: write ({self.augment!r},) instead of {self.augment!r}.")
        check_augment(self.augment)
        for name, allowed, fine in (
            ("epochs", "at least 1", self.epochs >= 1),
            ("batch_size", "at least 1", self.batch_size >= 1),
            ("lr", "above 0", self.lr > 0),
            ("momentum", "at least 0 and below 1", 0 <= self.momentum < 1),
            ("weight_decay", "at least 0", self.weight_decay >= 0),
            ("warmup_epochs", "at least 0 and below epochs", 0 <= self.warmup_epochs < self.epochs),
            ("label_smoothing", "at least 0 and below 1", 0 <= self.label_smoothing < 1),
        ):
            if not fine:
                raise ValueError(f"{name} must be {allowed}, got {getattr(self, name)}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "augment": list(self.augment)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`.

        Raises:
            UnknownName: a key that is no option.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise UnknownName("training option", key, known)
        return cls(**{**values, "augment": tuple(values.get("augment", cls.augment))})
