"""The small plain and residual nets of the degradation experiment (He et al. 2015, section 4.2).

6n + 2 layers: one convolution, three stages of n blocks with 16, 32, 64 filters at side 32, 16, 8, one linear layer. A
plain net is the same net with the additions left out, so the two have equally many parameters. Names are those public
checkpoints use (`conv1 bn1 layer1.0.conv1 … linear`).
"""

from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .heads import check_images, make_head
from .resnet import conv1x1, conv3x3, initialise

Shortcut = Literal["A", "B", "C"]


class PadShortcut(nn.Module):
    """Option A, no parameters: every second row and column, new channels filled with zeros around the old ones."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        extra = out_channels - in_channels
        self.before, self.after = extra // 2, extra - extra // 2

    def forward(self, x: Tensor) -> Tensor:
        """Subsample, then pad the channel dimension."""
        x = F.avg_pool2d(x, 1, stride=2)  # x[:, :, ::2, ::2], whose gradient would come in another memory layout
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


def make_shortcut(kind: Shortcut, in_channels: int, channels: int, stride: int) -> nn.Module:
    """The identity's way around a block: paper, section 4.1, options A, B and C."""
    same_shape = stride == 1 and in_channels == channels
    if same_shape and kind != "C":
        return nn.Identity()
    if kind == "A":
        return PadShortcut(in_channels, channels)
    return nn.Sequential(conv1x1(in_channels, channels, stride), nn.BatchNorm2d(channels))


class PlainBlock(nn.Module):
    """Two 3×3 convolutions, each with batch norm and ReLU: `(N, C, H, W)` to `(N, channels, H/stride, W/stride)`."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """H(x) is learned as a whole."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out)


class ResidualBlock(PlainBlock):
    """A `PlainBlock` with the identity added before its last ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, shortcut: Shortcut = "A") -> None:
        super().__init__(in_channels, channels, stride)
        self.shortcut = make_shortcut(shortcut, in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = ReLU(F(x) + x): only the difference to x is learned."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + self.shortcut(x)
        return self.relu2(out)


class CifarNet(nn.Module):
    """Plain or residual net with 6n + 2 layers for images of about 32 pixels.

    Args:
        depth: 6n + 2, for example 20, 32, 44, 56, 110, 1202.
        residual: add the identity around each block.
        shortcut: "A" (no parameters, the paper's choice for CIFAR), "B" (1×1 convolution where the shape changes) or
            "C" (1×1 convolution everywhere). A plain net has none.
        width: filters of the first stage; 16 in the paper, 8 for quick experiments.
        num_classes, in_channels: as for `build`.

    Raises:
        ValueError: depth is not 6n + 2.
    """

    def __init__(
        self,
        depth: int,
        *,
        residual: bool = True,
        shortcut: Shortcut = "A",
        width: int = 16,
        num_classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not isinstance(depth, int) or depth < 8 or (depth - 2) % 6 != 0:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 26, 32, …), got {depth}.")

        def stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
            sizes = [(in_channels, channels, stride)] + [(channels, channels, 1)] * ((depth - 2) // 6 - 1)
            if residual:
                return nn.Sequential(*(ResidualBlock(*size, shortcut=shortcut) for size in sizes))
            return nn.Sequential(*(PlainBlock(*size) for size in sizes))

        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = stage(width, width, 1)
        self.layer2 = stage(width, 2 * width, 2)
        self.layer3 = stage(2 * width, 4 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = make_head(4 * width, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shapes in the comments are those of a 32-pixel image and `width=16`."""
        check_images(x, channels=self.conv1.in_channels, smallest_side=4, network="CifarNet")
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.layer1(x)  # (N, 16, 32, 32)
        x = self.layer2(x)  # (N, 32, 16, 16)
        x = self.layer3(x)  # (N, 64, 8, 8)
        x = self.avgpool(x).flatten(1)  # (N, 64)
        return self.linear(x)


@torch.no_grad()
def extend_with_identity(shallow: CifarNet, depth: int, *, images: Tensor) -> CifarNet:
    """A plain net of `depth` layers that computes what `shallow` does: the construction of He et al. 2015, section 1.

    The blocks of `shallow` are copied to the beginning of each stage. The new ones behind them let everything pass:
    each convolution has a 1 at the centre of a filter's own channel and 0 elsewhere; each batch norm has the weight σ
    and the bias μ that undo its own normalisation, by the statistics that `images` have at this place; and no ReLU
    changes what has come out of another. In evaluation mode the outputs are equal for all images, in training mode,
    where a batch norm takes the batch's statistics, for these. The new net is in the mode of `shallow`.

    The images are a batch for training, `(N, C, H, W)`.

    Raises:
        ValueError: `shallow` is not a plain `CifarNet`, or `depth` is not 6n + 2 or not deeper.
    """
    if not isinstance(shallow, CifarNet) or isinstance(shallow.layer1[0], ResidualBlock):
        residual = " with residual blocks" if isinstance(shallow, CifarNet) else ""
        raise ValueError(
            f"extend_with_identity needs a plain CifarNet, got {type(shallow).__name__}{residual}. "
            "Build one with models.build('plain20')."
        )
    blocks = len(shallow.layer1)  # in each of the three stages
    if depth <= 6 * blocks + 2:
        raise ValueError(f"depth must be more than the {6 * blocks + 2} layers of the shallow net, got {depth}.")
    weight = shallow.conv1.weight
    deep = CifarNet(depth, residual=False, width=weight.shape[0], in_channels=weight.shape[1])
    deep.linear = deepcopy(shallow.linear)  # one classifier or several heads, with any number of classes
    deep.to(weight.device, weight.dtype).load_state_dict(shallow.state_dict(), strict=False)
    x = deep.train().relu(deep.bn1(deep.conv1(images)))
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        x = stage[:blocks](x)  # what every new block of the stage gets, and passes on
        var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        for block in stage[blocks:]:
            assert isinstance(block, PlainBlock)
            for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
                nn.init.dirac_(conv.weight)
                undone = {"running_mean": mean, "running_var": var, "weight": (var + norm.eps).sqrt(), "bias": mean}
                norm.load_state_dict(undone, strict=False)
    deep.load_state_dict(shallow.state_dict(), strict=False)  # once more: the pass has moved running statistics
    return deep.train(shallow.training)
