"""The explorer of lesson 11: real bytes of a JPEG are shown, bytes of no image are answered by one line."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from PIL import Image

from resnet_edu import models, plots, widgets
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms
from resnet_edu.widgets.upload import uploaded

State = tuple[tuple[int, int], str, int]


def jpeg(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


def upload_of(name: str, content: bytes) -> tuple[dict[str, Any], ...]:
    """What the browser hands over."""
    about = {"name": name, "type": "image/jpeg", "size": len(content), "last_modified": datetime.now(tz=UTC)}
    return ({**about, "content": memoryview(content)},)


@pytest.fixture
def network() -> Pretrained:
    model = models.build("resnet18", num_classes=3).eval()
    return Pretrained(model, ("a", "b", "c"), PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3), "a test")


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg("green", (20, 20)))
    return {name: tmp_path / f"{name}.jpg" for name in ("one", "two")}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """What the explorer asked to be drawn: size of the picture, method, place."""
    states: list[State] = []
    monkeypatch.setattr(
        plots,
        "photo_attribution",
        lambda network, picture, *, method, place: states.append((picture.size, method, place)),
    )
    return states


def controls(box: ipywidgets.VBox) -> tuple[Any, Any, Any, Any, Any]:
    """Upload, its message, photo, method and answer."""
    (upload, said), (which, method, place, output) = (part.children for part in box.children)
    assert isinstance(output, ipywidgets.Output)
    return upload, said, which, method, place


def test_each_control_redraws_with_its_value(network: Pretrained, photos: dict[str, Path], drawn: list[State]) -> None:
    _, _, which, method, place = controls(widgets.attribution_explorer(network, photos))
    first = next(iter(plots.ATTRIBUTIONS))
    assert drawn == [((20, 20), first, 1)]
    which.value, method.value, place.value = "two", "Occlusion", 2
    assert drawn[-1] == ((20, 20), "Occlusion", 2)
    assert len(drawn) == 4


def test_an_uploaded_photo_joins_the_list_and_is_shown(
    network: Pretrained, photos: dict[str, Path], drawn: list[State]
) -> None:
    upload, said, which, *_ = controls(widgets.attribution_explorer(network, photos))
    upload.value = upload_of("mine.jpg", jpeg("red"))
    assert which.value == "mine.jpg"
    assert list(which.options) == ["one", "two", "mine.jpg"]
    assert drawn[-1][0] == (40, 30)
    assert said.value == ""


def test_what_is_no_image_gets_one_line_and_the_picture_stays(
    network: Pretrained, photos: dict[str, Path], drawn: list[State]
) -> None:
    upload, said, which, *_ = controls(widgets.attribution_explorer(network, photos))
    which.value = "two"
    for name, content in (("notes<b>.txt", b"no picture at all"), ("cut.jpg", jpeg("red")[:150]), ("none.png", b"")):
        upload.value = upload_of(name, content)
        assert said.value.startswith(name.replace("<", "&lt;").replace(">", "&gt;") + " cannot be read: ")
        assert "\n" not in said.value
        assert "/tmp" not in said.value
        assert which.value == "two"
    assert len(drawn) == 2
    upload.value = upload_of("good.jpg", jpeg("blue"))
    assert (said.value, which.value) == ("", "good.jpg")


def test_a_real_upload_makes_a_real_picture(network: Pretrained) -> None:
    name, picture = uploaded(upload_of("folder/mine.jpg", jpeg("red")))
    assert (name, picture.size, picture.mode) == ("mine.jpg", (40, 30), "RGB")
    for method in plots.ATTRIBUTIONS:
        figure = plots.photo_attribution(network, picture, method=method, place=2)
        assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
