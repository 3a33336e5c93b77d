"""The explorer of lesson 08: each control moves the state, and real values make a picture."""

import ipywidgets
import pytest
from matplotlib.figure import Figure

from resnet_edu import plots, widgets


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "stage_table", lambda **state: states.append(state))
    depth, width, side, output = widgets.stage_explorer().children
    assert isinstance(output, ipywidgets.Output)
    assert states == [{"depth": 34, "width": 64, "side": 224}]
    depth.value, width.value, side.value = 50, 8, 32
    assert states[-1] == {"depth": 50, "width": 8, "side": 32}
    assert len(states) == 4


@pytest.mark.parametrize(("depth", "width", "side"), [(18, 8, 32), (152, 128, 448)])
def test_the_ends_of_every_control_can_be_drawn(depth: int, width: int, side: int) -> None:
    figure = plots.stage_table(depth=depth, width=width, side=side)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
