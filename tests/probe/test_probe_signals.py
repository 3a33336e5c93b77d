"""Signals by layer and through blocks: nets whose signal and gradient are known, the laws of the papers."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn
from torch.nn import functional as F

from resnet_edu.models import deep_net
from resnet_edu.probe import (
    LayerSignals,
    factor_per_layer,
    forward_statistics,
    gradient_norms,
    layer_signals,
    residual_flow,
)


def batch(n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 1, 16, 16, generator=generator), torch.arange(n) % 10


def test_equal_to_the_other_probes_where_float32_is_enough() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(5, width=16, batch_norm=True), batch()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found, rows = layer_signals(net, images, labels), gradient_norms(net, images, labels)
    names = [row.name.split(".")[0] for row in rows]
    assert found.signal == pytest.approx([row.std for row in forward_statistics(net, images, layers=names)], rel=1e-4)
    assert found.gradient == pytest.approx([row.activation for row in rows], rel=1e-4)
    assert found.weight == pytest.approx([row.weight for row in rows], rel=1e-4)
    assert all(value.equal(before[name]) for name, value in net.state_dict().items()), "precision or statistics changed"


def test_with_a_skip_signal_and_gradient_are_those_of_the_sum() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(4, width=8, skip=True), batch()
    outputs = []
    x = images.double().requires_grad_()
    for child in net.double():
        x = child(x)
        x.retain_grad()
        outputs.append(x)
    F.cross_entropy(x, labels).backward()
    found = layer_signals(net.float(), images, labels)
    expected = [outputs[i] for i in (1, 2, 3, 6)]  # flatten, first layer, two more, norm, activation, classifier
    assert found.signal == pytest.approx([each.std(correction=0).item() for each in expected], rel=1e-5)
    assert found.gradient == pytest.approx([each.grad.norm().item() for each in expected], rel=1e-5)  # type: ignore[union-attr]
    for likeness, each in zip(found.likeness, expected, strict=True):
        pairs = F.cosine_similarity(each[:, None], each[None], dim=2)
        assert likeness == pytest.approx(pairs[~torch.eye(32, dtype=torch.bool)].mean().item(), rel=1e-4, abs=1e-6)


def test_relu_layers_make_images_alike_by_the_law_of_the_arc_cosine() -> None:
    """Cho and Saul 2009: He's layer turns the cosine c into (√(1 − c²) + (π − arccos c) · c) / π."""
    torch.manual_seed(0)
    images, labels = batch(2)
    found = layer_signals(deep_net(10, width=1500), images, labels).likeness
    for before, after in pairwise(found[:9]):
        law = (math.sqrt(1 - before**2) + (math.pi - math.acos(before)) * before) / math.pi
        assert after == pytest.approx(law, abs=0.07)
    assert abs(found[0]) < 0.2 < 0.8 < found[8]


def test_gradients_far_below_the_range_of_float32_are_seen() -> None:
    torch.manual_seed(0)
    net, (images, labels) = deep_net(45, activation="sigmoid", init="small", width=32), batch()
    assert gradient_norms(net, images, labels)[0].activation == 0
    assert 0 < layer_signals(net, images, labels).gradient[0] < 1e-60
    tiny, usual = (layer_signals(deep_net(45, init=init, width=32), images, labels) for init in ("small", "he"))
    assert tiny.signal[-1] < 1e-20
    assert tiny.likeness[20:-1] == pytest.approx(usual.likeness[20:-1], abs=0.1)  # ReLU does not mind the scale


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


def test_a_child_with_two_layers_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(256, 4), nn.Linear(4, 10)))
    with pytest.raises(ValueError, match="'1' of the net has 2 layers"):
        layer_signals(net, *batch())


# The factor


@given(st.floats(0.1, 8), st.floats(0.2, 4), st.integers(2, 40))
def test_a_geometric_series_has_its_factor(start: float, factor: float, length: int) -> None:
    assert factor_per_layer([start * factor**i for i in range(length)]) == pytest.approx(factor, rel=1e-6)


def test_the_factor_is_that_of_the_best_line_backwards_and_without_the_classifier() -> None:
    assert factor_per_layer([1.0, math.e, 1.0]) == pytest.approx(1.0)
    assert factor_per_layer([1.0, 1.0, 1.0, math.e]) == pytest.approx(math.exp(0.3))
    assert LayerSignals([], [27.0, 9.0, 3.0, 100.0], []).gradient_factor == pytest.approx(3)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, -2.0], [1.0, math.nan], [1.0, math.inf]])
def test_values_without_a_factor_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive numbers"):
        factor_per_layer(values)


# Through blocks


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_flow_equals_a_stack_of_modules(residual: bool, batch_norm: bool) -> None:
    flow = residual_flow(3, residual=residual, batch_norm=batch_norm, gain=0.7)
    generator = torch.Generator().manual_seed(0)
    first = x = torch.randn(128, 64, generator=generator).relu().requires_grad_()
    norm = nn.BatchNorm1d(64, affine=False) if batch_norm else nn.Identity()
    for _ in range(3):
        w1, w2 = (torch.randn(64, 64, generator=generator) * (2 / 64) ** 0.5 for _ in range(2))
        out = 0.7 * norm((x @ w1).relu() @ w2)
        x = (out + x if residual else out).relu()
    entering = torch.randn(128, 64, generator=generator)
    x.backward(entering)
    assert first.grad is not None
    assert flow.signal[-1] == pytest.approx(x.square().mean().sqrt().item(), rel=1e-4)
    assert flow.gradient[0] == pytest.approx((first.grad.norm() / entering.norm()).item(), rel=1e-4)
    assert flow.gradient[-1] == 1
    assert len(flow.signal) == len(flow.gradient) == 4


def test_switched_off_the_residual_stack_is_the_identity_and_the_plain_one_is_dead() -> None:
    assert len(set(residual_flow(7, residual=True, gain=0.0).signal)) == 1
    plain = residual_flow(7, residual=False, gain=0.0)
    assert plain.signal[1:] == plain.gradient[:-1] == (0,) * 7
    with pytest.raises(ValueError, match="at least 1, got 0"):
        residual_flow(0, residual=True)
