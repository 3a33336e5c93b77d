"""The picture of a network has what the network has: layers, blocks, sides, shortcuts."""

import pytest
import torch
import torchvision
from matplotlib.patches import Rectangle
from torch import nn

from resnet_edu import models, plots
from resnet_edu.plots.architecture import units_of

SMALL = ("lenet5", "plain", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202")


def shape_for(name: str) -> tuple[int, int, int]:
    return (1, 32, 32) if name == "lenet5" else (3, 32, 32) if name.startswith(SMALL) else (3, 224, 224)


def build(name: str) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, in_channels=1 if name == "lenet5" else 3)


def boxes(model: nn.Module, shape: tuple[int, ...]) -> list[Rectangle]:
    (axes,) = plots.architecture(model, shape, title="").axes
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("name", [name for name in models.available() if name != "resnet1202"])
def test_every_network_of_the_course_is_drawn_whole(name: str) -> None:
    model, shape = build(name), shape_for(name)
    units = units_of(model, shape)
    drawn = [layer.kind for unit in units for branch in unit.branches for layer in branch]
    around = ("downsample", "shortcut", "aux")
    layers = [(part, module) for part, module in model.named_modules() if not any(word in part for word in around)]
    assert drawn.count("convolution") == sum(isinstance(module, nn.Conv2d) for _, module in layers)
    assert drawn.count("linear") == sum(isinstance(module, nn.Linear) for _, module in layers)
    blocks = [module for _, module in layers if hasattr(module, "downsample") or hasattr(module, "shortcut")]
    assert sum(bool(unit.shortcut) for unit in units) == len(blocks)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_a_resnet_has_as_many_boxes_with_weights_as_its_name_says(depth: int) -> None:
    model = build(f"resnet{depth}")
    colours = [box.get_facecolor() for box in boxes(model, (3, 224, 224))]
    assert len(colours) == depth + 2  # and two poolings
    assert len(set(colours)) == 3
    (axes,) = plots.architecture(model, (3, 224, 224), title="").axes
    dashed = [line.get_linestyle() for line in axes.lines]
    assert dashed.count("--") == (3 if depth < 50 else 4)
    assert len(dashed) == {18: 8, 34: 16, 50: 16, 101: 33}[depth]


def test_torchvisions_networks_are_drawn_like_ours() -> None:
    with torch.device("meta"):
        theirs = {"resnet18": torchvision.models.resnet18(), "vgg11": torchvision.models.vgg11()}
    for name, model in theirs.items():
        assert units_of(model, (3, 224, 224)) == units_of(build(name), (3, 224, 224))


def test_the_stages_carry_their_side_and_channels() -> None:
    (axes,) = plots.architecture(build("googlenet"), (3, 224, 224), title="Nine blocks").axes
    texts = [text.get_text() for text in axes.texts]
    assert axes.get_title(loc="left") == "Nine blocks" or axes.get_title() == "Nine blocks"
    for text in ("112×112\n64 ch.", "28×28\n192–480 ch.", "14×14\n480–832 ch.", "7×7\n832–1,024 ch.", "vector"):
        assert text in texts
    inception = [unit for unit in units_of(build("googlenet"), (3, 224, 224)) if len(unit.branches) == 4]
    assert len(inception) == 9
    assert [len(branch) for branch in inception[0].branches] == [1, 2, 2, 2]
    assert inception[0].shape == (256, 28, 28)


def test_higher_maps_are_higher_boxes() -> None:
    tops = [box.get_height() for box in boxes(build("vgg11"), (3, 224, 224))]
    assert tops == sorted(tops, reverse=True)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="channel"):
        plots.architecture(build("resnet18"), (1, 224, 224), title="")
