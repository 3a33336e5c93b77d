"""The explorers: every control has a name and redraws, real values make a picture, uploads are answered."""

import base64
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import torch
from PIL import Image
from test_figures import PHOTO, batch, depths, network, transfer

from resnet_edu import widgets
from resnet_edu.plots.lesson_01 import KERNELS
from resnet_edu.plots.style import Figure, new_figure
from resnet_edu.widgets import Explorer, uploaded

IMG = r"<img alt='(.+)' width='(\d+)' style='max-width: 100%' src='data:image/png;base64,([\w+/=]+)'>"


def jpeg(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg("green", (20, 20)))
    return {name: tmp_path / f"{name}.jpg" for name in ("one", "two")}


@pytest.fixture
def explorers(photos: dict[str, Path]) -> dict[str, Callable[[], Explorer]]:
    return {
        "attribution_explorer": lambda: widgets.attribution_explorer(network(), photos),
        "augmentation_explorer": lambda: widgets.augmentation_explorer({"photo": PHOTO, "digit": PHOTO[:1]}),
        "channel_budget": widgets.channel_budget,
        "depth_and_skip": lambda: widgets.depth_and_skip(depths()),
        "gradient_flow": lambda: widgets.gradient_flow(*batch()),
        "kernel_explorer": lambda: widgets.kernel_explorer(PHOTO[0]),
        "model_picker": widgets.model_picker,
        "naming_explorer": lambda: widgets.naming_explorer(network(), photos),
        "receptive_explorer": lambda: widgets.receptive_explorer(PHOTO),
        "residual_explorer": widgets.residual_explorer,
        "stage_explorer": widgets.stage_explorer,
        "transfer_explorer": lambda: widgets.transfer_explorer(transfer()),
    }


def end_of(control: Any) -> Any:
    """The first or the last value that a control can take, whichever it does not have."""
    if isinstance(control, ipywidgets.Checkbox):
        return not control.value
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
    else:
        values = [control.min, control.max]
    return values[-1] if control.value != values[-1] else values[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(widgets.__all__) - {"Explorer"}))
def test_every_control_has_a_name_and_redraws_at_its_end_with_all_axes_in_their_places(
    name: str, explorers: dict[str, Callable[[], Explorer]]
) -> None:
    explorer = explorers[name]()
    told, width, png = re.fullmatch(IMG, explorer.image.value).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert base64.b64decode(png).startswith(b"\x89PNG")
    assert int(width) > 500
    assert len(told) > 8
    assert told in explorer.said.value
    assert set(explorer.relayout) < set(explorer.controls)
    for control in explorer.controls.values():
        assert control.description
        assert len(control.tooltip) > 5
        assert getattr(control, "continuous_update", True), "it redraws while it is dragged"
        control.value = end_of(control)
        assert explorer.drawn == {key: each.value for key, each in explorer.controls.items()}
        places = explorer.places[tuple(explorer.drawn[key] for key in explorer.relayout)]
        fresh = explorer.draw(**explorer.drawn)
        fresh.png()  # lays it out anew
        for part, place in zip([*fresh.axes, *fresh.texts], places, strict=True):
            assert part.get_position() == pytest.approx(place, abs=0.011)


def test_a_state_is_drawn_once_and_several_changes_at_once_and_what_was_slow_says_that_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[dict[str, Any]] = []
    clock = iter([0, 0.1, 1, 1.2, 2, 2.31, 3, 3.01, 4, 4.01])  # the third drawing is slow
    monkeypatch.setattr(widgets, "monotonic", lambda: next(clock))

    def draw(**state: Any) -> Figure:
        states.append(state)
        return new_figure(1, 1, title="A message")[0]

    explorer = Explorer(draw, {"a": ipywidgets.IntSlider(1), "b": ipywidgets.IntSlider(2)})
    assert states == [{"a": 1, "b": 2}]
    assert "A message" in explorer.said.value, "it is read aloud"
    explorer.controls["b"].value = 5
    explorer.redraw()
    assert states[1:] == [{"a": 1, "b": 5}]
    with explorer.one_drawing():
        explorer.controls["a"].value, explorer.controls["b"].value = 7, 8
    assert states[2:] == [{"a": 7, "b": 8}]
    said: list[str] = []
    explorer.said.observe(lambda change: said.append(change["new"]), "value")
    explorer.controls["a"].value = 9
    assert said[0] == "working…"
    assert "working" not in said[-1]
    said.clear()
    explorer.controls["a"].value = 10
    assert "working…" not in said


def test_the_menu_of_kernels_sets_nine_sliders_and_draws_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels: list[list[int]] = []

    def effect(image: torch.Tensor, kernel: torch.Tensor) -> Figure:
        kernels.append(kernel.flatten().tolist())
        return new_figure(1, 1)[0]

    monkeypatch.setattr("resnet_edu.plots.kernel_effect", effect)
    explorer = widgets.kernel_explorer(torch.zeros(12, 10))
    (menu, _), sliders = explorer.children[0].children, list(explorer.controls.values())
    assert kernels == [list(KERNELS[menu.value])]
    for name, weights in KERNELS.items():
        menu.value = name
        assert [slider.value for slider in sliders] == list(weights) == kernels[-1]
    assert len(kernels) == len(KERNELS) + 1
    sliders[5].value = -7
    last = [*KERNELS][-1]
    assert (menu.value, kernels[-1]) == (None, [*KERNELS[last][:5], -7, *KERNELS[last][6:]])
    menu.value = last  # which was chosen before
    assert kernels[-1] == list(KERNELS[last])


def test_the_twin_has_the_figure_in_each_state_and_the_controls_stay() -> None:
    colours = {0: "red", 1: "green", 7: "blue"}

    def draw(a: int, b: int) -> Figure:
        figure, (axes,) = new_figure(1, 1, width=3, height=2)
        axes.set_axis_off()
        figure.set_facecolor(colours[a * b])
        return figure

    explorer = Explorer(draw, {"a": ipywidgets.IntSlider(1), "b": ipywidgets.IntSlider(1)})
    explorer.controls["b"].value = 0
    twin = explorer.twin({"as it begins": {}, "seven": {"a": 7}})
    picture = Image.open(io.BytesIO(twin.png())).convert("RGB")
    places = [(picture.width // 2, part * picture.height // 100) for part in (11, 61)]
    assert [picture.getpixel(place) for place in places] == [(0, 128, 0), (0, 0, 255)]
    assert [axes.get_title(loc="left") for axes in twin.axes] == ["▸ as it begins", "▸ seven"]
    assert explorer.controls["b"].value == 0


def upload_of(name: str, content: bytes) -> tuple[dict[str, Any], ...]:
    """What the browser hands over."""
    about = {"name": name, "type": "image/jpeg", "size": len(content), "last_modified": datetime.now(tz=UTC)}
    return ({**about, "content": memoryview(content)},)


@pytest.mark.parametrize("name", ["attribution_explorer", "naming_explorer"])
def test_an_uploaded_photo_joins_the_list_and_what_is_no_photo_gets_one_line(
    name: str, explorers: dict[str, Callable[[], Explorer]]
) -> None:
    explorer = explorers[name]()
    (upload, said), which = explorer.children[0].children, explorer.controls["which"]
    which.value = "two"
    before = explorer.image.value
    for file, content in (("notes<b>.txt", b"no picture at all"), ("cut.jpg", jpeg("red")[:150]), ("none.png", b"")):
        upload.value = upload_of(file, content)
        assert said.value.startswith(file.replace("<", "&lt;").replace(">", "&gt;") + " cannot be read: ")
        assert "\n" not in said.value
        assert "/tmp" not in said.value
        assert (which.value, explorer.image.value) == ("two", before)
    upload.value = upload_of("mine.jpg", jpeg("red"))
    assert (which.value, list(which.options)) == ("mine.jpg", ["one", "two", "mine.jpg"])
    assert "cannot" not in said.value
    red = explorer.image.value
    assert red != before
    upload.value = upload_of("mine.jpg", jpeg("blue"))
    assert explorer.image.value != red, "another photo of the same name is looked at afresh"


@pytest.mark.parametrize("files", [upload_of("folder/mine.jpg", jpeg("red")), {"mine.jpg": {"content": jpeg("red")}}])
def test_uploads_of_ipywidgets_8_and_7(files: Any) -> None:
    name, picture = uploaded(files)
    assert (name, picture.size, picture.mode) == ("mine.jpg", (40, 30), "RGB")
