"""What this machine is: processor, cores that this process may use, memory."""

import math
import os
import platform
from functools import cache
from pathlib import Path

import torch


def cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where its container has a quota of time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(bound, quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))))


@cache
def quota(membership: Path, root: Path) -> float:
    """Cores that Linux control groups (version 2) grant, infinite without a limit; read once, for each step asks.

    Args:
        membership: says which group a process is in: `0::/user.slice/…`.
        root: where the groups are mounted; a group lies within the limits of all above it.
    """
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


def memory_gb() -> float:
    """Physical memory in GB (10⁹ bytes), one decimal."""
    import psutil

    return round(psutil.virtual_memory().total / 1e9, 1)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX); without it bfloat16 is slower."""
    queries = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(query() for query in queries if query is not None)
