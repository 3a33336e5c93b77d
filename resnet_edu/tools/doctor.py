"""Can this machine run the course? Every fact that decides it, and the command that mends what is missing."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from .. import files
from . import course
from .requirements import requirements, unmet

OLDEST_PYTHON = (3, 11)
LESSON_MEMORY_GB = 1.5  # the most that a lesson may take in the quick profile
SMALLEST_MEMORY_GB = 0.8  # torch alone takes 0.5
ROOM_GB = 1.0  # runs, pages and a few downloads
BUNDLED_WEIGHTS = "resnet18_cifar10.safetensors"


@dataclass(frozen=True)
class Finding:
    """One fact about the machine. `advice` is a command or a sentence, empty where all is well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def diagnose(folder: Path | None = None) -> list[Finding]:
    """Examine the machine. A `fail` means that the course cannot run, a `warn` that a part of it is missing or slow.

    Args:
        folder: where the lessons are to be worked on; the default of `resnet-edu lab` if none is given.
    """
    from .lab import default_folder

    folder = folder or default_folder(Path.cwd())
    checks: dict[str, Callable[[], Finding]] = {
        "Python": check_python,
        "packages": check_packages,
        "torch": check_torch,
        "torchvision": check_torchvision,
        "device": check_device,
        "precision": check_precision,
        "profile": check_profile,
        "cores": check_cores,
        "memory": check_memory,
        "disk": lambda: check_disk(folder),
        "folder": lambda: check_folder(folder),
        "lessons": check_lessons,
        "data": check_data,
        "bundled weights": check_bundled_weights,
        "recorded runs": check_runs,
        "downloads": check_downloads,
    }
    return [guarded(name, check) for name, check in checks.items()]


def guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A check that itself breaks is a finding too: a broken installation must not break its doctor."""
    try:
        return check()
    except ValueError as error:  # the course's own, which says what to do
        return Finding(name, "fail", str(error))
    except Exception as error:
        return Finding(name, "fail", f"{type(error).__name__}: {' '.join(str(error).split())}", reinstall())


def reinstall() -> str:
    """The command that installs everything anew."""
    return f"{sys.executable} -m pip install --upgrade {'-e .' if files.checkout() else 'resnet_edu-*.whl'}"


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """The interpreter is new enough."""
    found = f"{'.'.join(map(str, version))} in {sys.prefix}"
    if version[:2] < OLDEST_PYTHON:
        return Finding("Python", "fail", found, "Install Python 3.11 or newer and make a new environment with it.")
    return Finding("Python", "ok", found)


def check_packages() -> Finding:
    """Everything that the package depends on is installed, in a version that it allows."""
    lines = requirements()
    if missing := unmet(lines):
        return Finding("packages", "fail", f"{len(missing)} of {len(lines)} unmet: {', '.join(missing)}", reinstall())
    return Finding("packages", "ok", f"all {len(lines)}")


def check_torch() -> Finding:
    """Torch loads and computes."""
    import torch

    torch.ones(2, 2).mm(torch.ones(2, 2))
    return Finding("torch", "ok", torch.__version__)


def check_torchvision() -> Finding:
    """Torchvision loads, its compiled operators do too, and it was built for this torch."""
    import torch
    import torchvision

    torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    wanted = [line for line in metadata.requires("torchvision") or [] if line.startswith("torch=")]
    if mismatch := unmet(wanted):
        advice = f"{sys.executable} -m pip install --upgrade torch torchvision"
        return Finding("torchvision", "fail", f"{torchvision.__version__} wants {mismatch[0]}", advice)
    return Finding("torchvision", "ok", f"{torchvision.__version__}, fits torch {torch.__version__}")


def check_device() -> Finding:
    """Where the networks compute."""
    import torch

    from .. import machine

    device = machine.device()
    if device.type == "cuda":
        return Finding("device", "ok", f"cuda: {torch.cuda.get_device_name()}")
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        advice = "Install a torch build for your driver: https://pytorch.org/get-started/locally"
        return Finding("device", "warn", "cpu, though an NVIDIA driver is installed", advice)
    return Finding("device", "ok", f"{device.type}: {machine.cpu_name()}")


def check_precision() -> Finding:
    """The number format of matrix products."""
    from .. import machine

    precision = str(machine.precision(machine.device())).removeprefix("torch.")
    return Finding("precision", "ok", f"{precision}{'' if precision == 'bfloat16' else ', no bfloat16 units'}")


def check_profile() -> Finding:
    """The size of the experiments; an unknown name in RESNET_EDU_PROFILE would stop every lesson."""
    from .. import machine

    return Finding("profile", "ok", machine.profile().name)


def check_cores() -> Finding:
    """The CPU cores this process may use."""
    from ..machine import cores

    count = cores()
    if count < 2:
        return Finding("cores", "warn", "1", "Expect twice the minutes that README states for two cores.")
    return Finding("cores", "ok", f"{count} ({platform.machine()})")


def check_memory() -> Finding:
    """A lesson fits into the memory that is free now, inside a container's limit."""
    import psutil

    available_gb = min(psutil.virtual_memory().available, container_limit()) / 1e9
    found = f"{available_gb:.1f} GB available"
    if available_gb >= LESSON_MEMORY_GB:
        return Finding("memory", "ok", found)
    status = "fail" if available_gb < SMALLEST_MEMORY_GB else "warn"
    return Finding("memory", status, found, f"Close other programs: a lesson takes up to {LESSON_MEMORY_GB} GB.")


def container_limit(file: Path = Path("/sys/fs/cgroup/memory.max")) -> float:
    """The bytes that a container may use; infinite without a limit."""
    try:
        return float(file.read_text().replace("max", "inf"))
    except (OSError, ValueError):
        return float("inf")


def check_disk(folder: Path) -> Finding:
    """There is room for runs and pages."""
    existing = nearest(folder)
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < ROOM_GB:
        return Finding(
            "disk", "warn", f"{free_gb:.1f} GB free at {existing}", f"Make room: {ROOM_GB:.0f} GB is enough."
        )
    return Finding("disk", "ok", f"{free_gb:.0f} GB free")


def nearest(path: Path) -> Path:
    """The path itself, or its first parent that exists."""
    return next(each for each in (path, *path.resolve().parents) if each.exists())


def check_folder(folder: Path) -> Finding:
    """The learner's folder, or the one it will be made in, can be written."""
    existing = nearest(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding("folder", "fail", f"{existing}: {error.strerror}", "resnet-edu lab DIR, with a DIR of your own")
    return Finding("folder", "ok", f"{folder}{'' if folder.exists() else ' (made by resnet-edu lab)'}")


def check_lessons() -> Finding:
    """Both editions are there."""
    learner, worked = len(course.lessons("learner")), len(course.lessons("worked"))
    found = f"{learner} for you, {worked} worked"
    if learner and worked == learner:
        return Finding("lessons", "ok", found)
    return Finding("lessons", "warn" if learner else "fail", found, course.how_to_get_lessons())


def check_data() -> Finding:
    """The data set that comes with the installation can be read."""
    from .. import data

    return Finding("data", "ok", data.load("mnist5k").source.partition(";")[0])


def check_bundled_weights() -> Finding:
    """The weights that come with the course are there and whole."""
    path = files.assets() / "weights" / BUNDLED_WEIGHTS
    if not path.is_file():
        return Finding("bundled weights", "warn", "none", "git pull" if files.checkout() else reinstall())
    from safetensors import safe_open

    with safe_open(path, framework="pt") as weights:
        return Finding("bundled weights", "ok", f"{BUNDLED_WEIGHTS}, {len(weights.keys())} tensors")


def check_runs() -> Finding:
    """The recorded studies that lessons show beside the live ones."""
    names = sorted(path.stem for path in (files.assets() / "runs").glob("*.csv"))
    if not names:
        return Finding("recorded runs", "warn", "none", "resnet-edu study")
    return Finding("recorded runs", "ok", ", ".join(names))


def check_downloads() -> Finding:
    """ImageNet weights in torch's cache. None is needed: lessons say aloud what they use instead."""
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    names = sorted(path.name for path in folder.glob("*.pth"))
    return Finding("downloads", "ok", f"{', '.join(names) or 'none, none needed'} in {folder}")
