"""The explorer of lesson 07: each control moves the state, and real values make a picture."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from resnet_edu import plots, widgets


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "signal_and_gradient", lambda **state: states.append(state))
    depth, residual, norm, gain, output = widgets.residual_explorer().children
    assert isinstance(output, ipywidgets.Output)
    assert states == [{"depth": 20, "residual": True, "batch_norm": False, "gain": 1.0}]
    depth.value, residual.value, norm.value, gain.value = 5, False, True, 0.25
    assert states[-1] == {"depth": 5, "residual": False, "batch_norm": True, "gain": 0.25}
    assert len(states) == 5


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gain", [0.0, 2.0])
def test_the_ends_of_every_control_can_be_drawn(residual: bool, gain: float) -> None:
    figure = plots.signal_and_gradient(depth=50, residual=residual, batch_norm=True, gain=gain)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
