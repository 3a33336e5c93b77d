"""The explorer of lesson 12: real bytes of a JPEG are named, bytes of no image are answered by one line."""

from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from test_widgets_attribution import jpeg, upload_of

from resnet_edu import models, plots, widgets
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms


@pytest.fixture
def network() -> Pretrained:
    torch.manual_seed(0)
    model = models.build("resnet18", num_classes=4).eval()
    return Pretrained(model, ("a", "b", "c", "d"), PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3), "a test")


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "green.jpg").write_bytes(jpeg("green", (20, 20)))
    return {"green": tmp_path / "green.jpg"}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Figure, dict[str, Any]]]:
    """The figures that were really drawn, with what was asked for."""
    drawn: list[tuple[Figure, dict[str, Any]]] = []
    draw = plots.named_photos

    def spied(network: Pretrained, pictures: Any, **asked: Any) -> Figure:
        figure = draw(network, pictures, **asked)
        drawn.append((figure, {"photos": {name: each.size for name, each in pictures.items()}, **asked}))
        return figure

    monkeypatch.setattr(plots, "named_photos", spied)
    return drawn


def controls(box: ipywidgets.VBox) -> tuple[Any, Any, Any, Any, Any]:
    """Upload, its message, photo, labels and threshold."""
    (upload, said), (which, top, threshold, output) = (part.children for part in box.children)
    assert isinstance(output, ipywidgets.Output)
    return upload, said, which, top, threshold


def test_each_control_redraws_with_its_value(network: Pretrained, photos: dict[str, Path], figures: list[Any]) -> None:
    _, _, _, top, threshold = controls(widgets.naming_explorer(network, photos))
    assert figures[-1][1] == {"photos": {"green": (20, 20)}, "top": 3, "threshold": 50}
    top.value, threshold.value = 2, 90
    assert figures[-1][1] == {"photos": {"green": (20, 20)}, "top": 2, "threshold": 90}
    assert top.max == 4


def test_a_real_upload_is_named_with_a_map(network: Pretrained, photos: dict[str, Path], figures: list[Any]) -> None:
    upload, said, which, _, threshold = controls(widgets.naming_explorer(network, photos))
    threshold.value = 0
    upload.value = upload_of("mine.jpg", jpeg("red"))
    figure, asked = figures[-1]
    assert asked["photos"] == {"mine.jpg": (40, 30)}
    assert (which.value, said.value) == ("mine.jpg", "")
    left, middle, right = figure.axes
    assert left.get_title() == "mine.jpg"
    assert middle.get_title(loc="center") in network.categories
    assert right.get_title() == f"evidence for {middle.get_title(loc='center')}"


def test_what_is_no_image_gets_one_line_and_the_picture_stays(
    network: Pretrained, photos: dict[str, Path], figures: list[Any]
) -> None:
    upload, said, which, *_ = controls(widgets.naming_explorer(network, photos))
    for name, content in (("notes<b>.txt", b"no picture at all"), ("cut.jpg", jpeg("red")[:150]), ("none.png", b"")):
        upload.value = upload_of(name, content)
        assert said.value.startswith(name.replace("<", "&lt;").replace(">", "&gt;") + " cannot be read: ")
        assert "\n" not in said.value
        assert which.value == "green"
    assert len(figures) == 1
