"""The site: whole, fetching nothing, in Chromium too. One file, so that one process builds it, once."""

import inspect
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from resnet_edu import files
from resnet_edu.tools import course, explorers

from .site_pages import ROOT, built, pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
in_browser = pytest.mark.browser
ROOMS = re.findall(r'"(\w+)"', (ROOT / "docs/site/build.py").read_text().partition("ROOMS = (")[2].partition(")")[0])
PHONE = 390  # pixels wide


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The site, served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built())))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tab(browser: "Browser") -> Iterator["Page"]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


@dataclass
class Noted:
    """What a tab complained about, and what it asked for."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def noted(tab: "Page") -> Noted:
    found = Noted()
    tab.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: found.complaints.append(str(error)))
    tab.on("request", lambda request: found.asked.append(request.url))
    tab.on("response", lambda answer: found.complaints.append(answer.url) if answer.status >= 400 else None)
    return found


def names() -> list[str]:
    """Every page but the lists of source code, which differ in nothing that is looked at here."""
    return [name for name in pages() if not name.startswith("_modules/")] + ["_modules/resnet_edu/models/resnet.html"]


@in_browser
def test_every_page_opens_without_errors_asks_nobody_else_and_fits_a_phone(
    tab: "Page", noted: Noted, address: str
) -> None:
    wide = {}
    for name in names():
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.goto(f"{address}/{name}", wait_until="load")
        assert noted.complaints == [], name
        tab.set_viewport_size({"width": PHONE, "height": 844})
        width = tab.evaluate("document.documentElement.scrollWidth")
        text = "document.querySelector('article p') || document.body"
        size = tab.evaluate(f"parseFloat(getComputedStyle({text}).fontSize)")
        if width > PHONE or size < 15:
            wide[name] = (width, size)
    assert wide == {}
    assert [url for url in noted.asked if not url.startswith((f"{address}/", "data:"))] == []


@in_browser
def test_the_keyboard_reaches_content_search_and_navigation(tab: "Page", address: str) -> None:
    tab.goto(f"{address}/notebooks/solutions/06_degradation.html", wait_until="load")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    tab.wait_for_function("document.getElementById('pst-skip-link').getBoundingClientRect().top >= 0")  # it slides in
    seen: list[str] = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate(WHERE))
        bare = "none" in tab.evaluate(RING) and "none" in tab.evaluate(SHADOW)
        assert not bare, f"no ring around {seen[-1]}: {tab.evaluate(HERE)}"
    assert {"search", "navigation", "content"} <= set(seen)


WHERE = """() => {
  const at = document.activeElement;
  if (at.closest('.search-button-field, .search-button__wrapper, .search-button, form.bd-search')) return 'search';
  if (at.closest('article')) return 'content';
  if (at.closest('.bd-sidebar-primary')) return 'navigation';
  return at.outerHTML.slice(0, 80);
}"""
HERE = "document.activeElement.outerHTML.slice(0, 200)"
RING = "getComputedStyle(document.activeElement).outlineStyle"
SHADOW = "getComputedStyle(document.activeElement).boxShadow"


@in_browser
def test_search_finds_a_lesson_and_a_function(tab: "Page", noted: Noted, address: str) -> None:
    for word, page in (
        ("degradation", "notebooks/solutions/06_degradation.html"),
        ("receptive_field", "api/probe.html"),
    ):
        tab.goto(f"{address}/search.html?q={word}", wait_until="load")
        tab.locator(f"#search-results a[href*='{page}']").first.wait_for(timeout=20_000)
    assert noted.complaints == []


@in_browser
def test_a_living_explorer_follows_the_keyboard_and_says_what_it_shows(tab: "Page") -> None:
    tab.set_content(explorers.PAGES["stage_explorer"]())
    assert tab.get_by_role("slider", name="depth").get_attribute("aria-valuetext") == "34"
    before = tab.get_by_role("slider", name="depth").input_value()
    tab.get_by_role("slider", name="depth").press("ArrowRight")
    assert tab.get_by_role("slider", name="depth").input_value() == str(int(before) + 1)
    assert tab.get_by_role("slider", name="depth").get_attribute("aria-valuetext") == "50"
    shown = tab.locator("figure.explorer img:visible")
    assert shown.count() == 1
    assert shown.get_attribute("alt") == tab.locator("figcaption").inner_text()
    assert "depth 50" in tab.locator("figcaption").inner_text()


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
    missing = {path.stem for path in files.PACKAGE.glob("[!_.]*") if path.suffix in ("", ".py")} - set(ROOMS)
    assert missing <= {"tools", "checkpoint", "distributed"}, "a room without its page"


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
