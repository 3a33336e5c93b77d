"""The explorer of lesson 10: a control moves, the figure follows."""

import ipywidgets
import pytest

from resnet_edu import plots, widgets
from resnet_edu.study import Recorded


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "transfer_view", lambda study, **state: states.append(state))
    labels, method, output = widgets.transfer_explorer(Recorded("toy")).children
    assert isinstance(output, ipywidgets.Output)
    assert states == [{"labels": 10, "method": "fine-tuned"}]
    labels.value = 100
    method.value = "frozen, stage 1"
    assert states[1:] == [{"labels": 100, "method": "fine-tuned"}, {"labels": 100, "method": "frozen, stage 1"}]
