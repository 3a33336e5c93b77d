"""The checks of lesson 07: the blocks of ResNet."""

import torch
from torch import Tensor, nn

from .exercise import Call
from .module import module_exercise

R = torch.relu

# --- 07.1 basic block -------------------------------------------------------------------------------------------

BASIC_MISTAKES = {
    "Nothing is added: the block is still plain. One line before the last ReLU is missing.":
        lambda m, x: R(m.branch(x)),
    "You added x after the ReLU. In the paper the ReLU comes after the addition.":
        lambda m, x: R(m.branch(x)) + x,
    "You add x before the second batch norm, which then rescales the identity. Add it after.":
        lambda m, x: R(m.bn2(m.conv2(m.first(x)) + x)),
    "The last ReLU is missing: it comes after the addition.":
        lambda m, x: m.branch(x) + x,
    "You subtract x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) - x),
    "You multiply by x. The block is F(x) + x.":
        lambda m, x: R(m.branch(x) * x),
    "You add `out` to itself. What is added is the block's input, x.":
        lambda m, x: R(2 * m.branch(x)),
    "You take the mean of F(x) and x. The identity passes whole: F(x) + x.":
        lambda m, x: R((m.branch(x) + x) / 2),
    "You add ReLU(x). The identity passes as it is.":
        lambda m, x: R(m.branch(x) + R(x)),
    "You add the output of the first half. What is added is the block's input, x.":
        lambda m, x: R(m.bn2(m.conv2(h := m.first(x))) + h),
    "You add x in the middle, before the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(R(m.bn1(m.conv1(x)) + x)))),
    "You add x in the middle, after the first ReLU. The shortcut goes around both convolutions.":
        lambda m, x: R(m.bn2(m.conv2(m.first(x) + x))),
    "x is added twice. Once is enough.":
        lambda m, x: R(m.branch(x) + 2 * x),
    "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(R(m.conv1(x))))) + x),
    "Batch norm and ReLU come before the convolutions. That is the pre-activation of 2016; here they follow.":
        lambda m, x: m.conv2(R(m.bn2(m.conv1(R(m.bn1(x)))))) + x,
    "The ReLU between the two halves is missing: without it, two convolutions are no more than one.":
        lambda m, x: R(m.bn2(m.conv2(m.bn1(m.conv1(x)))) + x),
}  # fmt: skip


@module_exercise(
    "07.1 basic block",
    calls=lambda: [Call(4), Call(6)],
    inputs=lambda channels: [(3, channels, 8, 6), (2, channels, 5, 7)],
    own_relus=True,
    mistakes=BASIC_MISTAKES,
)
class BasicBlock(nn.Module):
    """ReLU(F(x) + x): shapes, values and gradients are right, in train and in eval mode."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()

    def first(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn1(self.conv1(x)))

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        """F(x) + x, then the ReLU."""
        return self.relu2(self.branch(x) + x)
