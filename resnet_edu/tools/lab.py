"""JupyterLab on a learner's own copy of the lessons.

Answers in a checkout's own `notebooks/` would make the next `git pull` refuse, or merge into a notebook's JSON. In a
copy they survive every update, and lessons not yet begun are brought up to date at each start.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .. import files
from .course import MANIFEST

SETTINGS = Path(__file__).with_name("lab_settings")  # overrides.json, custom.css: JupyterLab as this course has it
LOOPBACK = "127.0.0.1"
# JupyterLab as the course wants it, here and in a class's JupyterHub: it looks for neither updates nor news.
LAB_OPTIONS = (
    f"--LabApp.app_settings_dir={SETTINGS}",  # or the page asks the learner whether it may fetch news
    "--LabApp.custom_css=True",
    f"--ServerApp.tornado_settings={ {'static_custom_path': [SETTINGS.as_posix()]} }",  # custom.css is there
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # the default one asks PyPI
)


def default_folder(here: Path) -> Path:
    """The learner's folder where none is named: `here` if it is one already, else `my-course`, in a clone its own."""
    return here if (here / MANIFEST).is_file() else (files.checkout() or here) / "my-course"


def lab_command(
    folder: Path, *, page: str = "00_start_here.ipynb", ip: str = LOOPBACK, port: int = 8888, browser: bool = False
) -> list[str]:
    """The command that serves a folder in JupyterLab, opened on one page; the server makes a token of its own."""
    if not (folder / page).is_file():
        raise ValueError(f"{folder} has no {page}.")
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--ServerApp.ip={ip}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=50",  # it takes the next port where one is in use
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it without a question
        f"--LabApp.default_url=/lab/tree/{page}",
        *LAB_OPTIONS,
        "--ServerApp.log_level=ERROR",  # the address and nothing else
        "--LabApp.log_level=ERROR",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--ServerApp.allow_root=True")  # in containers; the server asks for its token
    return command


def lab_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The server's environment: kernels of this Python first, and the package importable from a checkout."""
    changed = {**environment, "JUPYTER_PREFER_ENV_PATH": "1"}
    if root := files.checkout():
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH")]))
    return changed


def serve(command: list[str]) -> int:
    """Run the server until it is interrupted; its exit code. Where the system can, this process becomes the server."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(command[0], command, lab_environment())
    process = subprocess.Popen(command, env=lab_environment())
    try:
        return process.wait()
    except KeyboardInterrupt:  # the console sent it to the server too
        return process.wait()


if __name__ == "__main__":  # for deploy/seat.sh
    print(*LAB_OPTIONS, sep="\n")
