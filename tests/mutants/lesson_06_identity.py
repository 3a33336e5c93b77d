"""Answers to the exercise of lesson 06 that extends a plain net by identity layers."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from resnet_edu import checks, models
from resnet_edu.models import CifarNet, PlainBlock

from . import Exercise


def deeper(shallow: CifarNet, depth: int, *, residual: bool = False) -> CifarNet:
    """A fresh net of that depth."""
    channels = shallow.conv1.in_channels
    return CifarNet(depth, residual=residual, width=shallow.conv1.out_channels, in_channels=channels)


def new_blocks(shallow: CifarNet, deep: CifarNet) -> list[PlainBlock]:
    """The blocks behind those of the shallow net."""
    stages = (deep.layer1, deep.layer2, deep.layer3)
    return [block for stage in stages for block in list(stage)[len(shallow.layer1) :]]  # type: ignore[misc]


@torch.no_grad()
def do_nothing(block: PlainBlock, *, exact: bool = True) -> None:
    for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        if exact:
            norm.weight.fill_((1 + norm.eps) ** 0.5)


def extend_with_identity(shallow: CifarNet, depth: int) -> CifarNet:
    deep = deeper(shallow, depth)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for block in new_blocks(shallow, deep):
        do_nothing(block)
    return deep


def the_packages(shallow: CifarNet, depth: int) -> CifarNet:
    return models.extend_with_identity(shallow, depth, images=torch.randn(8, shallow.conv1.in_channels, 16, 16))


def stub(shallow: nn.Module, depth: int) -> nn.Module:
    raise NotImplementedError("not yet")


def identities_first(shallow: CifarNet, depth: int) -> CifarNet:
    """Right as well: the new blocks stand before the old ones, but for the block that changes the shape."""
    deep = deeper(shallow, depth)
    blocks, more = len(shallow.layer1), (depth - 2) // 6 - len(shallow.layer1)
    state = {}
    for name, value in shallow.state_dict().items():
        stage, *rest = name.split(".")
        if stage.startswith("layer") and int(rest[0]) > 0:
            name = ".".join([stage, str(int(rest[0]) + more), *rest[1:]])
        state[name] = value
    deep.load_state_dict(state, strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for i in range(1, 1 + more):
            do_nothing(stage[i])  # type: ignore[arg-type]
    assert blocks >= 1
    return deep


def random_blocks(shallow, depth):
    deep = deeper(shallow, depth)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    return deep


def eps_forgotten(shallow, depth):
    deep = random_blocks(shallow, depth)
    for block in new_blocks(shallow, deep):
        do_nothing(block, exact=False)
    return deep


def without_statistics(shallow, depth):
    deep = deeper(shallow, depth)
    deep.load_state_dict(dict(shallow.named_parameters()), strict=False)
    for block in new_blocks(shallow, deep):
        do_nothing(block)
    return deep


def without_classifier(shallow, depth):
    state = {name: value for name, value in shallow.state_dict().items() if not name.startswith("linear")}
    deep = deeper(shallow, depth)
    deep.load_state_dict(state, strict=False)
    for block in new_blocks(shallow, deep):
        do_nothing(block)
    return deep


def the_shallow_net(shallow, depth):
    return shallow


def a_copy(shallow, depth):
    return copy.deepcopy(shallow)


def grown_in_place(shallow, depth):
    for stage in (shallow.layer1, shallow.layer2, shallow.layer3):
        width = stage[0].conv2.out_channels
        while len(stage) < (depth - 2) // 6:
            block = PlainBlock(width, width)
            do_nothing(block)
            stage.append(block)
    return shallow


def nothing_modules(shallow, depth):
    deep = copy.deepcopy(shallow)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        while len(stage) < (depth - 2) // 6:
            stage.append(nn.Identity())
    return deep


def residual_net(shallow, depth):
    deep = deeper(shallow, depth, residual=True)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for block in new_blocks(shallow, deep):
        nn.init.zeros_(block.bn2.weight)
    return deep


class HiddenShortcut(PlainBlock):
    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


def hidden_shortcut(shallow, depth):
    deep: Any = random_blocks(shallow, depth)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for i in range(len(shallow.layer1), len(stage)):
            width = stage[i].conv1.in_channels
            stage[i] = HiddenShortcut(width, width)
            nn.init.zeros_(stage[i].bn2.weight)
    return deep


def shared_weights(shallow, depth):
    deep = extend_with_identity(shallow, depth)
    deep.conv1 = shallow.conv1
    return deep


def frozen(shallow, depth):
    return extend_with_identity(shallow, depth).requires_grad_(False)


def zeros(shallow, depth):
    deep = extend_with_identity(shallow, depth)
    for block in new_blocks(shallow, deep):
        nn.init.zeros_(block.conv1.weight)
    return deep


def blurred(shallow, depth):
    deep: Any = extend_with_identity(shallow, depth)
    with torch.no_grad():
        deep.layer3[-1].bn2.bias.fill_(0.1)
    return deep


def swapped(shallow, depth):
    deep: Any = extend_with_identity(shallow, depth)
    last = deep.layer1[len(shallow.layer1) - 1]
    deep.layer1[len(shallow.layer1) - 1] = deep.layer1[0]
    deep.layer1[0] = last
    return deep


def one_stage(shallow, depth):
    deep = copy.deepcopy(shallow)
    for _ in range((depth - 2) // 2 - 3 * len(deep.layer1)):
        block = PlainBlock(deep.conv1.out_channels, deep.conv1.out_channels)
        do_nothing(block)
        deep.layer1.append(block)
    return deep


def weights_only(shallow, depth):
    return extend_with_identity(shallow, depth).state_dict()


def one_block_again_and_again(shallow, depth):
    deep = extend_with_identity(shallow, depth)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for i in range(len(shallow.layer1), len(stage)):
            stage[i] = stage[len(shallow.layer1)]
    return deep


def statistics_spoiled(shallow, depth):
    shallow.train()
    with torch.no_grad():
        shallow(torch.randn(4, shallow.conv1.in_channels, 8, 8))
    return extend_with_identity(shallow, depth)


class CutOff(CifarNet):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.layer1(self.relu(self.bn1(self.conv1(x))))
        return self.linear(self.avgpool(self.layer3(self.layer2(x))).flatten(1))


def cut_off(shallow, depth):
    deep = extend_with_identity(shallow, depth)
    deep.__class__ = CutOff
    return deep


EXERCISES = [
    Exercise(
        checks.check_identity_extension,
        extend_with_identity,
        stub,
        [
            (random_blocks, "a new convolution is no identity"),
            (eps_forgotten, "root of running_var + eps"),
            (without_statistics, "running statistics of the shallow net are not copied"),
            (without_classifier, "`linear.weight` of the shallow net is not in the deep one"),
            (the_shallow_net, "the shallow net itself. Build"),
            (a_copy, "depth of the shallow net: 8 layers"),
            (grown_in_place, "has grown"),
            (nothing_modules, "`nn.Identity` has no weights"),
            (residual_net, "The deep net is residual"),
            (hidden_shortcut, "shortcut in the deep net"),
            (shared_weights, "share weights"),
            (frozen, "are frozen"),
            (zeros, "are all zeros"),
            (blurred, "a new batch norm is no identity"),
            (swapped, "in another order"),
            (one_stage, "spread evenly over the three stages"),
            (weights_only, "Expected the deep net"),
            (one_block_again_and_again, "used more than once"),
            (statistics_spoiled, "has changed"),
            (cut_off, "`conv1.weight` gets no gradient"),
        ],
        others=(the_packages, identities_first),
    )
]
