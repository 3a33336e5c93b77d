"""Every instrument leaves the model as it found it, whether it works or fails."""

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from oracle import images, randomised
from torch import Tensor, nn

from resnet_edu import data, models, probe
from resnet_edu.models.modes import eval_mode

LABELS = torch.tensor([0, 1, 2, 3])


def collected(model: nn.Module, x: Tensor) -> None:
    with probe.activations(model), eval_mode(model), torch.no_grad():
        model(x)


INSTRUMENTS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "activations": collected,
    "forward_statistics": probe.forward_statistics,
    "gradient_norms": lambda model, x: probe.gradient_norms(model, x, LABELS),
    "grad_cam": lambda model, x: probe.grad_cam(model, x, 1, layer="layer2"),
    "integrated_gradients": lambda model, x: probe.integrated_gradients(model, x, 1, steps=3),
    "occlusion": lambda model, x: probe.occlusion(model, x, 1, window=8, stride=8),
    "guided_backprop": lambda model, x: probe.guided_backprop(model, x, 1),
    "layer_features": lambda model, x: probe.layer_features(
        model, data.Split((x * 50 + 100).byte(), LABELS, (0.5,) * 3, (0.2,) * 3), ["layer2"]
    ),
    "receptive_field": lambda model, x: probe.receptive_field(nn.Sequential(*list(model.children())[:2]), (3, 16, 16)),
    "summary": lambda model, x: probe.summary(model, (3, 16, 16)),
    "block_removal": lambda model, x: probe.block_removal(model, lambda net: 0.0),
}
every_instrument = pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS.keys())


@every_instrument
@pytest.mark.parametrize("training", [True, False])
def test_nothing_in_the_model_changes(instrument: Callable[..., Any], training: bool) -> None:
    model, x = randomised(models.build("resnet20", width=4, num_classes=5)).train(training), images(4, 3, 16, 16)
    model.get_submodule("layer2").eval()  # a mode of its own
    model.get_submodule("layer1").requires_grad_(False)
    model.add_module("dropout", nn.Dropout())
    weight = model.get_parameter("linear.weight")
    weight.grad = torch.ones_like(weight)
    before, mine = copy.deepcopy(model.state_dict()), x.clone()

    def facts() -> list[Any]:
        parameters = [(p.requires_grad, id(p.grad)) for p in model.parameters()]
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]
        return [parameters, hooks, [m.training for m in model.modules()], [id(m) for m in model.modules()]]

    torch.manual_seed(3)
    found, state = facts(), torch.get_rng_state()
    instrument(model, mine)
    assert facts() == found
    assert torch.equal(mine, x)
    assert not mine.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Fails(nn.Module):
    """Breaks down when it is run for so many times."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.layer2, self.relu, self.runs = nn.Conv2d(3, 4, 3), nn.ReLU(), runs

    def forward(self, x: Tensor) -> Tensor:
        self.runs -= 1
        if self.runs == 0:
            raise ZeroDivisionError
        return self.relu(self.layer2(x)).mean((2, 3))


@pytest.mark.parametrize("runs", [1, 2, 3])
@every_instrument
def test_after_a_failure_too(instrument: Callable[..., Any], runs: int) -> None:
    model = Fails(runs)
    with suppress(ZeroDivisionError):
        instrument(model, images(4, 3, 16, 16))
    assert model.training
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_a_pass_in_isolation_counts_as_training_and_moves_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    x = 5 + torch.randn(8, 1, 6, 6)
    before = copy.deepcopy(model.state_dict())
    rows = probe.forward_statistics(model, x)
    assert rows[1].mean == pytest.approx(0, abs=1e-5)  # this batch's own statistics
    assert rows[2].zeros > 0.3
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
