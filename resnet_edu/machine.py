"""The machine under the course: what it is, and what of it is used: device, precision, threads, seeds, profile."""

import math
import os
import platform
import random
import sys
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from .errors import UnknownName, check_known

Choice = TypeVar("Choice")

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Profile:
    """How large the experiments are: `quick` fits two CPU cores, `full` is meant for a GPU."""

    name: Literal["quick", "full"]

    def choose(self, *, quick: Choice, full: Choice) -> Choice:
        """The value for this profile. A profile changes sizes, never the story or the claims."""
        return quick if self.name == "quick" else full


def profile() -> Profile:
    """The profile named by the environment variable RESNET_EDU_PROFILE, `quick` by default."""
    name: Any = os.environ.get("RESNET_EDU_PROFILE") or "quick"
    check_known("profile in RESNET_EDU_PROFILE", ("quick", "full"), name)
    return Profile(name)


def device() -> torch.device:
    """The device that the environment variable RESNET_EDU_DEVICE names, or the fastest one: cuda, mps (Apple), cpu.

    Several processes under torchrun cannot talk about tensors on an Apple GPU, so they compute on the CPU there.
    """
    if name := os.environ.get("RESNET_EDU_DEVICE"):
        try:
            named = torch.device(name)
        except RuntimeError as error:
            raise UnknownName("device in RESNET_EDU_DEVICE", name, ("cpu", "cuda", "mps")) from error
        gpus = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}.get(named.type)
        beyond = named.type == "cuda" and named.index and named.index >= torch.cuda.device_count()
        if gpus and (beyond or not gpus.is_available()):
            advice = "unset it, or set it to cpu"
            raise ValueError(f"RESNET_EDU_DEVICE is {name}, but torch finds no such GPU here: {advice}.")
        return torch.device(named.type) if os.environ.get("WORLD_SIZE", "1") != "1" else named  # each has its own GPU
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available() and os.environ.get("WORLD_SIZE", "1") == "1":
        return torch.device("mps")
    return torch.device("cpu")


def precision(on: torch.device) -> torch.dtype:
    """For matrix products: bfloat16 where the hardware has units for it. All that is kept stays in float32."""
    cuda = partial(torch.cuda.is_bf16_supported, including_emulation=False)  # Colab's T4 only emulates it
    units = {"cuda": cuda, "cpu": cpu_has_bfloat16}.get(on.type)
    return torch.bfloat16 if units is not None and units() else torch.float32


def autocast(device: torch.device, precision_name: str, shape: tuple[int, ...] = ()) -> torch.autocast:
    """Matrix products in bfloat16 inside this context, where the precision asks for it; `shape` is that of the images.

    Upright images up to 32 pixels wide stay in float32 on a CPU: oneDNN 3.12 (torch 2.14) reads beyond a map that a
    stride of 2 leaves one pixel wide and more than one high.
    """
    upright = device.type == "cpu" and len(shape) == 4 and shape[2] > shape[3] <= 32
    known = {"auto": precision(device), **PRECISIONS}
    check_known("precision", known, precision_name)
    enabled = known[precision_name] == torch.bfloat16 and not upright
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch: same seed and same machine, same numbers."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@cache
def use_own_cores() -> None:
    """Let torch start no more threads than this process has cores.

    torch counts the machine's cores, of which a container or a seat in a class may have a share only, and threads that
    wait for each other cost far more than they bring. Whoever sets OMP_NUM_THREADS has decided already.
    """
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(min(torch.get_num_threads(), cores()))


def show_progress() -> bool:
    """Whether a progress bar helps: somebody looks at a terminal or a notebook, and no output is kept, as in CI."""
    if any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "RESNET_EDU_QUIET")):
        return False
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def download_allowed() -> bool:
    """Whether `data.load` and `models.pretrained` may download: you set RESNET_EDU_DOWNLOAD to 1."""
    return os.environ.get("RESNET_EDU_DOWNLOAD", "").lower() in ("1", "true", "yes")


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def description() -> dict[str, str | int | float]:
    """What a recorded number must be quoted with: processor, cores, memory in GB, system, versions."""
    import psutil

    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),  # 10⁹ bytes
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),  # its import takes a second
        "device": str(device()),
    }


def cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where its container has a quota of time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(bound, quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))))


@cache
def quota(membership: Path, root: Path) -> float:
    """Cores that Linux control groups (version 2) grant, infinite without a limit."""
    limits = [math.inf]
    try:
        group = membership.read_text().strip().rpartition("::")[2].strip("/")
        for folder in (root / group, *(root / group).parents):
            file = folder / "cpu.max"  # "200000 100000": microseconds in so many; or "max 100000"
            if folder.is_relative_to(root) and file.is_file():
                granted, _, period = file.read_text().partition(" ")
                limits += [int(granted) / int(period)] if granted != "max" else []
    except (OSError, ValueError):
        pass  # another system, or a file of another form: no limit that we know of
    return min(limits)


@cache
def cpu_name() -> str:
    """The processor's name as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX); without it bfloat16 is slower."""
    queries = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(query() for query in queries if query is not None)


def setup(*, seed: int = 0) -> str:
    """Prepare a lesson: seed everything, set threads, and say under which conditions its numbers come about.

    It returns one fact a line: `print(edu.setup(seed=0))`.
    """
    seed_everything(seed)
    use_own_cores()
    threads, here, python = torch.get_num_threads(), device(), platform.python_version()
    return (
        f"device     {here} ({threads} thread{'s' * (threads != 1)})\n"
        f"precision  {str(precision(here)).removeprefix('torch.')} for matrix products, float32 for weights\n"
        f"seed       {seed}\n"
        f"profile    {profile().name}\n"
        f"versions   Python {python}, torch {torch.__version__}, torchvision {version('torchvision')}"
    )
