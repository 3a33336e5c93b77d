"""LeNet-5, the network that read bank cheques (LeCun et al. 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf).

Seven layers with weights or pooling: C1, S2, C3, S4, C5, F6 and the output, as section II.B names them.
"""

from typing import Literal

from torch import Tensor, nn

from .heads import check_images, make_head

Version = Literal["1998", "modern"]


class LeNet5(nn.Module):
    """Two rounds of convolution and pooling, one convolution over all that is left, two linear layers.

    Maps images `(N, in_channels, 32, 32)` to logits. 61,706 parameters with one channel and ten classes.

    Deviations from the paper, all of them usual today: C3 sees every map of S2, where the paper connects some (table
    I), so it has 2,416 parameters and not 1,516; the pooling has no trainable coefficient and bias; the tanh is not
    scaled by 1.7159; the output is linear with a softmax loss, where the paper measures distances to drawn digits (RBF
    units).

    Args:
        version: "1998" is tanh and average pooling; "modern" is ReLU and max pooling.
        num_classes, in_channels: as for `build`.
    """

    def __init__(self, *, version: Version = "1998", num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        activation, pool = (nn.Tanh, nn.AvgPool2d) if version == "1998" else (nn.ReLU, nn.MaxPool2d)
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.act1 = activation()
        self.pool1 = pool(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.act2 = activation()
        self.pool2 = pool(2)
        self.conv3 = nn.Conv2d(16, 120, 5)
        self.act3 = activation()
        self.fc1 = nn.Linear(120, 84)
        self.act4 = activation()
        self.fc2 = make_head(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images with a side of exactly 32 pixels: with any other, C5 would not come out at 1×1."""
        check_images(x, channels=self.conv1.in_channels, smallest_side=1, network="LeNet-5")
        if x.shape[2:] != (32, 32):
            raise ValueError(
                f"LeNet-5 got images of shape {tuple(x.shape)}, but takes 32×32 pixels. Load the data with size=32."
            )
        x = self.act1(self.conv1(x))  # C1: (N, 6, 28, 28)
        x = self.pool1(x)  # S2: (N, 6, 14, 14)
        x = self.act2(self.conv2(x))  # C3: (N, 16, 10, 10)
        x = self.pool2(x)  # S4: (N, 16, 5, 5)
        x = self.act3(self.conv3(x))  # C5: (N, 120, 1, 1)
        x = x.flatten(1)  # (N, 120)
        x = self.act4(self.fc1(x))  # F6: (N, 84)
        return self.fc2(x)
