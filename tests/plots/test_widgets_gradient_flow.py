"""The explorer of lesson 05: a control moves, the figure follows."""

import ipywidgets
import pytest
import torch

from resnet_edu import plots, widgets


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(8)


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "gradient_flow", lambda images, labels, **state: states.append(state))
    *controls, output = widgets.gradient_flow(*batch()).children
    assert isinstance(output, ipywidgets.Output)
    start = {"activation": "sigmoid", "init": "xavier", "batch_norm": False, "skip": False, "depth": 30}
    assert states == [start]
    moves = {"activation": "relu", "init": "he", "batch_norm": True, "skip": True, "depth": 50}
    for control, (name, value) in zip(controls, moves.items(), strict=True):
        control.value = value
        assert states[-1] == {**states[-2], name: value}
    assert states[-1] == moves


def test_every_choice_can_be_drawn() -> None:
    activation, init, *_ = widgets.gradient_flow(*batch()).children
    choices = [(kind, start) for _, kind in activation.options for _, start in init.options]
    assert len(choices) == 12
    for kind, start in choices:
        figure = plots.gradient_flow(*batch(), activation=kind, init=start, depth=5)
        assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
