"""The worked lessons as pages of the site: alt texts, folded answers, the way to the learner's edition, the words."""

import copy
import json
from pathlib import Path

import nbformat
from figures import alt_text, has_picture
from glossary import Term
from nbformat import NotebookNode

from resnet_edu.tools.course import Lesson

WIDGET = "application/vnd.jupyter.widget-view+json"
INTRODUCTION = """```{{note}}
This is the worked edition: read it, or check your way against it. To do the exercises yourself, run `resnet-edu lab`
and open `{name}.ipynb`; there the answers are missing and each has a check.
```
"""


def page(lesson: Lesson, terms: list[Term]) -> NotebookNode:
    """The worked notebook as a page.

    Args:
        lesson: of the worked edition.
        terms: those that this lesson introduces; they are linked at its end.

    Raises:
        ValueError: a picture that nothing describes; names lesson and cell.
    """
    notebook = copy.deepcopy(nbformat.read(lesson.path, as_version=4))
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        options = {}
        if has_picture(cell):
            try:
                options["image"] = {"alt": alt_text(cell.source)}
            except ValueError as error:
                raise ValueError(f"{lesson.name}, cell {number}: {error}") from None
        if "### BEGIN SOLUTION" in cell.source:
            cell.source = "\n".join(line for line in cell.source.splitlines() if line.strip() not in MARKERS)
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
            options |= {"code_prompt_show": "Show one answer", "code_prompt_hide": "Hide the answer"}
        if options:
            cell.metadata["mystnb"] = options
    first = notebook.cells[0]
    heading, _, rest = first.source.partition("\n")
    first.source = f"{heading}\n\n{INTRODUCTION.format(name=lesson.name)}\n{rest.lstrip()}"
    if terms:
        listed = " · ".join(f"{{term}}`{term.name}`" for term in terms)
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"## Words of this lesson\n\n{listed}"))
    return notebook


MARKERS = {"### BEGIN SOLUTION", "### END SOLUTION"}


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a page where Sphinx finds it; without checking what the build has checked before."""
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
