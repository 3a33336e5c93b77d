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


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Über uns\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(
        "# One heading, *twice*\n\n## One heading, twice\n\n[right](other.md#%C3%BCber-uns), "
        "[right](#one-heading-twice-1), [right](https://example.org/x), `[code](is-no-link.md)`\n\n"
        "[wrong](missing.md), ![wrong](missing.png), [wrong](#one-heading), [wrong](other.md#one), [wrong](/etc/x), "
        '<img src="missing.jpg">\n',
        encoding="utf-8",
    )
    wrong = ["missing.md", "missing.png", "#one-heading", "other.md#one", "/etc/x", "missing.jpg"]
    assert [fault.partition(":")[0] for fault in faults(tmp_path / "page.md")] == wrong
    cell = '{"cell_type": "markdown", "source": ["# Two Words\\n", "[a](#Two-Words) [b](#two-words)"]}'
    (tmp_path / "page.ipynb").write_text(f'{{"cells": [{cell}]}}', encoding="utf-8")
    assert faults(tmp_path / "page.ipynb") == ["#two-words: no such heading"], "as JupyterLab names them"
