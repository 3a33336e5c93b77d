"""Can this machine run the course? Every fact that decides it, and the command that fixes what is missing."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

import resnet_edu as edu

from .. import files
from . import course, lab

LESSON_MEMORY_GB = 2.0  # the most that a lesson may take in the quick profile
SMALLEST_MEMORY_GB = 0.8  # torch alone takes 0.5
ROOM_GB = 1.0  # runs, pages and a few downloads

Status = Literal["ok", "warn", "fail"]
Answer = tuple[Status, str] | tuple[Status, str, str]  # status, what was found, what to do


@dataclass(frozen=True)
class Finding:
    """One fact about the machine. `advice` is a command or a sentence, empty where all is well."""

    name: str
    status: Status
    found: str
    advice: str = ""


def diagnose(folder: Path | None = None) -> list[Finding]:
    """Examine the machine. A `fail` means that the course cannot run, a `warn` that a part of it is missing or slow."""
    checks: dict[str, Callable[[], Answer]] = {
        "Python": lambda: ("ok", f"{platform.python_version()} in {sys.prefix}"),
        "packages": check_packages,
        "torch": check_torch,
        "device": check_device,
        "profile": lambda: ("ok", edu.machine.profile().name),  # an unknown one would stop every lesson
        "cores": lambda: ("ok", f"{edu.machine.cores()} ({platform.machine()})"),
        "memory": check_memory,
        "folder": lambda: check_folder(folder or lab.default_folder(Path.cwd())),
        "lessons": check_lessons,
        "JupyterLab": lambda: check_packages("lab"),
        "data": lambda: ("ok", edu.data.load("mnist5k").source.partition(";")[0]),
        "weights and runs": check_assets,
    }
    return [guarded(name, check) for name, check in checks.items()]


def guarded(name: str, check: Callable[[], Answer]) -> Finding:
    """A check that itself breaks is a finding too: a broken installation must not break its doctor."""
    try:
        return Finding(name, *check())  # pyright: ignore[reportArgumentType]
    except ValueError as error:  # the course's own, which says what to do
        return Finding(name, "fail", str(error))
    except Exception as error:
        return Finding(name, "fail", f"{type(error).__name__}: {' '.join(str(error).split())}", reinstall())


def reinstall(extra: str = "") -> str:
    what = f"-e '.{extra}'" if files.checkout() else f"'resnet_edu-{edu.__version__}-py3-none-any.whl{extra}'"
    return f"{sys.executable} -m pip install --upgrade {what}"


def check_packages(extra: str = "") -> Answer:
    """Everything that the course depends on, or its extra for lessons and teachers, is here in a version it allows."""
    try:
        needed = [Requirement(each) for each in metadata.requires("resnet-edu") or []]
    except metadata.PackageNotFoundError:
        return "warn", "resnet-edu is here but not installed", reinstall()
    missing = []
    for each in needed:
        if not each.marker or each.marker.evaluate({"extra": extra}):
            found = next((found.version for found in metadata.distributions(name=each.name)), "none")
            if found == "none" or not each.specifier.contains(found, prereleases=True):
                missing.append(f"{each.name}{each.specifier} (have {found})")
    if missing:
        return "warn" if extra else "fail", f"unmet: {', '.join(missing)}", reinstall(extra and f"[{extra}]")
    return "ok", "all that are needed"


def check_torch() -> Answer:
    """Torchvision's compiled operators load: it was built for this torch."""
    import torch

    try:
        import torchvision

        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except (ImportError, RuntimeError) as error:
        advice = f"{sys.executable} -m pip install --upgrade torch torchvision"
        return "fail", f"{torch.__version__}, and torchvision does not fit it: {error}", advice
    return "ok", f"{torch.__version__} with torchvision {torchvision.__version__}"


def check_device() -> Answer:
    import torch

    device = edu.machine.device()
    if device.type == "cpu" and shutil.which("nvidia-smi") and not torch.cuda.is_available():
        advice = "Install a torch build for your driver: https://pytorch.org/get-started/locally"
        return "warn", "cpu, though an NVIDIA driver is installed", advice
    precision = str(edu.machine.precision(device)).removeprefix("torch.")
    name = torch.cuda.get_device_name() if device.type == "cuda" else edu.machine.cpu_name()
    return "ok", f"{device.type}: {name}, {precision}"


def check_memory() -> Answer:
    """A lesson fits into the memory that is free now, inside a container's limit."""
    import psutil

    available_gb = min(psutil.virtual_memory().available, container_room()) / 1e9
    if available_gb >= LESSON_MEMORY_GB:
        return "ok", f"{available_gb:.1f} GB available"
    status: Status = "fail" if available_gb < SMALLEST_MEMORY_GB else "warn"
    advice = f"Close other programs: a lesson takes up to {LESSON_MEMORY_GB} GB."
    return status, f"{available_gb:.1f} GB available", advice


def container_room(group: Path = Path("/sys/fs/cgroup")) -> float:
    """The bytes that a container may still use or take back from the files it has read; infinite without a limit."""
    try:
        limit = float((group / "memory.max").read_text().replace("max", "inf"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - int((group / "memory.current").read_text()) + int(statistics["inactive_file"])
    except (OSError, ValueError, KeyError):
        return float("inf")


def check_folder(folder: Path) -> Answer:
    """The learner's folder, or the one it will be made in, can be written and has room for runs and pages."""
    existing = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        return "fail", f"{existing}: {error.strerror}", "resnet-edu lab DIR, with a DIR of your own"
    free_gb = shutil.disk_usage(existing).free / 1e9
    found = f"{folder}{'' if folder.exists() else ' (made by resnet-edu lab)'}, {free_gb:.0f} GB free"
    return ("ok", found) if free_gb >= ROOM_GB else ("warn", found, f"Make room: {ROOM_GB:.0f} GB is enough.")


def check_lessons() -> Answer:
    learner, worked = len(course.lessons("learner")), len(course.lessons("worked"))
    found = f"{learner} for you, {worked} worked"
    if learner and worked == learner:
        return "ok", found
    return "warn" if learner else "fail", found, course.how_to_get_lessons()


def check_assets() -> Answer:
    from safetensors import safe_open

    weights, runs = sorted(files.assets().glob("weights/*.safetensors")), sorted(files.assets().glob("runs/*.csv"))
    if not weights or not runs:
        return "warn", f"{len(weights)} and {len(runs)}", "git pull" if files.checkout() else reinstall()
    for path in weights:
        with safe_open(path, framework="pt") as content:
            content.keys()
    return "ok", ", ".join(path.stem for path in (*weights, *runs))
