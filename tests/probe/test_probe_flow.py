"""Flow through a stack of blocks: against modules and autograd, and where the answer is known."""

import pytest
import torch
from torch import nn

from resnet_edu.probe import residual_flow


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_equals_a_stack_of_modules(residual: bool, batch_norm: bool) -> None:
    flow = residual_flow(3, residual=residual, batch_norm=batch_norm, gain=0.7, width=5, samples=9, seed=4)
    generator = torch.Generator().manual_seed(4)
    first = x = torch.randn(9, 5, generator=generator).relu().requires_grad_()
    norm = nn.BatchNorm1d(5, affine=False) if batch_norm else nn.Identity()
    for _ in range(3):
        w1, w2 = (torch.randn(5, 5, generator=generator) * (2 / 5) ** 0.5 for _ in range(2))
        out = 0.7 * norm((x @ w1).relu() @ w2)
        x = (out + x if residual else out).relu()
    entering = torch.randn(9, 5, generator=generator)
    x.backward(entering)
    assert first.grad is not None
    assert flow.signal[-1] == pytest.approx(x.square().mean().sqrt().item(), rel=1e-4)
    assert flow.gradient[0] == pytest.approx((first.grad.norm() / entering.norm()).item(), rel=1e-4)
    assert flow.gradient[-1] == 1
    assert len(flow.signal) == len(flow.gradient) == 4


@pytest.mark.parametrize("batch_norm", [False, True])
def test_switched_off_the_residual_stack_is_the_identity_and_the_plain_one_is_dead(batch_norm: bool) -> None:
    flow = residual_flow(7, residual=True, batch_norm=batch_norm, gain=0.0)
    assert len(set(flow.signal)) == 1
    plain = residual_flow(7, residual=False, batch_norm=batch_norm, gain=0.0)
    assert plain.signal[1:] == (0,) * 7
    assert plain.gradient[:-1] == (0,) * 7


def test_without_batch_norm_the_plain_signal_grows_by_the_gain_in_every_block() -> None:
    one, half = (residual_flow(10, residual=False, gain=gain) for gain in (1.0, 0.5))
    assert half.signal[-1] == pytest.approx(one.signal[-1] / 2**10, rel=1e-3)
    assert half.gradient[0] == pytest.approx(one.gradient[0] / 2**10, rel=1e-3)


def test_no_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        residual_flow(0, residual=True)
