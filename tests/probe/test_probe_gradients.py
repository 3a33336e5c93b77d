"""Gradient norms and shattered gradients, held to plain autograd and to nets whose gradient is known."""

import copy
import math

import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models import CifarNet, replace_head
from resnet_edu.probe import autocorrelation, gradient_norms


def batch(n: int = 4, side: int = 8, channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, side, side, generator=generator), torch.arange(n) % 3


def by_backward(model: nn.Module, images: Tensor, labels: Tensor, weight: str, layer: str) -> tuple[float, float]:
    """The oracle: a plain backward pass through a copy, with `retain_grad` on one layer's output."""
    model = copy.deepcopy(model)
    kept: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *args: kept.append(args[2]))
    output = model(images)
    handle.remove()
    kept[0].retain_grad()
    F.cross_entropy(output, labels).backward()
    weight_gradient, output_gradient = model.get_parameter(weight).grad, kept[0].grad
    assert weight_gradient is not None
    assert output_gradient is not None
    return weight_gradient.norm().item(), output_gradient.norm().item()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_norms_equal_a_plain_backward_pass(training: bool, residual: bool) -> None:
    model = CifarNet(8, residual=residual, width=4, num_classes=3, in_channels=1).train(training)
    images, labels = batch()
    rows = {row.name: row for row in gradient_norms(model, images, labels)}
    for layer in ("conv1", "layer2.0.conv1", "layer3.0.conv2", "linear"):
        weight, activation = by_backward(model, images, labels, f"{layer}.weight", layer)
        assert rows[layer].weight == pytest.approx(weight, rel=1e-4)
        assert rows[layer].activation == pytest.approx(activation, rel=1e-4)


def test_a_linear_net_has_the_gradient_of_the_formula() -> None:
    # L = mean(w₂ w₁ x): dL/dw₁ = w₂ · mean(x), dL/dw₂ = w₁ · mean(x), dL/d(w₁x) = w₂ / n for each of n samples.
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for layer, value in zip(model, (3.0, -5.0), strict=True):
        nn.init.constant_(layer.weight, value)  # type: ignore[arg-type]
    x = torch.tensor([[1.0], [2.0], [6.0], [7.0]])
    first, second = gradient_norms(model, x, torch.zeros(4, dtype=torch.int64), loss=lambda out, _: out.mean())
    assert (first.name, second.name) == ("0", "1")
    assert first.weight == pytest.approx(5 * 4.0)
    assert second.weight == pytest.approx(3 * 4.0)
    assert first.activation == pytest.approx(5 / 4 * math.sqrt(4))
    assert second.activation == pytest.approx(1 / 4 * math.sqrt(4))


def test_in_place_relus_do_not_change_what_is_measured() -> None:
    images, labels = batch(side=6, channels=3)
    torch.manual_seed(0)
    clean = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    in_place = copy.deepcopy(clean)
    in_place[1], in_place[3] = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
    assert gradient_norms(in_place, images, labels) == gradient_norms(clean, images, labels)


def test_a_layer_that_runs_twice_counts_once_with_both_outputs() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    twice = nn.Sequential(layer, layer)  # out = w²x, so dL/dw = 2wx; dL/dout₁ = w, dL/dout₂ = 1
    one, weight = (torch.ones(1, 1), torch.zeros(1, dtype=torch.int64)), layer.weight
    assert [row.name for row in gradient_norms(layer, *one)] == ["Linear"]
    (row,) = gradient_norms(twice, *one, loss=lambda out, _: out.sum())
    assert row.weight == pytest.approx(4.0)
    assert row.activation == pytest.approx(math.sqrt(2**2 + 1))
    assert layer.weight is weight, "torch's functional_call would leave another in its place"
    other = nn.Linear(1, 1, bias=False)
    other.weight = layer.weight  # two layers that share a weight
    tied = nn.Sequential(layer, other)
    rows = gradient_norms(tied, *one, loss=lambda out, _: out.sum())
    assert [row.weight for row in rows] == pytest.approx([4.0, 4.0])


def test_torchvision_and_frozen_weights_work() -> None:
    model = torchvision.models.resnet18(num_classes=3)
    expected = gradient_norms(model, *batch(2, 32, 3))
    model.requires_grad_(False)
    assert gradient_norms(model, *batch(2, 32, 3)) == expected
    assert len(expected) == 21  # 17 convolutions, 3 projections, 1 linear layer


@pytest.mark.parametrize("labels", [torch.zeros(3, dtype=torch.int64), torch.zeros(4), torch.tensor([0, 1, 2, 3])])
def test_labels_that_do_not_fit_are_refused(labels: Tensor) -> None:
    with pytest.raises((ValueError, RuntimeError, IndexError)):  # torch's own
        gradient_norms(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), batch()[0], labels)


def test_models_without_layers_are_refused_and_several_heads_need_a_loss() -> None:
    images, labels = batch()
    with pytest.raises(ValueError, match="no convolution"):
        gradient_norms(nn.Flatten(), images, labels)
    heads = CifarNet(8, width=4, in_channels=1)
    replace_head(heads, {"digit": 3, "parity": 2})
    assert gradient_norms(heads, images, labels, loss=lambda out, y: F.cross_entropy(out["digit"], y))[0].weight > 0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 20), seed=st.integers(0, 100))
def test_autocorrelation_equals_the_loop(n: int, seed: int) -> None:
    series = torch.randn(n, generator=torch.Generator().manual_seed(seed)).double()
    mean = sum(series.tolist()) / n
    total = sum((v - mean) ** 2 for v in series.tolist())
    lags = [0, 1, n - 1]
    with pytest.raises(ValueError, match=f"lag {n} for a series of {n}"):
        autocorrelation(series, [1, n])
    loop = [sum((series[i] - mean) * (series[i + lag] - mean) for i in range(n - lag)) / total for lag in lags]
    assert torch.allclose(autocorrelation(series, lags), torch.stack(loop))  # type: ignore[arg-type]
    assert torch.allclose(autocorrelation(torch.stack([series, -series], 1), lags)[:, 1], torch.stack(loop))  # type: ignore[arg-type]
