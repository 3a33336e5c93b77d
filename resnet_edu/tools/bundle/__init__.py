"""The course packed for machines without a network: wheels, data and weights, and an installer that needs only Python.

pip resolves and fetches, as it would install here; so the bundle fits machines of this kind and this Python.
"""

import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ... import __version__, files
from ...errors import UnknownName
from .. import copies, downloads
from .wheels import resolve, run_pip, without_torch

EXAMPLE = f"resnet_edu-{__version__}-py3-none-any.whl"
MANIFEST = ".resnet_edu_bundle.json"
TEXTS = ("INSTALL.txt", "install.py", "bundle.json")
# What pip is told so that it takes the torch that is wanted.
TORCH = {"default": [], "cpu": ["--extra-index-url", "https://download.pytorch.org/whl/cpu"], "none": []}
INSTALL = """resnet-edu {version}, packed on {date} for Python {python} on {system} {machine}

1. Copy this folder to the machine, or leave it on the stick.
2. In it, run:  {run} install.py
   {what}
3. It prints the command that opens the first lesson.

In this folder:
  wheels  {count} packages, {torch_text}
  data    {data}

No step asks a network. Without the script: pip install --no-index --find-links wheels resnet-edu
"""


@dataclass(frozen=True)
class Bundle:
    """What was packed."""

    folder: Path
    wheels: list[str]
    gigabytes: float


def make_bundle(
    folder: Path,
    names: Sequence[str] = (),
    *,
    torch: str = "default",
    wheel: Path | None = None,
    mirror: str | None = None,
    force: bool = False,
    say: Callable[[str], object] = str,
) -> Bundle:
    """Pack the course into a folder, or bring a bundle up to date.

    Args:
        folder: new, empty, or an earlier bundle.
        names: data sets and weights, as `resnet-edu fetch` names them.
        torch: one of `TORCH`; "none" leaves torch and torchvision out.
        wheel: the course's own wheel; a checkout builds it.
        mirror: where data and weights are got, instead of their home servers.
        force: take a folder with other files in it too; a changed text is kept beside, dated.
        say: is told what goes on, a line at a time.

    Raises:
        UnknownName: no such download, or no such `torch`.
        DatasetUnavailable: data or weights that cannot be had.
        ValueError: files in the way, no wheel of the course, or pip failed.
        OSError: the folder cannot be written.
    """
    downloads.require_known(names, slides=False)
    if torch not in TORCH:
        raise UnknownName("choice of torch", torch, TORCH)
    require_free(folder, force=force)
    beside = folder.absolute().parent  # wheels take gigabytes, and /tmp may be small
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".resnet-edu-") as scratch:
        own = course_wheel(wheel, Path(scratch))
        packages = resolve(own, Path(scratch) / "report.json", TORCH[torch])
        chosen = without_torch(packages) if torch == "none" else packages
        say(f"{len(chosen)} packages; torch {chosen['torch'].version if 'torch' in chosen else 'left out'}")
        pins = [f"{name}=={package.version}" for name, package in chosen.items() if name != "resnet-edu"]
        new = Path(scratch) / "wheels"  # the bundle gets all of them or none
        new.mkdir()
        if pins:
            run_pip("wheel", "--no-deps", "--wheel-dir", str(new), *TORCH[torch], *pins, say=say)
        shutil.copy2(own, new)
        wheels = sorted(path.name for path in new.iterdir())
        if not (folder / MANIFEST).is_file():
            files.write_atomically(folder / MANIFEST, b"{}\n")  # after a cut the same command goes on
        for name in names:
            fetched = downloads.fetch_packed(name, folder / "data", mirror=mirror)
            say(f"{name}: {', '.join(path.name for path in fetched)}")
        move_wheels(new, folder / "wheels", earlier=facts(folder).get("wheels", []))
    about: dict[str, Any] = this_machine() | {"version": __version__}
    about |= {"torch": chosen["torch"].version if "torch" in chosen else None, "data": list(names), "wheels": wheels}
    texts = {
        "INSTALL.txt": install_text(about).encode(),
        "install.py": Path(__file__).with_name("install.py").read_bytes(),
        "bundle.json": json.dumps(about, indent=1).encode() + b"\n",
    }
    report = copies.compare(folder, texts, manifest=MANIFEST)
    copies.put(texts, report, replace=report.kept, manifest=MANIFEST)  # not empty only with `force`
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Bundle(folder, wheels, size / 1e9)


def this_machine() -> dict[str, str]:
    """What wheels depend on."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, "system": platform.system(), "machine": platform.machine()}


def require_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds anything but a bundle, and a bundle whose texts somebody has changed.

    Raises:
        ValueError: says what is in the way.
    """
    theirs = copies.compare(folder, dict.fromkeys(TEXTS, b""), manifest=MANIFEST).kept
    if folder.is_dir() and not (folder / MANIFEST).is_file():
        theirs = sorted(path.name for path in folder.iterdir())
    if theirs and not force:
        listed = ", ".join(theirs[:5]) + (", …" if len(theirs) > 5 else "")
        raise ValueError(
            f"Nothing was written: {folder} holds other files: {listed}. Name a new folder, or add --force: "
            "what would be replaced is then kept beside it, dated."
        )


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
    run_pip("wheel", "--no-deps", "--wheel-dir", str(scratch), str(root))
    return next(scratch.glob("resnet_edu-*.whl"))


def install_text(about: Mapping[str, Any]) -> str:
    """What a person reads who opens the folder."""
    torch, data = about["torch"], about["data"]
    own = "It makes the folder resnet-course with an environment of its own."
    theirs = "It installs into the environment of that Python, where torch and torchvision must be already."
    return INSTALL.format(
        **{**about, "data": ", ".join(data) if data else "none"},
        date=date.today().isoformat(),
        run=f"py -{about['python']}" if about["system"] == "Windows" else f"python{about['python']}",
        what=own if torch else theirs,
        count=len(about["wheels"]),
        torch_text=f"torch {torch} among them" if torch else "torch and torchvision not among them",
    )


def move_wheels(new: Path, folder: Path, *, earlier: Sequence[str]) -> None:
    """Put the new wheels in place and take away those of an earlier bundle that are not needed any more."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.name for path in new.iterdir()]
    for name in names:
        shutil.move(new / name, folder / name)
    for name in set(earlier) - set(names):
        (folder / Path(name).name).unlink(missing_ok=True)


def facts(folder: Path) -> dict[str, Any]:
    """What an earlier bundle says of itself; nothing where there is none."""
    try:
        found = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
