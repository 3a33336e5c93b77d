"""Lesson 10: a ResNet-18 with few labelled digits, from scratch and from weights that were learned on photos."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import data, machine, models, probe
from ..config import TrainConfig
from ..data import Data, Split
from ..history import Epoch, History
from ..train import fit
from .recording import Setting, Study

#: Labelled images of each class, and how many images pass in training: the few come often, the many a few times.
IMAGES: Mapping[int, int] = MappingProxyType({5: 1500, 10: 1500, 20: 1500, 50: 3000, 100: 4000})
BATCH = 25
RATES = ((1e-2, 1e-3), (1e-3, 1e-4))  # of head and backbone

#: Frozen methods: the last layer that is kept, and into how many parts a side its map is averaged.
FROZEN: Mapping[str, tuple[str, int]] = MappingProxyType({"frozen": ("layer4", 1), "frozen, stage 1": ("layer1", 2)})

#: Trained methods: the rate that did best among five, on two seeds at ten labels a class.
TRAINED: Mapping[str, float] = MappingProxyType({"from scratch": 0.003, "fine-tuned": 0.001})


@dataclass(frozen=True)
class Transfer(Setting):
    """One method with so many labelled images.

    Args:
        method: "from scratch", "fine-tuned", or one of `FROZEN`, for which the best linear head on the features is
            taken and `config` has no say.
        images: how many pass in the only epoch of a run that trains; the labelled ones come again and again.
    """

    method: str = "fine-tuned"
    images: int = 1500

    def run(self, seed: int, *, kept: Path | None = None) -> History:
        """Train once, test once; `seed` decides which images are labelled, which are for testing, and the weights."""
        weights = models.pretrained("resnet18", source="bundled")
        mean, std = models.normalisation(weights.transforms)
        digits = data.load(**self.data, seed=seed)
        train, test = (replace(split, mean=mean, std=std) for split in (digits.train, digits.test))
        digits = replace(digits, train=train, test=test)
        machine.seed_everything(seed)
        if self.method in FROZEN:
            return head_alone(weights.model, digits, *FROZEN[self.method])
        if self.method == "from scratch":
            model = models.build("resnet18", num_classes=len(digits.classes))
        else:
            model = weights.model
            models.replace_head(model, len(digits.classes))
        again = torch.arange(self.images) % len(train)
        return fit(model, replace(digits, train=train.subset(again)), replace(self.config, seed=seed))


def head_alone(model: torch.nn.Module, images: Data, layer: str, places: int) -> History:
    """Features once, the best head on them, one test."""
    started = time.perf_counter()
    features = probe.layer_features(model, images.train, [layer], places=places)[layer]
    head = probe.linear_head(features, images.train.labels, len(images.classes))
    seconds = time.perf_counter() - started

    def measured(features: Tensor, split: Split) -> tuple[float, float]:
        with torch.no_grad():
            logits = head(features)
        wrong = int((logits.argmax(dim=1) != split.labels).sum())
        return F.cross_entropy(logits, split.labels).item(), 100 * wrong / len(split)

    on_train = measured(features, images.train)
    on_test = measured(probe.layer_features(model, images.test, [layer], places=places)[layer], images.test)
    return History([Epoch(1, *on_train, *on_test, lr=0.0, seconds=seconds, images_per_second=len(features) / seconds)])


def transfer() -> Study:
    """Four methods at 5 to 100 labels a class, and at 10 also with two rates; five times each, on mnist5k."""

    def setting(method: str, labels: int, **options: Any) -> Transfer:
        config = TrainConfig(epochs=1, batch_size=BATCH, optimizer="adamw", weight_decay=0.01, augment=(), **options)
        images = {"name": "mnist5k", "size": 32, "channels": 3, "limit": 10 * labels}
        return Transfer("resnet18", {}, images, config, method=method, images=IMAGES[labels])

    settings = {}
    for labels in IMAGES:
        settings |= {f"{method}, {labels} labels": setting(method, labels, lr=TRAINED[method]) for method in TRAINED}
        settings |= {f"{method}, {labels} labels": setting(method, labels) for method in FROZEN}
    for head, backbone in RATES:
        settings[f"fine-tuned at {head:g} and {backbone:g}, 10 labels"] = setting(
            "fine-tuned", 10, lr=head, backbone_lr=backbone
        )
    return Study("mnist5k-transfer", "Transfer from photos to digits", settings, range(5))
