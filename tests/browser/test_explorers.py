"""Every explorer of the course, moved with the keyboard; that of lesson 12 gets a photo of the reader's own."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import resnet_edu as edu
from resnet_edu.data.pictures import read_photo

from .explorers import SOURCES, Section, needs, sections, write_notebook
from .jupyter import Notebook, Server, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
SECTIONS = sections()
UNNAMED = ".noUi-handle:not([aria-label]), .widget-toggle-buttons > div:not([aria-label])"
#: An image of the page, as a URL that holds its pixels.
AS_PNG = """image => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""


def test_no_explorer_is_missed() -> None:
    assert sorted(section.widget for section in SECTIONS) == sorted(set(edu.widgets.__all__) - {"Explorer"})
    without = {path.stem for path in SOURCES} - {section.lesson for section in SECTIONS}
    assert without == {"00_start_here", "00b_primer", "13_at_scale"}, "these have nothing to move"


def test_an_explorer_gets_what_it_needs_of_its_lesson_and_no_more() -> None:
    lesson = "import a\nb = a.f()\nb = a.g()\nb |= [c for c in b]\nc = 1\n\n\ndef d(x):\n    c = x\n    return b, c\n"
    assert needs(lesson, "d(2)") == lesson.replace("b = a.f()\n", "").replace("c = 1\n\n\n", "").rstrip()


@pytest.fixture(scope="module")
def places(server: Server) -> dict[str, int]:
    """A notebook of all explorers; the place of each one's cell."""
    return write_notebook(server.folder / "explorers.ipynb")


@pytest.fixture(scope="module")
def notebook(browser: "Browser", server: Server, places: dict[str, int]) -> Iterator[Notebook]:
    """That notebook, with all cells run."""
    with opened(browser, server, "explorers.ipynb") as notebook:
        notebook.run_all()
        yield notebook


def figure(cell: "Locator") -> "Locator":
    """What an explorer shows."""
    images = cell.locator(".jp-OutputArea-output img")
    sync_api.expect(images).to_have_count(1)
    return images


def moved(cell: "Locator") -> None:
    """Move the first slider by a key, or choose from the last menu where there is no slider."""
    sliders = cell.locator(".noUi-handle")
    if sliders.count():
        control = sliders.first
        at_end = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
        control.press("ArrowLeft" if at_end else "ArrowRight")
    else:
        cell.locator("select").last.select_option(index=1)


@pytest.mark.parametrize("section", SECTIONS, ids=[f"{each.lesson}-{each.widget}" for each in SECTIONS])
def test_an_explorer_is_moved_and_redraws(section: Section, notebook: Notebook, places: dict[str, int]) -> None:
    cell = notebook.cell(places[section.widget])
    cell.scroll_into_view_if_needed()
    before = figure(cell).get_attribute("src")
    moved(cell)
    sync_api.expect(cell.locator(UNNAMED)).to_have_count(0)
    sync_api.expect(figure(cell)).not_to_have_attribute("src", before)
    assert figure(cell).evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    assert notebook.trouble() == notebook.complaints == []
    notebook.cell(places[section.widget] - 1).evaluate("told => told.scrollIntoView()")
    notebook.picture(section.widget)


def test_lesson_12_takes_a_photo(notebook: Notebook, places: dict[str, int], tmp_path: Path) -> None:
    mine = tmp_path / "my_coffee.png"
    shutil.copy(edu.data.photo("coffee"), mine)
    cell = notebook.cell(places["naming_explorer"])
    before = figure(cell).get_attribute("src")
    upload(notebook, cell, mine)
    sync_api.expect(figure(cell)).not_to_have_attribute("src", before)
    assert cell.locator("select").evaluate("menu => menu.selectedOptions[0].textContent") == "my_coffee.png"
    labels, threshold = map(int, cell.locator(".widget-readout").all_inner_texts())
    network = edu.models.pretrained("resnet18", source="bundled")
    expected = edu.plots.named_photos(network, {"my_coffee.png": read_photo(mine)}, top=labels, threshold=threshold)
    source = figure(cell).evaluate(AS_PNG)
    shown = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("L")
    drawn = Image.open(io.BytesIO(expected.png())).convert("L")
    difference = np.asarray(shown, float) - np.asarray(drawn, float)
    assert abs(difference).mean() < 3, "the page shows another figure than plots.named_photos draws of this photo"
    notebook.cell(places["naming_explorer"] - 1).evaluate("told => told.scrollIntoView()")
    notebook.picture("upload")


def upload(notebook: Notebook, cell: "Locator", path: Path) -> None:
    """Press the button, choose a file."""
    with notebook.page.expect_file_chooser() as chooser:
        cell.get_by_role("button", name="your photo").click()
    chooser.value.set_files(path)


def test_what_is_no_photo_is_answered_by_one_line(notebook: Notebook, places: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    cell = notebook.cell(places["naming_explorer"])
    before = figure(cell).get_attribute("src")
    assert before is not None
    upload(notebook, cell, tmp_path / "notes.jpg")
    sync_api.expect(cell.get_by_text("notes.jpg cannot be read")).to_be_visible()
    sync_api.expect(figure(cell)).to_have_attribute("src", before)
    assert notebook.trouble() == notebook.complaints == []


def test_saved_explorers_keep_their_figures_without_their_kernel(notebook: Notebook, places: dict[str, int]) -> None:
    """The last test: it leaves a fresh kernel. On a busy machine JupyterLab may need the page to be opened twice."""
    notebook.saved()
    notebook.restart()
    for more_tries in (2, 1, 0):
        notebook.page.reload()
        notebook.ready()
        try:
            for place in places.values():
                notebook.cell(place).scroll_into_view_if_needed()
                sync_api.expect(figure(notebook.cell(place))).to_be_visible()
            break
        except AssertionError:
            assert more_tries
    sync_api.expect(notebook.page.get_by_text("Error displaying")).to_have_count(0)
