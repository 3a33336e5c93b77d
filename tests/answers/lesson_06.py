"""Answers to the exercises of lesson 06."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.checks.lesson_06 import KEY
from resnet_edu.models import CifarNet, cifar
from resnet_edu.models.cifar import ResidualBlock

# --- 06.1 plain block -------------------------------------------------------------------------------------------


class PlainBlock(nn.Module):
    """Right. What the wrong ones change is in class attributes."""

    conv1_options: dict[str, Any] = {}
    conv2_options: dict[str, Any] = {}

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        usual = {"kernel_size": 3, "padding": 1, "bias": False}
        self.conv1 = nn.Conv2d(in_channels, channels, **({"stride": stride} | usual | self.conv1_options))  # pyright: ignore[reportArgumentType]
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, **(usual | self.conv2_options))
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)))


class AsSequential(nn.Sequential):
    """Right, with other names and ReLUs in place."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        half = [nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)]
        other = [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)]
        super().__init__(nn.Sequential(*half), nn.Sequential(*other))


class OneReluTwice(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu1(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


class FunctionalRelu(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class SmallKernel(PlainBlock):
    conv2_options = {"kernel_size": 1, "padding": 0}


class Unpadded(PlainBlock):
    conv1_options = {"padding": 0}


class Biased(PlainBlock):
    conv1_options = {"bias": True}


class StrideNever(PlainBlock):
    conv1_options = {"stride": 1}


class Grouped(PlainBlock):
    conv2_options = {"padding_mode": "reflect"}


class StrideTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)


class OneNormTwice(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.bn2 = self.bn1


class WithLinear(PlainBlock):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.extra = nn.Linear(2, 2)


class Shuffled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.relu1(self.bn2(self.bn1(self.conv2(self.conv1(x))))))


class CutOff(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Pooled(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class InputChanged(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        x.mul_(2)
        return out


# --- 06.2 repair plain-56 ---------------------------------------------------------------------------------------


class Branch(ResidualBlock):
    """F(x), for the ways to go on."""

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))


class RepairedInPlace(Branch):
    """Right."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        out += self.shortcut(x)
        return self.relu1(out)


class RepairedFromPlain(cifar.PlainBlock):
    """Right, with a shortcut of its own."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.around = cifar.PadShortcut(in_channels, channels) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.around(x) + out)


class InputOverwritten(Branch):
    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        if out.shape != x.shape:
            return self.relu2(out + self.shortcut(x))
        x += out
        return self.relu2(x)


class Detached(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x.detach()))


class OtherNames(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.block = ResidualBlock(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Concatenated(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(torch.cat([self.branch(x), self.shortcut(x)], dim=1))


class Flipped(Branch):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.branch(x) + self.shortcut(x).flip(2))


# --- 06.3 identity extension ------------------------------------------------------------------------------------


@torch.no_grad()
def pass_on(block: Any) -> None:
    for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        norm.weight.fill_((1 + norm.eps) ** 0.5)


def deeper(shallow: CifarNet, depth: int) -> CifarNet:
    return CifarNet(depth, residual=False, width=shallow.conv1.out_channels, in_channels=shallow.conv1.in_channels)


def extend(shallow: CifarNet, depth: int) -> CifarNet:
    deep = deeper(shallow, depth)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for block in stage[len(shallow.layer1) :]:
            pass_on(block)
    return deep


def identities_first(shallow: CifarNet, depth: int) -> CifarNet:
    """Right: the new blocks stand before the old ones, but for the block that changes the shape."""
    deep, more = deeper(shallow, depth), (depth - 2) // 6 - len(shallow.layer1)
    state = {}
    for name, value in shallow.state_dict().items():
        stage, *rest = name.split(".")
        if stage.startswith("layer") and int(rest[0]) > 0:
            name = ".".join([stage, str(int(rest[0]) + more), *rest[1:]])
        state[name] = value
    deep.load_state_dict(state, strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for block in stage[1 : 1 + more]:
            pass_on(block)
    return deep


def the_packages(shallow: CifarNet, depth: int) -> CifarNet:
    return models.extend_with_identity(shallow, depth, images=torch.randn(8, shallow.conv1.in_channels, 16, 16))


def grown_in_place(shallow: CifarNet, depth: int) -> CifarNet:
    for stage in (shallow.layer1, shallow.layer2, shallow.layer3):
        width: Any = stage[0].get_submodule("conv2")
        while len(stage) < (depth - 2) // 6:
            stage.append(cifar.PlainBlock(width.out_channels, width.out_channels))
            pass_on(stage[-1])
    return shallow


class HiddenShortcut(cifar.PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


def hidden_shortcut(shallow: CifarNet, depth: int) -> CifarNet:
    deep: Any = deeper(shallow, depth)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for i in range(len(shallow.layer1), len(stage)):
            width = stage[i].conv1.in_channels
            stage[i] = HiddenShortcut(width, width)
            nn.init.zeros_(stage[i].bn2.weight)
    return deep


def shared(shallow: CifarNet, depth: int) -> CifarNet:
    deep = extend(shallow, depth)
    deep.conv1 = shallow.conv1
    return deep


def shifted(shallow: CifarNet, depth: int) -> CifarNet:
    deep: Any = extend(shallow, depth)
    nn.init.constant_(deep.layer3[-1].bn2.bias, 0.1)
    return deep


def statistics_spoiled(shallow: CifarNet, depth: int) -> CifarNet:
    shallow.train()(torch.randn(4, shallow.conv1.in_channels, 8, 8))
    return extend(shallow, depth)


def one_stage(shallow: CifarNet, depth: int) -> CifarNet:
    deep: Any = extend(shallow, 6 * len(shallow.layer1) + 8)
    while 2 * sum(map(len, (deep.layer1, deep.layer2, deep.layer3))) + 2 < depth:
        deep.layer1.append(cifar.PlainBlock(deep.conv1.out_channels, deep.conv1.out_channels))
        pass_on(deep.layer1[-1])
    return deep


class PartlyTrained(CifarNet):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.layer1(self.relu(self.bn1(self.conv1(x))))
        return self.linear(self.avgpool(self.layer3(self.layer2(x))).flatten(1))


def cut_off(shallow: CifarNet, depth: int) -> CifarNet:
    deep = extend(shallow, depth)
    deep.__class__ = PartlyTrained
    return deep


# --- 06.4 read six curves ---------------------------------------------------------------------------------------


def reading(**changed: object) -> Any:
    """Right but for some letters."""
    return lambda: {**KEY, **changed}


RIGHT = {
    "06.1": [PlainBlock, cifar.PlainBlock, AsSequential, OneReluTwice, FunctionalRelu],
    "06.2": [ResidualBlock, RepairedInPlace, RepairedFromPlain],
    "06.3": [extend, identities_first, the_packages],
    "06.4": [reading(), reading(A="  Overfitting", C="DEGRADATION ")],
}

WRONG = {
    "06.1": [
        (SmallKernel, "kernel_size=1"),
        (Unpadded, "padding=0"),
        (Biased, "takes off again"),
        (StrideNever, "stride=1"),
        (Grouped, "padding_mode"),
        (StrideTwice, "stride=2"),
        (OneNormTwice, "batch norm"),
        (WithLinear, "linear layer"),
        (Shuffled, "what happens between them is not"),
        (CutOff, "no gradient reaches the input"),
        (Pooled, "expected a tensor of shape"),
        (InputChanged, "changes the tensor it is given"),
    ],
    "06.2": [
        (InputOverwritten, "changes the tensor it is given"),
        (Detached, "gradient that reaches the input"),
        (OtherNames, "block"),
        (Concatenated, "expected a tensor of shape"),
        (Flipped, "what happens between them is not"),
    ],
    "06.3": [
        (grown_in_place, "changes the network it is given as `shallow`"),
        (hidden_shortcut, "shortcut in the deep net"),
        (shared, "share weights"),
        (shifted, "logits in eval mode"),
        (statistics_spoiled, "changes the network it is given as `shallow`"),
        (one_stage, "parameters: expected"),
        (cut_off, "get no gradient"),
        (lambda shallow, depth: extend(shallow, depth).state_dict(), "Expected the deep net"),
    ],
    "06.4": [
        (reading(A="degradation"), "A: degradation would show two depths"),
        (reading(B="learning rate too high"), "B: with too high a rate"),
        (reading(C="overfitting"), "C: overfitting would show a training error near zero"),
        (reading(D="healthy"), "D: a healthy run would end"),
        (reading(E="learning rate too low"), "E: with too low a rate"),
        (reading(F="labels shuffled"), "F: with shuffled labels"),
        (lambda: dict.fromkeys(KEY, "healthy"), "1 of 6 are right"),
        (reading(A="overfit"), "Did you mean 'overfitting'?"),
        (reading(A="vanishing gradients"), "'vanishing gradients' is no diagnosis"),
        (reading(B=None, D=""), "No diagnosis yet for B, D"),
        (reading(G="healthy"), "'G' is none of them"),
        (lambda: list(KEY.values()), "got the list"),
    ],
}
