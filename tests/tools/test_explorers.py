"""Explorers on pages without a kernel: every state is there, the first is the explorer's own, each lesson has one."""

import re
from pathlib import Path

import pytest
from ipywidgets import Checkbox, IntSlider, SelectionSlider

from resnet_edu.plots.style import Figure, new_figure
from resnet_edu.tools import explorers
from resnet_edu.widgets import Explorer

SOURCES = sorted((Path(__file__).resolve().parents[2] / "notebooks" / "source").glob("*.py"))


def draw(depth: int, skip: bool, gain: int) -> Figure:
    return new_figure(1, 1, width=2, height=1, title=f"gain {gain}")[0]


@pytest.fixture
def page() -> str:
    controls = {
        "depth": SelectionSlider(description="layers", options=[20, 44, 56], value=44),
        "skip": Checkbox(description="skip"),
        "gain": IntSlider(description="gain", value=7),
    }
    return explorers.crossed(Explorer(draw, controls), depth=None, skip=(False, True))


def test_every_combination_is_drawn_and_says_what_it_shows(page: str) -> None:
    said = re.findall(r'data-state="(\d) (\d)" alt="(.*?)"', page)
    assert said == [
        (str(place), str(skip), f"layers {depth}, skip {('off', 'on')[skip]}: gain 7")
        for place, depth in enumerate((20, 44, 56))
        for skip in (0, 1)
    ]


def test_without_the_script_the_explorer_s_own_state_shows_and_no_other(page: str) -> None:
    assert re.findall(r'<img data-state="(.*?)"', page) == ["1 0"]
    assert page.count("<img hidden ") == 5


def test_numbers_are_a_slider_and_words_a_menu(page: str) -> None:
    assert re.findall(r"<label>(\w+) <(\w+)", page) == [("layers", "input"), ("skip", "select")]
    assert '<option value="0" selected>off</option><option value="1">on</option>' in page


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_explorer_of_a_lesson_has_a_page(source: Path) -> None:
    used = set(re.findall(r"edu\.widgets\.(\w+)\(", source.read_text(encoding="utf-8")))
    assert used <= set(explorers.PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kernel_explorer", "model_picker"])
def test_an_explorer_of_the_course_can_be_drawn(name: str) -> None:
    assert len(set(re.findall(r'src="(.*?)"', explorers.PAGES[name]()))) >= 8
