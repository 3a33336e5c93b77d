"""Build the lessons: each `source/NN_name.py` becomes a learner's and a worked notebook.

The learner's edition has stubs where the source has solutions, and no outputs. The worked edition keeps the
solutions and is executed in the profile quick. Run `python notebooks/build.py --help`.
"""

import argparse
import copy
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from resnet_edu.patient import PatientClient

HERE = Path(__file__).resolve().parent
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = 'raise NotImplementedError("not yet")'
TAGS = {"setup", "exercise", "check", "explorer", "worked-only", "gpu", "nbval-check-output", "raises-exception"}
CELL_TIMEOUT = 600  # seconds; a cell of a quick lesson takes a few, but machines are shared
WIDGET = "application/vnd.jupyter.widget-view+json"
# What must not stand in a worked notebook: a category with its colon, or an object's address.
NOISE = re.compile(r"\b[A-Z]\w+Warning: |<[^<>\n]+ at 0x[0-9a-f]+>")


class BuildError(ValueError):
    """A lesson that cannot be built: says which cell, what is wrong and what to do."""


def read_source(path: Path) -> NotebookNode:
    """The source as a notebook, without outputs.

    Cells are numbered `stem-000`, `stem-001`, …: two builds are equal byte for byte. Raises `BuildError` for a
    tag that is not in `TAGS`.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{number:03d}"
        tags = cell.metadata.get("tags", [])
        if unknown := set(tags) - TAGS:
            raise BuildError(complaint(cell, f"unknown tag {', '.join(unknown)}; known: {', '.join(sorted(TAGS))}"))
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
    notebook.metadata = NotebookNode()
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return clean(notebook, keep_outputs=False)


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


def learners_edition(notebook: NotebookNode) -> NotebookNode:
    """A copy for the learner: stubs for solutions, no outputs, no cells tagged `worked-only`."""
    edition = copy.deepcopy(notebook)
    edition.cells = [cell for cell in edition.cells if "worked-only" not in cell.metadata.get("tags", [])]
    for cell in code_cells(edition):
        try:
            cell.source = without_solutions(cell.source)
        except BuildError as error:
            raise BuildError(complaint(cell, str(error))) from None
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


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What must not be published in a worked notebook: errors, anything on stderr, warnings, addresses."""
    for cell in code_cells(notebook):
        allowed = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.outputs:
            text = "".join(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            if output.output_type == "error" and not allowed:
                yield complaint(cell, f"{output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                yield complaint(cell, f"wrote to stderr: {text.strip()}")
            elif noise := NOISE.search(text):
                yield complaint(cell, f"shows {noise.group().strip()!r}; mend the cause or end the cell in a value")


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run the notebook in place, in `folder`, profile quick, without this machine's progress file and cached weights.

    Cells tagged `gpu` are left out: a laptop is what it shows. Raises `BuildError` with the first cell that fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        env = dict(os.environ, RESNET_EDU_PROFILE="quick", RESNET_EDU_PROGRESS=f"{scratch}/progress.json", CI="true")
        env["TORCH_HOME"] = scratch
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), env.get("PYTHONPATH")]))
        env["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        env.pop("MPLBACKEND", None)  # the kernel draws inline
        client = PatientClient(
            notebook, timeout=CELL_TIMEOUT, kernel_name="python3", record_timing=False, skip_cells_with_tag="gpu",
            resources={"metadata": {"path": str(folder)}}, extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )  # fmt: skip
        try:
            client.execute(env=env)
        except CellExecutionError:
            raise BuildError(next(problems(notebook))) from None
        except (CellTimeoutError, DeadKernelError) as error:
            started = [cell for cell in code_cells(notebook) if cell.execution_count] or code_cells(notebook)
            raise BuildError(complaint(started[-1], f"in or after this cell: {str(error).splitlines()[0]}")) from None


def reuse_outputs(notebook: NotebookNode, earlier: NotebookNode) -> bool:
    """Take over the outputs of an earlier build if no line of code has changed since; say whether it was so."""
    cells, before = code_cells(notebook), code_cells(earlier)
    if [(cell.source, cell.metadata) for cell in cells] != [(cell.source, cell.metadata) for cell in before]:
        return False
    for cell, executed in zip(cells, before, strict=True):
        cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    return True


def write(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook whole or not at all."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def build(source: Path, *, run: bool = True, force: bool = False) -> str:
    """Build both editions of one lesson beside the folder of its source; say in a few words what was done.

    A worked notebook carries the SHA-256 of its source. It is executed only if code has changed since, or with
    `force`. Without `run` a worked notebook that would have to be executed is left as it is.
    """
    started, name = time.perf_counter(), f"{source.stem}.ipynb"
    folder = source.parent.parent
    worked_path = folder / "solutions" / name
    notebook = read_source(source)
    learners = learners_edition(notebook)
    notebook.metadata["resnet_edu"] = {"source_sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    earlier = nbformat.read(worked_path, as_version=4) if worked_path.exists() and not force else None
    if earlier and reuse_outputs(notebook, earlier):
        done = "up to date" if earlier.metadata.get("resnet_edu") == notebook.metadata["resnet_edu"] else "text updated"
    elif run:
        execute(notebook, worked_path.parent)
        done = f"executed in {time.perf_counter() - started:.1f} s"
    else:
        write(learners, folder / name)
        return "learner's edition only"
    clean(notebook, keep_outputs=True)
    if found := list(problems(notebook)):
        raise BuildError("\n".join(found))
    write(learners, folder / name)
    write(notebook, worked_path)
    return done


def clean_file(path: Path) -> bool:
    """Clean a built notebook where it lies; in `solutions` the outputs stay. Say whether it changed."""
    before = path.read_bytes()
    write(clean(nbformat.read(path, as_version=4), keep_outputs=path.parent.name == "solutions"), path)
    return path.read_bytes() != before


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the lessons from notebooks/source.")
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="number or name, such as 06; default: all")
    parser.add_argument("--execute", action=argparse.BooleanOptionalAction, default=True,
                        help="execute worked notebooks whose code has changed")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="execute even if nothing has changed")
    parser.add_argument("--clean", action="store_true", help="only clean the notebook FILES given; 1 if one changed")
    options = parser.parse_args(arguments)
    if options.clean:
        return int(sum(clean_file(Path(file)) for file in options.lessons) > 0)
    sources = sorted((HERE / "source").glob("[0-9][0-9]_*.py"))
    wanted = [Path(lesson).stem for lesson in options.lessons]
    if unknown := [lesson for lesson in wanted if not any(source.stem.startswith(lesson) for source in sources)]:
        parser.error(f"no lesson {unknown[0]!r}; there are {', '.join(source.stem for source in sources) or 'none'}")
    failed = 0
    for source in sources:
        if not wanted or source.stem.startswith(tuple(wanted)):
            try:
                print(f"{source.stem}: {build(source, run=options.execute, force=options.force)}", flush=True)
            except BuildError as error:
                failed += 1
                print(f"{source.stem}: not built\n{error}", file=sys.stderr, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
