"""Every link within the repository leads somewhere: on all pages, in both editions of the lessons."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from page_texts import PAGES, ROOT, anchors, targets


def faults(page: Path) -> list[str]:
    """The page's links and pictures that lead nowhere."""
    found = []
    for target in targets(page):
        path, _, anchor = unquote(target).partition("#")
        if "://" in path or path.startswith(("mailto:", "data:")):
            continue
        file = page.parent / path if path else page
        if path.startswith("/") or not file.exists():
            found.append(f"{target}: no such file")
        elif anchor and (file.suffix not in (".md", ".ipynb") or anchor not in anchors(file)):
            found.append(f"{target}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert faults(page) == []


def test_the_pages_are_found_and_have_links() -> None:
    names = {str(page.relative_to(ROOT).as_posix()) for page in PAGES}
    assert {"README.md", "docs/security.md", "notebooks/01_lenet.ipynb", "notebooks/solutions/01_lenet.ipynb"} <= names
    assert sum(len(targets(page)) for page in PAGES) > 100


TOY = """\
# One heading, *twice*

## One heading, twice

[right](other.md), [right](#one-heading-twice), [right](#one-heading-twice-1), [right](other.md#%C3%BCber-uns),
[right](https://example.org/x), <a id="here"></a>[right](#here), `[code](is-no-link.md)`, [right](<a b.md>)

[wrong](missing.md), ![wrong](missing.png), [wrong](#one-heading), [wrong](other.md#one), <img src="missing.jpg">,
[wrong](/etc/passwd), [wrong][by name], [wrong](picture.png#part)

[by name]: missing-too.md
"""


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(TOY, encoding="utf-8")
    (tmp_path / "other.md").write_text("# Über uns\n", encoding="utf-8")
    (tmp_path / "a b.md").touch()
    (tmp_path / "picture.png").touch()
    assert [fault.partition(":")[0] for fault in faults(tmp_path / "page.md")] == [
        *("missing.md", "missing.png", "#one-heading", "other.md#one", "missing.jpg", "/etc/passwd", "missing-too.md"),
        "picture.png#part",
    ]


def test_in_a_notebook_headings_are_named_as_jupyterlab_does(tmp_path: Path) -> None:
    cell = '{"cell_type": "markdown", "source": ["# Two Words\\n", "[a](#Two-Words) [b](#two-words)"]}'
    code = '{"cell_type": "code", "source": "[c](missing.md)"}'
    (tmp_path / "page.ipynb").write_text(f'{{"cells": [{cell}, {code}]}}', encoding="utf-8")
    assert faults(tmp_path / "page.ipynb") == ["#two-words: no such heading"]
