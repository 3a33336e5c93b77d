"""Parameters and multiply-adds: torchvision's own numbers, and layers counted by hand."""

import math
import re

import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from oracle import on_meta
from torch import nn

from resnet_edu.models.cifar import CifarNet
from resnet_edu.probe import summary

NETS = ["alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "vgg16_bn", "vgg19_bn", "googlenet", "resnet18", "resnet34"]
NETS += ["resnet50", "resnet101", "resnet152"]


@pytest.mark.parametrize("name", NETS)
def test_totals_equal_torchvisions(name: str) -> None:
    meta = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    ours = summary(on_meta(name), (3, 224, 224))
    assert ours.parameters == meta["num_params"]
    assert ours.macs / 1e9 == pytest.approx(meta["_ops"], rel=0.005)


def test_lenets_numbers() -> None:
    rows = {row.name: row for row in summary(on_meta("lenet5", in_channels=1), (1, 32, 32)).rows}
    assert [rows[name].parameters for name in ("conv1", "conv2", "conv3", "fc1", "fc2")] == [
        156,
        2416,
        48120,
        10164,
        850,
    ]
    assert rows["conv1"].output_shape == (1, 6, 28, 28)
    assert rows["conv1"].macs == 6 * 28 * 28 * 25
    assert rows["conv1"].activation_bytes == 6 * 28 * 28 * 4


@settings(max_examples=20, deadline=None)
@given(
    channels=st.integers(1, 3), filters=st.integers(1, 3), groups=st.integers(1, 2), kernel=st.integers(1, 3),
    stride=st.integers(1, 2), bias=st.booleans(), n=st.integers(1, 3), side=st.integers(3, 6),
)  # fmt: skip
def test_a_convolution_counted_one_product_at_a_time(
    channels: int, filters: int, groups: int, kernel: int, stride: int, bias: bool, n: int, side: int
) -> None:
    conv = nn.Conv2d(channels * groups, filters * groups, kernel, stride, groups=groups, bias=bias)
    row = summary(conv, (n, channels * groups, side, side)).rows[0]
    starts = range(0, side - kernel + 1, stride)
    products = sum(kernel * kernel * channels for _ in starts for _ in starts for _ in range(n * filters * groups))
    assert row.macs == products
    assert row.parameters == sum(p.numel() for p in conv.parameters())
    assert row.output_shape == tuple(conv(torch.zeros(n, channels * groups, side, side)).shape)
    assert row.activation_bytes == math.prod(row.output_shape) * 4


def test_the_batch_multiplies_cost_but_not_parameters() -> None:
    one, three = (summary(CifarNet(20), shape) for shape in ((3, 32, 32), (3, 3, 32, 32)))
    assert one.parameters == three.parameters == 269_722
    assert three.macs == 3 * one.macs
    assert three.activation_bytes == 3 * one.activation_bytes


def test_every_parameter_is_counted_once() -> None:
    class Odd(nn.Module):
        """A parameter of its own, a shared layer, and a layer that never runs."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(7))
            self.layer, self.idle = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x)) * self.scale[0]

    result = summary(Odd(), (5, 4))
    assert [(row.name, row.parameters, row.macs) for row in result.rows] == [
        ("layer", 20, 80), ("layer#2", 0, 80), ("Odd", 7, 0), ("idle", 15, 0),
    ]  # fmt: skip
    assert result.parameters == 42
    assert "did not run" in str(result)


def test_text_and_html_hold_the_same_rows() -> None:
    result = summary(CifarNet(8, width=4), (3, 32, 32))
    text, page = str(result), result._repr_html_()
    assert len(text.splitlines()) == len(result.rows) + 2
    assert f"{result.parameters:,}" in text.splitlines()[-1]
    assert page.count("<tr>") == len(result.rows) + 2
    assert all(re.search(rf"^{re.escape(row.name)} ", text, re.MULTILINE) for row in result.rows)


@pytest.mark.parametrize("shape", [(), (3, 0, 32), (1, 3, 32, 32, 32), (3, 32.0, 32)])
def test_shapes_that_are_none_are_refused(shape: tuple) -> None:
    with pytest.raises(ValueError, match="expected whole numbers"):
        summary(CifarNet(8), shape)


def test_a_net_says_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="built for 3"):
        summary(CifarNet(8), (1, 32, 32))
