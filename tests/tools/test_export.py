"""The course in other forms: each edition whole and readable, a class's free of solutions, nothing overwritten."""

import base64
import re
from pathlib import Path
from typing import Literal

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings, strategies as st
from nbformat import NotebookNode, v4

from resnet_edu.tools import cli, course, export, fetch

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def notebook(*cells: NotebookNode) -> NotebookNode:
    return v4.new_notebook(cells=list(cells), metadata={"language_info": {"name": "python"}})


def remote_resources(html: str) -> list[str]:
    """Whatever a browser would fetch by itself. A link to be clicked is none."""
    page = BeautifulSoup(html, "html.parser")
    found = [tag.get("src") or tag.get("href") for tag in page.select("script, link, img, iframe, source, video")]
    found += re.findall(r"""(?:@import\s+|url\(|import\()\s*["']?(?!data:)([^"')\s]+)""", html)
    return [str(each) for each in found if each and not str(each).startswith(("data:", "#"))]


def test_a_class_gets_the_learners_edition_and_nothing_else(tmp_path: Path) -> None:
    """That it gives no solution away, tests/notebooks holds."""
    lessons = [lesson.path for lesson in course.lessons("learner")]
    assert export.export(tmp_path / "class", "learner").added == [path.name for path in lessons]
    assert {path.name for path in (tmp_path / "class").iterdir()} == {course.MANIFEST, *(path.name for path in lessons)}
    for path in lessons:
        assert (tmp_path / "class" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course, with an exercise and its answer, and a tiny reveal.js."""
    for name in ("01_lenet", "06_degradation"):
        title = v4.new_markdown_cell(f"# {name[:2]} · Title & more\n\nWhy it is **so**: $x^2$.")
        stub = v4.new_code_cell("def answer():\n    raise NotImplementedError", metadata={"tags": ["exercise"]})
        answer = NotebookNode(stub, source="def answer():\n    return 42")
        printed = v4.new_code_cell("print(1 + 1)", outputs=[v4.new_output("stream", text="2\n")], execution_count=1)
        nbformat.write(notebook(title, stub), home / "notebooks" / f"{name}.ipynb")
        nbformat.write(notebook(title, answer, printed), home / "notebooks" / "solutions" / f"{name}.ipynb")
    (home / "assets" / "reveal.js").mkdir(parents=True)
    for file in ("reveal.js", "reveal.css", "LICENSE", "VERSION"):
        (home / "assets" / "reveal.js" / file).write_text(fetch.REVEAL_VERSION if file == "VERSION" else "/* tiny */")
    return home


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `export` prints where it works."""
    assert cli.run(["export", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `export` says where it does not."""
    assert cli.run(["export", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:12], err.count("\n")) == ("", "resnet-edu: ", 1)
    return err[12:-1]


@pytest.mark.parametrize(
    ("edition", "files", "first"),
    [
        ("learner", ["01_lenet.ipynb", "06_degradation.ipynb"], ""),
        ("worked", ["01_lenet.ipynb", "06_degradation.ipynb"], ""),
        (
            "slides",
            ["01_lenet.slides.html", "06_degradation.slides.html", "slides.html"],
            " Begin with out/slides.html.",
        ),
        ("html", ["01_lenet.html", "06_degradation.html", "index.html"], " Begin with out/index.html."),
    ],
)
def test_each_edition_is_told_and_made_twice_alike(
    home: Path, capsys: pytest.CaptureFixture[str], edition: str, files: list[str], first: str
) -> None:
    said = run(capsys, "--edition", edition, "out")
    assert said == f"The {edition} edition is in out ({len(files)} added).{first}\n"
    assert sorted(path.name for path in Path("out").iterdir() if path.name[0] != ".") == files
    assert f"({len(files)} unchanged)" in run(capsys, "--edition", edition, "out")


def test_only_the_lessons_that_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "out", "6", "--edition", "worked")
    assert [path.name for path in Path("out").glob("*.ipynb")] == ["06_degradation.ipynb"]
    assert "return 42" in Path("out/06_degradation.ipynb").read_text()


@pytest.mark.parametrize("edition", ["slides", "html"])
def test_pages_need_nothing_and_are_linked_from_the_first(
    home: Path, capsys: pytest.CaptureFixture[str], edition: str
) -> None:
    run(capsys, "out", "--edition", edition)
    ending, first = export.EDITIONS[edition][0], export.INDEXED[edition]
    for path in Path("out").glob("*.html"):
        assert remote_resources(path.read_text(encoding="utf-8")) == []
    links = Path("out", first).read_text(encoding="utf-8")
    assert f'<li><a href="06_degradation{ending}">06 · Title &amp; more</a><br>' in links


def test_a_page_has_contents_and_links_to_its_neighbours(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def links(file: str) -> list[str]:
        page = BeautifulSoup(Path("out", file).read_text(encoding="utf-8"), "html.parser")
        return [str(link["href"]) for link in page.select("nav a, li a")]

    run(capsys, "out", "6", "--edition", "html")
    assert links("06_degradation.html") == ["index.html"] * 2
    run(capsys, "out", "1", "--edition", "html")
    assert links("01_lenet.html") == ["index.html", "06_degradation.html"] * 2
    assert links("index.html") == ["01_lenet.html", "06_degradation.html"]
    assert '<h1 id="01--Title--more">' in Path("out/01_lenet.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_real_lesson_becomes_a_page(tmp_path: Path) -> None:
    export.export(tmp_path, "html", ["0"])
    page = (tmp_path / "00_start_here.html").read_text(encoding="utf-8")
    assert remote_resources(page) == []
    assert "data:image/png;base64," in page


def test_unknown_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "out", "--edition", "slide").startswith("Invalid value for '--edition'")
    assert refused(capsys, "out", "7") == "Unknown lesson '7'. Known: 01_lenet, 06_degradation."
    Path("file").write_text("")
    assert refused(capsys, "file") == "file is a file. Name a folder; it is made if missing."
    assert not Path("out").exists()


def test_slides_without_reveal_js(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "assets" / "reveal.js" / "reveal.js").unlink()
    expected = "Slides need reveal.js, which is not here. While online, run: resnet-edu fetch reveal.js"
    assert refused(capsys, "out", "--edition", "slides") == expected
    assert not Path("out").exists()


def test_half_edited_notebooks_in_the_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "out")
    Path("out/06_degradation.ipynb").write_text('{"cells": [')
    Path("out/01_lenet.ipynb").write_text("my answers")
    assert refused(capsys, "out") == (
        "Nothing was written: out has other files of these names: 01_lenet.ipynb, 06_degradation.ipynb. "
        "Rename them, or name another folder."
    )
    assert Path("out/01_lenet.ipynb").read_text() == "my answers"
    assert Path("out/06_degradation.ipynb").read_text() == '{"cells": ['


def test_another_edition_is_never_taken_for_an_older_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "out")
    handed_out = Path("out/01_lenet.ipynb").read_bytes()
    assert "other files of these names" in refused(capsys, "out", "--edition", "worked")
    assert Path("out/01_lenet.ipynb").read_bytes() == handed_out


# One page of a notebook


@pytest.fixture
def html(tmp_path: Path) -> str:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider()"}
    size = {"image/png": {"width": 700}}
    picture = {"image/png": base64.b64encode(PIXEL).decode(), "text/plain": "<Figure>"}
    return export.to_html(
        notebook(
            v4.new_markdown_cell(
                "# Blocks\n\n$H(x) = F(x) + x$, [a link](https://arxiv.org/abs/1512.03385)\n\n![dot](dot.png)\n\n"
                "$$\\frac{\\partial L}{\\partial x_l}$$\n\n<details><summary>Hint 1</summary>\n\nAdd.\n\n</details>"
            ),
            v4.new_code_cell("1 < 2", outputs=[v4.new_output("display_data", data=widget)]),
            v4.new_code_cell(
                "edu.plots.learning_curves({})", outputs=[v4.new_output("display_data", data=picture, metadata=size)]
            ),
            v4.new_code_cell("print()", outputs=[v4.new_output("stream", text="sixty-two\n")]),
        ),
        name="Residual blocks",
        folder=tmp_path,
    )


def test_a_page_fetches_nothing(html: str) -> None:
    assert remote_resources(html) == []
    assert "cdnjs" not in html
    assert "unpkg" not in html
    assert "Slider()" not in html, "a widget is left to its static twin"


def test_a_page_shows_text_code_outputs_and_pictures(html: str) -> None:
    page = BeautifulSoup(html, "html.parser")
    assert page.title is not None
    assert page.title.get_text() == "Residual blocks"
    assert [heading.get_text() for heading in page.select("h1")] == ["Blocks"]
    dot, figure = page.select('img[src^="data:image/png;base64,"]')
    words = (
        "Blocks. Training error on the left, validation error on the right (on the images measured), one line a run."
    )
    assert (dot["alt"], figure["alt"], figure["width"]) == ("dot", words, "700")
    assert [link["href"] for link in page.select("a")] == ["https://arxiv.org/abs/1512.03385"]
    assert "sixty-two" in page.get_text()
    assert [hint.get_text(" ", strip=True) for hint in page.select("details")] == ["Hint 1 Add."]


def test_formulas_are_mathml(html: str) -> None:
    page = BeautifulSoup(html, "html.parser")
    inline, block = page.select("math")
    assert inline.get_text() == "H(x)=F(x)+x"
    assert (inline["display"], block["display"]) == ("inline", "block")
    assert block.select("mfrac msub")
    assert "$" not in page.select("body")[0].get_text()


def test_the_notebook_is_not_changed(tmp_path: Path) -> None:
    widget = v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
    original = notebook(v4.new_code_cell("1", outputs=[widget]))
    export.to_html(original, name="x", folder=tmp_path)
    assert original.cells[0].outputs == [widget]


TOKENS = [r"\frac", r"\left", r"\right", r"\mathbb", r"\limits", r"\begin{aligned}", r"\text{", *"{}_^\\ab1&<> "]


@settings(max_examples=300, deadline=None)
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=8), display=st.sampled_from(["inline", "block"]))
def test_no_formula_breaks_a_page(tokens: list[str], display: Literal["inline", "block"]) -> None:
    shown = BeautifulSoup(export.formula("".join(tokens), display), "html.parser")
    assert len(shown.find_all(["math", "code"], recursive=False)) == 1


def test_what_is_no_formula_stays_as_it_was_written() -> None:
    assert export.formula(r"\left< 3", "inline") == r"<code>\left&lt; 3</code>"


# Slides


def slides_of(*cells: NotebookNode) -> list[tuple[str, str]]:
    """Each cell's kind and source, in the order of the slides."""
    found: list[tuple[str, str]] = []

    class Seen(export.LessonSlides):
        def from_notebook_node(self, nb: NotebookNode, resources: object = None, **kw: object) -> tuple[str, dict]:
            found.extend((cell.metadata["slideshow"]["slide_type"], cell.source) for cell in nb.cells)
            return "", {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "LessonSlides", Seen)
        stub = notebook(v4.new_code_cell("stub", id="a", metadata={"tags": ["exercise"]}))
        export.to_slides(notebook(*cells), stub, name="x", folder=Path())
    return found


@pytest.mark.usefixtures("home")
def test_headings_begin_columns_and_everything_else_goes_below() -> None:
    text, code = v4.new_markdown_cell, v4.new_code_cell
    answer = code("### BEGIN SOLUTION\nanswer\n### END SOLUTION", id="a")
    assert slides_of(
        text("# Title\n\nWhy."), code("plot()"), text("## Idea"), text("First.\n\n### Part\n\nSecond."),
        answer, code("check()", metadata={"tags": ["check"]}), code("after()"),
    ) == [
        ("slide", "# Title\n\nWhy."), ("subslide", "plot()"), ("slide", "## Idea"), ("-", "First."),
        ("subslide", "### Part\n\nSecond."), ("subslide", "stub"), ("subslide", "### One answer"), ("-", "answer\n"),
        ("subslide", "after()"),
    ]  # fmt: skip


@pytest.mark.usefixtures("home")
def test_a_list_keeps_its_lead_in_a_table_its_text_and_an_explorer_is_left_out() -> None:
    goals = v4.new_markdown_cell("# Title\n\nWhy.\n\nMore.\n\nAfter this lesson you can\n\n* read;\n* write.\n\nBye.")
    explorer = v4.new_code_cell("explorer", metadata={"tags": ["explorer"]})
    made = [v4.new_output("display_data", {"text/html": "<table></table>"})]
    first, second = (v4.new_code_cell("t", outputs=made) for _ in range(2))
    asked = v4.new_markdown_cell("> **Before you run it:** what?")
    cells = [explorer, v4.new_markdown_cell("Told."), first, v4.new_code_cell("c"), asked, second]
    assert slides_of(goals, *cells) == [
        ("slide", "# Title\n\nWhy.\n\nAfter this lesson you can\n\n* read;\n* write."), ("notes", "More.\n\nBye."),
        ("subslide", "Told."), ("-", "t"), ("subslide", "c"), ("subslide", asked.source), ("subslide", "t"),
    ]  # fmt: skip


@pytest.mark.usefixtures("home")
def test_a_slide_holds_one_idea_and_the_speaker_has_the_rest() -> None:
    formula, quote = "$$x + 1$$", "> **Before you run it:** what?"
    text = v4.new_markdown_cell(f"## Idea\n\nFirst.\n\n{formula}\n\nSecond.\n\n{quote}\n\nThird.")
    exercise = v4.new_markdown_cell("Write it.\n\nAll of it.\n\n<details>a hint</details>")
    assert slides_of(text, exercise) == [
        ("slide", f"## Idea\n\nFirst.\n\n{formula}\n\n{quote}"), ("notes", "Second.\n\nThird."),
        ("subslide", exercise.source),
    ]  # fmt: skip


def test_a_figure_stands_without_its_code(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = v4.new_code_cell("plot()", outputs=[v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})])
    html = export.to_slides(notebook(drawn, v4.new_code_cell("print()")), notebook(), name="x", folder=home)
    assert "plot" not in html.partition("</main>")[0].partition("<main")[2]
    assert "data:image/png;base64" in html
