"""Slides of a real lesson in Chromium: nothing is requested, nothing fails, every slide can be read."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resnet_edu.errors import DatasetUnavailable
from resnet_edu.tools import export, fetch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOOK = """() => {
  const slide = Reveal.getCurrentSlide();
  const text = [...slide.querySelectorAll("p, li, pre, td, h2")].map((x) => parseFloat(getComputedStyle(x).fontSize));
  return {
    text: slide.innerText.slice(0, 60), pictures: slide.querySelectorAll("img").length,
    high: slide.scrollHeight - slide.clientHeight, wide: slide.scrollWidth - slide.clientWidth,
    smallest: Math.min(...text, 99),
  };
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lesson 07's slides."""
    try:
        fetch.find_reveal()
    except DatasetUnavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("slides")
    export.export(folder, "slides", ["7"])
    return folder / "07_residual_blocks.slides.html"


def test_every_slide_fits_can_be_read_and_asks_for_nothing(browser: "Browser", page: Path) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    requests: list[str] = []
    faults: list[str] = []

    def heard(message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            faults.append(message.text)

    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", heard)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_function("window.Reveal && Reveal.isReady()")
    shots = Path(__file__).parents[2] / "build" / "slides"
    shutil.rmtree(shots, ignore_errors=True)
    seen = []
    for number in range(tab.evaluate("Reveal.getTotalSlides()")):
        seen.append(tab.evaluate(LOOK))
        if number in (0, 3, 9, 14, 20):
            tab.screenshot(path=shots / f"{number:02}.png")
        tab.keyboard.press("Space")
    assert len({slide["text"] for slide in seen}) > 40, "the space bar goes through all of them"
    assert [slide for slide in seen if slide["wide"] > 1] == []
    assert [slide for slide in seen if slide["high"] > 1] == [], "these scroll"
    assert [slide for slide in seen if slide["smallest"] < 13] == []
    assert sum(slide["pictures"] for slide in seen) >= 5
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == 1
    assert faults == []
