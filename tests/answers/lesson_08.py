"""Answers to the exercises of lesson 08."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.models import BasicBlock

# --- 08.2 ResNet-34 ---------------------------------------------------------------------------------------------


class ResNet34(nn.Module):
    """Right. What the wrong ones change is in class attributes."""

    blocks = (3, 4, 6, 3)
    strides = (1, 2, 2, 2)
    widths = (64, 128, 256, 512)
    stem: dict = {}

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        stem = {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False} | self.stem
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 64, **stem), nn.BatchNorm2d(64)
        before = 64
        for n, (width, blocks, stride) in enumerate(zip(self.widths, self.blocks, self.strides, strict=True), start=1):
            others = [BasicBlock(width, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{n}", nn.Sequential(BasicBlock(before, width, stride), *others))
            before = width
        self.fc = nn.Linear(before, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean(dim=(2, 3)))


class Packages(models.ResNet):
    """Right: the package's own."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(BasicBlock, (3, 4, 6, 3), num_classes=num_classes, in_channels=in_channels)


class BlocksMissing(ResNet34):
    blocks = (3, 4, 5, 3)


class SmallStem(ResNet34):
    stem = {"kernel_size": 3, "padding": 1}


class StemUnpadded(ResNet34):
    stem = {"padding": 0}


class Biased(ResNet34):
    stem = {"bias": True}


class FirstStageHalved(ResNet34):
    strides = (2, 2, 2, 2)


class NoStrides(ResNet34):
    strides = (1, 1, 1, 1)


class ThirdStageNarrow(ResNet34):
    widths = (64, 128, 128, 512)


class TenByDefault(ResNet34):
    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)


class OtherNames(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.head = self.fc
        del self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))


class SharedBlocks(ResNet34):
    """One block used several times: the names are there, the parameters are not."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.layer1 = nn.Sequential(*[BasicBlock(64, 64)] * 3)


class FrozenTrunk(ResNet34):
    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().features(x)


class ImagesChanged(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clamp_(0, 1))


RIGHT = {"08.2": [ResNet34, Packages]}

WRONG = {
    "08.2": [
        (BlocksMissing, "lacks `layer3.5.conv1.weight`"),
        (SmallStem, "`conv1.weight` has shape (64, 1, 3, 3), expected (64, 1, 7, 7)"),
        (StemUnpadded, "`conv1` has `padding=0`, expected `padding=3`"),
        (Biased, "has an additional `conv1.bias`"),
        (FirstStageHalved, "has an additional `layer1.0.downsample"),
        (NoStrides, "has `stride=1`, expected `stride=2`"),
        (ThirdStageNarrow, "`layer3.0.conv1.weight` has shape"),
        (TenByDefault, "`ResNet34()`: `fc.weight` has shape (10, 512)"),
        (OtherNames, "`head.weight` has another name: expected is `fc.weight`"),
        (SharedBlocks, "is used 3 times"),
        (FrozenTrunk, "no gradient reaches"),
        (ImagesChanged, "changes the tensor it is given"),
    ],
}
