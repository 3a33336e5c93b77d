"""A new head on an old backbone: what is replaced, what is kept, and what frozen means."""

import copy

import pytest
import torch
from torch import nn

from resnet_edu import TrainConfig, data, fit, models
from resnet_edu.models import freeze, head_of, replace_head, training_mode


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, two[name]) for name, value in one.items())


# Oracle: how torchvision's tutorials do it, by the layer's name


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", "fc"),
        ("alexnet", "classifier.6"),
        ("vgg11", "classifier.6"),
        ("googlenet", "fc"),
        ("resnet20", "linear"),
    ],
)
def test_the_head_is_the_last_linear_layer(name: str, head: str) -> None:
    with torch.device("meta"):
        model = models.build(name)
        assert head_of(model)[0] == head
        old = model.get_submodule(head)
        new = replace_head(model, 7)
    assert model.get_submodule(head) is new is head_of(model)[1]
    assert (new.in_features, new.out_features) == (old.in_features, 7)


def test_replacing_changes_nothing_else() -> None:
    model = models.build("resnet20", width=4)
    before = state_of(model)
    replace_head(model, 3)
    assert {name for name, value in model.state_dict().items() if value.shape != before[name].shape} == {
        "linear.weight",
        "linear.bias",
    }
    assert same({name: v for name, v in model.state_dict().items() if not name.startswith("linear")}, before)
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_a_frozen_backbone_is_the_same_after_training() -> None:
    torch.manual_seed(0)
    model = models.build("resnet20", width=4, in_channels=1)
    head = replace_head(freeze(model), 10)
    backbone, weights = state_of(model), head.weight.clone()
    digits = data.load("mnist5k", size=16, limit=40)
    fit(model, digits, TrainConfig(epochs=1, batch_size=10, augment=()))
    after = state_of(model)
    assert same({name: v for name, v in after.items() if not name.startswith("linear")}, backbone)
    assert not torch.equal(head.weight, weights)


def test_without_evaluation_mode_statistics_move() -> None:
    model = freeze(models.build("resnet20", width=4)).train()
    before = state_of(model)
    model(torch.randn(8, 3, 16, 16))
    moved = {name.rpartition(".")[2] for name, v in model.state_dict().items() if not torch.equal(v, before[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_training_mode_leaves_only_what_is_frozen_in_evaluation_mode() -> None:
    part = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2, affine=False))
    model = nn.Sequential(freeze(part), nn.Dropout(), nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert training_mode(model) is model
    assert [module.training for module in model] == [False, True, True, True]
    assert [module.training for module in part] == [False, False, False]
    thawed = copy.deepcopy(model).requires_grad_(True)
    assert all(module.training for module in training_mode(thawed).modules())


def test_what_has_no_head_is_told() -> None:
    with pytest.raises(ValueError, match="Sequential has no linear layer"):
        replace_head(nn.Sequential(nn.Conv2d(1, 1, 1)), 3)
    with pytest.raises(ValueError, match="single linear layer"):
        replace_head(nn.Linear(2, 2), 3)
    with pytest.raises(ValueError, match="num_classes"):
        replace_head(models.build("resnet20", width=4), 0)
