"""Files: written whole or not at all, one writer at a time; names that can be printed and pasted; the course's own.

In a checkout the lessons are in `notebooks/` and the records in `assets/` beside the package; an installed wheel
carries the same two folders inside it.
"""

import errno
import hashlib
import logging
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import platformdirs
from filelock import FileLock, Timeout

from .errors import DatasetUnavailable

PACKAGE = Path(__file__).resolve().parent
PROGRESS = ".resnet_edu_progress.json"
ADVICE = "Make room there, or choose a folder you may write: `resnet-edu fetch` takes one with --to."
FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


def checkout() -> Path | None:
    """The repository's root where the package runs from a checkout, None where it is installed from a wheel."""
    root = PACKAGE.parent
    in_wheel = (PACKAGE / "_course").is_dir()
    return root if not in_wheel and (root / "pyproject.toml").is_file() else None


def course_folder() -> Path:
    """The folder that holds `notebooks/` and `assets/`."""
    return checkout() or PACKAGE / "_course"


def assets() -> Path:
    """The folder of recorded runs, pictures and bundled weights."""
    return course_folder() / "assets"


def counted(number: int, what: str) -> str:
    """A number with its noun: "1 epoch", "1,200 epochs"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def write_atomically(target: Path, content: bytes | Callable[[str], object]) -> None:
    """Write a file whole or not at all, also if the power fails. Makes the folder if it is missing.

    The content is what the file holds, or a function that writes it to a path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    neighbour = target.with_name(f".resnet_edu.{target.name}.{token_hex(4)}")
    neighbour.touch(exist_ok=False)  # with the rights that a new file has here
    try:
        if isinstance(content, bytes):
            neighbour.write_bytes(content)
        else:
            content(str(neighbour))
        with open(neighbour, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(neighbour, target)
    except BaseException as error:
        neighbour.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            error.filename = error.filename or str(target)  # the system names none
        raise
    with suppress(OSError):  # the folder's list of names too; Windows opens no folder, and needs none of this
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def quoted(path: object) -> str:
    """A path as it can be pasted into a command of this system's shell."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


def data_folder() -> Path:
    """Where downloaded data sets lie, as in torchvision's `root`: RESNET_EDU_DATA, or the system's place for caches."""
    named = os.environ.get("RESNET_EDU_DATA")
    try:
        return Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("resnet-edu")
    except RuntimeError as error:
        raise DatasetUnavailable("There is no home folder to keep data in: set RESNET_EDU_DATA to a folder.") from error


def progress_file(folder: Path) -> Path:
    """Where a learner's progress is kept: the file that RESNET_EDU_PROGRESS names, or a hidden one in their folder.

    Of a link, it is the file that it leads to.
    """
    named = os.environ.get("RESNET_EDU_PROGRESS")
    return (Path(os.path.expanduser(named)) if named else folder / PROGRESS).resolve()


def tilde(path: Path) -> str:
    """A path as it is read aloud: "~" for your home folder, so that a record of it fits other machines."""
    home = os.path.expanduser("~")  # this itself for a user without one
    return printable(f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path))


def printable(name: str) -> str:
    """A name on one line: what would move the cursor, or end the line, as an escape.

    What is no UTF-8 stays as Python has it, and is escaped where it is written.
    """
    return "".join(each if each.isprintable() or "\ud800" <= each <= "\udfff" else repr(each)[1:-1] for each in name)


@contextmanager
def locked(folder: Path, name: str, *, advice: str = ADVICE) -> Iterator[None]:
    """Let one process at a time write `name` to the cache; the others wait, and then find it there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{name}.lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            logger.warning("Another process is fetching %s: waiting for it.", name)
            held = lock.acquire()
        with held:
            yield
    except OSError as error:
        reason = f"{error.strerror or error} ({error.filename or folder})"
        raise DatasetUnavailable(f"{name} cannot be stored: {reason}. {advice}") from error


def hash_of(path: Path, digest: str) -> str:
    """A file's own digest, by the algorithm that `digest` names."""
    algorithm = digest.partition(":")[0]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{found.hexdigest()}"


def is_there(path: Path, digest: str | None) -> bool:
    """Whether there is such a file, and its hash begins as `digest` says; with None, any file will do."""
    return os.path.isfile(path) and (digest is None or hash_of(path, digest).startswith(digest))
