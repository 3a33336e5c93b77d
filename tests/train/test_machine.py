"""The machine under the course, against what the system itself says about it."""

import ctypes
import json
import platform
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
import torchvision

from resnet_edu import machine
from resnet_edu.errors import UnknownName

CPUINFO = Path("/proc/cpuinfo")
GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


# Oracle: the system's own word


def test_machine_agrees_with_the_libraries_and_fits_json() -> None:
    here = machine.description()
    assert json.loads(json.dumps(here)) == here
    assert here["memory_gb"] == round(psutil.virtual_memory().total / 1e9, 1)
    assert here["torch"] == torch.__version__
    assert here["torchvision"] == torchvision.__version__.partition("+")[0]
    assert here["python"] == platform.python_version()
    assert 1 <= int(here["cores"]) <= (psutil.cpu_count() or 1)
    assert here["device"] == str(machine.device())
    assert here["cpu"]


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    allocate = """if True:  # in a process of its own: the heap of this one may have no room for 64 MB at its end
        import resource, torch
        from resnet_edu import machine
        assert machine.keep_freed_memory()
        for _ in range(4):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.zeros(16 * 2**20).sum()  # 64 MB: 16,384 pages of 4 kB, or 32 of 2 MB
            print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    faults = subprocess.run([sys.executable, "-c", allocate], capture_output=True, text=True, check=True).stdout.split()
    assert min(map(int, faults[1:])) < 16, faults


@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_freed_memory_is_given_back_on_request() -> None:
    assert machine.keep_freed_memory()
    torch.zeros(64 * 2**20).sum()  # 256 MB
    before = psutil.Process().memory_info().rss
    machine.give_back_memory()
    assert psutil.Process().memory_info().rss < before - 200e6


# Structure


@pytest.mark.parametrize("value", [None, "", "quick"])
def test_profile_is_quick_by_default(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESNET_EDU_PROFILE", raising=False)
    if value is not None:
        monkeypatch.setenv("RESNET_EDU_PROFILE", value)
    assert machine.profile().name == "quick"
    assert machine.profile().choose(quick=1, full=2) == 1


def test_profile_full_chooses_the_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "full")
    assert machine.profile().choose(quick="a", full="b") == "b"


def test_device_prefers_cuda_then_mps_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert machine.device() == torch.device(expected)


@pytest.mark.parametrize(
    ("on", "units", "expected"),
    [
        ("cpu", True, torch.bfloat16),
        ("cpu", False, torch.float32),
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float32),
        ("mps", True, torch.float32),
    ],
)
def test_precision_follows_the_units(
    on: str, units: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpu_has_bfloat16", lambda: units)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: units)
    assert machine.precision(torch.device(on)) == expected


@pytest.mark.parametrize(("name", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast_sets_the_type_of_a_matrix_product(name: str, expected: torch.dtype) -> None:
    matrix = torch.ones(2, 2)
    with machine.autocast(torch.device("cpu"), name):
        assert (matrix @ matrix).dtype == expected
    assert (matrix @ matrix).dtype == torch.float32


def test_autocast_auto_asks_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.ones(2, 2)
    for units, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(machine, "cpu_has_bfloat16", lambda units=units: units)
        with machine.autocast(torch.device("cpu"), "auto"):
            assert (matrix @ matrix).dtype == expected


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seed_everything_repeats_all_three_generators() -> None:
    machine.seed_everything(5)
    first = draws()
    machine.seed_everything(5)
    assert draws() == first
    machine.seed_everything(6)
    assert not {*draws()} & {*first}


def test_setup_says_the_facts_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "full")
    setup = machine.setup(seed=7)
    drawn = draws()
    machine.seed_everything(7)
    assert draws() == drawn
    assert [line.split()[0] for line in str(setup).splitlines()] == [
        "device", "precision", "seed", "profile", "versions",
    ]  # fmt: skip
    assert (setup.seed, setup.profile, setup.device) == (7, "full", str(machine.device()))
    assert setup.precision in ("float32", "bfloat16")
    assert torch.__version__ in setup.versions


@pytest.mark.parametrize(
    ("environment", "terminal", "notebook", "expected"),
    [
        ({}, True, False, True),
        ({}, False, True, True),
        ({}, False, False, False),
        ({"CI": "1"}, True, True, False),
        ({"CI": "true"}, True, True, False),
        ({"CI": "false"}, True, False, True),
        ({"RESNET_EDU_QUIET": "1"}, True, True, False),
        ({"RESNET_EDU_QUIET": ""}, True, False, True),
    ],
)
def test_progress_is_shown_where_somebody_looks(
    environment: dict[str, str], terminal: bool, notebook: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "RESNET_EDU_QUIET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    shell = SimpleNamespace(kernel=None) if notebook else None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert machine.show_progress() is expected


def test_progress_is_not_shown_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("RESNET_EDU_QUIET", raising=False)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw.exe
    assert machine.show_progress() is False


# Edges


class Mallopt:
    """A C library whose thresholds have an upper limit; keeps what was set."""

    def __init__(self, limit: int) -> None:
        self.limit, self.kept = limit, dict[int, int]()

    def mallopt(self, option: int, value: int) -> int:
        if option == -3 and value > self.limit:
            return 0
        self.kept[option] = value
        return 1


@pytest.mark.parametrize(("limit", "expected"), [(2**31, 2**31 - 1), (2**25, 2**25)])
def test_the_allocator_takes_the_highest_threshold_it_allows(
    limit: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Mallopt(limit)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.34"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.delenv("RESNET_EDU_ALLOCATOR", raising=False)
    assert machine.keep_freed_memory.__wrapped__() is True
    assert library.kept == {-3: expected, -1: 2**31 - 1}


@pytest.mark.parametrize(("system", "libc", "switch"), [
    ("darwin", "", ""), ("win32", "", ""), ("linux", "musl", ""), ("linux", "glibc", "default"),
])  # fmt: skip
def test_the_allocator_is_left_alone_elsewhere_and_on_request(
    system: str, libc: str, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Mallopt(2**31)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setenv("RESNET_EDU_ALLOCATOR", switch)
    assert machine.keep_freed_memory.__wrapped__() is False
    assert library.kept == {}


# Bad input


def test_an_unknown_profile_is_named_with_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "quik")
    with pytest.raises(UnknownName, match=r"profile in RESNET_EDU_PROFILE 'quik'.*'quick'.*full"):
        machine.profile()


def test_an_unknown_precision_is_named_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match=r"precision 'bfloat'.*'bfloat16'.*auto.*float32"):
        machine.autocast(torch.device("cpu"), "bfloat")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gpu", "'gpu'. Did you mean 'cpu'? Known: cpu, cuda, mps."),
        ("cudda", "'cudda'. Did you mean 'cuda'? Known: cpu, cuda, mps."),
        ("cuda:", "'cuda:'. Did you mean 'cuda'? Known: cpu, cuda, mps."),
    ],
)
def test_an_unknown_device_is_named_with_its_neighbour(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_DEVICE", name)
    with pytest.raises(UnknownName) as caught:
        machine.device()
    assert str(caught.value) == f"Unknown device in RESNET_EDU_DEVICE {told}"


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("mps", 0), ("xpu", 0)])
def test_a_gpu_that_is_not_here_is_told(name: str, gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (torch.cuda, torch.xpu, torch.backends.mps):
        monkeypatch.setattr(place, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("RESNET_EDU_DEVICE", name)
    with pytest.raises(ValueError, match=rf"^RESNET_EDU_DEVICE is {name}, but torch finds no such GPU here: unset it"):
        machine.device()


# Cores


def test_threads_follow_the_cores_unless_somebody_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        monkeypatch.setattr(machine, "cores", lambda: 3)
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert machine.use_own_cores.__wrapped__() == 4
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert machine.use_own_cores.__wrapped__() == 3
        monkeypatch.setattr(machine, "cores", lambda: 8)
        assert machine.use_own_cores.__wrapped__() == 3  # never more than torch had
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["cpu", "meta", "cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_can_be_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(place, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("RESNET_EDU_DEVICE", name)
    assert machine.device() == torch.device(name)
