"""README says what the files and the records say, and `make` what README says."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from resnet_edu.tools import course

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_results_and_lessons_are_those_of_the_records() -> None:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    for page in (readme.README, readme.RESULTS):
        text = page.read_text(encoding="utf-8")
        assert readme.filled(text) == text, "run: python docs/readme.py"
    rehearsed = {
        run["lesson"]: {cell["first_line"] for cell in run["cells"]} for run in json.loads(readme.REHEARSAL.read_text())
    }
    for lesson in course.lessons("worked"):
        assert f"notebooks/solutions/{lesson.name}.ipynb" in README
        cells = [cell for cell in nbformat.read(lesson.path, as_version=4).cells if cell.cell_type == "code"]
        now = {cell.source.partition("\n")[0] for cell in cells}
        known = len(now & rehearsed[lesson.name]) / len(now)
        assert known > 0.8, f"{lesson.name} has changed; run: resnet-edu rehearse --json > docs/rehearsal.json"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make` reads of a fresh clone."""
    if os.name == "nt" or not shutil.which("make"):
        pytest.skip("needs make; on Windows README's pip lines take its place")
    (tmp_path / ".ci").mkdir()
    for name in ("Makefile", "pyproject.toml", ".ci/install"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def complaint(clone: Path, **env: str) -> str:
    """What `make lab` says where it cannot."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "PYTHON"))}
    make = ["make", "lab", f"PYTHON={env.pop('python', sys.executable)}"]
    done = subprocess.run(make, cwd=clone, env={**clean, **env}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2, done
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert not (clone / ".venv" / ".lab").exists()
    return line


def test_an_old_python_and_a_full_disk_are_told_in_one_line(clone: Path) -> None:
    for name, body in (
        ("old", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1'),
        ("df", "echo; echo a 9 9 31457 9 /"),
    ):
        (clone / name).write_text(f"#!/bin/sh\n{body}\n")
        (clone / name).chmod(0o755)
    told = complaint(clone, python=str(clone / "old"))
    assert told.startswith(
        f"resnet-edu: Python 3.11 or newer is needed; {clone / 'old'} is: Python 3.9.2. Name another"
    )
    assert "0 GB free in" in complaint(clone, PATH=f"{clone}:{os.environ['PATH']}")


@pytest.mark.slow
def test_a_registry_out_of_reach_is_told_in_one_line(clone: Path) -> None:
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    assert "the package registry is out of reach. Check the network, proxy or PIP_INDEX_URL" in complaint(clone, **env)
