"""How pytest runs the lessons: notebooks/conftest.py, on toy notebooks in a pytest of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def notebook(path: Path, cells: dict[str, str]) -> None:
    """Write a notebook of the given code cells; the key's first word is the cell's tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(code, id=f"c{number}", metadata={"tags": tag.split()[:1]})
            for number, (tag, code) in enumerate(cells.items())
        ]
    )
    nbformat.write(written, path)


def run(folder: Path, *more: str, cell_timeout: int, **env: str) -> str:
    """The report of the command of `make test`, one line per cell; `more` are further options of pytest."""
    shutil.copy(ROOT / "notebooks" / "conftest.py", folder)
    shutil.copytree(ROOT / "notebooks" / "strict", folder / "strict")
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider", "-v"]
    nbval = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={cell_timeout}", "--color=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "no:hypothesispytest", *nbval, *more, str(folder)],
        capture_output=True, text=True, cwd=folder, timeout=280,
        env={**os.environ, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", **env},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)  # without colours


CALL_OUT = """
import socket

try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)  # belongs to nobody (RFC 5737)
except OSError as error:
    assert "refused" in str(error), error
"""
LET_CALL_OUT = f"""
import subprocess
import sys

subprocess.run([sys.executable, "-c", {CALL_OUT!r}], check=True)
"""
STAY_HERE = """
import socket

with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
    pass
"""
WARN = """
import warnings

exec("warnings.warn('of old', stacklevel=1)", {"__name__": "%s", "warnings": warnings})
"""
LESSONS = {
    "01_learners.ipynb": {
        "setup": "import os\nassert os.environ['RESNET_EDU_PROFILE'] == 'quick'",
        " body": "raise RuntimeError('the body ran')",
        "exercise": "def area(radius):\n    raise NotImplementedError('not yet')",
        "check": "try:\n    area(1.0)\nexcept NotImplementedError:\n    print('not yet')",
    },
    "solutions/01_surroundings.ipynb": {
        " a": "import matplotlib.pyplot as plt\nassert 'inline' in plt.get_backend()",
        " b": "import os\nassert os.environ['RESNET_EDU_PROGRESS'] != '/mine.json'",
        " c": STAY_HERE,
        " d": WARN % "torch.of_others",
        "gpu": "raise RuntimeError('only with a GPU')",
    },
    "solutions/02_fails.ipynb": {" a": "x = 1", " b": "assert x == 2", " c": "y", " d": "x"},
    "solutions/03_hangs.ipynb": {" a": "import time\ntime.sleep(60)", " b": "1"},
    "solutions/04_raises.ipynb": {"raises-exception": "1 / 0", " b": "1"},
    "solutions/06_calls_out.ipynb": {" a": "1", " b": CALL_OUT, " c": "1"},
    "solutions/07_lets_another_call_out.ipynb": {" a": LET_CALL_OUT, " b": "1"},
    "solutions/09_warns.ipynb": {" a": WARN % "resnet_edu.toy", " b": "1"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of toy lessons."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, cells in LESSONS.items():
        notebook(folder / name, cells)
    other = nbformat.v4.new_code_cell("print(3)", metadata={"tags": ["nbval-check-output"]}, execution_count=1)
    other.outputs = [nbformat.v4.new_output("stream", name="stdout", text="4\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=[other]), folder / "solutions" / "05_differs.ipynb")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    """The folder's report."""
    return run(folder, cell_timeout=15, RESNET_EDU_PROGRESS="/mine.json")


def outcomes(report: str, name: str) -> list[str]:
    """What became of each cell of a notebook, in order; cells left out do not appear."""
    stem = re.escape(name.removesuffix(".ipynb"))
    return re.findall(rf"^{stem}::ipynb::Cell \d+ (\w+)", report, re.MULTILINE)


def test_of_the_learners_edition_only_setup_exercise_and_check_run(report: str) -> None:
    assert outcomes(report, "01_learners.ipynb") == ["PASSED"] * 3
    assert "1 deselected" in report


def test_the_worked_edition_runs_with_inline_figures_and_without_gpu_cells(report: str) -> None:
    assert outcomes(report, "solutions/01_surroundings.ipynb") == ["PASSED"] * 4 + ["SKIPPED"]
    assert "needs a GPU" in report


def test_a_notebook_stops_at_its_first_failure(report: str) -> None:
    assert outcomes(report, "solutions/02_fails.ipynb") == ["PASSED", "FAILED", "SKIPPED", "SKIPPED"]
    assert "02_fails.ipynb stopped at Cell 1" in report


def test_after_a_time_out_nothing_reads_as_green(report: str) -> None:
    assert outcomes(report, "solutions/03_hangs.ipynb") == ["FAILED", "SKIPPED"]


def test_an_error_that_is_meant_stops_nothing(report: str) -> None:
    assert outcomes(report, "solutions/04_raises.ipynb") == ["PASSED", "PASSED"]


def test_a_tagged_output_is_compared(report: str) -> None:
    assert outcomes(report, "solutions/05_differs.ipynb") == ["FAILED"]


def test_a_cell_that_calls_out_fails_however_it_takes_the_answer(report: str) -> None:
    assert outcomes(report, "solutions/06_calls_out.ipynb") == ["PASSED", "FAILED", "SKIPPED"]
    assert "Cell 1 tried to reach beyond this machine: socket.getaddrinfo to 192.0.2.1" in report
    assert 'socket.create_connection(("192.0.2.1", 80), timeout=1)' in report


def test_so_does_one_that_lets_another_process_call_out(report: str) -> None:
    assert outcomes(report, "solutions/07_lets_another_call_out.ipynb") == ["FAILED", "SKIPPED"]


def test_attempts_are_counted(report: str) -> None:
    assert re.search(r"^network: 2 attempts from \d+ processes watched$", report, re.MULTILINE)


def test_two_processes_count_their_attempts_together(tmp_path: Path) -> None:
    for name in ("solutions/06_calls_out.ipynb", "solutions/07_lets_another_call_out.ipynb"):
        notebook(tmp_path / name, LESSONS[name])
    report = run(tmp_path, "-n", "2", "--dist", "loadfile", cell_timeout=15)
    assert "2 failed, 1 passed, 2 skipped" in report
    assert "network: 2 attempts from 3 processes watched" in report  # two kernels, and what one of them started


def test_a_warning_of_our_own_code_fails_and_one_of_others_does_not(report: str) -> None:
    assert outcomes(report, "solutions/09_warns.ipynb") == ["FAILED", "SKIPPED"]
    assert "UserWarning: of old" in report


def test_the_whole_learners_edition_runs_on_request_and_a_budget_is_kept(tmp_path: Path) -> None:
    notebook(tmp_path / "01_toy.ipynb", {" body": "raise RuntimeError('the body ran')"})
    notebook(tmp_path / "solutions" / "01_slow.ipynb", {" a": "import time\ntime.sleep(1)", " b": "1"})
    report = run(tmp_path, cell_timeout=20, RESNET_EDU_ALL="1", RESNET_EDU_BUDGET="0.9")
    assert "the body ran" in report
    assert outcomes(report, "solutions/01_slow.ipynb") == ["FAILED", "SKIPPED"]
    assert "at Cell 0; its budget is 1 s. Make its runs smaller" in report
