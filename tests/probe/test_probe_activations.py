"""Outputs of layers: equal to a walk by hand, copied in time, and every hook removed."""

import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from resnet_edu.errors import UnknownName
from resnet_edu.models import CifarNet, replace_head
from resnet_edu.probe import activations, forward_statistics


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_outputs_equal_a_walk_by_hand() -> None:
    model, x = CifarNet(8, width=4, in_channels=1).eval(), torch.randn(2, 1, 8, 8)
    with activations(model) as seen, torch.no_grad():
        logits = model(x)
    with torch.no_grad():
        stem = model.bn1(model.conv1(x))
        block = model.layer1[0]
        inner = block.relu1(block.bn1(block.conv1(stem.relu())))  # type: ignore[union-attr, operator]
    assert torch.equal(seen["bn1"], stem)
    assert torch.equal(seen["relu"], stem.relu())
    assert torch.equal(seen["layer1.0.relu1"], inner)
    assert torch.equal(seen["linear"], logits)
    assert list(seen)[:3] == ["conv1", "bn1", "relu"]


def test_copies_are_taken_before_an_in_place_relu_overwrites_them() -> None:
    model, x = torchvision.models.resnet18(num_classes=3).eval(), torch.randn(1, 3, 32, 32)
    with activations(model, ["bn1", "relu", "layer1.0.bn2", "layer1.0.relu"]) as seen, torch.no_grad():
        model(x)
    assert (seen["bn1"] < 0).any()
    assert torch.equal(seen["relu"], seen["bn1"].relu())
    # torchvision runs one ReLU twice per block: after the first batch norm, and after the addition.
    assert torch.equal(seen["layer1.0.relu#2"], (seen["layer1.0.bn2"] + maxpooled(seen["relu"])).relu())


def maxpooled(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, 2, 1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["conv1", "layer1.0.relu1", "layer2", "linear"])), st.booleans())
def test_the_number_of_hooks_is_the_same_afterwards(layers: list[str], fail: bool) -> None:
    model = CifarNet(8, width=4, in_channels=1).eval()
    model.conv1.register_forward_hook(lambda *_: None)
    before = hooks(model)
    if fail:
        with pytest.raises(ValueError, match="channel"), activations(model, layers):
            model(torch.zeros(1, 2, 8, 8))
    else:
        with activations(model, layers) as seen:
            assert hooks(model) == before + len(set(layers))
            model(torch.zeros(1, 1, 8, 8))
        assert set(seen) == set(layers)
    assert hooks(model) == before


def test_unknown_layers_are_refused_with_the_nearest_name() -> None:
    model = CifarNet(8)
    with (
        pytest.raises(UnknownName, match=r"Did you mean 'layer1\.0\.relu\d'"),
        activations(model, ["conv1", "layer1.0.relu"]),
    ):
        pass
    with pytest.raises(ValueError, match=r"Write \['conv1'\]"), activations(model, "conv1"):
        pass
    assert hooks(model) == 0


def test_a_layer_with_several_outputs_is_refused() -> None:
    model = CifarNet(8, width=4, in_channels=1)
    replace_head(model, {"digit": 10, "parity": 2})
    with pytest.raises(ValueError, match=r"puts out a dict.*digit, parity"), activations(model, ["linear"]):
        model(torch.zeros(2, 1, 8, 8))
    assert hooks(model) == 0
    with activations(model) as seen:
        model(torch.zeros(2, 1, 8, 8))
    assert seen["linear.parity"].shape == (2, 2)


@settings(max_examples=10, deadline=None)
@given(side=st.integers(4, 9), n=st.integers(2, 4), training=st.booleans())
def test_statistics_equal_those_of_the_collected_outputs(side: int, n: int, training: bool) -> None:
    model, x = CifarNet(8, width=4, in_channels=1).train(training), torch.randn(n, 1, side, side)
    rows = forward_statistics(model, x)
    with activations(model) as seen:
        model(x)
    assert [row.name for row in rows] == list(seen)
    for row in rows:
        values = seen[row.name]
        assert row.mean == pytest.approx(values.mean().item(), abs=1e-6)
        assert row.std == pytest.approx(values.std(correction=0).item(), abs=1e-6)
        assert row.zeros == pytest.approx(float((values == 0).sum()) / values.numel(), abs=1e-6)
