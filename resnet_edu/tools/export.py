"""The course in other forms: a class's notebooks, worked notebooks, slides, web pages.

A page is one HTML file that needs nothing else: nbconvert's, with pictures inside, formulas as MathML, and none of the
scripts that nbconvert would fetch. Slides are shown by reveal.js, see `fetch.py`.
"""

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from html import escape, unescape
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import nbformat
from jinja2 import Environment, FileSystemLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter, SlidesExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode, v4

from .. import plots
from ..widgets import IMAGE, Explorer
from . import course, explorers
from .course import CopyReport, Lesson
from .fetch import find_reveal

NEEDS_SCRIPTS = {"application/vnd.jupyter.widget-view+json", "application/javascript"}
CARD = re.compile(r'<div class="exercise"[^>]*>\n\n(### [^\n]+\n)(.*)\n</div>', re.DOTALL)
LONG = 12  # lines of an output that leave no room on a slide for the code
TEMPLATES = FileSystemLoader(Path(__file__).parent)


class PageRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML, which browsers draw by themselves."""

    def _html_embed_images(self, html: str) -> str:
        """As in nbconvert, which parses and so closes every tag at once: `<details>` would hide nothing."""
        return super()._html_embed_images(html) if "<img" in html else html

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        name = re.sub(r"<[^>]+>|[^\w -]", "", unescape(text)).strip().replace(" ", "-")
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def inline_math(self, body: str) -> str:
        return formula(body, "inline")

    def block_math(self, body: str) -> str:
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
    def markdown2html(self, context: Context, source: str) -> str:
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = PageRenderer(
            escape=False, attachments=attachments, embed_images=True, path=path, exclude_anchor_links=True
        )
        return MarkdownWithMath(renderer=renderer).render(source)


class LessonSlides(PageExporter, SlidesExporter):
    """nbconvert's slides, with formulas as MathML."""


def to_html(notebook: NotebookNode, *, name: str, folder: Path, links: str = "") -> str:
    """An executed notebook as one HTML page, with `links` to other pages above and below.

    An explorer lives without a kernel, see `explorers.py`.
    """
    exporter = PageExporter(template_file="page.html.j2", extra_loaders=[TEMPLATES], embed_images=True)
    copied = for_readers(notebook)
    for cell in copied.cells:
        if cell.cell_type == "code" and (living := explorers.living(cell.source)):
            cell.outputs = [v4.new_output("display_data", {"text/html": living})]
    html, _ = exporter.from_notebook_node(copied, resources={"metadata": {"name": name, "path": str(folder)}})
    html = re.sub(r"""(href=['"]\w+)\.ipynb""", r"\1.html", html)  # a check's way on
    parts = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', html)
    contents = " · ".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in parts)
    above = f'<nav aria-label="Contents">{links}<br>{contents}</nav>' if parts or links else ""
    below = f'<nav aria-label="Lessons">{links}</nav>' if links else ""
    return html.replace("<main>", f"<main>{above}", 1).replace("</main>", f"{below}</main>")


def tags_of(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def to_slides(worked: NotebookNode, learner: NotebookNode, *, name: str, folder: Path) -> str:
    """A lesson's slides as one page.

    A heading of level 1 or 2 begins a column of slides, any other text or code the next slide in it. A figure, a table
    or a long output stands without its code, a table below its text; of a text all but the main idea becomes the
    speaker's notes. One answer to an exercise has a slide of its own. Set-up, checks and explorers are left out.
    """
    reveal = find_reveal()
    stubs = {cell["id"]: cell.source for cell in learner.cells if "exercise" in tags_of(cell)}
    cells: list[NotebookNode] = []
    for cell in for_readers(worked).cells:
        if {"check", "setup", "explorer"} & set(tags_of(cell)) or not cell.source.strip():
            continue
        if cell["id"] in stubs:
            cells += [v4.new_code_cell(stubs[cell["id"]]), v4.new_markdown_cell("### One answer")]
        if cell.cell_type == "code":
            shows = "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
            printed = "".join(output.get("text", "") for output in cell.outputs).count("\n")
            if (shows or printed > LONG) and cell["id"] not in stubs:
                cell.metadata["transient"] = {"remove_source": True}
                told = next((each.source for each in reversed(cells) if "notes" not in tags_of(each)), "")
                asks = re.search(r"^>", told, re.MULTILINE)  # what will come
                if shows and "<img" not in shows and not asks:
                    cell.metadata["tags"] = ["table"]
            cells.append(cell)
            continue
        for part in re.split(r"^(?=###? )", CARD.sub(r"\1\2", cell.source), flags=re.MULTILINE):
            idea, more = (part, "") if "<details>" in part else idea_and_notes(part)
            cells += [v4.new_markdown_cell(text) for text in (idea,) if text.strip()]
            cells += [v4.new_markdown_cell(text, metadata={"tags": ["notes"]}) for text in (more,) if text]
    for number, (before, cell) in enumerate(zip([None, *cells], cells, strict=False)):
        cell["id"] = f"slide-{number}"  # not nbformat's random ones: two exports are alike
        told = before.source.strip() if before and before.cell_type == "markdown" else ""
        goes_on = told and ("table" in tags_of(cell) or re.fullmatch(r"#+ .*", told))
        begins = not number or re.match(r"##? ", cell.source)
        kind = "notes" if "notes" in tags_of(cell) else "slide" if begins else "-" if goes_on else "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind}
    exporter = LessonSlides(template_file="slides.html.j2", extra_loaders=[TEMPLATES], embed_images=True)
    resources: dict[str, Any] = {"metadata": {"name": name, "path": str(folder)}}
    for part, file in (("script", "reveal.js"), ("style", "reveal.css")):
        resources[f"reveal_{part}"] = (reveal / file).read_text(encoding="utf-8")
    html, _ = exporter.from_notebook_node(NotebookNode(worked, cells=cells), resources=resources)
    return html


def idea_and_notes(text: str) -> tuple[str, str]:
    """Of a text the headings, the first paragraph, the lead-in of a list, and all that is no prose; and the rest."""
    blocks = text.strip().split("\n\n")
    lead_in = [block for block, after in pairwise(blocks) if re.match(r"[*-] |\d+\.", after)]
    spoken = [block for block in blocks if not (block in lead_in or re.match(r"[#*|>$<`!-]|\d+\.", block))][1:]
    return "\n\n".join(block for block in blocks if block not in spoken), "\n\n".join(spoken)


def for_readers(notebook: NotebookNode) -> NotebookNode:
    """A copy without links to notebooks, outputs for scripts and marks around solutions; its figures have alt texts."""
    cells = [deepcopy(cell) for cell in notebook.cells if "navigation" not in tags_of(cell)]
    heading = ""
    for cell in cells:
        if cell.cell_type == "markdown":
            heading = ([heading, *re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)])[-1]
        elif cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if not NEEDS_SCRIPTS & set(each.get("data", {}))]
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    width = output.metadata.get("image/png", {}).get("width", "auto")
                    words = escape(alt_text(cell.source, heading))
                    output.data = {"text/html": IMAGE.format(words, width, png.strip())}
            cell.source = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", cell.source, flags=re.MULTILINE)
    return NotebookNode(notebook, cells=cells)


def alt_text(source: str, heading: str) -> str:
    """What a cell draws, for those who do not see it: the heading above, then what the function says that it draws."""
    tree = ast.parse(re.sub(r"^ *[%!].*", "", source, flags=re.MULTILINE))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    drawn = [getattr(plots, name.removeprefix("edu.plots."), None) for name in calls if "edu.plots." in name]
    docs = [inspect.getdoc(function) for function in drawn]
    docs += [ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    docs += [inspect.getdoc(Explorer.twin) for name in calls if name.endswith(".twin")]
    said = next((doc.partition("\n")[0] for doc in docs if doc), "A figure.")
    stop = "" if heading[-1:] in ("", ".", "?", "!") else "."
    return re.sub(r"[`$]", "", f"{heading}{stop} {said[0].upper()}{said[1:]}")


def slides(lesson: Lesson, _: Sequence[Lesson]) -> bytes:
    learner = nbformat.read(course.find_lesson(lesson.name, "learner").path, as_version=4)
    worked = nbformat.read(lesson.path, as_version=4)
    return to_slides(worked, learner, name=lesson.title, folder=lesson.path.parent).encode()


def page(lesson: Lesson, known: Sequence[Lesson]) -> bytes:
    place = [each.name for each in known].index(lesson.name)
    links = [f'<a href="{each.name}.html">← {escape(each.title)}</a>' for each in known[max(place - 1, 0) : place]]
    links += ['<a href="index.html">All lessons</a>']
    links += [f'<a href="{each.name}.html">{escape(each.title)} →</a>' for each in known[place + 1 : place + 2]]
    notebook = nbformat.read(lesson.path, as_version=4)
    return to_html(notebook, name=lesson.title, folder=lesson.path.parent, links=" · ".join(links)).encode()


def unchanged(lesson: Lesson, _: Sequence[Lesson]) -> bytes:
    return lesson.path.read_bytes()


# The ending of each edition's files, and what makes one, given the lesson and all that will then be in the folder.
EDITIONS: dict[str, tuple[str, Callable[[Lesson, Sequence[Lesson]], bytes]]] = {
    "learner": (".ipynb", unchanged),
    "worked": (".ipynb", unchanged),
    "slides": (".slides.html", slides),
    "html": (".html", page),
}
INDEXED = {"slides": "slides.html", "html": "index.html"}  # editions that bring a page with links to the others


def export(folder: Path, edition: str, names: Sequence[str] = ()) -> CopyReport:
    """Write one edition of the course into a folder, all of it or nothing.

    What an earlier export wrote is brought up to date. Any other file of such a name is not touched.

    Raises:
        ValueError: a lesson is unknown, or such a file is in the way.
    """
    source = "learner" if edition == "learner" else "worked"
    lessons = [course.find_lesson(name, source) for name in names] or course.require_lessons(source)
    ending, converted = EDITIONS[edition]
    there = [each for each in course.lessons(source) if each in lessons or (folder / f"{each.name}{ending}").exists()]
    contents = {f"{lesson.name}{ending}": converted(lesson, there) for lesson in lessons}
    if edition in INDEXED:
        first = Environment(loader=TEMPLATES).get_template("index.html.j2")
        contents[INDEXED[edition]] = first.render(lessons=there, ending=ending).encode()
    manifest = course.MANIFEST if edition == "learner" else f".resnet_edu_{edition}.json"
    report = course.compare(folder, contents, manifest=manifest)
    if report.kept:
        listed = ", ".join(sorted(report.kept))
        raise ValueError(
            f"Nothing was written: {folder} has other files of these names: {listed}. "
            "Rename them, or name another folder."
        )
    return course.put(contents, report, manifest=manifest)
