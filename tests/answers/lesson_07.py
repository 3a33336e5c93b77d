"""Answers to the exercises of lesson 07."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.models import BasicBlock, ResidualBlock


def conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, **options) -> nn.Conv2d:
    options = {"padding": kernel // 2, "bias": False} | options
    return nn.Conv2d(in_channels, out_channels, kernel, stride, **options)


# --- 07.1 start as the identity ---------------------------------------------------------------------------------


def start_as_identity(model: nn.Module) -> nn.Module:
    for block in model.modules():
        if isinstance(block, BasicBlock):
            nn.init.zeros_(block.bn2.weight)
        elif isinstance(block, models.Bottleneck):
            nn.init.zeros_(block.bn3.weight)
    return model


def as_torchvision(model: nn.Module) -> nn.Module:
    """Right: by names, without asking for the kind of block."""
    for name, module in model.named_modules():
        last = hasattr(model.get_submodule(name.rpartition(".")[0]), "bn3")
        if name.endswith("bn3" if last else "bn2") and name.startswith("layer"):
            module.weight.data.fill_(0)  # pyright: ignore[reportCallIssue]
    return model


def starts_small(model: nn.Module) -> nn.Module:
    for parameter in start_as_identity(model).parameters():
        if (parameter == 0).all():
            nn.init.constant_(parameter, 0.01)
    return model


def stem_too(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.weight)
    return model


# --- 07.2 bottleneck --------------------------------------------------------------------------------------------


class BottleneckBiased(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.conv3 = conv(channels, 4 * channels, 1, bias=True)


class BottleneckOneRelu(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu2 = self.relu3 = self.relu1


class BottleneckFunctional(models.Bottleneck):
    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, stride)
        self.relu1 = self.relu2 = self.relu3 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(out)) + identity)


class OwnBottleneck(nn.Module):
    """Right, with the shortcut always called."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out = 4 * channels
        squeeze = (conv(in_channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        look = (conv(channels, channels, 3, stride), nn.BatchNorm2d(channels), nn.ReLU())
        self.f = nn.Sequential(*squeeze, *look, conv(channels, out, 1), nn.BatchNorm2d(out))
        same = stride == 1 and in_channels == out
        self.around = nn.Sequential() if same else nn.Sequential(conv(in_channels, out, 1, stride), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.f(x) + self.around(x))


# --- 07.3 option A ----------------------------------------------------------------------------------------------


def option_a(x: Tensor, out_channels: int) -> Tensor:
    extra = out_channels - x.shape[1]
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))


def option_a_filled(x: Tensor, out_channels: int) -> Tensor:
    """Right, into a tensor of zeros."""
    thinned, before = x[:, :, ::2, ::2], (out_channels - x.shape[1]) // 2
    out = x.new_zeros(len(x), out_channels, *thinned.shape[2:])
    out[:, before : before + x.shape[1]] = thinned
    return out


def random_padding(x: Tensor, out_channels: int) -> Tensor:
    out = option_a(x, out_channels)
    return torch.where(out == 0, torch.rand_like(out), out)


# --- 07.4 path lengths ------------------------------------------------------------------------------------------


def path_lengths(blocks: int) -> list[int]:
    return [math.comb(blocks, length) for length in range(blocks + 1)]


def by_pascal(blocks: int) -> list[int]:
    """Right: each block lets every path go on in two ways."""
    counts = [1]
    for _ in range(blocks):
        counts = [past + through for past, through in zip([*counts, 0], [0, *counts], strict=True)]
    return counts


# --- 07.5 take a block out --------------------------------------------------------------------------------------


def block_removal(model, measure):
    blocks = {name: part for name, part in model.named_modules() if isinstance(part, ResidualBlock)}
    measured = {}
    for name, block in blocks.items():
        model.set_submodule(name, nn.Sequential(block.shortcut, nn.ReLU()))
        measured[name] = measure(model)
        model.set_submodule(name, block)
    return measured


def in_copies(model, measure):
    """Right: each net is a copy, in which the branch's last batch norm gives zeros."""
    measured = {}
    for name, block in model.named_modules():
        if isinstance(block, ResidualBlock):
            other = copy.deepcopy(model)
            nn.init.zeros_(other.get_submodule(name).bn2.weight)
            nn.init.zeros_(other.get_submodule(name).bn2.bias)
            measured[name] = measure(other)
    return measured


def never_put_back(model, measure):
    measured = {}
    for name, block in list(model.named_modules()):
        if isinstance(block, ResidualBlock):
            model.set_submodule(name, nn.Sequential(block.shortcut, nn.ReLU()))
            measured[name] = measure(model)
    return measured


def nothing_in_its_place(model, measure):
    """A stage's first block changes the shape; the next one does not take what the identity leaves."""
    measured = {}
    for name, block in list(model.named_modules()):
        if isinstance(block, ResidualBlock):
            other = copy.deepcopy(model)
            other.set_submodule(name, nn.Identity())
            measured[name] = measure(other)
    return measured


RIGHT = {
    "07.1": [start_as_identity, as_torchvision],
    "07.2": [models.Bottleneck, OwnBottleneck],
    "07.3": [option_a, option_a_filled],
    "07.4": [path_lengths, by_pascal],
    "07.5": [block_removal, in_copies],
}

WRONG = {
    "07.1": [
        (starts_small, "the values are not"),
        (lambda model: start_as_identity(model).requires_grad_(False), "conv1.weight: expected True, got False"),
        (stem_too, "bn1.weight: the shape is right, the values are not"),
        (lambda model: model.state_dict(), "Expected the network"),
    ],
    "07.2": [
        (BottleneckBiased, "cancels"),
        (BottleneckOneRelu, "an `nn.ReLU()` for each use"),
        (BottleneckFunctional, "defines 0 × ReLU"),
    ],
    "07.3": [
        (lambda x, out_channels: option_a(x.detach(), out_channels), "cuts the result off from autograd"),
        (random_padding, "the values are not"),
    ],
    "07.4": [
        (lambda blocks: 2**blocks, "Expected a list of whole numbers, got the int"),
        (lambda blocks: [1], "entries"),
        (lambda blocks: path_lengths(blocks)[:1] + path_lengths(blocks)[2:], "expected 2 entries"),
    ],
    "07.5": [
        (never_put_back, "changes the network it is given as `model`"),
        (nothing_in_its_place, "raised RuntimeError"),
        (lambda model, measure: list(block_removal(model, measure).values()), "Expected a dictionary"),
        (lambda model, measure: dict.fromkeys(block_removal(model, measure)), "one number for each block"),
    ],
}
