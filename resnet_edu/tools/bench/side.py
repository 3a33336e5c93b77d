"""A process of its own that works when it is told to: sides can take turns, and each has its own peak of memory."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import torch

from ... import machine


class Side:
    """An object that lives in another process: `with Side(make, *arguments) as side: side.ask("method", …)`.

    Args:
        make: a class or function that the other process can import; it makes the object.
        arguments: for `make`.
    """

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")  # a fresh interpreter, without this one's memory
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, make, arguments))
        self.process.start()
        theirs.close()
        self.peak_bytes = 0
        self.ready = False

    def ask(self, method: str, *arguments: object) -> Any:
        """What the method returns over there. Meanwhile this process only waits.

        Raises:
            ValueError: the other process failed; says why.
        """
        try:
            if not self.ready:
                self.receive()  # it has started
                self.ready = True
            self.connection.send((method, arguments))
            return self.receive()
        except (EOFError, ConnectionError) as error:
            raise ValueError(
                "A process of the bench ended too soon: out of memory, or a crash in a library."
            ) from error

    def receive(self) -> Any:
        """The next answer."""
        failed, value, self.peak_bytes = self.connection.recv()
        if failed:
            raise ValueError(value)
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()  # it ends by itself when it finds nobody there
        self.process.join(0 if kind else 20)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


def serve(connection: "Connection[Any, Any]", make: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Answer until nobody asks any more."""
    try:
        worker = make(*arguments)
        connection.send((False, None, peak_memory()))
        while True:
            method, arguments = connection.recv()
            value = getattr(worker, method)(*arguments)
            connection.send((False, value, peak_memory()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass  # the bench is over, or was interrupted
    except Exception as error:  # told on the other side, where somebody reads it
        connection.send((True, f"{type(error).__name__}: {error}", peak_memory()))


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes: on a GPU the GPU's, or else resident memory."""
    if machine.device().type == "cuda":
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # not on Windows

    status = Path("/proc/self/status")  # getrusage on Linux counts the process that started this one as well
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
