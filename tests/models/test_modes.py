"""Frozen, measured, folded: what the network's parts then do. (Training with frozen parts is in test_heads.)"""

from typing import Any

import pytest
import torch
from oracle import images, on_meta, randomised
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.models import fold_batch_norms
from resnet_edu.models.modes import eval_mode


def test_eval_mode_gives_every_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(2)).eval()).train()
    modes = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError), eval_mode(model):
        model(torch.zeros(2, 3, 4, 4))  # which is a channel too many
    with eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("resnet20", {"width": 4, "shortcut": "B"}, 16),
        ("plain20", {"width": 4}, 16),
        ("resnet18", {}, 32),
        ("resnet50", {"width": 8}, 32),
        ("googlenet", {"width": 8}, 64),
        ("vgg11_bn", {"width": 4, "stem": "small", "heads": {"a": 2, "b": 3}}, 32),
    ],
)
def test_the_copy_computes_the_same_without_batch_norms(name: str, options: dict[str, Any], side: int) -> None:
    model = randomised(on_meta(name, **options)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = images(4, 3, side, side)
    with torch.no_grad():
        copy, _ = fold_batch_norms(model), model.eval()
        assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
        got, wanted = (torch.cat([*out.values()], 1) if isinstance(out, dict) else out for out in (copy(x), model(x)))
        torch.testing.assert_close(got / wanted.std(), wanted / wanted.std(), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class UsedTwice(nn.Module):
    """Somebody's own: the convolution's output goes to the batch norm and around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.bn(x) + x


@pytest.mark.parametrize("model", [UsedTwice(), models.build("alexnet", width=1), models.build("vgg11", width=1)])
def test_what_cannot_be_folded_is_left_as_it_is(model: nn.Module) -> None:
    copy = fold_batch_norms(model.eval())
    assert [type(module) for module in copy.modules()] == [type(module) for module in model.modules()]
