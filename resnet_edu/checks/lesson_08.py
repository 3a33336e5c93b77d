"""The checks of lesson 08: ResNet-34 with torchvision's names."""

from torch import Tensor
from torch.nn import functional as F

from ..models import BasicBlock, Bottleneck, ResNet
from .exercise import Call
from .module import module_exercise

# --- 08.2 ResNet-34 ---------------------------------------------------------------------------------------------

RESNET34_MISTAKES = {
    "The stages have 2, 2, 2, 2 blocks. That is ResNet-18.":
        {"_blocks": (2, 2, 2, 2)},
    "The blocks are bottlenecks, with which 3, 4, 6, 3 make ResNet-50. ResNet-34 has `BasicBlock`s.":
        {"_block": Bottleneck},
    "`num_classes` is ignored: the net returns 1000 logits whatever is asked for.":
        {"num_classes": 1000},
    "`in_channels` is ignored: `conv1` takes 3 channels whatever is asked for.":
        {"in_channels": 3},
    "The max pooling of the stem is missing: the stages work on maps of twice the side.":
        lambda m, x: m.head(m.stages(m.stem(x))),
    "The max pooling has windows of 2×2. It has 3×3 with stride 2 and padding 1, so that windows overlap.":
        lambda m, x: m.head(m.stages(F.max_pool2d(m.stem(x), 2))),
    "The max pooling has no padding. From 112 pixels it must lead to 56.":
        lambda m, x: m.head(m.stages(F.max_pool2d(m.stem(x), 3, 2))),
    "The stem pools by the average. It takes the maximum.":
        lambda m, x: m.head(m.stages(F.avg_pool2d(m.stem(x), 3, 2, 1))),
    "The ReLU of the stem is missing. It stands between `bn1` and the max pooling.":
        lambda m, x: m.head(m.stages(m.maxpool(m.bn1(m.conv1(x))))),
    "The pooling at the end is made for one side of the image only. `nn.AdaptiveAvgPool2d(1)` takes any.":
        lambda m, x: m.fc(F.avg_pool2d(m.features(x), 7).flatten(1)),
    "`fc` gets (N, 512, 1, 1), and takes (N, 512): `.flatten(1)` is missing in front.":
        lambda m, x: m.fc(m.avgpool(m.features(x))),
    "You end in a global max pooling. ResNet takes the average.":
        lambda m, x: m.fc(m.features(x).amax(dim=(2, 3))),
    "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
        lambda m, x: m.head(m.features(x)).softmax(dim=1),
    "A ReLU follows the last layer. Logits may be negative: leave it off.":
        lambda m, x: m.head(m.features(x)).relu(),
    "There is a dropout in front of `fc`. ResNet has none: batch norm does its work.":
        lambda m, x: m.fc(F.dropout(m.avgpool(m.features(x)).flatten(1), training=m.training)),
    "`squeeze()` takes the batch away where there is one image. Write `.flatten(1)`.":
        lambda m, x: m.fc(m.avgpool(m.features(x)).squeeze()),
}  # fmt: skip


@module_exercise(
    "08.2 ResNet-34",
    calls=lambda: [Call(num_classes=7, in_channels=1), Call()],
    inputs=lambda num_classes, in_channels: [(2, 1, 64, 96), (2, 1, 75, 49)] if in_channels == 1 else [],
    names=True,
    mistakes=RESNET34_MISTAKES,
)
class ResNet34(ResNet):
    """218 names as torchvision has them, 21,797,672 parameters with its defaults, and the same logits."""

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, *, _block: type = BasicBlock, _blocks: tuple = (3, 4, 6, 3)
    ) -> None:
        super().__init__(_block, _blocks, num_classes=num_classes, in_channels=in_channels)

    def stem(self, x: Tensor) -> Tensor:
        return self.relu(self.bn1(self.conv1(x)))

    def stages(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def features(self, x: Tensor) -> Tensor:
        return self.stages(self.maxpool(self.stem(x)))

    def head(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
