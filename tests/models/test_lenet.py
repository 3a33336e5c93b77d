"""LeNet-5: the published walk and counts, and the forward pass written as one expression."""

import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from oracle import images, parameters, walk
from torch import nn
from torch.nn import functional as F

from resnet_edu.models import LeNet5


@pytest.mark.parametrize("version", ["1998", "modern"])
def test_logits_equal_the_expression(version: str) -> None:
    act, pool = (torch.tanh, F.avg_pool2d) if version == "1998" else (torch.relu, F.max_pool2d)
    model = LeNet5(version=version)  # type: ignore[arg-type]
    w = model.state_dict()
    x = images(4, 1, 32, 32)
    expected = pool(act(F.conv2d(x, w["conv1.weight"], w["conv1.bias"])), 2)
    expected = pool(act(F.conv2d(expected, w["conv2.weight"], w["conv2.bias"])), 2)
    expected = act(expected.reshape(4, 400) @ w["conv3.weight"].reshape(120, 400).T + w["conv3.bias"])
    expected = act(expected @ w["fc1.weight"].T + w["fc1.bias"])
    expected = expected @ w["fc2.weight"].T + w["fc2.bias"]
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)


def test_parameters_of_each_layer() -> None:
    model = LeNet5()
    assert [parameters(module) for module in model.children() if parameters(module)] == [156, 2416, 48120, 10164, 850]
    assert parameters(model) == parameters(LeNet5(version="modern")) == 61_706


def test_walk_from_1024_pixels_to_10_logits() -> None:
    shapes = walk(LeNet5(), images(1, 1, 32, 32)).shapes
    assert [shapes[name][1:] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "fc1", "fc2")] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "kinds"), [("1998", {nn.Tanh: 4, nn.AvgPool2d: 2}), ("modern", {nn.ReLU: 4, nn.MaxPool2d: 2})]
)
def test_versions_differ_in_activation_and_pooling(version: str, kinds: dict[type[nn.Module], int]) -> None:
    modules = [type(module) for module in LeNet5(version=version).modules()]  # type: ignore[arg-type]
    assert {
        kind: modules.count(kind) for kind in (nn.Tanh, nn.AvgPool2d, nn.ReLU, nn.MaxPool2d) if kind in modules
    } == kinds


@given(st.integers(1, 64), st.integers(1, 64))
@settings(deadline=None, max_examples=20)
@example(32, 32)
@example(28, 28)
def test_any_other_size_is_refused(height: int, width: int) -> None:
    with torch.device("meta"):
        model, x = LeNet5(), torch.empty(1, 1, height, width)
    if (height, width) == (32, 32):
        assert model(x).shape == (1, 10)
    else:
        with pytest.raises(ValueError, match=rf"shape \(1, 1, {height}, {width}\), but takes 32×32.*size=32"):
            model(x)
