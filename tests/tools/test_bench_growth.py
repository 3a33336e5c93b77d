"""Growth curves: the arithmetic on known curves, the measurement on tiny nets and folders."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from resnet_edu.errors import DatasetUnavailable
from resnet_edu.tools.bench import growth
from resnet_edu.tools.bench.growth import CURVES, exponent, listed, measure_growth, straightness
from resnet_edu.tools.bench.side import Side

X = [10.0, 20.0, 50.0, 100.0]


@given(power=st.floats(-2, 3), factor=st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    assert exponent(X, [factor * x**power for x in X]) == pytest.approx(power, abs=1e-6)


@given(slope=st.floats(0.1, 100), start=st.floats(-100, 100))
def test_a_line_is_straight_and_a_bow_is_not(slope: float, start: float) -> None:
    assert straightness(X, [start + slope * x for x in X]) == pytest.approx(1)
    assert straightness(X, [start + slope * x**3 for x in X]) < 0.99


def test_the_curves_are_those_the_page_speaks_of() -> None:
    assert list(CURVES["depth"][2]) == [20, 32, 44, 56, 110]
    for name, (_, _, points) in CURVES.items():
        assert len(points) >= 5, name
        work = [each.operations() * (each.batch if name == "batch" else 1) for each in points.values()]
        assert straightness(list(points), work) > 0.999, name  # multiply-adds lie on a line by construction
        assert list(points) == sorted(points)


def picture_folder(folder: Path, each: int) -> Path:
    """`each` pictures of two classes in train and in test."""
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            place = folder / part / label
            place.mkdir(parents=True)
            for number in range(each):
                pixels = np.random.default_rng(abs(hash((part, label, number)))).integers(0, 256, (32, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number:04}.png")
    return folder


@pytest.mark.slow
def test_points_take_turns_and_give_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PICTURES", (40, 80))
    tiny = {width**2: growth.net(width=width, side=8, batch=16) for width in (2, 4)}
    curves = {"width": ("filters²", "ms an image", tiny), "again": ("filters²", "ms a step", tiny)}
    asked: list[str] = []
    real = Side.ask

    def ask(side: Side, method: str, *arguments: object) -> object:
        asked.append(str(side.process.pid))
        return real(side, method, *arguments)

    monkeypatch.setattr(Side, "ask", ask)
    said: list[str] = []
    folder = picture_folder(tmp_path / "pictures", 30)
    found = measure_growth(2, 0.0, folder=folder, curves=curves, say=said.append)
    assert json.loads(json.dumps(found)) == found
    assert said == ["growth of a training step: 2 nets", "loading 40, 80 pictures"]
    width, again = found["curves"]["width"], found["curves"]["again"]
    assert (width["at"], width["x"], width["y"]) == ([4, 16], "filters²", "ms an image")
    for one, other in zip(width["values"], again["values"], strict=True):  # the same slices, by image and by step
        assert other["values"] == pytest.approx([16 * value for value in one["values"]])
    loading = found["loading"]
    assert loading["at"] == [40, 80]
    assert [len(each["values"]) for each in loading["values"]] == [2, 2]
    assert all(0.05 < peak < 5 for peak in loading["peak_gb"])
    first, second = asked[:2]
    assert asked == [first, second, second, first]  # in turn, each in a process of its own
    assert not list((tmp_path / "pictures").rglob("*.bin"))


def test_without_a_folder_loading_is_left_out() -> None:
    one = {4: growth.net(width=2, side=8, batch=16), 16: growth.net(width=4, side=8, batch=16)}
    found = measure_growth(1, 0.0, curves={"width": ("filters²", "ms an image", one)}, say=lambda text: None)
    assert found["loading"] is None


@pytest.mark.parametrize("made", ["", "train/cat", "train/cat test/cat"])
def test_a_folder_of_another_form_is_refused(tmp_path: Path, made: str) -> None:
    for name in made.split():
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DatasetUnavailable, match="does not hold train/CLASS/FILE and test/CLASS/FILE with 3,000"):
        listed(tmp_path)
    with pytest.raises(DatasetUnavailable):
        measure_growth(1, 0.0, folder=tmp_path / "nowhere", say=lambda text: None)
