import base64
import re
from pathlib import Path
from typing import Literal

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings, strategies as st
from nbformat import NotebookNode, v4

from resnet_edu.tools.page import formula, to_html

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


@pytest.fixture
def html(tmp_path: Path) -> str:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider()"}
    picture = {"image/png": base64.b64encode(PIXEL).decode(), "text/plain": "<Figure>"}
    return to_html(
        notebook(
            v4.new_markdown_cell(
                "# Blocks\n\n$H(x) = F(x) + x$, [a link](https://arxiv.org/abs/1512.03385)\n\n![dot](dot.png)\n\n"
                "$$\\frac{\\partial L}{\\partial x_l}$$\n\n<details><summary>Hint 1</summary>\n\nAdd.\n\n</details>"
            ),
            v4.new_code_cell("1 < 2", outputs=[v4.new_output("display_data", data=widget)]),
            v4.new_code_cell("plot()", outputs=[v4.new_output("display_data", data=picture)]),
            v4.new_code_cell("print()", outputs=[v4.new_output("stream", text="sixty-two\n")]),
        ),
        name="Residual blocks",
        folder=tmp_path,
    )


def test_a_page_fetches_nothing(html: str) -> None:
    assert remote_resources(html) == []
    assert "cdnjs" not in html
    assert "unpkg" not in html


def test_what_a_browser_fetches_is_seen() -> None:
    assert remote_resources('<script src="https://x/a.js"></script><style>@import url(https://x/b.css)</style>') != []
    assert remote_resources('<a href="https://x">x</a><img src="data:image/png;base64,">') == []


def test_a_page_shows_text_code_outputs_and_pictures(html: str) -> None:
    page = BeautifulSoup(html, "html.parser")
    assert page.title is not None
    assert page.title.get_text() == "Residual blocks"
    assert [heading.get_text() for heading in page.select("h1")] == ["Blocks"]
    assert len(page.select('img[src^="data:image/png;base64,"]')) == 2
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


def test_a_widget_is_left_to_its_static_twin(html: str) -> None:
    assert "Slider()" not in html
    assert "widget-view" not in html


def test_the_notebook_is_not_changed(tmp_path: Path) -> None:
    widget = v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
    original = notebook(v4.new_code_cell("1", outputs=[widget]))
    to_html(original, name="x", folder=tmp_path)
    assert original.cells[0].outputs == [widget]


TOKENS = [r"\frac", r"\left", r"\right", r"\mathbb", r"\limits", r"\begin{aligned}", r"\text{", *"{}_^\\ab1&<> "]


@settings(max_examples=300, deadline=None)
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=8), display=st.sampled_from(["inline", "block"]))
def test_no_formula_breaks_a_page(tokens: list[str], display: Literal["inline", "block"]) -> None:
    shown = BeautifulSoup(formula("".join(tokens), display), "html.parser")
    assert len(shown.find_all(["math", "code"], recursive=False)) == 1


def test_what_is_no_formula_stays_as_it_was_written() -> None:
    assert formula(r"\left< 3", "inline") == r"<code>\left&lt; 3</code>"
