"""Signals by layer: nets whose signal and gradient are known, the laws of the papers, and no traces."""

import math

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn
from torch.nn import functional as F

from resnet_edu.models import deep_net
from resnet_edu.probe import LayerSignals, factor_per_layer, forward_statistics, gradient_norms, layer_signals


def batch(n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 1, 16, 16, generator=generator), torch.arange(n) % 10


def test_equal_to_the_other_probes_where_float32_is_enough() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(5, width=16), batch()
    found, rows = layer_signals(net, images, labels), gradient_norms(net, images, labels)
    names = [row.name.split(".")[0] for row in rows]
    assert found.signal == pytest.approx([row.std for row in forward_statistics(net, images, layers=names)], rel=1e-4)
    assert found.gradient == pytest.approx([row.activation for row in rows], rel=1e-4)
    assert found.weight == pytest.approx([row.weight for row in rows], rel=1e-4)


def test_with_a_skip_signal_and_gradient_are_those_of_the_sum() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(4, width=8, skip=True), batch()
    kept = []
    x = images.double().requires_grad_()
    for child in net.double():
        x = child(x)
        x.retain_grad()
        kept.append(x)
    F.cross_entropy(x, labels).backward()
    found = layer_signals(net.float(), images, labels)
    places = [1, 2, 3, 6]  # flatten, first layer, two more, norm, activation, classifier
    assert found.signal == pytest.approx([kept[i].std(correction=0).item() for i in places], rel=1e-5)
    assert found.gradient == pytest.approx([kept[i].grad.norm().item() for i in places], rel=1e-5)  # type: ignore[union-attr]


def test_gradients_far_below_the_range_of_float32_are_seen() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(45, activation="sigmoid", init="small", width=32), batch()
    assert gradient_norms(net, images, labels)[0].activation == 0
    assert 0 < layer_signals(net, images, labels).gradient[0] < 1e-60


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"init": "he"}, 1.0),  # He et al. 2015, section 2.2
        ({"init": "xavier"}, math.sqrt(1 / 2)),
        ({"init": "large"}, 2.0),
        ({"init": "he", "skip": True}, math.sqrt(2)),
        ({"init": "he", "batch_norm": True}, math.sqrt(math.pi / (math.pi - 1))),  # Yang et al. 2019
    ],
)
def test_relu_nets_follow_the_laws_of_the_papers(options: dict, factor: float) -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(30, width=200, **options), batch(64)
    assert layer_signals(net, images, labels).gradient_factor == pytest.approx(factor, rel=0.05)


def test_the_gradients_factor_goes_back_and_leaves_the_classifier_out() -> None:
    gradient = [27.0, 9.0, 3.0, 100.0]
    assert LayerSignals([], gradient, []).gradient_factor == pytest.approx(3)


def test_the_net_keeps_its_precision_weights_and_statistics() -> None:
    net, (images, labels) = deep_net(4, width=8, batch_norm=True), batch()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    layer_signals(net, images, labels)
    for name, value in net.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_child_with_two_layers_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(256, 4), nn.Linear(4, 10)))
    with pytest.raises(ValueError, match="'1' of the net has 2 layers"):
        layer_signals(net, *batch())


@given(st.floats(0.1, 8), st.floats(0.2, 4), st.integers(2, 40))
def test_a_geometric_series_has_its_factor(start: float, factor: float, length: int) -> None:
    assert factor_per_layer([start * factor**i for i in range(length)]) == pytest.approx(factor, rel=1e-6)


def test_the_factor_is_that_of_the_best_line_and_not_of_the_ends() -> None:
    assert factor_per_layer([1.0, math.e, 1.0]) == pytest.approx(1.0)
    assert factor_per_layer([1.0, 1.0, 1.0, math.e]) == pytest.approx(math.exp(0.3))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, -2.0], [1.0, math.nan], [1.0, math.inf]])
def test_values_without_a_factor_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive numbers"):
        factor_per_layer(values)
