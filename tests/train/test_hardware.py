"""What the machine is, against what the system itself says and against made-up control groups."""

import math
import os
import platform
from pathlib import Path

import psutil
import pytest

from resnet_edu import machine

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.exists() or platform.machine() != "x86_64", reason="needs Linux on x86-64")
def test_bfloat16_units_are_those_the_kernel_lists() -> None:
    flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split()
    assert machine.cpu_has_bfloat16() == bool({"avx512_bf16", "amx_tile"} & {*flags})


def test_memory_and_name_are_the_systems() -> None:
    assert machine.memory_gb() == round(psutil.virtual_memory().total / 1e9, 1)
    assert machine.cpu_name()


@pytest.mark.parametrize(
    ("limits", "granted"),
    [
        ({}, math.inf),
        ({"a/b": "max 100000"}, math.inf),
        ({"a/b": "150000 100000"}, 1.5),
        ({"a/b": "400000 100000", "a": "200000 100000"}, 2),
        ({"": "50000 100000"}, 0.5),
        ({"a/b": "nonsense"}, math.inf),
    ],
)
def test_a_container_grants_a_share_of_the_cores(tmp_path: Path, limits: dict[str, str], granted: float) -> None:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "membership").write_text("0::/a/b\n")
    (tmp_path / "cpu.max").write_text("1 100000")  # not a group: outside of the root
    for group, limit in limits.items():
        (tmp_path / "root" / group / "cpu.max").write_text(f"{limit}\n")
    assert machine.quota(tmp_path / "membership", tmp_path / "root") == granted


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert machine.quota(tmp_path / "membership", tmp_path / "root") == math.inf


@pytest.mark.parametrize(("share", "expected"), [(math.inf, None), (1.5, 1), (0.2, 1)])
def test_cores_are_whole_and_at_least_one(monkeypatch: pytest.MonkeyPatch, share: float, expected: int | None) -> None:
    monkeypatch.setattr(machine, "quota", lambda *_: share)
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert machine.cores() == (expected or bound)
