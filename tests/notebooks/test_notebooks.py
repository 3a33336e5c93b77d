"""What holds for every lesson: the built notebooks are those of the sources, and the sources keep to the rules."""

import builtins
import hashlib
import itertools
import re
import symtable
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks import build, editions

SOURCES = sorted((build.HERE / "source").glob("*.py"))
every_lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
PARTS = ("Claims you will read elsewhere, tested", "Summary", "Sources", "Next")
MOST_LINES, MOST_LINES_EXERCISE = 15, 30
COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}


def built(source: Path, edition: str = ".") -> NotebookNode:
    path = build.HERE / edition / f"{source.stem}.ipynb"
    assert path.exists(), f"{path.name} is not built; run: make notebooks"
    return nbformat.read(path, as_version=4)


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def markdown(cells: list[NotebookNode]) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def solution_lines(code: str) -> tuple[set[str], set[str]]:
    """The lines inside the solution regions, and those outside; without indentation."""
    inside, outside, solving = set[str](), set[str](), False
    for line in map(str.strip, code.splitlines()):
        if line in (editions.BEGIN, editions.END):
            solving = line == editions.BEGIN
        elif line:
            (inside if solving else outside).add(line)
    return inside, outside


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """The function scopes below, nested ones too; a comprehension outside a function belongs to its module."""
    for child in table.get_children():
        if child.get_type() == "function" and child.get_name() not in COMPREHENSIONS:
            yield child
            yield from (inner for inner in every_scope(child) if inner.get_type() == "function")
        else:
            yield from scopes(child)


def every_scope(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from every_scope(child)


def bound_names(code: str) -> set[str]:
    """Names that the code binds at its top level."""
    symbols = symtable.symtable(code, "lesson", "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}


def notebook_globals_read(code: str) -> set[str]:
    """`function: name` for each name that a function reads from a top-level assignment of the notebook."""
    top = symtable.symtable(code, "lesson", "exec")
    data = {
        symbol.get_name()
        for symbol in top.get_symbols()
        if symbol.is_assigned() and not symbol.is_imported() and not symbol.is_namespace()
    }
    return {
        f"{scope.get_name()}: {symbol.get_name()}"
        for scope in scopes(top)
        for symbol in scope.get_symbols()
        if symbol.is_global() and symbol.get_name() in data
    }


def names_missing(code: str, known: set[str]) -> set[str]:
    """Names that the code uses and neither binds nor finds among the known or Python's own."""
    top = symtable.symtable(code, "lesson", "exec")
    used = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    for scope in every_scope(top):
        used |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
    return used - bound_names(code) - known - set(dir(builtins))


@every_lesson
def test_learners_edition_is_what_the_source_builds(source: Path) -> None:
    text = nbformat.writes(build.learners_edition(build.read_source(source))).rstrip("\n") + "\n"
    path = build.HERE / f"{source.stem}.ipynb"
    assert path.exists(), f"{path.name} is not built; run: make notebooks"
    assert path.read_text(encoding="utf-8") == text, "run: make notebooks"


@every_lesson
def test_worked_edition_is_what_the_source_builds(source: Path) -> None:
    fields = ("id", "cell_type", "metadata", "source")
    worked, expected = built(source, "solutions"), editions.worked_edition(build.read_source(source))
    assert [[cell[field] for field in fields] for cell in worked.cells] == [
        [cell[field] for field in fields] for cell in expected.cells
    ], "run: make notebooks"
    assert worked.metadata["resnet_edu"]["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_no_notebook_is_left_without_a_source() -> None:
    notebooks = {path.stem for path in [*build.HERE.glob("*.ipynb"), *build.HERE.glob("solutions/*.ipynb")]}
    assert notebooks == {path.stem for path in SOURCES}


@every_lesson
def test_learners_edition_gives_no_solution_and_invents_no_line(source: Path) -> None:
    inside, outside = solution_lines("\n".join(cell.source for cell in build.code_cells(build.read_source(source))))
    learners = built(source)
    own = [cell for cell in build.code_cells(learners) if not has_tag(cell, "colab")]
    lines = {line.strip() for cell in own for line in cell.source.splitlines()} - {""}
    assert not lines & (inside - outside)
    assert lines <= outside | {editions.PLACEHOLDER}
    assert all(not cell.outputs and cell.execution_count is None for cell in build.code_cells(learners))


@every_lesson
def test_worked_edition_is_executed_in_order_without_error_warning_or_noise(source: Path) -> None:
    worked = built(source, "solutions")
    counts = [cell.execution_count for cell in build.code_cells(worked) if not has_tag(cell, "gpu")]
    assert counts == list(range(1, len(counts) + 1)), "run: make notebooks"
    assert list(build.problems(worked)) == []
    assert "widgets" not in worked.metadata


@every_lesson
def test_a_cell_is_short(source: Path) -> None:
    for cell in build.code_cells(build.read_source(source)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        most = MOST_LINES_EXERCISE if has_tag(cell, "exercise") else MOST_LINES
        assert len(lines) <= most, build.complaint(cell, f"{len(lines)} lines; at most {most}")


@every_lesson
def test_the_parts_of_a_lesson_are_in_order(source: Path) -> None:
    cells = build.read_source(source).cells
    setups = [number for number, cell in enumerate(cells) if has_tag(cell, "setup")]
    first_code = next(number for number, cell in enumerate(cells) if cell.cell_type == "code")
    assert setups == [first_code], "exactly one cell tagged setup, the first of the code cells"
    opening = markdown(cells[:first_code])
    lesson = source.stem.partition("_")[0]
    assert re.match(rf"# .*\b{lesson}\b", opening), f"a title: # and {lesson}"
    assert len(re.findall(r"^[-*] ", opening, re.MULTILINE)) >= 2, "objectives: a list"
    assert re.search(r"^.*[Mm]inutes.*reading.*quick.*full", opening, re.MULTILINE), (
        "a line with the minutes: reading · running quick · running full"
    )
    headings = re.findall(r"^## (.*)$", markdown(cells), re.MULTILINE)
    found = [part for heading in headings for part in PARTS if heading.startswith(part)]
    assert found == list(PARTS), f"headings {PARTS}, once each, in this order; got {found}"


@every_lesson
def test_learners_edition_begins_with_a_cell_for_colab_that_does_nothing_elsewhere(source: Path) -> None:
    first = build.code_cells(built(source))[0]
    assert has_tag(first, "colab")
    assert first.source.splitlines()[2].startswith('if "google.colab" in sys.modules:')
    assert re.findall(r"^    %pip install .*$", first.source, re.MULTILINE) == first.source.splitlines()[3:]
    assert not [cell for cell in built(source, "solutions").cells if has_tag(cell, "colab")]


@every_lesson
def test_claims_are_asserted(source: Path) -> None:
    notebook = nbformat.writes(build.read_source(source))
    claims = notebook[notebook.index(f"## {PARTS[0]}") : notebook.index("## Summary")]
    assert re.search(r'"assert ', claims), "a claim in prose is an assert in the next cell"


@every_lesson
def test_nothing_is_downloaded_or_installed(source: Path) -> None:
    notebook = build.read_source(source)
    for cell in build.code_cells(notebook):
        assert not re.search(r"^\s*(!|%%?)\s*(pip|conda|wget|curl|git|bash|sh)\b", cell.source, re.MULTILINE)
    assert not re.search(r"!\[[^\]]*\]\(\s*http|<(img|link|script)[^>]*https?:", markdown(notebook.cells))


@every_lesson
def test_each_exercise_has_its_box_its_solution_and_its_check(source: Path) -> None:
    cells = build.read_source(source).cells
    for number, cell in enumerate(cells):
        if has_tag(cell, "exercise"):
            following = next((later for later in cells[number + 1 :] if later.cell_type == "code"), None)
            assert following is not None, build.complaint(cell, "no check after the exercise")
            assert has_tag(following, "check"), build.complaint(cell, "no check after the exercise")
            assert solution_lines(cell.source)[0], build.complaint(cell, "no solution region")
            codes = [earlier for earlier in range(number) if cells[earlier].cell_type == "code"]
            box = markdown(cells[codes[-1] : number])
            assert re.search(r"^### Exercise \d+[a-z]?\.\d+ · \S", box, re.MULTILINE), build.complaint(
                cell, "no heading"
            )
            assert re.search(r"\*\*Difficulty\*\* [●○]{5} · \*\*\d+ minutes?\*\*", box), build.complaint(cell, "no box")
            assert 2 <= box.count("<details>") <= 3, build.complaint(cell, "two or three hints in <details>")
        elif has_tag(cell, "check"):
            assert "checks.check_" in cell.source, build.complaint(cell, "calls no check")


@every_lesson
def test_an_exercise_needs_nothing_but_the_setup_cell(source: Path) -> None:
    cells = build.code_cells(build.read_source(source))
    known = set[str]().union(*(bound_names(cell.source) for cell in cells if has_tag(cell, "setup")))
    for exercise, check in itertools.pairwise(cells):
        if has_tag(exercise, "exercise"):
            missing = names_missing(f"{exercise.source}\n{check.source}", known)
            assert not missing, build.complaint(exercise, f"{', '.join(sorted(missing))} not from the set-up cell")


@every_lesson
def test_no_function_reads_a_global_of_the_notebook(source: Path) -> None:
    code = "\n".join(cell.source for cell in build.code_cells(build.read_source(source)))
    assert notebook_globals_read(code) == set()
