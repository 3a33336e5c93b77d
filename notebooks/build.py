"""Build the lessons: each `source/NN_name.py` becomes a learner's and a worked notebook.

The learner's edition has stubs where the source has solutions, and no outputs. The worked edition keeps the
solutions and is executed in the profile quick. Run `python notebooks/build.py --help`.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from notebooks.editions import BuildError, clean, code_cells, complaint, learners_edition, read_source, worked_edition
from notebooks.pages import write_pages

HERE = Path(__file__).resolve().parent
CELL_TIMEOUT = 600  # seconds; a cell of a quick lesson takes a few, but machines are shared
# What must not stand in a worked notebook: a category with its colon, or an object's address.
NOISE = re.compile(r"\b[A-Z]\w+Warning: |<[^<>\n]+ at 0x[0-9a-f]+>")


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What must not be published in a worked notebook: errors, anything on stderr, warnings, addresses, cut titles."""
    for cell in code_cells(notebook):
        allowed = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.outputs:
            text = "".join(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            if output.output_type == "error" and not allowed:
                yield complaint(cell, f"{output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                yield complaint(cell, f"wrote to stderr: {text.strip()}")
            elif noise := NOISE.search(text):
                yield complaint(cell, f"shows {noise.group().strip()!r}; fix the cause or end the cell in a value")
            elif (png := output.get("data", {}).get("image/png")) and is_cut_off(png):
                yield complaint(cell, "its figure goes on beyond the right edge; shorten its title")


def is_cut_off(png: str) -> bool:
    """Whether something dark reaches the right edge of a figure on white; a photo that fills it is no such figure."""
    edge = np.asarray(Image.open(BytesIO(b64decode(png))).convert("L"))[:, -2:]
    return 0 < float((edge < 200).mean()) < 0.5


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
        client = NotebookClient(
            notebook, timeout=CELL_TIMEOUT, kernel_name="python3", record_timing=False, skip_cells_with_tag="gpu",
            resources={"metadata": {"path": str(folder)}}, extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )  # fmt: skip
        client.widget_registry = {}  # as in `resnet-edu rehearse`
        try:
            client.execute(env=env)
        except CellExecutionError:
            raise BuildError(next(problems(notebook))) from None
        except (CellTimeoutError, DeadKernelError) as error:
            started = [cell for cell in code_cells(notebook) if cell.execution_count] or code_cells(notebook)
            raise BuildError(complaint(started[-1], f"in or after this cell: {str(error).splitlines()[0]}")) from None


def reuse_outputs(notebook: NotebookNode, earlier: NotebookNode) -> bool:
    """Take over the outputs of an earlier build if no line of code and no tag has changed; say whether it was so."""
    cells, before = code_cells(notebook), code_cells(earlier)
    what_runs = [[(cell.source, cell.metadata.get("tags")) for cell in each] for each in (cells, before)]
    if what_runs[0] != what_runs[1]:
        return False
    for cell, executed in zip(cells, before, strict=True):
        cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    return True


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write the notebook whole or not at all; say whether the file has changed."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
        return True
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
    learners, notebook = learners_edition(notebook), worked_edition(notebook)
    notebook.metadata["resnet_edu"] = {"source_sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    earlier = nbformat.read(worked_path, as_version=4) if worked_path.exists() and not force else None
    if earlier and reuse_outputs(notebook, earlier):
        done = ""
    elif run:
        execute(notebook, worked_path.parent)
        done = f"executed in {time.perf_counter() - started:.1f} s"
    else:
        write(learners, folder / name)
        return "learner's edition only"
    clean(notebook, keep_outputs=True)
    if found := list(problems(notebook)):
        raise BuildError("\n".join(found))
    changed = [write(learners, folder / name), write(notebook, worked_path)]
    return done or ("text updated" if any(changed) else "up to date")


def clean_file(path: Path) -> bool:
    """Clean a built notebook where it lies; in `solutions` the outputs stay. Say whether it changed."""
    return write(clean(nbformat.read(path, as_version=4), keep_outputs=path.parent.name == "solutions"), path)


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
    sources = sorted((HERE / "source").glob("[0-9][0-9]*_*.py"))
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
    write_pages()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
