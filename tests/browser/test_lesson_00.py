"""Lesson 00 the first time: JupyterLab opens, all cells run, an exercise is answered, its check turns green."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from resnet_edu.checks.progress import Entry, read
from resnet_edu.checks.result import COLOURS
from resnet_edu.files import PROGRESS

from .jupyter import NOTEBOOK, Notebook, Server, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
EXERCISE = "00.1"
STUB = 'raise NotImplementedError("not yet")'
ANSWER = ("count, _, height, width = images.shape", "return count, height, width")


@pytest.fixture(scope="module")
def lesson(browser: "Browser", server: Server) -> Iterator[Notebook]:
    """Lesson 00 of the learner's edition, with all cells run."""
    with opened(browser, server, "00_start_here.ipynb") as lesson:
        lesson.picture("lesson_00_opened")
        lesson.run_all()
        yield lesson


def code_cells(lesson: Notebook) -> list:
    return [cell for cell in lesson.saved().cells if cell.cell_type == "code"]


def box(lesson: Notebook) -> "Locator":
    """What the check of exercise 0.1 shows."""
    return lesson.page.locator(f"{NOTEBOOK} .jp-CodeCell", has_text="check_first_answer(first_answer)").get_by_role(
        "status"
    )


def progress(server: Server) -> dict:
    content, _ = read(server.folder / PROGRESS)
    return {name: Entry(**fields) for name, fields in content["exercises"].items()}


def test_all_cells_run(lesson: Notebook, server: Server) -> None:
    cells = code_cells(lesson)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    assert lesson.trouble() == []
    sync_api.expect(box(lesson)).to_contain_text("… not yet")
    assert progress(server)[EXERCISE].best == "not yet"
    lesson.picture("lesson_00_run")


def test_an_answer_that_is_typed_turns_its_check_green(lesson: Notebook, server: Server) -> None:
    page = lesson.page
    page.locator(f"{NOTEBOOK} .cm-line", has_text=STUB).click()
    page.keyboard.press("End")
    page.keyboard.press("Shift+Home")
    page.keyboard.type(ANSWER[0])
    page.keyboard.press("Enter")
    page.keyboard.type(ANSWER[1])
    lesson.picture("lesson_00_typed")
    page.keyboard.press("Shift+Enter")  # runs it and goes to the check
    page.keyboard.press("Shift+Enter")
    sync_api.expect(box(lesson)).to_contain_text("✓ passed")
    assert hexadecimal(box(lesson).evaluate("box => getComputedStyle(box).borderLeftColor")) == COLOURS["passed"]
    lesson.ready()
    page.locator(f"{NOTEBOOK} h3", has_text="Exercise 0.1").evaluate("box => box.scrollIntoView()")
    lesson.picture("lesson_00_passed")
    (answer,) = [cell.source for cell in code_cells(lesson) if "def first_answer" in cell.source]
    assert answer.splitlines()[-2:] == [f"    {line}" for line in ANSWER]


def hexadecimal(colour: str) -> str:
    """`rgb(0, 158, 115)` as `#009E73`."""
    red, green, blue = map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))
    return f"#{red:02X}{green:02X}{blue:02X}"


def test_nothing_has_gone_wrong_in_the_page_or_the_server(lesson: Notebook, server: Server) -> None:
    assert lesson.complaints == []
    assert "Traceback" not in server.log.read_text()


def test_progress_is_kept(lesson: Notebook, server: Server) -> None:
    assert progress(server)[EXERCISE].best == "passed"
    assert progress(server)[EXERCISE].tries == 1
    lesson.page.reload()
    lesson.ready()
    sync_api.expect(box(lesson)).to_contain_text("✓ passed")
    lesson.page.locator(f"{NOTEBOOK} h2", has_text="A first training").evaluate("told => told.scrollIntoView()")
    sync_api.expect(lesson.page.get_by_text("Error displaying")).to_have_count(0)
    lesson.picture("lesson_00_reloaded")
