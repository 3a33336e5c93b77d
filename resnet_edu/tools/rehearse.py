"""Run lessons on this machine as a learner would, and measure them: seconds, memory, slowest cells, one page each."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from threading import Event
from typing import Any

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from .. import machine
from ..files import write_atomically
from .course import Lesson
from .export import to_html
from .lab import lab_environment


@dataclass(frozen=True)
class Cell:
    """One code cell that was run. `number` counts code cells from 1, as `In [1]` does; `error` is one line."""

    number: int
    seconds: float
    first_line: str
    error: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """One lesson, run from its first cell to its last or to the first that fails."""

    lesson: str
    title: str
    seconds: float  # wall-clock time, kernel's start included
    peak_memory_gb: float  # the kernel with its children, shared pages counted once, 10⁹ bytes
    cells: tuple[Cell, ...]
    page: str  # the HTML file

    @property
    def failure(self) -> Cell | None:
        return next((cell for cell in self.cells if cell.error), None)


@contextmanager
def peak_memory(pid: int, *, interval: float = 0.1) -> Iterator[list[int]]:
    """The bytes that a process and its children take, sampled in the background; the largest number so far is last.

    What they share, above all the code of torch's libraries, is in memory once: the largest share counts once.
    """
    process, ended, peaks = psutil.Process(pid), Event(), [0]

    def sample() -> None:
        while not ended.wait(interval):
            with suppress(psutil.Error):  # a process that ends meanwhile no longer counts
                found = [each.memory_full_info() for each in (process, *process.children(recursive=True))]
                shared = max(each.rss - each.uss for each in found)
                peaks.append(max(peaks[-1], sum(each.uss for each in found) + shared))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(sample)
        try:
            yield peaks
        finally:
            ended.set()


def rehearse(lesson: Lesson, folder: Path) -> Rehearsal:
    """Run a lesson in a fresh kernel and an empty working folder, and write its page, failed or not, into a folder.

    Cells tagged `gpu` are left out where there is none. The learner's own progress is not touched.
    """
    notebook = nbformat.read(lesson.path, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # colours on the page
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        resources, quiet = {"metadata": {"path": scratch}}, ["--IPKernelApp.log_level=ERROR"]
        options: Any = {"resources": resources, "record_timing": False, "extra_arguments": quiet}
        client = NotebookClient(notebook, kernel_name="python3", **options)
        client.widget_registry = {}  # or nbclient writes, for an explorer, to the socket from which it reads a reply
        manager: Any = client.create_kernel_manager()
        manager.kernel_spec_manager.kernel_dirs = []  # then python3 is this interpreter, whatever is registered here
        with client.setup_kernel(env=kernel_environment(Path(scratch))):
            with peak_memory(manager.provisioner.pid) as peaks:
                cells = run_cells(client, notebook)
            seconds = time.perf_counter() - start
    page = folder / f"{lesson.name}.html"
    write_atomically(page, to_html(notebook, name=lesson.title, folder=lesson.path.parent).encode())
    return Rehearsal(lesson.name, lesson.title, seconds, peaks[-1] / 1e9, tuple(cells), str(page))


def run_cells(client: NotebookClient, notebook: NotebookNode) -> list[Cell]:
    """Execute the code cells in place, up to the first that fails."""
    done: list[Cell] = []
    for index, cell in enumerate(notebook.cells):
        without_gpu = "gpu" in cell.metadata.get("tags", []) and machine.device().type == "cpu"
        if cell.cell_type != "code" or not cell.source.strip() or without_gpu:
            continue
        start, error = time.perf_counter(), ""
        try:
            client.execute_cell(cell, index)
        except CellExecutionError as raised:
            error = one_line(f"{raised.ename}: {raised.evalue}")
        except DeadKernelError:
            error = "the kernel died: out of memory, or a crash in a library"
        first_line = one_line(cell.source)
        done.append(Cell(len(done) + 1, time.perf_counter() - start, first_line, error))
        if error:
            break
    return done


def one_line(text: str) -> str:
    """The first line that says something, at most 200 characters."""
    return shorten(text.strip().partition("\n")[0], 200, placeholder="…")


def kernel_environment(scratch: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the kernel sees: no progress bars, a progress file that is thrown away, the package of this checkout."""
    changed = {
        **lab_environment(environment),
        "RESNET_EDU_PROGRESS": str(scratch / "progress.json"),
        "RESNET_EDU_QUIET": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    changed.pop("MPLBACKEND", None)  # the kernel draws inline
    return changed
