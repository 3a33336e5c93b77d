"""VGG-11 to VGG-19: nothing but 3×3 convolutions, in growing depth (Simonyan, Zisserman 2014, https://arxiv.org/abs/1409.1556).

Parameter names equal torchvision's, so its weights load with `strict=True` and the logits are the same.
"""

from torch import Tensor, nn

from .heads import check_images, make_head
from .resnet import Stem, initialise

#: Convolutions in each of the five stages, by depth: table 1 of the paper, columns A, B, D and E.
CONFIGURATIONS: dict[int, tuple[int, int, int, int, int]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, each ended by max pooling, then three linear layers: images to logits.

    Deviations from the paper: the batch norm of the `_bn` nets came a year later; an average pooling before the
    classifier (the identity at 224 pixels) lets other image sizes through; He initialisation in place of starting from
    a trained shallower net.

    Args:
        depth: layers with weights: 11, 13, 16 or 19.
        batch_norm: a batch norm after each convolution. The convolutions keep their then useless bias: torchvision's
            weights have it.
        num_classes, in_channels: as for `build`.
        stem: "imagenet" is the paper's net, for sides from 32 pixels; "small" leaves the first max pooling out and
            averages over all places before the classifier, for images of about 28 pixels.
        width: filters of the first stage; 64 in the paper, 8 for quick experiments. The later stages have 2, 4, 8 and 8
            times as many, the linear layers 64 times.
        dropout: share of activations set to zero after the first two linear layers.
    """

    def __init__(
        self,
        depth: int,
        *,
        batch_norm: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: Stem = "imagenet",
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in CONFIGURATIONS:
            raise ValueError(f"depth must be 11, 13, 16 or 19, got {depth!r}.")
        self.in_channels, self.stem = in_channels, stem

        layers: list[nn.Module] = []
        channels = in_channels
        for stage, (convolutions, factor) in enumerate(zip(CONFIGURATIONS[depth], (1, 2, 4, 8, 8), strict=True)):
            for _ in range(convolutions):
                layers.append(nn.Conv2d(channels, factor * width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(factor * width))
                layers.append(nn.ReLU())
                channels = factor * width
            layers.append(nn.Identity() if stage == 0 and stem == "small" else nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

        grid = 7 if stem == "imagenet" else 1
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        hidden = 64 * width  # 4,096 in the paper
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * grid * grid, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            make_head(hidden, num_classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shapes in the comments are those of a 224-pixel image, `stem="imagenet"` and `width=64`."""
        smallest_side = 32 if self.stem == "imagenet" else 16
        check_images(x, channels=self.in_channels, smallest_side=smallest_side, network="VGG", stem=self.stem)
        x = self.features(x)  # (N, 512, 7, 7); the stages end at 112, 56, 28, 14 and 7 pixels
        x = self.avgpool(x)  # (N, 512, 7, 7)
        x = x.flatten(1)  # (N, 25088)
        return self.classifier(x)
