"""The pages that people read, taken apart: links, headings, pictures, and the commands they are told to type."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
MARKDOWN = MarkdownIt("commonmark").enable("table")
ATTRIBUTE = re.compile(r"""<\w[^>]*?\b(href|src|id|name)=["']([^"']*)["']""")
FOLDERS = ("", ".github", "assets", "deploy", "docs", "notebooks")
# Sphinx reads docs/site by rules of its own, and makes its own warnings errors.
PAGES = sorted(
    {
        path
        for folder in FOLDERS
        for ending in ("*.md", "*.ipynb")
        for path in ((ROOT / folder).rglob(ending) if folder else ROOT.glob(ending))
        if "site" not in path.parts and ".ipynb_checkpoints" not in path.parts
    }
)


def texts(page: Path) -> list[str]:
    """A page's Markdown: the whole of it, or a notebook's text cells."""
    content = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return [content]
    return ["".join(cell["source"]) for cell in json.loads(content)["cells"] if cell["cell_type"] == "markdown"]


def tokens(page: Path) -> Iterator[Token]:
    """All tokens of a page, those inside a paragraph after the paragraph."""
    for text in texts(page):
        for token in MARKDOWN.parse(text):
            yield token
            yield from token.children or []


def attributes(token: Token) -> list[tuple[str, str]]:
    """What a token links to or is called: ("href", "x.md"), ("src", "x.png"), ("id", "x")."""
    if token.type in ("html_inline", "html_block"):
        return ATTRIBUTE.findall(token.content)
    return [(name, str(value)) for name, value in token.attrs.items() if name in ("href", "src")]


def targets(page: Path) -> list[str]:
    """What a page's links and pictures lead to."""
    return [value for token in tokens(page) for name, value in attributes(token) if name in ("href", "src")]


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name: GitHub's for Markdown, JupyterLab's for a notebook."""
    found = {value for token in tokens(page) for name, value in attributes(token) if name in ("id", "name")}
    headings, before = list[str](), None
    for token in tokens(page):
        if token.type == "inline" and before == "heading_open":
            headings.append("".join(child.content for child in token.children or []))
        before = token.type
    for heading in headings:
        slug = heading.replace(" ", "-")
        if page.suffix == ".md":
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, first = 0, slug
        while slug in found:
            number += 1
            slug = f"{first}-{number}"
        found.add(slug)
    return found


def commands(page: Path) -> list[str]:
    """Each line of the page's code, in blocks and within sentences, without its comment."""
    lines = [
        line
        for token in tokens(page)
        if token.type in ("fence", "code_block", "code_inline")
        for line in token.content.splitlines()
    ]
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip()]
