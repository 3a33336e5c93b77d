"""Blocks taken out: what remains is computed by hand, and the network is whole again."""

import copy

import pytest
import torch
from torch import nn

from resnet_edu import models, probe
from resnet_edu.errors import UnknownName
from resnet_edu.models import PadShortcut


@pytest.mark.parametrize(("name", "count"), [("plain20", 9), ("resnet20", 9), ("resnet18", 8), ("resnet50", 16)])
def test_every_block_is_found_in_order(name: str, count: int) -> None:
    with torch.device("meta"):
        names = list(probe.removable_blocks(models.build(name)))
    assert len(names) == count
    assert names[0] == "layer1.0"
    assert names == sorted(names)


@pytest.mark.parametrize("block", ["layer1.1", "layer2.0"])
def test_a_residual_net_keeps_the_shortcut(block: str) -> None:
    model = models.build("resnet20", width=4, shortcut="B").eval()
    x = torch.randn(2, 3, 8, 8)
    by_hand = copy.deepcopy(model)
    nn.init.zeros_(by_hand.get_parameter(f"{block}.bn2.weight"))  # F(x) = 0
    with probe.without_blocks(model, block) as rest, torch.no_grad():
        torch.testing.assert_close(rest(x), by_hand(x))


def test_the_same_for_the_nets_of_imagenet() -> None:
    model = models.build("resnet18", num_classes=3, stem="small").eval()
    by_hand, x = copy.deepcopy(model), torch.randn(2, 3, 8, 8)
    for block in ("layer2.0", "layer3.1"):
        nn.init.zeros_(by_hand.get_parameter(f"{block}.bn2.weight"))
    with probe.without_blocks(model, "layer2.0", "layer3.1"), torch.no_grad():
        torch.testing.assert_close(model(x), by_hand(x))


def test_a_plain_net_keeps_nothing() -> None:
    model, x = models.build("plain20", width=4).eval(), torch.randn(2, 3, 8, 8)
    by_hand = copy.deepcopy(model)
    by_hand.set_submodule("layer1.1", nn.Identity())
    by_hand.set_submodule("layer3.0", PadShortcut(8, 16))
    with probe.without_blocks(model, "layer1.1", "layer3.0"), torch.no_grad():
        assert torch.equal(model(x), by_hand(x))


def test_removal_measures_each_net_and_leaves_the_model_whole() -> None:
    model, x = models.build("resnet20", width=4).eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        before, modules = model(x), list(model.modules())
        measured = probe.block_removal(model, lambda net: float((net(x) - before).abs().max()))
        assert list(measured) == list(probe.removable_blocks(model))
        assert min(measured.values()) > 0, "a block that is not taken out changes nothing"
        assert list(model.modules()) == modules
        assert torch.equal(model(x), before)


def test_an_unknown_block_is_named() -> None:
    with pytest.raises(UnknownName, match="layer9"), probe.without_blocks(models.build("resnet20"), "layer9.0"):
        pass
