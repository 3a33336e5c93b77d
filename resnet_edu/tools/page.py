"""An executed notebook as one HTML file that needs nothing else: pictures inside, formulas as MathML, no scripts."""

from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import Any, Literal

from jinja2 import DictLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

# nbconvert's page, without what it would fetch: require.js, MathJax, Mermaid.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
NEEDS_SCRIPTS = {"application/vnd.jupyter.widget-view+json", "application/javascript"}


def to_html(notebook: NotebookNode, *, name: str, folder: Path) -> str:
    """The page of a notebook.

    A widget's view is left out, since it is dead without a kernel; its static twin stands beside it.

    Args:
        notebook: executed or not; it is not changed.
        name: the page's title.
        folder: where relative paths of pictures start.
    """
    exporter = PageExporter(
        template_file="page.html.j2", extra_loaders=[DictLoader({"page.html.j2": TEMPLATE})], embed_images=True
    )
    shown = NotebookNode(notebook, cells=[without_scripts(cell) for cell in notebook.cells])
    html, _ = exporter.from_notebook_node(shown, resources={"metadata": {"name": name, "path": str(folder)}})
    return html


def without_scripts(cell: NotebookNode) -> NotebookNode:
    """The cell without those outputs that only a script could show."""
    if cell.cell_type != "code":
        return cell
    kept = [output for output in cell.outputs if not NEEDS_SCRIPTS & set(output.get("data", {}))]
    return NotebookNode(cell, outputs=kept)


class PageRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML, which browsers draw by themselves."""

    def _html_embed_images(self, html: str) -> str:
        """As in nbconvert, which parses and so closes every tag at once: `<details>` would hide nothing."""
        return super()._html_embed_images(html) if "<img" in html else html

    def inline_math(self, body: str) -> str:
        """A formula within a line."""
        return formula(body, "inline")

    def block_math(self, body: str) -> str:
        """A formula on lines of its own."""
        return formula(body, "block")


def formula(body: str, display: Literal["inline", "block"]) -> str:
    """LaTeX as MathML, or as it was written where it is no LaTeX that can be read."""
    try:
        return convert(body, display=display)
    except Exception:  # the converter has twelve kinds of error without a common base, and StopIteration
        return f"<code>{escape(body)}</code>"


class PageExporter(HTMLExporter):
    """nbconvert's exporter with `PageRenderer` in place of its own renderer."""

    @pass_context
    def to_markup(self, context: Context, source: str) -> str:
        """The Markdown of one cell as HTML."""
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = PageRenderer(
            escape=False, attachments=attachments, embed_images=True, path=path, exclude_anchor_links=True
        )
        return MarkdownWithMath(renderer=renderer).render(source)

    def default_filters(self) -> Generator[tuple[str, Any], None, None]:
        """The usual filters, the one for Markdown replaced."""
        yield from super().default_filters()
        yield "markdown2html", self.to_markup
