import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import save_file

from resnet_edu import files
from resnet_edu.tools import doctor
from resnet_edu.tools.doctor import Finding


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course in place of the real one."""
    home = tmp_path / "home"
    (home / "notebooks" / "solutions").mkdir(parents=True)
    monkeypatch.setattr(files, "course_folder", lambda: home)
    return home


def test_this_machine_is_fit_to_run_the_tests(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in doctor.diagnose(tmp_path)}
    for name in ("Python", "torch", "device", "profile", "folder", "data", "weights and runs"):
        assert findings[name].status == "ok", findings[name]
    assert findings["torch"].found.startswith(f"{torch.__version__} with torchvision")
    assert findings["data"].found.startswith("mnist5k: 5,000 real MNIST digits")
    assert findings["folder"].found.startswith(f"{tmp_path}, ")
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in findings.values())


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> doctor.Answer:
        raise OSError("libcudart.so.13:\n cannot open")

    finding = doctor.guarded("torch", broken)
    assert (finding.status, finding.found) == ("fail", "OSError: libcudart.so.13: cannot open")
    assert "pip install" in finding.advice

    def ours() -> doctor.Answer:
        raise ValueError("x.ipynb is no notebook. Restore the file.")

    assert doctor.guarded("lessons", ours) == Finding("lessons", "fail", "x.ipynb is no notebook. Restore the file.")


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version("rich")
    needed = ["rich>=999", "numpy", "jupyterlab>=999 ; extra == 'lab'", "nowhere; python_version < '3'"]
    monkeypatch.setattr(metadata, "requires", lambda name: needed)
    finding = doctor.guarded("packages", doctor.check_packages)
    assert (finding.status, finding.found) == ("fail", f"unmet: rich>=999 (have {version})")
    assert finding.advice.startswith(f"{sys.executable} -m pip install")
    finding = doctor.guarded("lab", lambda: doctor.check_packages("lab"))
    assert (finding.status, finding.advice[-7:]) == ("warn", ".[lab]'")
    assert "jupyterlab>=999" in finding.found


def test_a_torchvision_built_for_another_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("torchvision.ops.nms", nms)
    finding = doctor.guarded("torch", doctor.check_torch)
    assert (finding.status, finding.found[-9:], finding.advice[-17:]) == ("fail", "not exist", "torch torchvision")


def test_what_would_stop_every_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "fast")
    (finding,) = [each for each in doctor.diagnose(tmp_path) if each.name == "profile"]
    assert finding.status == "fail"
    assert "'fast'" in finding.found


@pytest.mark.parametrize(("gigabytes", "status"), [(0.5, "fail"), (1.5, "warn"), (2.0, "ok"), (64, "ok")])
def test_a_lesson_must_fit_into_memory(monkeypatch: pytest.MonkeyPatch, gigabytes: float, status: str) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gigabytes * 1e9))
    monkeypatch.setattr(doctor, "container_room", lambda: float("inf"))
    assert doctor.check_memory()[0] == status
    monkeypatch.setattr(doctor, "container_room", lambda: 0.1e9)
    assert doctor.check_memory()[1] == "0.1 GB available"


@pytest.mark.parametrize(
    ("text", "limit"), [("max\n", float("inf")), ("2000000000\n", 2e9), ("?", float("inf")), (None, float("inf"))]
)
def test_a_containers_limit_counts(tmp_path: Path, text: str | None, limit: float) -> None:
    for name, content in {"max": text, "current": "900", "stat": "anon 7\ninactive_file 200\n"}.items():
        if content is not None:
            (tmp_path / f"memory.{name}").write_text(content)
    assert doctor.container_room(tmp_path) == limit - 700


def test_a_folder_that_cannot_be_written_stops_the_course(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = doctor.guarded("folder", lambda: doctor.check_folder(tmp_path / "file" / "mine"))
    assert (finding.status, finding.advice) == ("fail", "resnet-edu lab DIR, with a DIR of your own")
    assert doctor.check_folder(tmp_path / "mine")[1].startswith(f"{tmp_path / 'mine'} (made by resnet-edu lab), ")
    assert not list(tmp_path.glob("tmp*"))


def test_without_lessons_the_course_cannot_run(home: Path) -> None:
    finding = doctor.guarded("lessons", doctor.check_lessons)
    assert (finding.status, finding.advice) == ("fail", "Build them with: make notebooks")
    (home / "notebooks" / "01_lenet.ipynb").write_text('{"cells": []}')
    assert doctor.check_lessons()[0] == "warn"
    (home / "notebooks" / "solutions" / "01_lenet.ipynb").write_text('{"cells": []}')
    assert doctor.check_lessons() == ("ok", "1 for you, 1 worked")


def test_weights_are_opened_not_only_seen_and_runs_are_listed(home: Path) -> None:
    assert doctor.check_assets() == ("warn", "0 and 0", "git pull")
    path = home / "assets" / "weights" / "tiny.safetensors"
    for folder in ("weights", "runs"):
        (home / "assets" / folder).mkdir(parents=True)
    save_file({"fc.weight": torch.ones(2, 2)}, path)
    (home / "assets" / "runs" / "mnist5k-degradation.csv").write_text("")
    assert doctor.check_assets()[1] == "tiny, mnist5k-degradation"
    path.write_bytes(path.read_bytes()[:20])
    assert doctor.guarded("weights", doctor.check_assets).status == "fail"
