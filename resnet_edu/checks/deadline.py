"""Run a learner's code with a deadline: an answer that loops for ever must not hold up the notebook.

The code runs in a thread of its own. When the deadline passes, Python raises `Stopped` inside that thread
(`PyThreadState_SetAsyncExc`), so that an endless loop ends and leaves the processor free. This works on
every platform and inside a Jupyter kernel, where signals and child processes do not.

Limit: Python can only interrupt between two of its own steps. A single call into C that never returns
(`time.sleep(1e9)`) is left behind in its thread; one that also keeps Python's lock (`sum(range(10**15))`)
cannot be interrupted by anything but restarting the kernel.
"""

import ctypes
import io
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass

#: Room for deep recursion: a module that calls itself would overflow the small default stack of macOS.
STACK_BYTES = 16 * 2**20

#: How long, in seconds, a thread is given to end once it has been told to.
GRACE = 1.0


class Stopped(BaseException):
    """Raised inside the thread when its time is over; not an `Exception`, so that `except Exception` lets it pass."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        value: what the function returned, `None` if it did not.
        error: what it raised, `None` if nothing.
        printed: the first lines it printed.
        timed_out: the deadline passed first.
        cpu_seconds: how long the processor worked for this program meanwhile.
        still_running: it could not be stopped either.
    """

    value: object = None
    error: BaseException | None = None
    printed: str = ""
    timed_out: bool = False
    cpu_seconds: float = 0.0
    still_running: bool = False


class FirstLines(io.TextIOBase):
    """A text stream that keeps the beginning of what is written and drops the rest."""

    def __init__(self, *, lines: int = 10, characters: int = 2000) -> None:
        super().__init__()
        self.text, self.lines, self.characters = "", lines, characters

    def write(self, text: str, /) -> int:
        """Keep `text` as long as there is room."""
        if len(self.text) <= self.characters:
            self.text += text[: self.characters + 1 - len(self.text)]
        return len(text)

    def kept(self) -> str:
        """What was written, with a last line that says so if some of it was dropped."""
        lines = self.text.rstrip().splitlines()
        dropped = len(lines) > self.lines or len(self.text) > self.characters
        return "\n".join(lines[: self.lines] + (["… and more."] if dropped else []))


def run_with_deadline(function: Callable[[], object], seconds: float) -> Outcome:
    """Call `function` in a thread and wait at most `seconds` (and at most `GRACE` more to stop it).

    PyTorch's grad mode, autocast and default device belong to a thread: those of the caller are neither
    used nor touched. What the function prints is collected, not shown.
    """
    done: list[Outcome] = []

    def work() -> None:
        with suppress(Stopped):
            try:
                done.append(Outcome(value=function()))
            except Stopped:
                raise
            except BaseException as error:
                done.append(Outcome(error=error))

    printed, cpu = FirstLines(), time.process_time()
    with redirect_stdout(printed):
        thread = start_thread(work)
        try:
            thread.join(seconds)
        finally:  # also when the learner presses Jupyter's stop button
            stopped = stop_thread(thread)
    if done:
        return Outcome(value=done[0].value, error=done[0].error, printed=printed.kept())
    cpu = time.process_time() - cpu
    return Outcome(printed=printed.kept(), timed_out=True, cpu_seconds=cpu, still_running=not stopped)


def start_thread(work: Callable[[], None]) -> threading.Thread:
    """A running daemon thread with a roomy stack."""
    try:
        before = threading.stack_size(STACK_BYTES)
    except (ValueError, RuntimeError):  # a platform that will not have it
        before = None
    try:
        thread = threading.Thread(target=work, name="resnet-edu check", daemon=True)
        thread.start()
    finally:
        if before is not None:
            threading.stack_size(before)
    return thread


def stop_thread(thread: threading.Thread) -> bool:
    """Raise `Stopped` inside `thread` until it ends; whether it did within `GRACE` seconds.

    It is raised again and again, since a bare `except:` in a loop may swallow it.
    """
    for _ in range(20):
        if not thread.is_alive() or thread.ident is None:
            return True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))
        thread.join(GRACE / 20)
    return not thread.is_alive()
