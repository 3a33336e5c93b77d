"""`make lab` and `make test` on machines that cannot: one clear line and exit code 2; and nothing done twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    os.name == "nt" or not shutil.which("make"), reason="needs make; on Windows README's pip lines stand instead"
)


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make` reads of a fresh clone."""
    folder = tmp_path / "a clone"
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", ".ci/install"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def make(clone: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "PYTHON"))}
    return subprocess.run(
        ["make", *arguments], cwd=clone, env={**clean, **env}, capture_output=True, text=True, timeout=200
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr that is not make's own."""
    assert done.returncode == 2, done
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return line


def installed(clone: Path, *, pip: str = "exit 0") -> Path:
    """Give the clone a .venv whose pip does as told and whose calls are written down; the list of calls."""
    calls = clone / "calls"
    script(
        clone / ".venv/bin/python",
        f'echo "$*" >>"{calls}"\ncase "$*" in\n*"pip --version") exit 0 ;;\n*install*) {pip} ;;\nesac',
    )
    script(clone / ".venv/bin/resnet-edu", f'echo "resnet-edu $*" >>"{calls}"')
    return calls


def test_an_old_python_is_named_and_how_to_choose_another(clone: Path, tmp_path: Path) -> None:
    old = script(tmp_path / "python3.9", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    line = complaint(make(clone, "lab", f"PYTHON={old}"))
    assert line == (
        f"resnet-edu: Python 3.11 or newer is needed; {old} is: Python 3.9.2. "
        "Name another one: make lab PYTHON=/path/to/python3.11"
    )
    assert not (clone / ".venv").exists()


def test_no_python_at_all(clone: Path) -> None:
    assert "/nowhere/python is: no such program" in complaint(make(clone, "test", "PYTHON=/nowhere/python"))


def test_the_first_python_that_fits_is_taken(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    for name in ("python3.11", "python3"):
        script(folder / name, "exit 127")
    script(folder / "python3.12", '[ "$1" != -m ] || exit 1')
    line = complaint(make(clone, "lab", PATH=f"{folder}:{os.environ['PATH']}"))
    assert line.startswith("resnet-edu: python3.12 cannot make .venv")


def test_a_full_disk_is_told_before_anything_is_made(clone: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin" / "df", "echo Filesystem Size Used Available; echo /dev/sda1 9 9 3145728 99% /")
    line = complaint(make(clone, "lab", f"PYTHON={sys.executable}", PATH=f"{tmp_path}/bin:{os.environ['PATH']}"))
    assert line == (f"resnet-edu: 3 GB free in {clone}; .venv needs up to 8 GB. Free some, or clone to a larger disk.")
    assert not (clone / ".venv").exists()


@pytest.mark.slow
def test_a_registry_out_of_reach_is_one_line_and_the_log_is_kept(clone: Path) -> None:
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    done = make(clone, "lab", f"PYTHON={sys.executable}", **env)
    line = complaint(done)
    assert "the package registry is out of reach. Check the network, proxy or PIP_INDEX_URL" in line
    assert "pip says: Could not find a version" in line
    assert "Making .venv with Python 3." in done.stdout
    assert "127.0.0.1" in (clone / "build" / "install.log").read_text()
    assert not (clone / ".venv" / ".lab").exists()


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full: .venv needs up to 8 GB"),
        ("ERROR: Package 'x' requires a different Python", "pip failed: Package 'x' requires a different"),
        ("Killed", "pip failed: Killed (whole log: build/install.log)"),
        ("WARNING: Retrying after connection broken by 'ReadTimeoutError'", "the package registry is out of reach"),
    ],
)
def test_what_pip_died_of_is_told(clone: Path, log: str, told: str) -> None:
    installed(clone, pip=f'echo "{log}"; exit 1')
    assert told in complaint(make(clone, "lab", f"PYTHON={sys.executable}"))
    assert not (clone / ".venv" / ".lab").exists()


def test_nothing_is_done_twice(clone: Path) -> None:
    calls = installed(clone)
    for _ in range(2):
        assert make(clone, "lab", f"PYTHON={sys.executable}").returncode == 0
    assert make(clone, "lint", f"PYTHON={sys.executable}").returncode == 0
    assert make(clone, "lab", "study").returncode == 0
    installs = [line for line in calls.read_text().splitlines() if "install" in line]
    assert [line.split()[-1] for line in installs] == [".", ".[test,dev,docs,workshop]"]
    assert calls.read_text().count("resnet-edu lab") == 3


def test_test_runs_linters_tests_and_lessons_in_this_order(clone: Path) -> None:
    calls = installed(clone)
    assert make(clone, "test", f"PYTHON={sys.executable}").returncode == 0
    steps = [line for line in calls.read_text().splitlines() if "pip" not in line]
    assert steps.pop(0) == "resnet-edu fetch reveal.js"
    assert [line.split()[1:3] for line in steps] == [
        ["ruff", "check"],
        ["ruff", "format"],
        ["codespell_lib", "resnet_edu"],
        ["pyright"],
        ["pytest", "tests"],
        ["pytest", "--nbval-lax"],
    ]


def test_without_reveal_js_the_tests_still_run(clone: Path) -> None:
    calls = installed(clone)
    script(clone / ".venv/bin/resnet-edu", "exit 2")
    done = make(clone, "test", f"PYTHON={sys.executable}")
    assert done.returncode == 0
    assert "Slides will not be tested in a browser." in done.stdout
    assert "-m pytest tests" in calls.read_text()


def test_the_wheel_takes_the_script_for_slides_along(clone: Path) -> None:
    calls = installed(clone)
    (clone / "dist").mkdir()
    (clone / "dist" / "resnet_edu-0-py3-none-any.whl").touch()
    assert make(clone, "wheel", f"PYTHON={sys.executable}").stdout.endswith("dist/resnet_edu-0-py3-none-any.whl\n")
    fetch, build = calls.read_text().splitlines()[-2:]
    assert fetch == "resnet-edu fetch reveal.js"
    assert build.startswith("-m pip wheel")


def test_help_names_every_target(clone: Path) -> None:
    done = make(clone)
    targets = {line.split()[1] for line in done.stdout.splitlines()}
    assert targets == {
        *("help", "lab", "test", "test-all", "test-oldest", "lint", "audit", "notebooks", "site", "wheel", "study"),
        *("class", "clean"),
    }


def test_ci_calls_what_readme_calls() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    done = script[script.rindex("\nfi\n") + 4 :].split("\n")  # after Chromium
    assert [line for line in done if line] == [
        "make test",
        ".venv/bin/resnet-edu bench --quick --json >build/bench.json",
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
