"""The site: built with warnings as errors, complete, whole in its links, and fetching nothing from elsewhere."""

import inspect
import re
from urllib.parse import unquote, urlsplit

import pytest
from browser.site_pages import ROOT, built, pages

from resnet_edu import files
from resnet_edu.tools import course

pytestmark = pytest.mark.slow
ROOMS = re.findall(r'"(\w+)"', (ROOT / "docs/site/build.py").read_text().partition("ROOMS = (")[2].partition(")")[0])


def test_lessons_studies_facts_commands_and_rooms_are_there() -> None:
    found = pages()
    for lesson in course.lessons("worked"):
        page = found[f"notebooks/solutions/{lesson.name}.html"]
        assert lesson.title in page.text
        assert page.path.read_text(encoding="utf-8").count("glossary.html#term-") >= 1, "its words"
        assert f"notebooks/solutions/{lesson.name}.html" in found["index.html"].links
    for recorded in (files.assets() / "runs").glob("*.json"):
        assert recorded.stem in found["results.html"].text
    assert "HE_CIFAR10['resnet20']" in found["results.html"].text
    for command in ("lab", "train", "predict", "doctor"):
        assert f"resnet-edu {command}" in found["commands.html"].text
    missing = {path.stem for path in files.PACKAGE.iterdir() if not path.name.startswith(("_", "."))} - set(ROOMS)
    assert missing <= {"py", "tools", "checkpoint", "distributed", "progress"}, "a room without its page"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_says_what_it_is_and_has_its_place(room: str) -> None:
    module = __import__(f"resnet_edu.{room}", fromlist=["_"])
    names = getattr(module, "__all__", ())
    values = {name: getattr(module, name) for name in names if not inspect.ismodule(getattr(module, name))}
    assert [name for name, value in values.items() if callable(value) and not (value.__doc__ or "").strip()] == []
    page = pages()[f"api/{room}.html"]
    assert page.text.count("[source]") >= len(values) // 2 or room in ("checks", "facts", "errors")


def test_every_figure_has_words_of_its_own() -> None:
    pictures = [(name, picture) for name, page in pages().items() for picture in page.pictures]
    bare = [(name, picture["src"]) for name, picture in pictures if len(picture.get("alt", "")) < 15]
    assert bare == []
    assert len(pictures) > 90


def test_links_and_anchors_lead_somewhere() -> None:
    site, found, broken = built(), pages(), []
    for name, page in found.items():
        for link in {*page.links, *page.loaded}:
            parts = urlsplit(link)
            if parts.scheme or link.startswith(("//", "data:")) or name == "_modules/index.html":
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            inside = target.relative_to(site.resolve()).as_posix()
            if not target.is_file() or (parts.fragment and inside in found and parts.fragment not in found[inside].ids):
                broken.append((name, link))
    assert broken == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    elsewhere = re.compile(r"^(https?:)?//")
    assert [(name, one) for name, page in pages().items() for one in page.loaded if elsewhere.match(one)] == []
    for sheet in built().rglob("*.css"):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", text), sheet.name


def test_formulas_are_drawn_by_the_browser_and_answers_are_folded() -> None:
    page = pages()["notebooks/solutions/01_lenet.html"]
    assert page.path.read_text(encoding="utf-8").count("<math") >= 5
    assert page.text.count("Show one answer") == 5
    assert "BEGIN SOLUTION" not in page.text


def test_an_exercises_card_holds_the_exercise() -> None:
    text = pages()["notebooks/solutions/01_lenet.html"].path.read_text(encoding="utf-8")
    assert len(re.findall(r'<div class="exercise">\s*<p><strong>Difficulty', text)) == 5
