"""The course in other forms: a class's notebooks, worked notebooks, slides, web pages, plain Python."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbconvert import PythonExporter

from ..errors import UnknownName
from . import copies, course, page, reveal, slides
from .copies import CopyReport
from .course import Lesson

# Cells of a script are marked as editors know them; its text is comments.
SCRIPT = """
{%- extends 'null.j2' -%}
{%- block input %}
# %%
{{ cell.source | ipython2python }}
{% endblock input -%}
{%- block markdowncell scoped %}
# %% [markdown]
{{ cell.source | comment_lines }}
{% endblock markdowncell -%}
"""
INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ font: 1.1rem/1.6 sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }}</style></head>
<body><main><h1>{title}</h1><ol>
{items}
</ol></main></body></html>
"""


def to_learner(lesson: Lesson) -> bytes:
    """The learner's notebook: stubs, no outputs, none of the solutions."""
    return course.find_lesson(lesson.name, "learner").path.read_bytes()


def to_worked(lesson: Lesson) -> bytes:
    """The worked notebook with its outputs."""
    return lesson.path.read_bytes()


def to_slides(lesson: Lesson) -> bytes:
    """Slides of the worked notebook, as one page."""
    worked, learner = (nbformat.reads(read(lesson).decode(), as_version=4) for read in (to_worked, to_learner))
    name, folder = lesson.title, lesson.path.parent
    return slides.to_slides(worked, learner, name=name, folder=folder, reveal=reveal.find_reveal()).encode()


def to_page(lesson: Lesson) -> bytes:
    """The worked notebook as one HTML page with its figures inside."""
    notebook = nbformat.reads(to_worked(lesson).decode(), as_version=4)
    return page.to_html(notebook, name=lesson.title, folder=lesson.path.parent).encode()


def to_script(lesson: Lesson) -> bytes:
    """The worked notebook as plain Python."""
    exporter = PythonExporter(template_file="script.py.j2", extra_loaders=[DictLoader({"script.py.j2": SCRIPT})])
    text, _ = exporter.from_notebook_node(nbformat.reads(to_worked(lesson).decode(), as_version=4))
    return (text.strip() + "\n").encode()


# The ending of each edition's files, and what makes one.
EDITIONS: dict[str, tuple[str, Callable[[Lesson], bytes]]] = {
    "learner": (".ipynb", to_learner),
    "worked": (".ipynb", to_worked),
    "slides": (".slides.html", to_slides),
    "html": (".html", to_page),
    "script": (".py", to_script),
}
INDEXED = {"slides": "slides.html", "html": "index.html"}  # editions that bring a page with links to the others


def export(folder: Path, edition: str, names: Sequence[str] = (), *, force: bool = False) -> CopyReport:
    """Write one edition of the course into a folder, all of it or nothing.

    What an earlier export wrote is brought up to date. Any other file that is in the way is not touched, unless
    `force` is given: then it is replaced, and kept beside under a name with the date.

    Args:
        folder: made if missing.
        edition: one of `EDITIONS`.
        names: lessons by number or name; all by default.
        force: replace files that somebody has changed.

    Raises:
        UnknownName: no such edition or lesson.
        DatasetUnavailable: slides without reveal.js.
        ValueError: files in the way, all of them named; the folder is a file; the course has no lessons.
        OSError: the folder cannot be written.
    """
    if edition not in EDITIONS:
        raise UnknownName("edition", edition, EDITIONS)
    source = "learner" if edition == "learner" else "worked"
    lessons = [course.find_lesson(name, source) for name in names] or course.require_lessons(source)
    ending, convert = EDITIONS[edition]
    files = {f"{lesson.name}{ending}": convert(lesson) for lesson in lessons}
    if edition in INDEXED:
        files[INDEXED[edition]] = index(lessons, ending)
    manifest = copies.MANIFEST if edition == "learner" else f".resnet_edu_{edition}.json"
    report = copies.compare(folder, files, manifest=manifest)
    if report.kept and not force:
        listed = ", ".join(sorted(report.kept))
        raise ValueError(
            f"Nothing was written: {folder} has other files of these names: {listed}. Name another folder, or add "
            "--force: yours are then kept beside them, dated."
        )
    return copies.put(files, report, replace=report.kept, manifest=manifest)


def index(lessons: Sequence[Lesson], ending: str) -> bytes:
    """A page with a link to each lesson's."""
    items = [
        f'<li value="{lesson.number}"><a href="{lesson.name}{ending}">{escape(bare(lesson.title))}</a></li>'
        for lesson in lessons
    ]
    return INDEX.format(title="The lessons", items="\n".join(items)).encode()


def bare(title: str) -> str:
    """A title without its number."""
    return title.partition(" · ")[2] or title
