"""The explorer of lesson 03: each control moves the state, and real values make a picture."""

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from resnet_edu import plots, widgets

PHOTO = torch.zeros(3, 32, 32, dtype=torch.uint8)


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, object]] = []

    def growth(image: Tensor, **state: object) -> Figure:
        assert image is PHOTO
        states.append(state)
        return Figure()

    monkeypatch.setattr(plots, "receptive_growth", growth)
    kernel, layers, stride, pooling, output = widgets.receptive_explorer(PHOTO).children
    assert isinstance(output, ipywidgets.Output)
    assert states == [{"kernel": 3, "layers": 3, "first_stride": 1, "pool_every": 0}]
    kernel.value, layers.value, stride.value, pooling.value = 7, 5, 2, 1
    assert states[-1] == {"kernel": 7, "layers": 5, "first_stride": 2, "pool_every": 1}
    assert len(states) == 5


@pytest.mark.parametrize(("kernel", "layers", "stride", "pool"), [(1, 1, 1, 0), (11, 8, 4, 1), (11, 1, 4, 3)])
def test_the_ends_of_every_control_can_be_drawn(kernel: int, layers: int, stride: int, pool: int) -> None:
    figure = plots.receptive_growth(PHOTO, kernel=kernel, layers=layers, first_stride=stride, pool_every=pool)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
