"""The last layer, one classifier or several; a new one on an old backbone; and what frozen means."""

import copy

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta
from torch import nn
from torch.nn import functional as F

from resnet_edu import TrainConfig, data, fit, models
from resnet_edu.models import Heads, freeze, head_of, replace_head, training_mode
from resnet_edu.models.heads import make_head

TWO = {"digit": 10, "parity": 2}


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    now = model.state_dict()
    both = {name for name in now if name in before and torch.equal(now[name], before[name])}
    return {*now, *before} - both


# The layer


def test_each_head_is_a_linear_layer_of_the_features() -> None:
    model = Heads(5, TWO)
    features = images(3, 5)
    w = model.state_dict()
    assert [*w] == ["digit.weight", "digit.bias", "parity.weight", "parity.bias"]
    for name, logits in model(features).items():
        torch.testing.assert_close(logits, F.linear(features, w[f"{name}.weight"], w[f"{name}.bias"]))


def test_the_sum_of_losses_reaches_every_head() -> None:
    model = Heads(5, {"root": 168, "vowel": 11, "consonant": 7})
    sum(logits.square().mean() for logits in model(images(3, 5)).values()).backward()  # type: ignore[union-attr]
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in model.parameters())


@given(st.dictionaries(st.from_regex(r"head_[a-z0-9]{1,8}", fullmatch=True), st.integers(1, 9), min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_order_and_sizes_are_those_asked_for(heads: dict[str, int]) -> None:
    logits = make_head(3, heads)(torch.zeros(2, 3))
    assert [(name, value.shape) for name, value in logits.items()] == [(name, (2, n)) for name, n in heads.items()]


@pytest.mark.parametrize("name", ["", "a.b", "two words", "forward", "training", "in_features", 3])
def test_names_a_module_cannot_have(name: object) -> None:
    with pytest.raises(ValueError, match="cannot name a head"):
        make_head(5, {name: 2})  # type: ignore[dict-item]


# A new one. The oracle is how torchvision's tutorials do it, by the layer's name


HEADS = {"resnet18": "fc", "alexnet": "classifier.6", "vgg11": "classifier.6", "googlenet": "fc", "resnet20": "linear"}


@pytest.mark.parametrize(("name", "head"), HEADS.items())
def test_the_head_is_the_last_linear_layer_or_all_of_several(name: str, head: str) -> None:
    model = on_meta(name)
    assert head_of(model)[0] == head
    old = model.get_submodule(head)
    new = replace_head(model, 7)
    assert model.get_submodule(head) is new is head_of(model)[1]
    assert isinstance(new, nn.Linear)
    assert (new.in_features, new.out_features, new.weight.device.type) == (old.in_features, 7, "meta")
    several = replace_head(model, TWO)
    assert head_of(model) == (head, several)
    assert [*dict(several.named_children())] == ["digit", "parity"]
    assert isinstance(replace_head(model, 3), nn.Linear)


def test_replacing_changes_nothing_else_and_keeps_the_precision() -> None:
    model = models.build("resnet20", width=4).double()
    before = state_of(model)
    replace_head(model, TWO)
    assert {name.split(".")[0] for name in changed(model, before)} == {"linear"}
    assert {name: logits.dtype for name, logits in model(torch.zeros(2, 3, 16, 16).double()).items()} == dict.fromkeys(
        TWO, torch.float64
    )


class SideBySide(nn.Module):
    """Several heads of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 3)})


def test_what_has_no_single_head_is_told() -> None:
    with pytest.raises(ValueError, match="Sequential has no linear layer"):
        replace_head(nn.Sequential(nn.Conv2d(1, 1, 1)), 3)
    with pytest.raises(ValueError, match="single linear layer"):
        replace_head(nn.Linear(2, 2), 3)
    with pytest.raises(ValueError, match=r"heads\.b is one of several layers side by side.*models\.Heads"):
        head_of(SideBySide())


# What is frozen


@pytest.mark.parametrize("heads", [10, TWO])
def test_a_frozen_backbone_is_the_same_after_training(heads: int | dict[str, int]) -> None:
    torch.manual_seed(0)
    model = models.build("resnet20", width=4, in_channels=1)
    replace_head(freeze(model), heads)
    before = state_of(model)

    def loss(outputs: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs["digit"], labels) + F.cross_entropy(outputs["parity"], labels % 2)

    digits = data.load("mnist5k", size=16, limit=40)
    fit(model, digits, TrainConfig(epochs=1, batch_size=10, augment=()), loss=loss if heads == TWO else None)
    learned = {name for name in before if name.startswith("linear")}
    assert changed(model, before) == learned


def test_without_evaluation_mode_statistics_move() -> None:
    model = freeze(models.build("resnet20", width=4))
    assert not any(module.training for module in model.modules())
    model.train()
    before = state_of(model)
    model(torch.randn(8, 3, 16, 16))
    moved = {name.rpartition(".")[2] for name in changed(model, before)}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_training_mode_leaves_only_what_is_frozen_in_evaluation_mode() -> None:
    part = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2, affine=False))
    model = nn.Sequential(freeze(part), nn.Dropout(), nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert training_mode(model) is model
    assert [module.training for module in model] == [False, True, True, True]
    assert [module.training for module in part] == [False, False, False]
    thawed = copy.deepcopy(model).requires_grad_(True)
    assert all(module.training for module in training_mode(thawed).modules())
