"""The pre-activation block: batch norm and ReLU before each convolution, nothing behind the addition.

He et al. 2016, figure 1b: https://arxiv.org/abs/1603.05027
"""

from torch import Tensor, nn

from .resnet import conv1x1, conv3x3


class PreActBlock(nn.Module):
    """Batch norm, ReLU, 3×3 convolution, twice, and x added as it came in.

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
