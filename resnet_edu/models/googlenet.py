"""GoogLeNet: four views of the same features side by side (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842).

Parameter names equal torchvision's, so its weights load with `strict=True` and the logits are the same. Read in this
order: `ConvBlock` → `Inception` → `AuxiliaryHead` → `GoogLeNet`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .heads import check_images, make_head
from .resnet import Stem, initialise

#: Weight of each auxiliary loss beside the main one (paper, section 5).
AUXILIARY_WEIGHT = 0.3
IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, on a scale of 0 to 1


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU. The batch norm came months after the paper (1502.03167); torchvision has it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, rectify."""
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches whose outputs are stacked along the channels (paper, figure 2b).

    Maps `(N, in_channels, H, W)` to `(N, one + three + five + pool, H, W)`. Deviation from the paper, as in torchvision
    (its issue 906): the third branch is 3×3 and not 5×5. The released weights were trained that way.

    The arguments are numbers of channels, in the order of the paper's table 1: of the input; of the 1×1 branch; of the
    3×3 branch, after its 1×1 convolution and at its end; of the branch that is 5×5 in the paper, likewise; and of the
    1×1 convolution after the max pooling.
    """

    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBlock(in_channels, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        """All branches see the same input."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier half way up, so that the gradient has a shorter way down (paper, section 5)."""

    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = ConvBlock(in_channels, 2 * width, 1)
        self.fc1 = nn.Linear(2 * width * 4 * 4, 16 * width)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = make_head(16 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes in the comments are those of `width=64`."""
        x = self.conv(self.pool(x))  # (N, 128, 4, 4)
        x = self.relu(self.fc1(x.flatten(1)))  # (N, 1024)
        return self.fc2(self.dropout(x))


class GoogLeNetOutputs(NamedTuple):
    """What a GoogLeNet with auxiliary heads returns in training mode, in torchvision's order."""

    logits: Tensor | dict[str, Tensor]
    aux_logits2: Tensor | dict[str, Tensor]
    aux_logits1: Tensor | dict[str, Tensor]


#: Input channels of each inception block and the six of its branches, in `Inception`'s order (paper, table 1).
INCEPTIONS: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """Stem, nine inception blocks, global average pooling, one linear layer.

    Maps images to logits, in training mode and with `aux_heads` to `GoogLeNetOutputs`: train on the cross-entropy of
    `logits` plus `AUXILIARY_WEIGHT` times that of each other field. In evaluation mode the auxiliary heads rest.

    Deviations from the paper, as in torchvision: those named at `ConvBlock` and `Inception`; no local response
    normalisation; dropout 0.2 and not 0.4.

    Args:
        num_classes, in_channels: as for `build`.
        stem: "imagenet" brings a 224-pixel image to 28 pixels before the first inception block; "small" is a 3×3 stride
            1 convolution and no pooling, so that a 28-pixel image gets there with its own size.
        width: filters of the first convolution, the measure of all others: 64 in the paper; a multiple of 8.
        aux_heads: add the two auxiliary heads.
        transform_input: for torchvision's ImageNet weights, which were trained on (pixel - 0.5) / 0.5: take images
            normalised with ImageNet's mean and deviation, as the other nets do, and convert them.
        dropout: share of features set to zero before the linear layer.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: Stem = "imagenet",
        width: int = 64,
        aux_heads: bool = False,
        transform_input: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if width % 8:
            raise ValueError(f"width must be a multiple of 8, got {width}.")
        if transform_input and in_channels != 3:
            raise ValueError(f"transform_input is for three colour channels, got in_channels={in_channels}.")
        self.in_channels, self.stem, self.transform_input = in_channels, stem, transform_input

        def inception(name: str) -> Inception:
            return Inception(*(channels * width // 64 for channels in INCEPTIONS[name]))

        big = stem == "imagenet"
        self.conv1 = ConvBlock(in_channels, width, 7, 2) if big else ConvBlock(in_channels, width, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True) if big else nn.Identity()
        self.conv2 = ConvBlock(width, width, 1)
        self.conv3 = ConvBlock(width, 3 * width, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True) if big else nn.Identity()
        self.inception3a = inception("3a")
        self.inception3b = inception("3b")
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception("4a")
        self.inception4b = inception("4b")
        self.inception4c = inception("4c")
        self.inception4d = inception("4d")
        self.inception4e = inception("4e")
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception("5a")
        self.inception5b = inception("5b")
        self.aux1 = AuxiliaryHead(512 * width // 64, width, num_classes) if aux_heads else None
        self.aux2 = AuxiliaryHead(528 * width // 64, width, num_classes) if aux_heads else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = make_head(16 * width, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Logits. Shapes in the comments are those of a 224-pixel image, `stem="imagenet"` and `width=64`."""
        smallest_side = 15 if self.stem == "imagenet" else 2
        check_images(x, channels=self.in_channels, smallest_side=smallest_side, network="GoogLeNet", stem=self.stem)
        if self.transform_input:
            mean, deviation = (x.new_tensor(values).view(3, 1, 1) for values in IMAGENET_COLOURS)
            x = x * (deviation / 0.5) + (mean - 0.5) / 0.5  # (N, 3, H, W), as of (pixel - 0.5) / 0.5
        x = self.maxpool1(self.conv1(x))  # (N, 64, 56, 56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, 28, 28)
        x = self.inception3b(self.inception3a(x))  # (N, 480, 28, 28)
        x = self.inception4a(self.maxpool3(x))  # (N, 512, 14, 14)
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))  # (N, 528, 14, 14)
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.inception4e(x)  # (N, 832, 14, 14)
        x = self.inception5b(self.inception5a(self.maxpool4(x)))  # (N, 1024, 7, 7)
        x = self.avgpool(x).flatten(1)  # (N, 1024)
        logits = self.fc(self.dropout(x))
        return logits if aux1 is None or aux2 is None else GoogLeNetOutputs(logits, aux2, aux1)
