"""How pytest runs the lessons with nbval: `pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks`.

* A notebook stops at its first failing cell: what follows would only repeat the failure.
* `-n 2 --dist loadfile` runs two lessons at a time: half the time, with OMP_NUM_THREADS=1.
* Of the learner's edition the set-up, exercise and check cells run, because an exercise depends on nothing but
  the set-up cell. `RESNET_EDU_ALL=1` runs all of it.
* Cells tagged `gpu` are skipped without a GPU.
* A notebook that takes longer than its budget fails: `RESNET_EDU_BUDGET` in seconds, 240 by default.
* A cell that tries to reach beyond this machine fails, also through a process that it starts, and so does one in
  which our own code gives a warning: strict/sitecustomize.py watches in every kernel. The last line counts the attempts.
"""

import functools
import json
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

STAND_ALONE = {"setup", "exercise", "check"}
CLOSED_PORT = "http://127.0.0.1:9"  # a proxy that nobody serves: whatever would be downloaded fails at once

failed = pytest.StashKey[str]()  # on a notebook: why its remaining cells are skipped
seconds = pytest.StashKey[float]()  # on a notebook: time spent so far
scratch = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
kept = pytest.StashKey[Path]()  # the file of attempts; see strict/sitecustomize.py
told = pytest.StashKey[int]()  # on the session's configuration: how many attempts have been charged to a cell


def tags(item: IPyNbCell) -> set[str]:
    """The tags of the item's cell."""
    return set(item.cell.metadata.get("tags", []))


@functools.cache
def has_gpu() -> bool:
    """Whether a cell tagged `gpu` can run here; asked only if there is one. RESNET_EDU_DEVICE=cpu rules it out."""
    if os.environ.get("RESNET_EDU_DEVICE") == "cpu":
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def pytest_configure(config: pytest.Config) -> None:
    """Give the kernels their surroundings: profile quick, inline figures, no network, a progress file of their own."""
    if not (config.getoption("nbval", False) or config.getoption("nbval_lax", False)):
        return
    config.stash[scratch] = tempfile.TemporaryDirectory()
    folder = Path(config.stash[scratch].name)
    os.environ.setdefault("RESNET_EDU_PROFILE", "quick")
    os.environ["RESNET_EDU_PROGRESS"] = str(folder / "progress.json")
    os.environ["TORCH_HOME"] = str(folder / "torch")  # this machine's cached weights must not matter
    os.environ.update(http_proxy=CLOSED_PORT, https_proxy=CLOSED_PORT, no_proxy="127.0.0.1,localhost", CI="true")
    here = Path(__file__).resolve().parent
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here / "strict"), str(here.parent)])  # the guard; our package
    worker = getattr(config, "workerinput", {}).get("workerid", "")  # gw0, gw1 … in the processes of `pytest -n 2`
    told_to = Path(os.environ["RESNET_EDU_ATTEMPTS"]).parent if worker else folder  # of the process that reports
    config.stash[kept] = told_to / f"{worker or 'attempts'}.jsonl"
    os.environ["RESNET_EDU_ATTEMPTS"] = str(config.stash[kept])
    os.environ.pop("MPLBACKEND", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the progress file."""
    if folder := config.stash.get(scratch, None):
        folder.cleanup()


def watched(config: pytest.Config) -> tuple[int, list[str]]:
    """How many processes were watched so far, and each attempt of theirs to reach beyond this machine.

    A worker of `pytest -n 2` knows of its own kernels, the process that reports of all.
    """
    own = config.stash[kept]
    files = [] if hasattr(config, "workerinput") else sorted(own.parent.glob("gw*.jsonl"))
    text = "".join(file.read_text(encoding="utf-8") for file in files or [own] if file.exists())
    lines = [json.loads(line) for line in text.splitlines()]
    attempts = [f"{each['event']} to {each['target']} ({each['line']})" for each in lines if each["event"] != "start"]
    return len(lines) - len(attempts), attempts


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a process tried after its cell had ended, or if nobody was watched."""
    if scratch not in session.config.stash:
        return
    processes, attempts = watched(session.config)
    ran = session.testscollected and not session.config.option.collectonly
    if session.exitstatus == pytest.ExitCode.OK and (attempts or (ran and not processes)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how often something tried to reach beyond this machine."""
    if scratch in config.stash:
        processes, attempts = watched(config)
        terminalreporter.write_line(f"network: {len(attempts)} attempts from {processes} processes watched")
        for attempt in attempts:
            terminalreporter.write_line(f"  {attempt}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cells of the learner's edition that are not part of an exercise."""
    if os.environ.get("RESNET_EDU_ALL") == "1":
        return
    kept, left_out = [], []
    for item in items:
        stands_alone = not isinstance(item, IPyNbCell) or tags(item) & STAND_ALONE
        (kept if stands_alone or item.path.parent.name == "solutions" else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a cell after a failure in its notebook, or without the GPU it needs."""
    if not isinstance(item, IPyNbCell):
        return
    if reason := item.parent.stash.get(failed, ""):
        pytest.skip(reason)
    if "gpu" in tags(item) and not has_gpu():
        pytest.skip("needs a GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a notebook's first failure, and fail the cell with which it exceeds its budget."""
    report = yield
    if not isinstance(item, IPyNbCell):
        return report
    notebook = item.parent.stash
    notebook[seconds] = notebook.get(seconds, 0.0) + call.duration
    budget = float(os.environ.get("RESNET_EDU_BUDGET", "240"))
    if report.passed and call.when == "call" and notebook[seconds] > budget:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.path.name} has taken {notebook[seconds]:.0f} s at {item.name}; its budget is {budget:.0f} s. "
            "Make its runs smaller, or allow a slower machine more with RESNET_EDU_BUDGET."
        )
    if call.when == "call":
        attempts = watched(item.config)[1]
        new, item.config.stash[told] = attempts[item.config.stash.get(told, 0) :], len(attempts)
        if new and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{item.name} tried to reach beyond this machine: {'; '.join(new)}"
    if report.failed or (report.outcome == "skipped" and hasattr(report, "wasxfail")):
        notebook.setdefault(failed, f"{item.path.name} stopped at {item.name}")
    return report
