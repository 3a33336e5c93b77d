"""The explorer of lesson 02: each control moves the state, and real values make a picture."""

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from resnet_edu import plots, widgets

IMAGES = {"photo": torch.zeros(3, 40, 40, dtype=torch.uint8), "digit": torch.ones(1, 20, 20, dtype=torch.uint8)}


def test_each_control_redraws_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[tuple[int, dict[str, object]]] = []

    def drawn(image: Tensor, **state: object) -> Figure:
        states.append((len(image), state))
        return Figure()

    monkeypatch.setattr(plots, "augmented_views", drawn)
    image, padding, flip, seed, output = widgets.augmentation_explorer(IMAGES).children
    assert isinstance(output, ipywidgets.Output)
    assert states == [(3, {"padding": 4, "flip": True, "seed": 0})]
    image.value, padding.value, flip.value, seed.value = "digit", 30, False, 7
    assert states[-1] == (1, {"padding": 6, "flip": False, "seed": 7})
    assert len(states) == 5


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("padding", [0, 12])
def test_the_ends_of_every_control_can_be_drawn(name: str, padding: int) -> None:
    figure = plots.augmented_views(IMAGES[name], padding=padding, flip=True, seed=20)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
