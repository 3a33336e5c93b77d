"""The explorer of lesson 06: a control moves, the figure follows."""

import ipywidgets
import pytest

from resnet_edu import plots, widgets
from resnet_edu.study import Recorded


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The states that the explorer asked to be drawn."""
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "depth_and_skip", lambda study, **state: states.append(state))
    return states


def test_each_control_redraws_with_its_value(shown: list[dict[str, object]]) -> None:
    depth, skip, output = widgets.depth_and_skip(Recorded("toy")).children
    assert isinstance(output, ipywidgets.Output)
    assert shown == [{"depth": 56, "skip": False}]
    depth.value = 32
    skip.value = True
    assert shown[1:] == [{"depth": 32, "skip": False}, {"depth": 32, "skip": True}]
