"""VGG: the list of configurations and the small variant; torchvision's answer is in test_models.py."""

import pytest
import torchvision
from oracle import images, on_meta, parameters, walk
from torch import nn

from resnet_edu.models import VGG
from resnet_edu.models.vgg import CONFIGURATIONS


@pytest.mark.parametrize(("depth", "column"), [(11, "A"), (13, "B"), (16, "D"), (19, "E")])
def test_stages_are_those_of_table_1(depth: int, column: str) -> None:
    theirs = torchvision.models.vgg.cfgs[column]  # 64, 64, "M", 128, …
    stages = "".join("M" if item == "M" else "." for item in theirs).split("M")[:-1]
    assert tuple(len(stage) for stage in stages) == CONFIGURATIONS[depth]
    assert sum(CONFIGURATIONS[depth]) + 3 == depth


def test_where_the_parameters_sit() -> None:
    model = on_meta("vgg16")
    assert isinstance(model, VGG)
    assert parameters(model.classifier) == 123_642_856
    assert parameters(model.features) == 14_714_688


@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (11, True), (19, True)])
def test_structure(depth: int, batch_norm: bool) -> None:
    modules = [type(module) for module in on_meta(f"vgg{depth}{'_bn' if batch_norm else ''}").modules()]
    assert modules.count(nn.Conv2d) == depth - 3
    assert modules.count(nn.BatchNorm2d) == (depth - 3) * batch_norm
    assert modules.count(nn.ReLU) == depth - 1
    assert modules.count(nn.MaxPool2d) == 5


@pytest.mark.parametrize(("side", "grid"), [(16, 1), (28, 1), (32, 2), (64, 4)])
def test_the_small_stem_pools_four_times(side: int, grid: int) -> None:
    seen = walk(VGG(11, stem="small", width=1, in_channels=1, num_classes=10), images(2, 1, side, side)).shapes
    assert seen["features"] == (2, 8, grid, grid)
    assert seen["avgpool"] == (2, 8, 1, 1)


def test_both_stems_have_the_same_names() -> None:
    assert [*on_meta("vgg13_bn").state_dict()] == [*on_meta("vgg13_bn", stem="small").state_dict()]


def test_width_scales_every_layer() -> None:
    weights = [value for value in on_meta("vgg11", width=8).state_dict().values() if value.ndim > 1]
    assert [value.shape[0] for value in weights] == [8, 16, 32, 32, 64, 64, 64, 64, 512, 512, 1000]


@pytest.mark.parametrize("depth", [12, "16", None])
def test_other_depths_are_refused(depth: object) -> None:
    with pytest.raises(ValueError, match="depth must be 11, 13, 16 or 19, got"):
        VGG(depth)  # type: ignore[arg-type]
