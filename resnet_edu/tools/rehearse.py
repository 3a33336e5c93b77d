"""Run lessons on this machine as a learner would, and measure them: seconds, memory, slowest cells, one page each."""

import os
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any, Self

import nbformat
import psutil
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbformat import NotebookNode

from .. import machine
from ..files import write_atomically
from .bench import matrix_product_rate
from .course import Lesson
from .export import to_html
from .lab import lab_environment


class PollingClient(NotebookClient):
    """Looks for a cell's reply every second.

    For an explorer nbclient writes to the socket from which it reads the reply. With pyzmq this can swallow the signal
    that the reply is there, and a busy machine would then wait until the cell's time is over.
    """

    async def async_start_new_kernel_client(self) -> Any:
        """The client, with a wait in steps of one second."""
        client = await super().async_start_new_kernel_client()
        wait = client.shell_channel.get_msg

        async def get_msg(timeout: float | None = None) -> Any:
            deadline = float("inf") if timeout is None else time.monotonic() + timeout
            while True:
                try:
                    return await wait(timeout=max(0.0, min(1.0, deadline - time.monotonic())))
                except Empty:
                    if time.monotonic() >= deadline:
                        raise

        client.shell_channel.get_msg = get_msg
        return client

    start_new_kernel_client = run_sync(async_start_new_kernel_client)  # what a `with client.setup_kernel()` calls


@dataclass(frozen=True)
class CellTime:
    """How long one code cell took. `number` counts code cells from 1, as `In [1]` does."""

    number: int
    seconds: float
    first_line: str


@dataclass(frozen=True)
class Failure:
    """The cell that stopped a lesson."""

    number: int
    first_line: str
    error: str  # one line: the exception's name and message


@dataclass(frozen=True)
class Rehearsal:
    """One lesson, run from its first cell to its last or to the first that fails."""

    lesson: str
    title: str
    seconds: float  # wall-clock time, kernel's start included
    peak_memory_gb: float  # the kernel with its children, shared pages counted once, 10⁹ bytes
    gflops: float  # rate of float32 matrix products just before: how busy the machine was
    cells: tuple[CellTime, ...]
    page: str  # the HTML file
    failure: Failure | None


class CurrentPython(KernelSpecManager):
    """Offers this interpreter as the kernel, whatever is registered on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernel that runs `sys.executable`."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class PeakMemory:
    """Samples a process with its children in the background: `with PeakMemory(pid) as memory: …; memory.bytes`.

    What processes share is above all the code of torch's libraries. It is in memory once, however many use it, so the
    largest part that one of them shares counts once.
    """

    def __init__(self, pid: int, *, interval: float = 0.1) -> None:
        self.bytes = 0
        self.process, self.interval, self.ended = psutil.Process(pid), interval, threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self.ended.wait(self.interval):
            with suppress(psutil.Error):  # a process that ends meanwhile no longer counts
                family = [self.process, *self.process.children(recursive=True)]
                found = [each.memory_full_info() for each in family]
                shared = max(each.rss - each.uss for each in found)
                self.bytes = max(self.bytes, sum(each.uss for each in found) + shared)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def rehearse(lesson: Lesson, folder: Path) -> Rehearsal:
    """Run a lesson in a fresh kernel and an empty working folder, and write its page, failed or not.

    Cells tagged `gpu` are left out where there is none. The learner's own progress is not touched.

    Args:
        lesson: the notebook to run; the file is not changed.
        folder: where the page `NN_name.html` goes; made if missing.

    Raises:
        OSError: the folder cannot be written.
    """
    notebook = nbformat.read(lesson.path, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # colours on the page
    folder.mkdir(parents=True, exist_ok=True)
    gflops = matrix_product_rate()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        client = PollingClient(
            notebook,
            resources={"metadata": {"path": scratch}},
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
        manager: Any = client.create_kernel_manager()
        manager.kernel_spec_manager = CurrentPython(parent=manager)
        with client.setup_kernel(env=kernel_environment(Path(scratch))):
            with PeakMemory(manager.provisioner.pid) as memory:
                cells, failure = run_cells(client, notebook)
            seconds = time.perf_counter() - start
    page = folder / f"{lesson.name}.html"
    write_atomically(page, to_html(notebook, name=lesson.title, folder=lesson.path.parent).encode())
    return Rehearsal(lesson.name, lesson.title, seconds, memory.bytes / 1e9, gflops, tuple(cells), str(page), failure)


def run_cells(client: NotebookClient, notebook: NotebookNode) -> tuple[list[CellTime], Failure | None]:
    """Execute the code cells in place, up to the first that fails."""
    skipped = set() if machine.device().type != "cpu" else {"gpu"}
    code = [
        (index, cell)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip() and not skipped & set(cell.metadata.get("tags", []))
    ]
    times: list[CellTime] = []
    for number, (index, cell) in enumerate(code, start=1):
        first_line = next(line.strip() for line in cell.source.splitlines() if line.strip())
        start = time.perf_counter()
        try:
            client.execute_cell(cell, index)
        except CellExecutionError as error:
            return times, Failure(number, first_line, one_line(f"{error.ename}: {error.evalue}"))
        except CellTimeoutError:
            return times, Failure(number, first_line, f"no end after {client.timeout} s")
        except DeadKernelError:
            return times, Failure(number, first_line, "the kernel died: out of memory, or a crash in a library")
        times.append(CellTime(number, time.perf_counter() - start, first_line))
    return times, None


def one_line(text: str) -> str:
    """The first line that says something, at most 200 characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 200 else f"{line[:199]}…"


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
