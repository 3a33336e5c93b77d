"""The identity construction: a deeper net with the same outputs."""

import copy

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from resnet_edu.models import CifarNet, PlainBlock, replace_head
from resnet_edu.models.identity import extend_with_identity, make_identity


def trained(depth: int, *, width: int = 4, num_classes: int = 10, in_channels: int = 1, heads=None) -> CifarNet:
    """A net with running statistics and batch-norm weights unlike those it starts with."""
    net = CifarNet(depth, residual=False, width=width, num_classes=num_classes, in_channels=in_channels)
    if heads:
        replace_head(net, heads)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
        for _ in range(20):
            net(torch.randn(8, in_channels, 16, 16))
    return net.eval()


@pytest.mark.parametrize(("shallow", "deep"), [(8, 14), (8, 56), (20, 56)])
def test_outputs_are_those_of_the_shallow_net(shallow: int, deep: int):
    torch.manual_seed(0)
    net = trained(shallow)
    images = torch.randn(5, 1, 16, 12)
    wanted = net(images)
    assert wanted.std() > 0.05  # there is something to be equal to
    torch.testing.assert_close(extend_with_identity(net, deep)(images), wanted, rtol=1e-5, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(
    width=st.integers(1, 6), classes=st.integers(2, 12), channels=st.integers(1, 3), blocks=st.integers(1, 2),
    more=st.integers(1, 3),
)  # fmt: skip
def test_any_width_number_of_classes_and_channels(width: int, classes: int, channels: int, blocks: int, more: int):
    net = trained(6 * blocks + 2, width=width, num_classes=classes, in_channels=channels)
    images = torch.randn(2, channels, 8, 8)
    deep = extend_with_identity(net, 6 * (blocks + more) + 2)
    torch.testing.assert_close(deep(images), net(images), rtol=1e-5, atol=1e-5)


def test_it_is_a_plain_net_of_that_depth_and_nothing_is_shared():
    net = trained(8)
    before = copy.deepcopy(net.state_dict())
    deep = extend_with_identity(net, 20)
    assert isinstance(deep, CifarNet)
    assert sum(p.numel() for p in deep.parameters()) == sum(
        p.numel() for p in CifarNet(20, residual=False, width=4, in_channels=1).parameters()
    )
    assert not {p.data_ptr() for p in deep.parameters()} & {p.data_ptr() for p in net.parameters()}
    deep.train()(torch.randn(4, 1, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in deep.parameters())
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    assert not net.training


def test_several_heads_are_kept():
    net = trained(8, heads={"digit": 10, "parity": 2})
    images = torch.randn(2, 1, 8, 8)
    deep, shallow = extend_with_identity(net, 14)(images), net(images)
    assert {name: tuple(logits.shape) for name, logits in deep.items()} == {"digit": (2, 10), "parity": (2, 2)}
    for name in shallow:
        torch.testing.assert_close(deep[name], shallow[name], rtol=1e-5, atol=1e-5)


def test_mode_and_dtype_are_those_of_the_shallow_net():
    net = trained(8).double().train()
    deep = extend_with_identity(net, 14)
    assert deep.training
    assert {p.dtype for p in deep.parameters()} == {torch.float64}


def test_in_train_mode_the_outputs_differ():
    """Said in the docstring: a batch norm that normalises by the batch is no identity."""
    net = trained(8).train()
    images = torch.randn(8, 1, 16, 16)
    deep = extend_with_identity(net, 14)
    assert (deep(images) - net(images)).abs().max() > 1e-2


def test_an_identity_block_keeps_what_is_not_negative_and_cuts_the_rest():
    block = PlainBlock(3, 3).eval()
    make_identity(block)
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(block(x), x.relu(), rtol=1e-6, atol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match=r"more than the 8 layers of the shallow net, got 8"):
        extend_with_identity(trained(8), 8)
    with pytest.raises(ValueError, match=r"6n \+ 2.*got 15"):
        extend_with_identity(trained(8), 15)
    with pytest.raises(ValueError, match="with residual blocks"):
        extend_with_identity(CifarNet(8), 14)
    with pytest.raises(ValueError, match="plain CifarNet, got Linear"):
        extend_with_identity(nn.Linear(2, 2), 14)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 2 to 4 channels with stride 2"):
        make_identity(PlainBlock(2, 4, 2))
