"""The check of lesson 11 on picking the layer for a map: as deep as the map allows."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import probe
from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Pick = Callable[[nn.Module, list[str], Tensor, int], str]


class Stages(nn.Sequential):
    """Convolutions one after another, `layer1`, `layer2`, …, each with a stride and a number of channels."""

    def __init__(self, strides: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        for number, (stride, before, after) in enumerate(zip(strides, (3, *channels), channels, strict=False), start=1):
            self.add_module(f"layer{number}", nn.Conv2d(before, after, 3, stride, padding=1))
        self.strides = tuple(strides)

    def __repr__(self) -> str:
        """What a written call shows."""
        return f"a net with strides {self.strides}"


def shapes(model: nn.Module, layers: list[str], image: Tensor) -> dict[str, tuple[int, int, int]]:
    """Channels, height and width of each layer's maps, in the order of `layers`."""
    with probe.activations(model, layers) as seen, torch.no_grad():
        model(image)
    return {name: (seen[name].shape[1], seen[name].shape[2], seen[name].shape[3]) for name in layers}


def fitting(
    fits: Callable[[tuple[int, int, int], int], bool], which: int = -1
) -> Callable[[nn.Module, list[str], Tensor, int], str | None]:
    """The last of the layers that fit, or the first."""

    def pick(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str | None:
        found = [name for name, shape in shapes(model, layers, image).items() if fits(shape, cells)]
        return found[which] if found else None

    return pick


def nearest(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    """The layer whose side comes closest to the number of cells."""
    sides = {name: min(shape[1:]) for name, shape in shapes(model, layers, image).items()}
    return min(layers, key=lambda name: abs(sides[name] - cells))


right = fitting(lambda shape, cells: min(shape[1:]) >= cells)

MISTAKES = (
    Mistake(
        fitting(lambda s, c: min(s[1:]) >= c, 0),
        "You take the first layer that is fine enough. Take the last, which knows more than edges.",
    ),
    Mistake(
        lambda model, layers, image, cells: layers[-1],
        "You always take the deepest layer. Its map can be as coarse as one cell: ask for the number of cells first.",
    ),
    Mistake(
        fitting(lambda s, c: min(s[1:]) > c),
        "A map with exactly so many cells is fine enough: `>=`, not `>`.",
    ),
    Mistake(
        fitting(lambda s, c: max(s[1:]) >= c),
        "You count the cells on the longer side. The shorter one decides what the map can tell apart.",
    ),
    Mistake(
        fitting(lambda s, c: s[1] * s[2] >= c),
        "You count all the cells of the map. `cells` is their number on the shorter *side*.",
    ),
    Mistake(
        fitting(lambda s, c: s[0] >= c),
        "You count channels. The side of a map stands in the last two places of its shape.",
    ),
    Mistake(
        fitting(lambda s, c: min(s[1:]) <= c, 0),
        "You take the first layer with *at most* so many cells. It should have at least as many.",
    ),
    Mistake(
        nearest,
        "You take the layer whose side comes closest to `cells`. At least as many are asked for: one cell less is "
        "too coarse.",
    ),
    Mistake(
        lambda model, layers, image, cells: right(model, layers, image[..., : min(image.shape[2:])], cells),
        "You look at a part of the image. Send it through the net as it is.",
    ),
)


@check("11.2 pick the layer")
def check_pick_layer(pick_layer: Any) -> str:
    """`pick_layer(model, layers, image, cells)`: the deepest of the layers whose maps have that many cells a side."""
    four = [f"layer{number}" for number in range(1, 5)]
    net, other = Stages((2, 2, 2, 2), (2, 3, 5, 4)), Stages((1, 2, 1, 3), (9, 2, 8, 3))
    calls = [
        Call(net, four, torch.randn(1, 3, 64, 64), 7),  # sides 32, 16, 8, 4
        Call(net, four, torch.randn(1, 3, 64, 64), 8),
        Call(net, four, torch.randn(1, 3, 64, 64), 4),
        Call(net, four, torch.randn(1, 3, 32, 96), 8),  # shorter sides 16, 8, 4, 2
        Call(net, four[:3], torch.randn(1, 3, 96, 48), 7),  # 24, 12, 6
        Call(other, four, torch.randn(1, 3, 24, 24), 12),  # 24, 12, 12, 4
        Call(other, four, torch.randn(1, 3, 30, 18), 5),  # 18, 9, 9, 3
        Call(other, four, torch.randn(1, 3, 24, 24), 20),
    ]
    name = need_function(pick_layer, "pick_layer(model, layers, image, cells)", *calls[0].args)
    judge(pick_layer, right, calls, MISTAKES, name=name, clean=lambda value: need_name(value, name, four))
    if any(module._forward_hooks for stages in (net, other) for module in stages.modules()):
        raise Wrong("The layers are right, but hooks stay on the model. `edu.probe.activations` takes them off again.")
    return "As deep as the map allows, for square and oblong images."


def need_name(value: Any, name: str, known: list[str]) -> str:
    """The value, if it is one of the layers' names.

    Raises:
        Wrong: it is something else.
    """
    if not isinstance(value, str) or value not in known:
        raise Wrong(f"Expected one of the names in `layers` from `{name}`, got {kind_of(value)}.")
    return value
