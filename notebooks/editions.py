"""The two editions of a lesson: what becomes of a source before anything is run.

The learner's edition has stubs where the source has solutions, and no outputs. The worked edition keeps the
solutions. Both carry nbgrader's metadata (https://nbgrader.readthedocs.io).
"""

import copy
import re
from pathlib import Path

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = 'raise NotImplementedError("not yet")'
TAGS = {"setup", "exercise", "check", "explorer", "worked-only", "gpu", "nbval-check-output", "raises-exception"}
BOX = re.compile(r"^### Exercise (\d+)([a-z]?)\.(\d+) · .*?\*\*Difficulty\*\* (●+)", re.MULTILINE | re.DOTALL)
# The first code cell of the learner's edition; `resnet-edu lab` leaves it out of a learner's copy.
COLAB = """\
import sys

if "google.colab" in sys.modules:  # in Google Colab: upload the course's wheel to the files on the left, then run this
    %pip install --quiet resnet_edu-*.whl  # takes only what Colab lacks"""
# Around an exercise: its heading, difficulty and minutes, what to write, its hints.
CARD = (
    '<div class="exercise" style="border: 1px solid rgba(128, 128, 128, 0.4); border-left: 6px solid #0072B2; '
    'border-radius: 6px; background: rgba(0, 114, 178, 0.07); padding: 0.1em 1.2em 0.6em; margin: 0.6em 0">'
)
BAR = (
    '<div class="navigation" style="border: 1px solid rgba(128, 128, 128, 0.4); border-radius: 6px; '
    'padding: 0.7em 1.2em 0; margin: 0.6em 0">'
)
WIDGET = "application/vnd.jupyter.widget-view+json"


class BuildError(ValueError):
    """A lesson that cannot be built: says which cell, what is wrong and what to do."""


def read_source(path: Path) -> NotebookNode:
    """The source as a notebook, without outputs.

    Cells are numbered `stem-000`, `stem-001`, …: two builds are equal byte for byte. Raises `BuildError` for a
    tag that is not in `TAGS`, and for an exercise without its box.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{number:03d}"
        tags = cell.metadata.get("tags", [])
        if unknown := set(tags) - TAGS:
            raise BuildError(complaint(cell, f"unknown tag {', '.join(unknown)}; known: {', '.join(sorted(TAGS))}"))
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
    mark_for_grading(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_card(cell.source)
    ways = new_markdown_cell(navigation(path), metadata={"tags": ["navigation"]})
    for place, name in ((1, "nav"), (len(notebook.cells) + 1, "next")):
        notebook.cells.insert(place, NotebookNode(copy.deepcopy(ways), id=f"{path.stem}-{name}"))
    notebook.metadata = NotebookNode()
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return clean(notebook, keep_outputs=False)


def with_card(text: str) -> str:
    """A text cell with its exercise, from the heading to the end, in a card."""
    before, heading, box = text.partition("### Exercise ")
    if not heading or (before and not before.endswith("\n")):
        return text
    return f"{before}{CARD}\n\n{heading}{box.rstrip()}\n\n</div>"


def navigation(path: Path) -> str:
    """One line of links: the lesson before, the course's page, this lesson worked, the glossary, the lesson after."""
    sources = sorted(path.parent.glob("[0-9][0-9]*_*.py"))
    place = sources.index(path)
    titles = [re.search(r"^# # (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE) for source in sources]
    names = [
        (title[1] if title else source.stem).partition(":")[0] for title, source in zip(titles, sources, strict=True)
    ]
    links = ["[All lessons](home.md)", f"[This lesson, worked](solutions/{path.stem}.ipynb)", "[Glossary](glossary.md)"]
    if place > 0:
        links.insert(0, f"[← {names[place - 1]}]({sources[place - 1].stem}.ipynb)")
    if place + 1 < len(sources):
        links.append(f"**[{names[place + 1]} →]({sources[place + 1].stem}.ipynb)**")
    return f"{BAR}\n\n{'&ensp;|&ensp;'.join(links)}\n\n</div>"


def mark_for_grading(notebook: NotebookNode) -> None:
    """Give each exercise and its check, in place, what nbgrader wants to know of them.

    Exercise 1.2 becomes `exercise_01_2`, which the learner may change, and `check_01_2`, which is locked and worth
    as many points as its box has dots.

    Raises:
        BuildError: an exercise whose box with number and difficulty is missing or belongs to another one.
    """
    number, points, seen = "", 0, set[str]()
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (boxes := BOX.findall(cell.source)):
            lesson, letter, exercise, dots = boxes[-1]
            number, points = f"{int(lesson):02}{letter}_{exercise}", len(dots)
        for kind in {"exercise", "check"} & set(cell.metadata.get("tags", [])):
            name = f"{kind}_{number}"
            if not number or name in seen:
                raise BuildError(complaint(cell, "no box above it: ### Exercise 1.2 · Name, then **Difficulty** ●●○○○"))
            seen.add(name)
            graded = kind == "check"
            cell.metadata["nbgrader"] = {"schema_version": 3, "grade_id": name, "task": False, "locked": graded,
                                         "solution": not graded, "grade": graded}  # fmt: skip
            if graded:
                cell.metadata["nbgrader"]["points"] = points


def without_solutions(source: str) -> str:
    """The code with each solution region replaced by `PLACEHOLDER`, at the indentation of its first marker.

    Raises:
        BuildError: markers that do not pair, or a misspelled one, which would give the solution away.
    """
    kept: list[str] = []
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark in (BEGIN, END):
            if inside == (mark == BEGIN):
                raise BuildError(f"{mark!r} without its counterpart")
            inside = mark == BEGIN
            if inside:
                kept.append(line[: line.index("#")] + PLACEHOLDER)
        elif re.search(r"#.*\b(begin|end) solution", line, re.IGNORECASE):
            raise BuildError(f"misspelled marker {mark!r}; write {BEGIN!r} or {END!r} on a line of its own")
        elif not inside:
            kept.append(line)
    if inside:
        raise BuildError(f"{BEGIN!r} without its counterpart")
    return "\n".join(kept)


def worked_edition(notebook: NotebookNode) -> NotebookNode:
    """A copy with its links as they are in `solutions/`."""
    edition = copy.deepcopy(notebook)
    for cell in edition.cells:
        if "navigation" in cell.metadata.get("tags", []):
            cell.source = re.sub(r"\[This lesson, worked\]\(solutions/", "[Your own copy](../", cell.source)
            cell.source = re.sub(r"\((home|glossary)\.md", r"(../\1.md", cell.source)
    return edition


def learners_edition(notebook: NotebookNode) -> NotebookNode:
    """A copy for the learner: stubs for solutions, no outputs, no cells tagged `worked-only`; a cell for Colab."""
    edition = copy.deepcopy(notebook)
    edition.cells = [cell for cell in edition.cells if "worked-only" not in cell.metadata.get("tags", [])]
    for cell in code_cells(edition):
        try:
            cell.source = without_solutions(cell.source)
        except BuildError as error:
            raise BuildError(complaint(cell, str(error))) from None
    hidden = {"tags": ["colab"], "jupyter": {"source_hidden": True}}
    name = edition.cells[0]["id"].replace("-000", "-colab")
    edition.cells.insert(2, new_code_cell(COLAB, id=name, metadata=hidden))
    return edition


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def complaint(cell: NotebookNode, what: str) -> str:
    """One message that names the cell, the reason and shows the code."""
    code = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return f"cell {cell['id']}: {what}\n{code}"


def clean(notebook: NotebookNode, *, keep_outputs: bool) -> NotebookNode:
    """Strip, in place, what changes from run to run: times, widget state, versions; outputs too if not kept."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for cell in notebook.cells:
        for volatile in ("execution", "ExecuteTime", "collapsed", "scrolled"):
            cell.metadata.pop(volatile, None)
    for cell in code_cells(notebook):
        if not keep_outputs:
            cell.outputs, cell.execution_count = [], None
        # Without its state a widget's view shows an error; its static twin stands beside it.
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        for output in cell.outputs:
            output.get("metadata", {}).pop("execution", None)
    return notebook
