"""Deep nets for gradient experiments: the layer's formula, counts, the spread of the weights, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from resnet_edu.models import DeepLayer, deep_net


def weighted(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("skip", [True, False])
def test_a_layer_is_its_formula(skip: bool) -> None:
    layer = DeepLayer(nn.Identity(), nn.Tanh(), linear := nn.Linear(5, 5), skip=skip)
    x = torch.randn(3, 5)
    torch.testing.assert_close(layer(x), torch.tanh(x) @ linear.weight.T + linear.bias + (x if skip else 0))


def test_the_whole_net_is_its_formula() -> None:
    net = deep_net(3, activation="sigmoid", skip=True, width=4, inputs=6, num_classes=2)
    first, middle, last = weighted(net)
    x = torch.randn(5, 1, 2, 3)
    h = x.flatten(1) @ first.weight.T
    h = h + torch.sigmoid(h) @ middle.weight.T
    torch.testing.assert_close(net(x), torch.sigmoid(h) @ last.weight.T)


@pytest.mark.parametrize("convolutional", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("depth", [2, 3, 7])
def test_layers_and_norms_are_counted(depth: int, batch_norm: bool, convolutional: bool) -> None:
    net = deep_net(
        depth, batch_norm=batch_norm, width=4, inputs=1 if convolutional else 64, convolutional=convolutional
    )
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(weighted(net)) == depth
    assert len(norms) == (depth - 1) * batch_norm
    assert sum(isinstance(module, nn.ReLU) for module in net.modules()) == depth - 1
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("init", "std"),
    [("small", 0.01), ("xavier", math.sqrt(1 / 200)), ("he", math.sqrt(2 / 200)), ("large", 2 * math.sqrt(2 / 200))],
)
def test_weights_have_the_spread_of_their_init(init: str, std: float) -> None:
    torch.manual_seed(0)
    middle = weighted(deep_net(3, init=init, width=200))[1]  # type: ignore[arg-type]
    assert middle.weight.std().item() == pytest.approx(std, rel=0.03)
    assert not middle.bias.any()  # type: ignore[union-attr]


def test_xavier_counts_a_convolutions_kernel_on_both_sides() -> None:
    torch.manual_seed(0)
    first, middle, _ = weighted(deep_net(3, init="xavier", width=64, inputs=3, convolutional=True))
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 67)), rel=0.06)
    assert middle.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.03)


@settings(max_examples=15, deadline=None)
@given(depth=st.integers(2, 8), width=st.integers(1, 9), side=st.integers(1, 6), batch=st.integers(2, 4))
def test_any_size_maps_images_to_logits(depth: int, width: int, side: int, batch: int) -> None:
    images = torch.randn(batch, 2, side, side)
    assert deep_net(depth, width=width, inputs=2 * side**2, num_classes=3)(images).shape == (batch, 3)
    assert deep_net(depth, width=width, inputs=2, convolutional=True, skip=True)(images).shape == (batch, 10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 1}, "at least 2"),
        ({"depth": 2.0}, "whole number"),
        ({"depth": 3, "activation": "swish"}, "'sigmoid', 'tanh' or 'relu'"),
        ({"depth": 3, "init": "kaiming"}, "'small', 'xavier', 'he' or 'large'"),
        ({"depth": 3, "width": 0}, "width must be"),
        ({"depth": 3, "skip": "yes"}, "skip must be True or False"),
    ],
)
def test_bad_options_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        deep_net(**options)
