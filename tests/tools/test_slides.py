"""Slides: what stands on which, and a page that needs nothing beyond itself."""

import base64
import struct
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings, strategies as st
from nbformat import NotebookNode, v4
from test_page import remote_resources

from resnet_edu.tools import slides
from resnet_edu.tools.slides.plan import HEIGHT, blocks, plan

LONG = "One sentence that takes about a line of a slide, so that ten of them take ten lines. " * 2 + "So."
STUB = 'def answer():\n    raise NotImplementedError("not yet")'
ANSWER = "def answer():\n    ### BEGIN SOLUTION\n    return 42\n    ### END SOLUTION"


def notebook(*cells: NotebookNode) -> NotebookNode:
    return v4.new_notebook(cells=list(cells), metadata={"language_info": {"name": "python"}})


def text(*paragraphs: str) -> NotebookNode:
    return v4.new_markdown_cell("\n\n".join(paragraphs))


def code(source: str, *outputs: NotebookNode, tag: str = "") -> NotebookNode:
    return v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": [tag]} if tag else {})


def picture(width: int = 600, height: int = 400) -> NotebookNode:
    start = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)
    return v4.new_output("display_data", data={"image/png": base64.b64encode(start).decode(), "text/plain": "Figure"})


def planned(*cells: NotebookNode, stubs: NotebookNode | None = None) -> list[tuple[str, list[str]]]:
    """Each slide's kind and what is on it: text as it is, code, and "[outputs]"."""
    found: list[tuple[str, list[str]]] = []
    for cell in plan(notebook(*cells), stubs or notebook()).cells:
        kind = cell.metadata["slideshow"]["slide_type"]
        if kind != "-":
            found.append((kind, []))
        found[-1][1].append(cell.source or "[outputs]")
    return found


def test_headings_begin_slides() -> None:
    cells = text("# Title", "Why."), text("## Idea", "First.", "### Part", "Second."), text("More.", "## Blocks")
    assert planned(*cells) == [
        ("slide", ["# Title\n\nWhy."]),
        ("slide", ["## Idea\n\nFirst."]),
        ("subslide", ["### Part\n\nSecond.\n\nMore."]),
        ("slide", ["## Blocks"]),
    ]


def test_a_heading_right_below_another_stays_with_it() -> None:
    assert planned(text("## Idea", "### Part", "Text.")) == [("slide", ["## Idea\n\n### Part\n\nText."])]


def test_text_code_and_output_stay_together_where_there_is_room() -> None:
    printed = v4.new_output("stream", text="2\n")
    assert planned(text("## Sum", "Look:"), code("print(1 + 1)", printed)) == [
        ("slide", ["## Sum\n\nLook:", "print(1 + 1)", "[outputs]"])
    ]


def test_code_goes_below_with_its_picture_and_under_the_headings_name() -> None:
    cells = text("## Curves of $x$", LONG, LONG), code("plot()", picture())
    assert planned(*cells) == [
        ("slide", [f"## Curves of $x$\n\n{LONG}\n\n{LONG}"]),
        ("subslide", ["##### Curves of $x$", "plot()", "[outputs]"]),
    ]


def test_a_long_cell_is_followed_by_its_outputs() -> None:
    source = "\n".join(f"line_{number} = {number}" for number in range(18))
    assert [(kind, len(parts)) for kind, parts in planned(text("## Long"), code(source, picture()))] == [
        ("slide", 2),
        ("subslide", 2),
    ]


def test_long_text_goes_on_below() -> None:
    found = planned(text("## Idea", *[LONG] * 10))
    assert [kind for kind, _ in found] == ["slide", "subslide"]
    assert found[1][1][0].startswith("##### Idea\n\n")
    assert sum(part.count("ten lines. One") for _, parts in found for part in parts) == 10


def test_an_exercise_shows_its_stub_then_one_answer_and_no_check() -> None:
    worked = code(ANSWER, tag="exercise")
    stub = NotebookNode(code(STUB, tag="exercise"), id=worked["id"])
    cells = text("### Exercise 1.1 · Answer"), worked, code("edu.checks.check_answer(answer)", tag="check")
    assert planned(*cells, stubs=notebook(stub)) == [
        ("slide", ["### Exercise 1.1 · Answer", STUB]),
        ("subslide", ["### One answer", "def answer():\n    return 42"]),
    ]


def test_what_must_not_be_cut_is_not() -> None:
    whole = [
        "```\na\n\n# b\n```",
        "$$\na\n\nb\n$$",
        "<details><summary>Hint</summary>\n\nAdd.\n\n</details>",
        "$$x$$",
        "* a\n* b",
    ]
    assert list(blocks("\n\n".join(whole))) == whole


LINES = [
    "# A",
    "## B",
    "text",
    "",
    "",
    "* item",
    "```",
    "$$",
    "$$x$$",
    "| a | b |",
    "<details><summary>H</summary>",
    "</details>",
]


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.sampled_from(LINES), max_size=30))
def test_no_line_of_text_is_lost_or_moved(lines: list[str]) -> None:
    kept = [line for block in blocks("\n".join(lines)) for line in block.splitlines()]
    assert [line for line in kept if line] == [line for line in lines if line]


@settings(max_examples=50, deadline=None)
@given(kinds=st.lists(st.sampled_from(["## H", "### H", "short", LONG, "code", "picture"]), min_size=1, max_size=20))
def test_only_what_cannot_be_cut_is_higher_than_a_slide(kinds: list[str]) -> None:
    from resnet_edu.tools.slides.plan import pack, pieces

    cells = [
        code("x = 1", picture()) if kind == "picture" else code("x") if kind == "code" else text(kind) for kind in kinds
    ]
    for slide, _ in pack(pieces(notebook(*cells), {})):
        assert sum(piece.height for piece in slide) <= HEIGHT + 60 * sum(piece.level > 0 for piece in slide)


@pytest.fixture
def reveal(tmp_path: Path) -> Path:
    """In place of the real script."""
    (tmp_path / "reveal.js").write_text("window.Reveal = {};")
    (tmp_path / "reveal.css").write_text(".reveal { color: black }")
    return tmp_path


def test_a_page_of_slides_needs_nothing_beyond_itself(reveal: Path) -> None:
    worked = notebook(text("# 07 · Blocks & <more>", "$H(x)$"), code("plot()", picture(300, 200)), text("## Next"))
    html = slides.to_slides(worked, notebook(), name="07 · Blocks & <more>", folder=reveal, reveal=reveal)
    page = BeautifulSoup(html, "html.parser")
    assert remote_resources(html) == []
    assert page.title is not None
    assert page.title.get_text() == "07 · Blocks & <more>"
    assert len(page.select(".slides > section")) == 2
    assert len(page.select(".slides > section > section")) == 2
    assert len(page.select("section math")) == 1
    assert len(page.select("section img")) == 1
    assert next(script.get_text()[:18] for script in page.select("script")) == "window.Reveal = {}"
    assert "In\xa0[" not in page.get_text()


def test_neither_notebook_is_changed(reveal: Path) -> None:
    worked, learner = notebook(text("# A"), code(ANSWER, picture())), notebook(text("# A"), code(STUB))
    before = str(worked), str(learner)
    slides.to_slides(worked, learner, name="A", folder=reveal, reveal=reveal)
    assert (str(worked), str(learner)) == before
