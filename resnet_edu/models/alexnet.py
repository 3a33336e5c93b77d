"""AlexNet, the network that won ImageNet in 2012 (Krizhevsky et al., NIPS 2012, https://dl.acm.org/doi/10.1145/3065386).

Parameter names and sizes equal torchvision's, so its weights load with `strict=True` and the logits are the same.
"""

from typing import Literal

from torch import Tensor, nn

from .heads import check_images, make_head
from .resnet import Stem, initialise

Activation = Literal["relu", "tanh"]


class AlexNet(nn.Module):
    """Five convolutions, three max poolings, three linear layers with dropout: images to logits `(N, num_classes)`.

    Deviations from the paper, as in torchvision, whose weights need them. The filters are 64, 192, 384, 256, 256 of
    Krizhevsky's code for "One weird trick" (2014, arXiv 1404.5997; its footnote 1 says 384 for the fourth, see
    https://github.com/pytorch/vision/pull/463) and not 96, 256, 384, 384, 256. No convolution is split in two groups:
    the paper did so to spread the net over two GPUs of 3 GB. There is no local response normalisation: VGG's authors
    found that it does not help (1409.1556, section 4.1).

    Args:
        num_classes, in_channels: as for `build`.
        stem: "imagenet" is 11×11 stride 4 and max pooling, for sides from 63 pixels; "small" is 3×3 stride 1 without
            pooling, which leaves a 28-pixel image at the 6×6 that the classifier takes.
        width: filters of the first convolution, and the measure of all others: 64, or 8 for quick experiments.
        activation: "relu", or "tanh" for the comparison of the paper's figure 1.
        dropout: share of activations set to zero before the first two linear layers.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: Stem = "imagenet",
        width: int = 64,
        activation: Activation = "relu",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.in_channels, self.stem = in_channels, stem

        act = nn.ReLU if activation == "relu" else nn.Tanh
        big = stem == "imagenet"
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 11, 4, padding=2) if big else nn.Conv2d(in_channels, width, 3, padding=1),
            act(),
            nn.MaxPool2d(3, stride=2) if big else nn.Identity(),
            nn.Conv2d(width, 3 * width, 5, padding=2),
            act(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(3 * width, 6 * width, 3, padding=1),
            act(),
            nn.Conv2d(6 * width, 4 * width, 3, padding=1),
            act(),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1),
            act(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        hidden = 64 * width  # 4,096 in the paper
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(4 * width * 6 * 6, hidden),
            act(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            act(),
            make_head(hidden, num_classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shapes in the comments are those of a 224-pixel image, `stem="imagenet"` and `width=64`."""
        smallest_side = 63 if self.stem == "imagenet" else 7
        check_images(x, channels=self.in_channels, smallest_side=smallest_side, network="AlexNet", stem=self.stem)
        x = self.features(x)  # (N, 256, 6, 6); inside: 64 at 55 and 27 pixels, 192 at 27 and 13, 384 and 256 at 13
        x = self.avgpool(x)  # (N, 256, 6, 6), whatever the side of the image
        x = x.flatten(1)  # (N, 9216)
        return self.classifier(x)
