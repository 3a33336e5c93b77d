"""The identity construction: a deeper net that computes the same, in both modes."""

import copy

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, parameters
from torch import Tensor, nn

from resnet_edu.models import CifarNet, extend_with_identity, replace_head


def trained(depth: int, *, width: int = 4, channels: int = 1) -> CifarNet:
    """A plain net with running statistics and batch-norm weights unlike those it starts with, in train mode."""
    net = CifarNet(depth, residual=False, width=width, in_channels=channels)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
        for seed in range(20):
            net(images(8, channels, 16, 16, seed=seed))
    return net


def logits(net: nn.Module, x: Tensor, *, training: bool) -> Tensor:
    """Without moving the net's own running statistics."""
    with torch.no_grad():
        return copy.deepcopy(net).train(training)(x)


@pytest.mark.parametrize(("shallow", "deep"), [(8, 14), (8, 56), (20, 56)])
def test_it_computes_the_same_in_both_modes(shallow: int, deep: int) -> None:
    net, batch, others = trained(shallow), images(16, 1, 16, 12), images(5, 1, 16, 12, seed=7)
    extended = extend_with_identity(net, deep, images=batch)
    for x, training in ((batch, True), (batch, False), (others, False)):
        wanted = logits(net, x, training=training)
        assert wanted.std() > 0.05  # there is something to be equal to
        torch.testing.assert_close(logits(extended, x, training=training), wanted, rtol=0, atol=1e-4)
    assert not torch.allclose(logits(net, batch, training=True), logits(net, batch, training=False), atol=1e-2)


@settings(max_examples=8, deadline=None)
@given(width=st.integers(1, 6), channels=st.integers(1, 3), blocks=st.integers(1, 2), more=st.integers(1, 3))
def test_any_width_channels_and_heads(width: int, channels: int, blocks: int, more: int) -> None:
    net, batch = trained(6 * blocks + 2, width=width, channels=channels), images(8, channels, 16, 16)
    replace_head(net, {"digit": 10, "parity": 2})
    extended = extend_with_identity(net.eval(), 6 * (blocks + more) + 2, images=batch)
    for name, wanted in net(batch).items():
        torch.testing.assert_close(extended(batch)[name], wanted, rtol=0, atol=1e-4)


def test_it_is_a_plain_net_of_that_depth_and_nothing_is_shared() -> None:
    net, batch = trained(8).double(), images(4, 1, 16, 16, dtype=torch.float64)
    before = copy.deepcopy(net.state_dict())
    deep = extend_with_identity(net, 20, images=batch)
    assert parameters(deep) == parameters(CifarNet(20, residual=False, width=4, in_channels=1))
    assert deep.training
    assert {p.dtype for p in deep.parameters()} == {torch.float64}
    assert not {p.data_ptr() for p in deep.parameters()} & {p.data_ptr() for p in net.parameters()}
    deep(batch).sum().backward()
    assert all(p.grad is not None for p in deep.parameters())
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    assert not any(module._forward_hooks for module in deep.modules())


def test_bad_input() -> None:
    batch = images(4, 1, 16, 16)
    for net, depth, words in (
        (trained(8), 8, r"more than the 8 layers of the shallow net, got 8"),
        (trained(8), 15, r"6n \+ 2.*got 15"),
        (CifarNet(8), 14, "with residual blocks"),
        (nn.Linear(2, 2), 14, "plain CifarNet, got Linear"),
    ):
        with pytest.raises(ValueError, match=words):
            extend_with_identity(net, depth, images=batch)  # type: ignore[arg-type]
