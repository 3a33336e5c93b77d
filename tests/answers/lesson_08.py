"""Answers to the exercises of lesson 08."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.models import BasicBlock

# --- 08.1 stage -------------------------------------------------------------------------------------------------


def stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    others = [BasicBlock(channels, channels) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *others)


def stage_in_a_loop(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Right, with the shape carried along, and named and nested blocks."""
    layers = nn.Sequential()
    for n in range(blocks):
        layers.add_module(f"block{n}", nn.Sequential(BasicBlock(in_channels, channels, stride)))
        in_channels, stride = channels, 1
    return layers


def stage_of_one_block(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    others = [BasicBlock(channels, channels)] * (blocks - 1)
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *others)


def stage_by_ones_own_class(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Module:
    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = stage(in_channels, channels, blocks, stride)

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(x)

    return Stage()


def trunk_cut_off(*sizes: int) -> nn.Sequential:
    class Cut(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(x.detach())

    return Cut(*stage(*sizes))


# --- 08.2 ResNet-34 ---------------------------------------------------------------------------------------------


class ResNet34(nn.Module):
    """Right. What the wrong ones change is in class attributes."""

    blocks = (3, 4, 6, 3)
    strides = (1, 2, 2, 2)
    widths = (64, 128, 256, 512)
    stem: dict = {}

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        stem = {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False} | self.stem
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 64, **stem), nn.BatchNorm2d(64)
        before = 64
        for n, (width, blocks, stride) in enumerate(zip(self.widths, self.blocks, self.strides, strict=True), start=1):
            others = [BasicBlock(width, width) for _ in range(blocks - 1)]
            self.add_module(f"layer{n}", nn.Sequential(BasicBlock(before, width, stride), *others))
            before = width
        self.fc = nn.Linear(before, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean(dim=(2, 3)))


class Packages(models.ResNet):
    """Right: the package's own."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(BasicBlock, (3, 4, 6, 3), num_classes=num_classes, in_channels=in_channels)


class BlocksMissing(ResNet34):
    blocks = (3, 4, 5, 3)


class SmallStem(ResNet34):
    stem = {"kernel_size": 3, "padding": 1}


class StemUnpadded(ResNet34):
    stem = {"padding": 0}


class Biased(ResNet34):
    stem = {"bias": True}


class FirstStageHalved(ResNet34):
    strides = (2, 2, 2, 2)


class NoStrides(ResNet34):
    strides = (1, 1, 1, 1)


class Exchanged(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        block: Any = self.get_submodule("layer3.0")
        block.conv1, block.conv2 = block.conv2, block.conv1


class TenByDefault(ResNet34):
    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)


class OtherNames(ResNet34):
    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.head = self.fc
        del self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))


class SharedBlocks(ResNet34):
    """One block used several times: the names are there, the parameters are not."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__(num_classes, in_channels)
        self.layer1 = nn.Sequential(*[BasicBlock(64, 64)] * 3)


class FrozenTrunk(ResNet34):
    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().features(x)


class ImagesChanged(ResNet34):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clamp_(0, 1))


# --- 08.3 multi-head loss ---------------------------------------------------------------------------------------

Tensors = dict[str, Tensor]
Weights = dict[str, float] | None


def loss(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    weights = weights or {}
    losses = [weights.get(head, 1.0) * F.cross_entropy(out, labels[head]) for head, out in outputs.items()]
    return torch.stack(losses).sum()


def loss_with_modules(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """Right, with nn.CrossEntropyLoss and a loop over the labels; of shape (1,)."""
    total, criterion = torch.zeros(1), nn.CrossEntropyLoss()
    for head, target in labels.items():
        weight = 1.0 if weights is None or head not in weights else weights[head]
        total = total + weight * criterion(outputs[head], target)
    return total


def loss_by_hand(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    weights = dict.fromkeys(outputs, 1.0) | (weights or {})
    picked = {head: out.log_softmax(1)[range(len(out)), labels[head]] for head, out in outputs.items()}
    return -sum((weights[head] * each.mean() for head, each in picked.items()), torch.tensor(0.0))


def loss_set_default(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    weights = {} if weights is None else weights
    for head in outputs:
        weights.setdefault(head, 1.0)
    return loss(outputs, labels, weights)


def loss_cut_off(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    first = next(iter(outputs))
    return loss({head: out if head == first else out.detach() for head, out in outputs.items()}, labels, weights)


def loss_of_each_image(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    return torch.stack([F.cross_entropy(out, labels[h], reduction="none") for h, out in outputs.items()]).sum(0)


# --- 08.4 weights trained elsewhere -----------------------------------------------------------------------------


def cut(state: Tensors) -> Tensors:
    if not all(key.startswith("module.") for key in state):
        return dict(state)
    return {key.removeprefix("module."): value for key, value in state.items()}


def split(model: nn.Module, state: Tensors, head: str) -> tuple[Tensors, list[str]]:
    """What fits, and the names that do not; a ValueError where one of them is the trunk's."""
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    rest = sorted((own.keys() | state.keys()) - fitting.keys())
    if others := [key for key in rest if not key.startswith(f"{head}.")]:
        raise ValueError(f"The trunk does not fit: {others[0]}")
    return fitting, rest


def load(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    fitting, rest = split(model, cut(state), head)
    model.load_state_dict(fitting, strict=False)
    return model, rest


def load_by_copying(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    """Right, tensor by tensor."""
    fitting, rest = split(model, cut(state), head)
    own = model.state_dict()
    for key, value in fitting.items():
        own[key].copy_(value)
    return model, rest


def load_with(change: Callable[[list[str]], Any]) -> Callable[..., Any]:
    """The right way, with something done to the names."""
    return lambda model, state, head="fc": (load(model, state, head)[0], change(load(model, state, head)[1]))


def load_raising(other: Exception) -> Callable[..., Any]:
    def answer(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
        try:
            return load(model, state, head)
        except ValueError:
            raise other from None

    return answer


def load_additional_names(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    own = model.state_dict()
    return load(model, {key: v for key, v in cut(state).items() if key in own or key.startswith("fc.")}, head)


def load_pops(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    found = load(model, state, head)
    for key in list(state):
        if "fc." in key:
            state.pop(key)
    return found


def load_and_look(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    nn.init.zeros_(model.get_parameter("bn1.weight"))
    return load(model, state, head)


def parameters_only(model: nn.Module, state: Tensors, head: str = "fc") -> tuple[nn.Module, list[str]]:
    before = {name: value.clone() for name, value in model.named_buffers()}
    _, rest = load(model, state, head)
    for name, value in model.named_buffers():
        value.copy_(before[name])
    return model, rest


RIGHT = {
    "08.1": [stage, stage_in_a_loop, stage_by_ones_own_class],
    "08.2": [ResNet34, Packages],
    "08.3": [loss, loss_with_modules, loss_by_hand],
    "08.4": [load, load_by_copying],
}

WRONG = {
    "08.1": [
        (stage_of_one_block, "is used 2 times"),
        (trunk_cut_off, "no gradient reaches the input"),
        (lambda *sizes: list(stage(*sizes)), "It cannot be called; `nn.Sequential(*layers)` can"),
        (lambda *sizes: nn.ModuleList(stage(*sizes)), "It cannot be called; `nn.Sequential(*layers)` can"),
        (lambda *sizes: nn.Sequential(*stage(*sizes), nn.ReLU()), "defines 7 × ReLU; it needs 6"),
    ],
    "08.2": [
        (BlocksMissing, "lacks `layer3.5.conv1.weight`"),
        (SmallStem, "`conv1.weight` has shape (64, 1, 3, 3), expected (64, 1, 7, 7)"),
        (StemUnpadded, "`conv1` has `padding=0`, expected `padding=3`"),
        (Biased, "has an additional `conv1.bias`"),
        (FirstStageHalved, "has an additional `layer1.0.downsample"),
        (NoStrides, "has `stride=1`, expected `stride=2`"),
        (Exchanged, "`layer3.0.conv1.weight` has shape (256, 256, 3, 3), expected (256, 128, 3, 3)"),
        (TenByDefault, "`ResNet34()`: `fc.weight` has shape (10, 512)"),
        (OtherNames, "`head.weight` has the wrong name: it should be `fc.weight`"),
        (SharedBlocks, "is used 3 times"),
        (FrozenTrunk, "no gradient reaches"),
        (ImagesChanged, "changes the tensor it is given"),
    ],
    "08.3": [
        (lambda outputs, labels, weights=None: loss(outputs, labels, weights).item(), "to call `backward` on, got the"),
        (lambda outputs, labels, weights=None: outputs, "got the dict"),
        (loss_of_each_image, "got a tensor of shape (5,)"),
        (loss_cut_off, "the gradient of `outputs['vowel']` is not"),
        (loss_set_default, "changes the dictionary it is given as `weights`"),
    ],
    "08.4": [
        (load_raising(ValueError("The trunk does not fit")), "does not name what does not fit. Put `bn1.running_mean`"),
        (load_and_look, "the model has changed"),
        (load_raising(KeyError("trunk")), "given weights that lack `bn1.running_mean`"),
        (load_additional_names, "given weights that have a `layer5` more than the model"),
        (load_pops, "changes the dictionary it is given as `state`"),
        (parameters_only, "bn1.running_mean"),
        (lambda model, state, head="fc": load(model, state, head)[1], "Expected the model first"),
        (load_with(lambda names: None), "a sorted list of names, got None"),
        (load_with(set), "a sorted list of names, got something of type `set`"),
        (load_with(lambda names: names * 2), "expected 2 entries"),
        (load_with(lambda names: names[::-1]), "at position 0"),
    ],
}
