"""Training as the PyTorch tutorials teach it: Dataset, torchvision's transforms, DataLoader, float32, one loop.

The course's `fit` is measured against it, so it is written with care: the images lie in memory, as those of
`torchvision.datasets.CIFAR10` do; two workers prepare the batches and live on between epochs. It follows
https://docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html, with the course's network, batch,
augmentation and optimizer.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

from ... import machine
from ...config import TrainConfig
from ...data.split import Data, Split

WORKERS = min(2, os.cpu_count() or 1)  # the tutorial's two


class Slice(NamedTuple):
    """A piece of training: how many images, how long, and their mean loss."""

    images: int
    seconds: float
    loss: float


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images in memory; each is a PIL image until it is asked for."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], Any]) -> None:
        self.images = split.images.permute(0, 2, 3, 1).squeeze(-1).numpy()  # (N, H, W, C), or (N, H, W) for grey
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def training_transform(split: Split, augment: Sequence[str]) -> transforms.Compose:
    """Crops and flips as `fit` makes them (He et al. 2015, section 4.2), a tensor, mean 0 and deviation 1."""
    side = split.images.shape[-1]
    moves = {"crop": transforms.RandomCrop(side, padding=side // 8), "flip": transforms.RandomHorizontalFlip()}
    return transforms.Compose([*(moves[name] for name in augment), *evaluation_transform(split).transforms])


def evaluation_transform(split: Split) -> transforms.Compose:
    """A tensor with mean 0 and standard deviation 1 in each channel."""
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(split.mean, split.std)])


class PlainLoop:
    """A network with its data and optimizer, trained a slice at a time."""

    def __init__(self, model: nn.Module, data: Data, config: TrainConfig, *, workers: int = WORKERS) -> None:
        self.device = machine.device()
        self.model = model.to(self.device)
        self.train_set = Pictures(data.train, training_transform(data.train, config.augment))
        self.test_set = Pictures(data.test, evaluation_transform(data.test))
        self.batch_size, self.workers = config.batch_size, workers
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.SGD(
            model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        self.images, self.loader = 0, self.batches(self.batch_size)

    def batches(self, images: int) -> DataLoader[tuple[Tensor, int]]:
        """Batches of the first so many training images, from the start again where there are fewer."""
        indices = [index % len(self.train_set) for index in range(images)]
        return DataLoader(
            Subset(self.train_set, indices),
            batch_size=self.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )

    def train(self, images: int) -> Slice:
        """One pass over so many training images."""
        if images != self.images:
            self.images, self.loader = images, self.batches(images)
        self.model.train()
        loss_sum, seen, start = 0.0, 0, time.perf_counter()
        for inputs, labels in self.loader:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(inputs), labels)
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item() * len(labels)
            seen += len(labels)
        return Slice(seen, time.perf_counter() - start, loss_sum / seen)

    def evaluate(self) -> float:
        """Error on the test images in percent."""
        self.model.eval()
        wrong = 0
        with torch.no_grad():
            for inputs, labels in DataLoader(self.test_set, batch_size=self.batch_size, num_workers=self.workers):
                predicted = self.model(inputs.to(self.device)).argmax(dim=1)
                wrong += int((predicted != labels.to(self.device)).sum())
        return 100 * wrong / len(self.test_set)
