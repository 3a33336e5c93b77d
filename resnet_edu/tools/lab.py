"""JupyterLab on a learner's own copy of the lessons.

Without a folder the lessons are copied to `my-course/` beside the checkout's `notebooks/`, a folder that git
ignores, and not opened in `notebooks/` itself. Answers written into files that git tracks would make the next
`git pull` refuse or merge into a notebook's JSON, and opening a worked lesson would already count as a change.
In a copy the answers survive every update, and lessons not yet begun are brought up to date at each start.
"""

import os
import subprocess
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from .. import files
from . import copies, course

SETTINGS = Path(__file__).with_name("lab_settings")  # overrides.json: JupyterLab's defaults for this course
LOOPBACK = "127.0.0.1"


def default_folder(here: Path) -> Path:
    """The learner's folder where none is named: `here` if it is one already, else `my-course`.

    `my-course` stands in the checkout's root, or in `here` where the package is installed from a wheel.
    """
    if (here / copies.MANIFEST).is_file():
        return here
    return (files.checkout() or here) / "my-course"


def prepare(folder: Path, *, force: bool = False) -> copies.CopyReport:
    """Bring the lessons into a folder. The course's own `notebooks/` is left as it is, for those who edit lessons.

    Raises:
        ValueError: the folder is a file, or the course has no lessons.
        OSError: the folder cannot be written.
    """
    if folder.resolve() == course.notebooks().resolve():
        return copies.CopyReport(folder)
    return copies.copy_lessons(folder, force=force)


def unreadable_progress(folder: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that keeps the progress of a learner's folder, if it is there and damaged. It is not touched here."""
    from ..checks.progress import FILE, parse

    path = Path(os.path.expanduser(environment.get("RESNET_EDU_PROGRESS") or folder / FILE))
    try:
        parse(path.read_bytes())
    except OSError:
        return None
    except (ValueError, RecursionError):
        return path
    return None


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser opened here would be seen: not over SSH, not on a Linux without X11 or Wayland."""
    if environment.get("SSH_CONNECTION") or environment.get("CI"):
        return False
    if platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def require_port(port: int) -> None:
    """Refuse a port that does not exist.

    Raises:
        ValueError: it does not.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be 0 to 65535, got {port}. Leave the option out for 8888 or the next free one.")


def lab_command(folder: Path, *, lesson: str = "00_start_here", port: int = 8888, browser: bool = False) -> list[str]:
    """The command that serves a folder in JupyterLab, opened on one lesson.

    It listens on the loopback address only, makes a token of its own, takes the next port where one is in use,
    asks nothing when interrupted, and looks for neither updates nor news.

    Args:
        folder: the root of what the browser sees.
        lesson: the stem of the notebook to open on.
        port: the first port to try, 1 to 65535; 0 lets the system choose.
        browser: open a browser; else the address is printed alone.

    Raises:
        ValueError: the port does not exist, or the folder has no such lesson.
    """
    require_port(port)
    if not (folder / f"{lesson}.ipynb").is_file():
        raise ValueError(f"{folder} has no {lesson}.ipynb.")
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--ServerApp.ip={LOOPBACK}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=50",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it without a question
        f"--LabApp.default_url=/lab/tree/{lesson}.ipynb",
        f"--LabApp.app_settings_dir={SETTINGS}",  # or the page asks the learner whether it may fetch news
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",  # the default one asks PyPI
        "--ServerApp.log_level=WARN",  # the address and nothing else
        "--LabApp.log_level=WARN",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--ServerApp.allow_root=True")  # in containers; the server is on loopback with a token
    return command


def lab_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The server's environment: kernels of this Python first, and the package importable from a checkout."""
    changed = {**environment, "JUPYTER_PREFER_ENV_PATH": "1"}
    root = files.checkout()
    if root is not None:
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH")]))
    return changed


def serve(command: list[str]) -> int:
    """Run the server until it is interrupted; its exit code.

    Where the system can, this process becomes the server: it gives back the memory that torch took, and every signal
    arrives where it belongs. In that case the call does not return.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(command[0], command, lab_environment())
    process = subprocess.Popen(command, env=lab_environment())
    try:
        return process.wait()
    except KeyboardInterrupt:  # the console sent it to the server too
        return process.wait()
