"""The guide docs/adding_a_lesson.md, tried: a toy lesson from the template, in a copy of what it needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_edu import files
from resnet_edu.tools import course

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "notebooks" / "template.py"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A course whose only lesson is the template, as number 14. The package itself is this one."""
    for name in ("notebooks/build.py", "notebooks/editions.py", "notebooks/conftest.py", "tests/conftest.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks" / "strict", tmp_path / "notebooks" / "strict")
    shutil.copy(ROOT / "tests" / "notebooks" / "test_notebooks.py", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source = tmp_path / "notebooks" / "source" / "14_toy.py"
    source.parent.mkdir()
    source.write_text(TEMPLATE.read_text(encoding="utf-8").replace("NN", "14"), encoding="utf-8")
    return tmp_path


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python in the clone; this package is found behind the clone's own files."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=clone, capture_output=True, text=True, timeout=280, env=env)


@pytest.mark.slow
def test_a_lesson_from_the_template_is_built_found_and_passes(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = run(clone, "notebooks/build.py")
    assert (built.returncode, built.stderr) == (0, "")
    assert built.stdout.startswith("14_toy: executed in")

    monkeypatch.setattr(files, "course_folder", lambda: clone)
    for edition in ("learner", "worked"):
        [lesson] = course.lessons(edition)
        assert (lesson.number, lesson.title) == ("14", "14 · Title: what it is about")
    assert course.find_lesson("toy").path == clone / "notebooks" / "14_toy.ipynb"

    nbval = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=100", "notebooks"]
    done = run(clone, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "-rN", "-v", "tests", *nbval)
    assert done.returncode == 0, done.stdout
    outcomes = re.findall(r"^(\S+)::.* (PASSED|FAILED|SKIPPED)", done.stdout, re.MULTILINE)
    assert {where.split("/")[-1] for where, _ in outcomes} >= {"test_notebooks.py"}
    assert len([where for where, _ in outcomes if "ipynb" in where]) == 3 + 4  # cells of either edition
    assert {outcome for _, outcome in outcomes} == {"PASSED"}
    assert "network: 0 attempts from" in done.stdout
