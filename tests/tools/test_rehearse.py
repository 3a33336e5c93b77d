import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from nbformat import v4

from resnet_edu.tools.course import Lesson
from resnet_edu.tools.rehearse import kernel_environment, peak_memory, rehearse


def lesson(folder: Path, *cells: str, name: str = "06_degradation", tags: dict[int, str] | None = None) -> Lesson:
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# Deeper, yet worse"), *map(v4.new_code_cell, cells)])
    for number, tag in (tags or {}).items():
        notebook.cells[number].metadata["tags"] = [tag]
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return Lesson("06", name, "Deeper, yet worse", path)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_edu.machine.device", lambda: torch.device("cpu"))


@pytest.mark.usefixtures("no_gpu")
def test_a_lesson_runs_to_its_end_and_is_measured(tmp_path: Path) -> None:
    toy = lesson(
        tmp_path,
        "import os, sys, time\nfrom pathlib import Path",
        "\n# a comment\nblock = bytearray(120_000_000); time.sleep(0.3)",
        "1 / 0  # needs a GPU",
        "print(sys.executable, os.environ['RESNET_EDU_QUIET'], 'inline' in os.environ['MPLBACKEND'])\n"
        "print(os.listdir(), os.environ['RESNET_EDU_PROGRESS'] != '/mine')\n"
        "Path('left-behind').touch(); Path(os.environ['RESNET_EDU_PROGRESS']).touch()",
        "1 / 0",
        "import importlib.util\nassert importlib.util.find_spec('resnet_edu')",
        "  ",
        tags={3: "gpu", 5: "raises-exception"},
    )
    before = toy.path.read_bytes()
    run = rehearse(toy, tmp_path / "out")
    assert run.failure is None
    assert [cell.number for cell in run.cells] == [1, 2, 3, 4, 5]
    slow = run.cells[1]
    assert (slow.number, slow.first_line) == (2, "# a comment")
    assert 0.3 < slow.seconds < run.seconds
    assert sum(cell.seconds for cell in run.cells) < run.seconds
    assert 0.12 < run.peak_memory_gb < 4
    assert toy.path.read_bytes() == before
    html = (tmp_path / "out" / "06_degradation.html").read_text()
    assert run.page == str(tmp_path / "out" / "06_degradation.html")
    assert f"{sys.executable} 1 True\n[] True" in html
    assert not list(tmp_path.rglob("left-behind"))
    assert json.loads(json.dumps(asdict(run)))["cells"][1]["number"] == 2


@pytest.mark.slow
def test_a_failing_lesson_names_its_cell_and_keeps_its_page(tmp_path: Path) -> None:
    toy = lesson(tmp_path, "a = 1", "\nassert a == 2, 'first\\nsecond'\n", "print('after')")
    run = rehearse(toy, tmp_path)
    assert run.failure is not None
    assert (run.failure.number, run.failure.first_line) == (2, "assert a == 2, 'first\\nsecond'")
    assert run.failure.error == "AssertionError: first"
    assert len(run.cells) == 2
    assert "AssertionError" in Path(run.page).read_text()


@pytest.mark.slow
def test_an_explorer_is_run_like_any_other_cell(tmp_path: Path) -> None:
    toy = lesson(
        tmp_path,
        "from resnet_edu import widgets",
        "widgets.residual_explorer()",  # its first figure arrives inside a widget
        "print('after')",
    )
    run = rehearse(toy, tmp_path / "out")
    assert run.failure is None
    assert len(run.cells) == 3


@pytest.mark.slow
def test_a_kernel_that_dies_is_a_failure_like_any_other(tmp_path: Path) -> None:
    run = rehearse(lesson(tmp_path, "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)"), tmp_path)
    assert run.failure is not None
    assert run.failure.number == 2
    assert "kernel died" in run.failure.error


@pytest.mark.slow
def test_an_interrupt_ends_the_kernel(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    toy = lesson(tmp_path, f"import os, signal, time; os.kill({os.getpid()}, signal.SIGINT); time.sleep(600)")
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    try:
        with pytest.raises(KeyboardInterrupt):
            rehearse(toy, tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert set(psutil.Process().children(recursive=True)) <= before


def peak_of(code: str, processes: int) -> int:
    """The peak of a program that forks so often, or calls itself, and then stays as it is."""
    with psutil.Popen([sys.executable, "-c", f"import os, subprocess, sys, time\n{code}\ntime.sleep(600)"]) as process:
        while len(family := [process, *process.children(recursive=True)]) < processes:
            time.sleep(0.02)
        with peak_memory(process.pid, interval=0.02) as peaks:  # all of them live
            while peaks[-1] < 80_000_000:
                time.sleep(0.02)
        for each in family:
            each.kill()
    return peaks[-1]


def test_the_peak_is_that_of_the_whole_family() -> None:
    child = "import time; block = bytearray(80_000_000); time.sleep(600)"
    assert peak_of(f"subprocess.Popen([sys.executable, '-c', {child!r}])", 2) > 80_000_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_several_processes_share_counts_once() -> None:
    assert peak_of("block = bytearray(b'x') * 80_000_000; os.fork(); os.fork()", 4) < 150_000_000


def test_the_learners_progress_is_out_of_reach(tmp_path: Path) -> None:
    seen = kernel_environment(tmp_path, {"RESNET_EDU_PROGRESS": "/mine", "MPLBACKEND": "agg", "HOME": "/home/me"})
    assert seen["RESNET_EDU_PROGRESS"] == str(tmp_path / "progress.json")
    assert seen["HOME"] == "/home/me"
    assert "MPLBACKEND" not in seen
