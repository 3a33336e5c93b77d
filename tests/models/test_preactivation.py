"""The pre-activation block against a functional writing of figure 1b, and the path it leaves free."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models import PreActBlock


def reference(w: dict[str, Tensor], x: Tensor, stride: int) -> Tensor:
    def activated(x: Tensor, name: str) -> Tensor:
        mean, var, scale, shift = (w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, scale, shift).relu()

    first = activated(x, "bn1")
    out = F.conv2d(activated(F.conv2d(first, w["conv1.weight"], stride=stride, padding=1), "bn2"), w["conv2.weight"],
                   padding=1)  # fmt: skip
    return out + (F.conv2d(first, w["downsample.weight"], stride=stride) if "downsample.weight" in w else x)


@pytest.mark.parametrize(("in_channels", "channels", "stride"), [(4, 4, 1), (4, 8, 2), (3, 5, 1), (4, 4, 2)])
def test_equals_the_functional_writing(in_channels: int, channels: int, stride: int) -> None:
    block = PreActBlock(in_channels, channels, stride)
    for norm in (block.bn1, block.bn2):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    x = torch.randn(2, in_channels, 7, 6)
    out = block.eval()(x)
    torch.testing.assert_close(out, reference(block.state_dict(), x, stride), rtol=1e-4, atol=1e-5)
    assert (block.downsample is None) == (stride == 1 and in_channels == channels)


def test_nothing_stands_on_the_identity() -> None:
    block = PreActBlock(4, 4)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
