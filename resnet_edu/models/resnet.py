"""ResNet-18 to ResNet-200 for ImageNet-sized images (He et al. 2015, https://arxiv.org/abs/1512.03385).

Parameter names equal torchvision's, so its weights load with `strict=True` and the logits are the same. Read in this
order: `conv3x3` → `BasicBlock` → `Bottleneck` → `ResNet` → `DEPTHS`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .heads import check_images, make_head

Stem = Literal["imagenet", "small"]
#: Parts of a ResNet by the first word of a layer's name.
RESNET_PARTS = {
    "conv1": "stem", "bn1": "stem", "relu": "stem", "maxpool": "stem", "layer1": "stage 1", "layer2": "stage 2",
    "layer3": "stage 3", "layer4": "stage 4", "avgpool": "head", "fc": "head",
}  # fmt: skip


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """3×3 convolution that keeps the side at stride 1; no bias, since a batch norm follows."""
    return (WideConv if out_channels >= 256 else nn.Conv2d)(in_channels, out_channels, 3, stride, padding=1, bias=False)


class WideConv(nn.Conv2d):
    """As `nn.Conv2d`, but on a CPU few pixels of many channels train by one matrix product, which is much faster."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps `(N, C, H, W)` to `(N, K, H/s, W/s)` at stride s."""
        height, width, s = *input.shape[2:], self.stride[0]
        few_pixels = height * width <= self.out_channels * s**2 / 16
        as_built = self.padding == self.dilation == (1, 1) and self.padding_mode == "zeros"
        if not (few_pixels and as_built and input.device.type == "cpu" and torch.is_grad_enabled()):
            return super().forward(input)
        padded = F.pad(input.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (N, H + 2, W + 2, C)
        rows = torch.cat([padded[:, i : i + height : s, j : j + width : s] for i in range(3) for j in range(3)], dim=3)
        return F.linear(rows, self.weight.permute(0, 2, 3, 1).flatten(1), self.bias).permute(0, 3, 1, 2)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """1×1 convolution: mixes channels, looks at no neighbours."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the identity around them (paper, figure 2 and section 3.3).

    Maps `(N, in_channels, H, W)` to `(N, channels, H/stride, W/stride)`. Where the shape changes, the identity is
    projected by a 1×1 convolution (option B); the ReLU comes after the addition.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = projection(in_channels, channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = ReLU(F(x) + x)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + identity
        return self.relu2(out)


class Bottleneck(nn.Module):
    """1×1 down to `channels`, 3×3, 1×1 up to four times `channels` (paper, figure 5).

    Maps `(N, in_channels, H, W)` to `(N, 4 · channels, H/stride, W/stride)`.

    Deviation from the paper: the stride sits in the 3×3 convolution, not in the first 1×1 (which would skip three
    pixels in four). This is torchvision's choice, "ResNet v1.5", and its weights need it.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = conv1x1(in_channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(channels, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = projection(in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = ReLU(F(x) + x)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out = out + identity
        return self.relu3(out)


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The shortcut's 1×1 convolution where the shape changes, `None` where the identity will do."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


class PreActBlock(nn.Module):
    """Batch norm, ReLU, 3×3 convolution, twice, and x added as it came in (He et al. 2016, 1603.05027, figure 1b).

    Maps `(N, in_channels, H, W)` to `(N, channels, H/stride, W/stride)`. Where the shape changes, the first batch norm
    and ReLU stand before both ways and the shortcut is a 1×1 convolution, as in the authors' own code.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        same_shape = stride == 1 and in_channels == channels
        self.downsample = None if same_shape else conv1x1(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = F(x) + x."""
        out = self.relu1(self.bn1(x))
        identity = x if self.downsample is None else self.downsample(out)
        out = self.conv1(out)
        out = self.conv2(self.relu2(self.bn2(out)))
        return out + identity


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, global average pooling, linear classifier (paper, table 1).

    Args:
        block: `BasicBlock` (18, 34 layers) or `Bottleneck` (50 and more).
        blocks: number of blocks in each of the four stages.
        num_classes, in_channels: as for `build`.
        stem: "imagenet" is 7×7 stride 2 and max pooling (side / 4 before the first stage); "small" is 3×3 stride 1
            without pooling, for images up to 64 pixels.
        width: filters of the stem and of the first stage's 3×3 convolutions, doubled at each further stage: 64 in the
            paper, 8 or 16 for quick experiments.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: Stem = "imagenet",
        width: int = 64,
    ) -> None:
        super().__init__()
        big = stem == "imagenet"
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, padding=3, bias=False) if big else conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if big else nn.Identity()
        wide = width * block.expansion  # channels that the first stage puts out
        self.layer1 = make_stage(block, width, width, blocks[0], stride=1)
        self.layer2 = make_stage(block, wide, 2 * width, blocks[1], stride=2)
        self.layer3 = make_stage(block, 2 * wide, 4 * width, blocks[2], stride=2)
        self.layer4 = make_stage(block, 4 * wide, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = make_head(8 * wide, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shapes in the comments are those of a 224-pixel image, `stem="imagenet"` and `width=64`."""
        check_images(x, channels=self.conv1.in_channels, smallest_side=1, network="ResNet")
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 64, 112, 112)
        x = self.maxpool(x)  # (N, 64, 56, 56)
        x = self.layer1(x)  # (N, 64·e, 56, 56), e = 1 for basic blocks, 4 for bottlenecks
        x = self.layer2(x)  # (N, 128·e, 28, 28)
        x = self.layer3(x)  # (N, 256·e, 14, 14)
        x = self.layer4(x)  # (N, 512·e, 7, 7)
        x = self.avgpool(x).flatten(1)  # (N, 512·e)
        return self.fc(x)


def make_stage(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, channels: int, blocks: int, *, stride: int
) -> nn.Sequential:
    """`blocks` blocks in a row; only the first may change the shape."""
    layers = [block(in_channels, channels, stride)]
    layers += [block(channels * block.expansion, channels) for _ in range(blocks - 1)]
    return nn.Sequential(*layers)


def initialise(model: nn.Module) -> None:
    """He initialisation for convolutions, identity for batch norms (He et al. 2015, arXiv 1502.01852).

    `fan_out` keeps the variance of the *gradients*; it is what torchvision uses.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


#: Block and blocks per stage, by depth: table 1 of the paper, and ResNet-200 of He et al. 2016 (1603.05027).
DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 24, 36, 3)),
}
