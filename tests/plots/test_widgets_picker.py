"""The explorer of lesson 09: both sliders move the budget, and real values make a picture."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from resnet_edu import plots, widgets


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "model_picker", lambda nets, **state: states.append(state))
    gmacs, million, output = widgets.model_picker().children
    assert isinstance(output, ipywidgets.Output)
    assert states == [{"gmacs": 5.0, "million": 60.0}]
    gmacs.value, million.value = 12.0, 30.0
    assert states[1:] == [{"gmacs": 12.0, "million": 60.0}, {"gmacs": 12.0, "million": 30.0}]


@pytest.mark.parametrize("gmacs", [0.5, 20.0])
@pytest.mark.parametrize("million", [5.0, 150.0])
def test_the_ends_of_every_control_can_be_drawn(gmacs: float, million: float) -> None:
    figure = plots.model_picker(plots.published_nets(), gmacs=gmacs, million=million)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
