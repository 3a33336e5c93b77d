"""A lesson as slides: one HTML page that asks for nothing beyond itself, shown by reveal.js (https://revealjs.com).

`plan.py` says what stands on which slide, `slides.html.j2` and `slides.css` how it looks.
"""

from html import escape
from pathlib import Path

from jinja2 import FileSystemLoader
from nbformat import NotebookNode

from ..page import PageExporter
from .plan import plan

__all__ = ["plan", "to_slides"]

HERE = Path(__file__).parent


def to_slides(worked: NotebookNode, learner: NotebookNode, *, name: str, folder: Path, reveal: Path) -> str:
    """The page of a lesson's slides.

    Args:
        worked: the executed notebook; it is not changed.
        learner: the same lesson with stubs in place of solutions.
        name: the page's title.
        folder: where relative paths of pictures start.
        reveal: the folder with reveal.js and reveal.css, which are copied into the page.
    """
    exporter = PageExporter(
        template_name="reveal",
        template_file="slides.html.j2",
        extra_loaders=[FileSystemLoader(HERE)],
        embed_images=True,
    )
    resources = {
        "metadata": {"name": name, "path": str(folder)},
        "title": escape(name),
        "reveal_script": (reveal / "reveal.js").read_text(encoding="utf-8"),
        "reveal_style": (reveal / "reveal.css").read_text(encoding="utf-8"),
        "style": (HERE / "slides.css").read_text(encoding="utf-8"),
    }
    html, _ = exporter.from_notebook_node(plan(worked, learner), resources=resources)
    return html
