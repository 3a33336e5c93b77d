"""The course packed for a room without a network: all wheels, data and weights, and `install.py`.

pip says which wheels it would install on this machine, so a bundle fits machines of this kind and this Python.
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

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .. import __version__, files
from ..errors import UnknownName
from . import fetch

EXAMPLE = f"resnet_edu-{__version__}-py3-none-any.whl"
# What pip is told so that it takes the torch that is wanted.
TORCH = {"default": [], "cpu": ["--extra-index-url", "https://download.pytorch.org/whl/cpu"], "none": []}
LEFT_OUT = {"torch", "torchvision"}  # with "none"; torchvision fits one torch only, so they come together
INSTALL = """resnet-edu {version} for Python {python} on {system} {machine}, torch: {torch}

1. Copy this folder to the machine, or leave it on the stick.
2. In it, run:  {run} install.py
   It makes the folder resnet-course with an environment of its own. Without torch in the bundle, it installs into the
   environment of that Python, which must have torch and torchvision already.
3. It prints the command that opens the first lesson.

No step asks a network. Without the script: pip install --no-index --find-links wheels "resnet-edu[lab]"
"""


def make_bundle(
    folder: Path,
    names: Sequence[str] = (),
    *,
    torch: str = "default",
    wheel: Path | None = None,
    mirror: str | None = None,
    say: Callable[[str], object] = str,
) -> dict[str, Any]:
    """Pack the course into a folder, or bring a bundle up to date.

    Args:
        folder: new, empty, or an earlier bundle.
        names: data sets and weights, as `resnet-edu fetch` names them.
        torch: one of `TORCH`; "none" leaves torch and torchvision out.
        wheel: the course's own wheel; a checkout builds it.
        mirror: where data and weights come from, instead of their home servers.
        say: is told what goes on, a line at a time.

    Returns:
        What the bundle says of itself in its `bundle.json`.

    Raises:
        UnknownName: no such download, or no such `torch`.
        DatasetUnavailable: data or weights that cannot be had.
        ValueError: other files in the folder, no wheel of the course, or pip failed.
        OSError: the folder cannot be written.
    """
    fetch.require_known(names, slides=False)
    if torch not in TORCH:
        raise UnknownName("choice of torch", torch, TORCH)
    earlier = earlier_wheels(folder)
    beside = folder.absolute().parent  # wheels take gigabytes, and /tmp may be small
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".resnet-edu-") as scratch:
        own, new = course_wheel(wheel, Path(scratch)), Path(scratch) / "wheels"
        versions = packages(own, Path(scratch) / "report.json", TORCH[torch], without_torch=torch == "none")
        say(f"{len(versions)} packages; torch {versions.get('torch', 'left out')}")
        pins = [f"{name}=={version}" for name, version in versions.items() if name != "resnet-edu"]
        new.mkdir()
        if pins:
            pip("wheel", "--no-deps", "--wheel-dir", str(new), *TORCH[torch], *pins)
        shutil.copy2(own, new)
        wheels = sorted(path.name for path in new.iterdir())
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        about = {
            "version": __version__,
            "python": python,
            "system": platform.system(),
            "machine": platform.machine(),
            "torch": versions.get("torch"),
            "data": list(names),
            "wheels": wheels,
        }
        files.write_atomically(folder / "bundle.json", json.dumps(about, indent=1).encode() + b"\n")
        for name in names:
            fetched = fetch.fetch_packed(name, folder / "data", mirror=mirror)
            say(f"{name}: {', '.join(path.name for path in fetched)}")
        (folder / "wheels").mkdir(exist_ok=True)
        for name in wheels:
            shutil.move(new / name, folder / "wheels" / name)
    for name in set(earlier) - set(wheels):
        (folder / "wheels" / name).unlink(missing_ok=True)
    run = f"py -{python}" if platform.system() == "Windows" else f"python{python}"
    files.write_atomically(folder / "INSTALL.txt", INSTALL.format(**about, run=run).encode())
    files.write_atomically(folder / "install.py", Path(__file__).with_name("install.py").read_bytes())
    return about


def earlier_wheels(folder: Path) -> list[str]:
    """The wheels of the bundle that is already there.

    Raises:
        ValueError: the folder holds anything but a bundle.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. Name a folder; it is made if missing.")
    if not folder.exists() or not any(folder.iterdir()):
        return []
    try:
        return [Path(name).name for name in json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["wheels"]]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"Nothing was written: {folder} holds other files. Name a new folder.") from error


def course_wheel(wheel: Path | None, scratch: Path) -> Path:
    """The wheel of the course itself: the one that is named, else built from the checkout.

    Raises:
        ValueError: there is no such file, or neither a wheel nor a checkout.
    """
    if wheel is not None:
        if not (wheel.is_file() and wheel.name.startswith("resnet_edu-") and wheel.suffix == ".whl"):
            raise ValueError(f"{wheel} is no wheel of resnet-edu, a file such as {EXAMPLE}.")
        return wheel.absolute()
    root = files.checkout()
    if root is None:
        raise ValueError(
            "An installed resnet-edu cannot pack itself. Name the wheel that it was installed from: "
            f"--wheel {EXAMPLE}, or run this in a clone."
        )
    pip("wheel", "--no-deps", "--wheel-dir", str(scratch), str(root))
    return next(scratch.glob("resnet_edu-*.whl"))


def packages(wheel: Path, report: Path, options: Sequence[str], *, without_torch: bool) -> dict[str, str]:
    """What pip would install here for a wheel with its extra `lab`: versions by normalised name.

    Raises:
        ValueError: pip failed.
    """
    pip("install", "--dry-run", "--ignore-installed", "--report", str(report), *options, f"{wheel}[lab]")
    found = {
        canonicalize_name(item["metadata"]["name"]): item["metadata"]
        for item in json.loads(report.read_text())["install"]
    }
    wanted, todo = set[str](), {"resnet-edu"} if without_torch else set(found)
    while todo:  # without torch: what is needed by a way that leads past it
        wanted.add(name := todo.pop())
        needs = {canonicalize_name(Requirement(line).name) for line in found[name].get("requires_dist", [])}  # pyright: ignore[reportArgumentType]
        todo |= (needs & set(found)) - wanted - (LEFT_OUT if without_torch else set())
    return {name: about["version"] for name, about in found.items() if name in wanted}


def pip(*arguments: str) -> None:
    """Run the pip of this Python.

    Raises:
        ValueError: there is no pip, or it failed; one line with its reason.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = done.stdout.splitlines() or ["it said nothing"]
        reason = next(
            (line.removeprefix("ERROR: ") for line in reversed(lines) if line.startswith("ERROR: ")), lines[-1]
        )
        raise ValueError(f"pip {arguments[0]} failed: {reason}. Is this machine online, with pip installed?")
