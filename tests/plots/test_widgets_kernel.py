"""The explorer of lesson 01: a slider moves one weight, the menu sets all nine and draws once."""

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from resnet_edu import plots, widgets

Drawn = list[list[int]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The kernels that the explorer asked to be drawn, row by row."""
    kernels: Drawn = []

    def effect(image: Tensor, kernel: Tensor) -> Figure:
        assert image.shape == (12, 10)
        assert kernel.shape == (3, 3)
        kernels.append(kernel.flatten().tolist())
        return Figure()

    monkeypatch.setattr(plots, "kernel_effect", effect)
    return kernels


def controls(box: ipywidgets.VBox) -> tuple[ipywidgets.Dropdown, list[ipywidgets.IntSlider]]:
    preset, *rows, output = box.children
    assert isinstance(output, ipywidgets.Output)
    return preset, [slider for row in rows for slider in row.children]


def test_it_begins_with_a_drawing_of_its_preset(drawn: Drawn) -> None:
    preset, sliders = controls(widgets.kernel_explorer(torch.zeros(12, 10)))
    assert drawn == [list(plots.KERNELS[str(preset.value)])]
    assert [slider.value for slider in sliders] == drawn[0]


def test_a_slider_changes_its_own_weight(drawn: Drawn) -> None:
    _, sliders = controls(widgets.kernel_explorer(torch.zeros(12, 10)))
    before = drawn[0]
    sliders[5].value = -7
    assert drawn[1:] == [[*before[:5], -7, *before[6:]]]


def test_the_menu_sets_nine_sliders_and_draws_once(drawn: Drawn) -> None:
    preset, sliders = controls(widgets.kernel_explorer(torch.zeros(12, 10)))
    preset.value = "sharpen"
    assert drawn[1:] == [[0, -1, 0, -1, 5, -1, 0, -1, 0]]
    assert [slider.value for slider in sliders] == drawn[1]
    sliders[0].value = 2
    assert drawn[2] == [2, -1, 0, -1, 5, -1, 0, -1, 0]


def test_every_preset_lies_within_the_sliders(drawn: Drawn) -> None:
    preset, sliders = controls(widgets.kernel_explorer(torch.zeros(12, 10)))
    for name, weights in plots.KERNELS.items():
        preset.value = name
        assert [slider.value for slider in sliders] == list(weights)
    assert len(drawn) == len(plots.KERNELS) + 1 - (preset.options[0] == "vertical edges")
