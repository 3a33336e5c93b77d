"""The machine under the course, against what the system itself says about it and against made-up control groups."""

import json
import math
import random
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

# Oracle: the system's own word


def test_the_description_agrees_with_the_libraries_and_fits_json() -> None:
    here = machine.description()
    assert json.loads(json.dumps(here)) == here
    assert here["memory_gb"] == round(psutil.virtual_memory().total / 1e9, 1)
    assert here["torch"] == torch.__version__
    assert here["torchvision"] == torchvision.__version__.partition("+")[0]
    assert 1 <= int(here["cores"]) <= (psutil.cpu_count() or 1)
    assert here["device"] == str(machine.device())
    assert here["cpu"]


# Profile


@pytest.mark.parametrize(("value", "name"), [(None, "quick"), ("", "quick"), ("quick", "quick"), ("full", "full")])
def test_the_profile_is_quick_unless_the_environment_says_full(
    value: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESNET_EDU_PROFILE", raising=False)
    if value is not None:
        monkeypatch.setenv("RESNET_EDU_PROFILE", value)
    assert machine.profile().name == name
    assert machine.profile().choose(quick="quick", full="full") == name
    monkeypatch.setenv("RESNET_EDU_PROFILE", "quik")
    with pytest.raises(UnknownName, match=r"profile in RESNET_EDU_PROFILE 'quik'.*'quick'.*full"):
        machine.profile()


# Device


def test_the_device_is_cuda_then_mps_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert machine.device() == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "gpus", "message"),
    [
        *((name, 2, None) for name in ("cpu", "meta", "cuda", "cuda:0", "cuda:1", "mps")),
        *((name, 0, f"is {name}, but torch finds no such GPU here: unset it") for name in ("cuda", "mps", "xpu")),
        ("cuda:2", 2, "is cuda:2, but torch finds no such GPU here: unset it"),
        ("gpu", 0, "'gpu'. Did you mean 'cpu'? Known: cpu, cuda, mps."),
        ("cuda:", 0, "'cuda:'. Did you mean 'cuda'? Known: cpu, cuda, mps."),
    ],
)
def test_a_device_can_be_named(name: str, gpus: int, message: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (torch.cuda, torch.xpu, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("RESNET_EDU_DEVICE", name)
    if message is None:
        assert machine.device() == torch.device(name)
        return
    with pytest.raises(ValueError, match="RESNET_EDU_DEVICE") as caught:
        machine.device()
    assert message in str(caught.value)


# Precision


@pytest.mark.parametrize("units", [True, False])
def test_the_precision_follows_from_the_units(units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_has_bfloat16", lambda: units)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: units or including_emulation)
    expected = torch.bfloat16 if units else torch.float32
    assert [machine.precision(torch.device(on)) for on in ("cpu", "cuda")] == [expected] * 2
    assert machine.precision(torch.device("mps")) == torch.float32
    matrix = torch.ones(2, 2)
    for name, dtype in {**machine.PRECISIONS, "auto": expected}.items():
        with machine.autocast(torch.device("cpu"), name):
            assert (matrix @ matrix).dtype == dtype
    with machine.autocast(torch.device("cpu"), "bfloat16", (8, 3, 33, 32)):
        assert (matrix @ matrix).dtype == torch.float32, "upright and narrow: oneDNN reads beyond the maps"
    with pytest.raises(UnknownName, match=r"precision 'bfloat'.*'bfloat16'.*auto.*float32"):
        machine.autocast(torch.device("cpu"), "bfloat")


# Seeds, and what a lesson prints


def test_setup_says_the_facts_and_seeds_all_three_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    monkeypatch.setenv("RESNET_EDU_PROFILE", "full")
    setup = machine.setup(seed=7)
    drawn = draws()
    machine.seed_everything(7)
    assert draws() == drawn
    machine.seed_everything(6)
    assert not {*draws()} & {*drawn}
    facts = dict(line.split(maxsplit=1) for line in setup.splitlines())
    assert list(facts) == ["device", "precision", "seed", "profile", "versions"]
    assert (facts["seed"], facts["profile"]) == ("7", "full")
    assert facts["device"].startswith(str(machine.device()))
    assert facts["precision"].split()[0] in ("float32", "bfloat16")
    assert torch.__version__ in facts["versions"]


# Whether somebody looks


@pytest.mark.parametrize(
    ("environment", "terminal", "notebook", "expected"),
    [
        ({}, True, False, True),
        ({}, False, True, True),
        ({}, False, False, False),
        ({}, None, False, False),  # no standard error, as under pythonw.exe
        ({"CI": "true"}, True, True, False),
        ({"CI": "false"}, True, False, True),
        ({"RESNET_EDU_QUIET": "1"}, True, True, False),
    ],
)
def test_progress_is_shown_where_somebody_looks(
    environment: dict[str, str], terminal: bool | None, notebook: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "RESNET_EDU_QUIET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stderr = None if terminal is None else SimpleNamespace(isatty=lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    shell = SimpleNamespace(kernel=None) if notebook else None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert machine.show_progress() is expected


# Cores


def test_threads_follow_the_cores_unless_somebody_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for named, cores, threads in (("4", 3, 4), ("", 3, 3), ("", 8, 3)):  # never more than torch had
            monkeypatch.setattr(machine, "cores", lambda count=cores: count)
            monkeypatch.setenv("OMP_NUM_THREADS", named)
            machine.use_own_cores.__wrapped__()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


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
    assert machine.quota(tmp_path / "membership", tmp_path / "root") == math.inf  # no control groups
    machine.quota.cache_clear()
    (tmp_path / "membership").write_text("0::/a/b\n")
    (tmp_path / "cpu.max").write_text("1 100000")  # not a group: outside of the root
    for group, limit in limits.items():
        (tmp_path / "root" / group / "cpu.max").write_text(f"{limit}\n")
    assert machine.quota(tmp_path / "membership", tmp_path / "root") == granted
