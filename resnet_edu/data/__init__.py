"""Data sets by name, batches out of memory, and a few real photos."""

from .batches import AUGMENTATIONS, augmented, evaluation_batches, steps_per_epoch, training_batches
from .sets import load, names, photo, photos
from .split import Data, Split, normalise

__all__ = [
    "AUGMENTATIONS", "Data", "Split", "augmented", "evaluation_batches", "load", "names", "normalise", "photo",
    "photos", "steps_per_epoch", "training_batches"
]  # fmt: skip
