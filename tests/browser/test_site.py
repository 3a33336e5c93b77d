"""The site as a reader meets it: in Chromium, at a desk and on a phone, with a mouse and without."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from resnet_edu.tools import explorers

from .site_pages import built, pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
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


def test_every_page_opens_without_errors_and_asks_nobody_else(tab: "Page", noted: Noted, address: str) -> None:
    for name in names():
        tab.goto(f"{address}/{name}", wait_until="load")
        assert noted.complaints == [], name
    assert [url for url in noted.asked if not url.startswith((f"{address}/", "data:"))] == []


def test_no_page_is_wider_than_a_phone(tab: "Page", address: str) -> None:
    tab.set_viewport_size({"width": PHONE, "height": 844})
    wide = {}
    for name in names():
        tab.goto(f"{address}/{name}", wait_until="load")
        width = tab.evaluate("document.documentElement.scrollWidth")
        text = "document.querySelector('article p') || document.body"
        size = tab.evaluate(f"parseFloat(getComputedStyle({text}).fontSize)")
        if width > PHONE or size < 15:
            wide[name] = (width, size)
    assert wide == {}


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


def test_search_finds_a_lesson_and_a_function(tab: "Page", noted: Noted, address: str) -> None:
    for word, page in (
        ("degradation", "notebooks/solutions/06_degradation.html"),
        ("receptive_field", "api/probe.html"),
    ):
        tab.goto(f"{address}/search.html?q={word}", wait_until="load")
        tab.locator(f"#search-results a[href*='{page}']").first.wait_for(timeout=20_000)
    assert noted.complaints == []


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
