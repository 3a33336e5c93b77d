"""The explorer of lesson 04: each control moves the state, and real values make a picture."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from resnet_edu import plots, widgets

START = {"one": 64, "three_reduced": 96, "three": 128, "five_reduced": 16, "five": 32, "pool": 32, "kernel": 5}


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "channel_budget", lambda **state: states.append(state))
    *controls, output = widgets.channel_budget().children
    assert isinstance(output, ipywidgets.Output)
    assert states == [START]
    for control in controls[:-1]:
        control.value = 40
    controls[-1].value = 3
    assert states[-1] == dict.fromkeys(START, 40) | {"kernel": 3}
    assert len(states) == 1 + len(START)


@pytest.mark.parametrize("end", ["min", "max"])
def test_the_ends_of_every_control_can_be_drawn(end: str) -> None:
    *sliders, kernel, _ = widgets.channel_budget().children
    figure = plots.channel_budget(
        **{name: getattr(slider, end) for name, slider in zip(START, sliders, strict=False)}, kernel=kernel.value
    )
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
