"""The course packed for a room without a network: all wheels, data and weights, and `install.py`.

pip chooses the wheels for this machine, so a bundle fits machines of this kind and this Python.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import __version__, files
from . import fetch

# What pip is told so that it takes the torch that is wanted.
TORCH = {"default": [], "cpu": ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]}
INSTALL = """resnet-edu {version} for Python {python} on {system} {machine}, torch: {torch}

In this folder, run:  python{python} install.py    (Windows: py -{python} install.py)

It makes the folder resnet-course with an environment of its own. At the end it prints the command that opens the first
lesson. No step asks a network.
"""


def make_bundle(
    folder: Path,
    names: Sequence[str] = (),
    *,
    torch: str = "default",
    wheel: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Pack the course into a new folder, or bring a bundle up to date; what it says of itself in its `bundle.json`.

    `names` are data sets and weights as `resnet-edu fetch` names them; a checkout builds the course's own `wheel`.
    """
    fetch.require_known(names, slides=False)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. Name a folder; it is made if missing.")
    if folder.exists() and any(folder.iterdir()) and not (folder / "bundle.json").is_file():
        raise ValueError(f"Nothing was written: {folder} holds other files. Name a new folder.")
    source = f"{course_source(wheel)}[lab]"
    beside = folder.absolute().parent  # wheels take gigabytes, and /tmp may be small
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".resnet-edu-") as scratch:
        new = Path(scratch) / "wheels"
        say("all packages, some gigabytes")
        fetch_wheels("--wheel-dir", str(new), *TORCH[torch], source)
        about = {
            "version": __version__,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "system": platform.system(),
            "machine": platform.machine(),
            "torch": next(new.glob("torch-*.whl")).name.split("-")[1],
            "data": list(names),
            "wheels": sorted(path.name for path in new.iterdir()),
        }
        files.write_atomically(folder / "bundle.json", json.dumps(about, indent=1).encode() + b"\n")
        for name in names:
            say(f"{name}: {', '.join(path.name for path in fetch.fetch_packed(name, folder / 'data'))}")
        shutil.rmtree(folder / "wheels", ignore_errors=True)
        shutil.move(new, folder / "wheels")
    files.write_atomically(folder / "INSTALL.txt", INSTALL.format(**about).encode())
    files.write_atomically(folder / "install.py", Path(__file__).with_name("install.py").read_bytes())
    return about


def course_source(wheel: Path | None) -> Path:
    """What pip makes the course's own wheel from: the one that is named, else the checkout."""
    example = f"resnet_edu-{__version__}-py3-none-any.whl"
    if wheel is not None:
        if not (wheel.is_file() and wheel.name.startswith("resnet_edu-") and wheel.suffix == ".whl"):
            raise ValueError(f"{wheel} is no wheel of resnet-edu, a file such as {example}.")
        return wheel.absolute()
    root = files.checkout()
    if root is None:
        raise ValueError(
            "An installed resnet-edu cannot pack itself. Name the wheel that it was installed from: "
            f"--wheel {example}, or run this in a clone."
        )
    return root


def fetch_wheels(*arguments: str) -> None:
    """Let `pip wheel` of this Python get a package and all that it needs; a `ValueError` in one line where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith("ERROR: ")] or [done.stdout[-200:]]
        reason = lines[-1].removeprefix("ERROR: ")
        raise ValueError(f"pip wheel failed: {reason}. Is this machine online, with pip installed?")
