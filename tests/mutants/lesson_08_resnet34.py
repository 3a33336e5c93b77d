"""Answers to the exercise of lesson 08 on the whole ResNet-34."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks, models
from resnet_edu.models import BasicBlock, Bottleneck

from . import Exercise
from .lesson_08 import stage


class ResNet34(nn.Module):
    """Right. What the wrong ones change is in class attributes."""

    blocks = (3, 4, 6, 3)
    strides = (1, 2, 2, 2)
    widths = (64, 128, 256, 512)
    stem: tuple[int, ...] = (7, 2, 3)
    bias = False

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, *self.stem, bias=self.bias)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        before = 64
        for n in range(4):
            self.add_module(f"layer{n + 1}", stage(before, self.widths[n], self.blocks[n], self.strides[n]))
            before = self.widths[n]
        self.avgpool: nn.Module = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(x)).flatten(1))


class Stub(nn.Module):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class Packages(models.ResNet):
    """Right: the package's own."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(BasicBlock, (3, 4, 6, 3), num_classes=num_classes, in_channels=in_channels)


class Eighteen(ResNet34):
    blocks = (2, 2, 2, 2)


class BlocksMissing(ResNet34):
    blocks = (3, 4, 5, 3)


class SmallStem(ResNet34):
    stem = (3, 2, 1)


class StemUnpadded(ResNet34):
    stem = (7, 2, 0)


class StemWithoutStride(ResNet34):
    stem = (7, 1, 3)


class Biased(ResNet34):
    bias = True


class FirstStageHalved(ResNet34):
    strides = (2, 2, 2, 2)


class NoStrides(ResNet34):
    strides = (1, 1, 1, 1)


class LastStageWide(ResNet34):
    strides = (1, 2, 2, 1)


class ThirdStageNarrow(ResNet34):
    widths = (64, 128, 128, 512)


class Colour(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes)


class Thousand(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(1000, in_channels)


class TenByDefault(ResNet34):
    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)


class NoPooling(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.maxpool = nn.Identity()


class SmallWindows(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.maxpool = nn.MaxPool2d(2)


class UnpaddedPooling(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.maxpool = nn.MaxPool2d(3, 2)


class NoReluInTheStem(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.relu = nn.Identity()


class FixedPooling(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.avgpool = nn.AvgPool2d(7)


class NotFlattened(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(x)))


class MaxAtTheEnd(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).amax(dim=(2, 3)))


class Softmax(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(super().forward(x), dim=1)


class Dropout(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(self.avgpool(self.features(x)).flatten(1), training=self.training))


class OtherNames(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.head = self.fc
        del self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))


class Fifty(models.ResNet):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), num_classes=num_classes, in_channels=in_channels)


class NoFirstNorm(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        del self.bn1

    def features(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.conv1(x)))
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
        return x


EXERCISES = [
    Exercise(
        checks.check_resnet34,
        ResNet34,
        Stub,
        [
            (Eighteen, "That is ResNet-18"),
            (BlocksMissing, "That makes 32 layers"),
            (SmallStem, "has a kernel of 3×3"),
            (StemUnpadded, "The first convolution has no padding"),
            (StemWithoutStride, "The first convolution has stride 1"),
            (Biased, "takes off again"),
            (FirstStageHalved, "The first stage projects its shortcut"),
            (NoStrides, "No stage halves the side"),
            (LastStageWide, "The last stage does not halve"),
            (ThirdStageNarrow, "the stages have 64, 128, 256, 512 filters"),
            (Colour, "`in_channels` is ignored"),
            (Thousand, "`num_classes` is ignored"),
            (TenByDefault, "without arguments should have 1000 classes"),
            (NoPooling, "The max pooling of the stem is missing"),
            (SmallWindows, "windows of 2×2"),
            (UnpaddedPooling, "The max pooling has no padding"),
            (NoReluInTheStem, "The ReLU of the stem is missing"),
            (FixedPooling, "made for one side of the image only"),
            (NotFlattened, "`.flatten(1)` is missing"),
            (MaxAtTheEnd, "a global max pooling"),
            (Softmax, "end with a softmax"),
            (Dropout, "in train mode not"),
            (OtherNames, "has another name at torchvision"),
            (Fifty, "The blocks are bottlenecks"),
            (NoFirstNorm, "There is no `bn1`"),
        ],
        others=(Packages,),
    )
]
