"""What is trained: four networks of the course at the sizes that it uses, on digits, and what a step of each costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ... import data, models
from ...config import TrainConfig
from ...data.split import Data
from ...probe.summary import summary

TESTED = 500  # images: a whole batch of `evaluate`, for its peak of memory


@dataclass(frozen=True)
class Workload:
    """A network, its images and a batch.

    Args:
        title: as it is shown.
        model: name of the network, for `models.build`.
        side: of the square images, in pixels.
        channels: of the images.
        batch: images a step.
        options: further options of `models.build`.
    """

    title: str
    model: str
    side: int = 32
    channels: int = 3
    batch: int = 128
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *, seed: int = 0) -> nn.Module:
        """The network, with the same initial weights each time."""
        torch.manual_seed(seed)
        return models.build(self.model, num_classes=10, in_channels=self.channels, **self.options)

    def data(self) -> Data:
        """The digits of mnist5k at this size, with half of the test images. What they show does not matter here."""
        loaded = data.load("mnist5k", size=self.side, channels=self.channels)
        return replace(loaded, test=loaded.test.subset(torch.arange(TESTED)))

    def config(self) -> TrainConfig:
        """One epoch of SGD with momentum, crops and flips; the learning rate stays the same."""
        return TrainConfig(epochs=1, batch_size=self.batch, lr=0.01, schedule="constant", augment=("crop", "flip"))

    def operations(self) -> float:
        """Floating-point operations of a training step, for one image.

        A multiply-add is two operations; the backward pass costs twice the forward pass: one product for the
        gradient of the input, one for that of the weights. Matrix products only, as `probe.summary` counts them.
        """
        return 3 * 2 * summary(self.build(), (self.channels, self.side, self.side)).macs


WORKLOADS = (
    Workload("LeNet-5", "lenet5", channels=1),
    Workload("ResNet-20", "resnet20"),
    Workload("ResNet-56", "resnet56"),
    Workload("ResNet-18 at 64", "resnet18", side=64, batch=64),  # size and batch that `resnet-edu train` begins with
)
