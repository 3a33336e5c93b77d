"""The explorers of the course in one notebook: each with its lesson's set-up cell and what else it needs."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .jupyter import ROOT

SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
#: What stands in for a training that would take a minute.
SHORT = {"12_train_and_predict": 'network, unseen = edu.models.pretrained("resnet18", source="bundled"), []'}


@dataclass(frozen=True)
class Section:
    """A lesson's explorer with all that it needs."""

    lesson: str  # 06_degradation
    widget: str  # depth_and_skip
    cells: tuple[nbformat.NotebookNode, ...]  # the explorer's is the last


def sections() -> list[Section]:
    """One for each cell that is tagged `explorer`, in the order of the course."""
    found = []
    for path in SOURCES:
        cells = jupytext.read(path, fmt="py:percent").cells
        setup = next(cell.source for cell in cells if "setup" in cell.metadata.get("tags", []))
        for place, cell in enumerate(cells):
            if "explorer" in cell.metadata.get("tags", []):
                body = "\n".join(each.source for each in cells[:place] if each.cell_type == "code")
                needed = SHORT.get(path.stem) or needs(body.partition(setup)[2], cell.source)
                told = [each.source for each in cells[:place] if each.cell_type == "markdown"]
                parts = [
                    new_markdown_cell(told[0].splitlines()[0]),
                    *(new_code_cell(code) for code in (setup, needed) if code),
                    new_markdown_cell(told[-1][max(told[-1].rfind("\n#"), 0) :].strip()),
                    new_code_cell(cell.source),
                ]
                widgets = re.findall(r"edu\.widgets\.(\w+)\(", cell.source)
                found += [Section(path.stem, widget, tuple(parts)) for widget in widgets]
    return found


def needs(body: str, cell: str) -> str:
    """The statements of a lesson from which a cell's names come, in their order."""
    wanted = used(ast.parse(cell)) - bound(ast.parse(cell))
    kept = []
    for statement in reversed(ast.parse(body).body):
        if bound(statement) & wanted:
            if not isinstance(statement, ast.AugAssign):
                wanted -= bound(statement)
            wanted |= used(statement)
            kept.append(ast.get_source_segment(body, statement))
    return "\n".join(part for part in reversed(kept) if part)


def bound(tree: ast.AST) -> set[str]:
    """Names that a statement binds in the notebook."""
    if isinstance(tree, ast.FunctionDef | ast.ClassDef):
        return {tree.name}
    if isinstance(tree, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in tree.names}
    return named(tree, ast.Store) - private(tree)


def used(tree: ast.AST) -> set[str]:
    """Names that a statement reads from the notebook."""
    return named(tree, ast.Load) - private(tree)


def private(tree: ast.AST) -> set[str]:
    """Names of a statement that the notebook never sees: arguments, a function's own, those of comprehensions."""
    parts = list(ast.walk(tree))
    names = {part.arg for part in parts if isinstance(part, ast.arg)}
    if isinstance(tree, ast.FunctionDef):
        names |= named(tree, ast.Store)
    return names.union(*(named(part.target, ast.Store) for part in parts if isinstance(part, ast.comprehension)))


def named(tree: ast.AST, how: type[ast.expr_context]) -> set[str]:
    """Names that stand in a tree to be read, or to be bound."""
    return {part.id for part in ast.walk(tree) if isinstance(part, ast.Name) and isinstance(part.ctx, how)}


def write_notebook(path: Path) -> dict[str, int]:
    """Write all sections; the place of each explorer's cell, by the explorer's name."""
    cells, places = [], {}
    for section in sections():
        cells += section.cells
        places[section.widget] = len(cells) - 1
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return places
