"""`resnet-edu lab`: what a learner's folder gets, what stays theirs, and the lines that say so.

`export` and `bundle` are tested in test_export.py and test_bundle.py.
"""

from datetime import date
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from resnet_edu import files
from resnet_edu.checks import progress as progress_table
from resnet_edu.tools import cli, copies, lab

TODAY = date.today().isoformat()
AGAIN = "To get the course's, with yours kept beside: resnet-edu lab mine --force"


def save(path: Path, source: str) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell(source)]), path)
    return path.read_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of two lessons, in place of the real one; the current folder is beside it."""
    for name in ("01_lenet", "06_degradation"):
        save(tmp_path / "home" / "notebooks" / f"{name}.ipynb", "raise NotImplementedError")
        save(tmp_path / "home" / "notebooks" / "solutions" / f"{name}.ipynb", "1 + 1")
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "home")
    monkeypatch.delenv("RESNET_EDU_PROGRESS")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that `lab` would have started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "serve", lambda command: commands.append(command) or 0)
    monkeypatch.setattr(lab, "has_display", lambda: False)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return commands


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that `lab mine` prints before the server's."""
    assert cli.run(["lab", "mine", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.partition("JupyterLab is starting.")[0].splitlines()


def test_it_copies_the_lessons_and_opens_the_first(served: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == ["Your lessons are in mine (4 added)."]
    assert "--LabApp.default_url=/lab/tree/01_lenet.ipynb" in served[0]
    assert "--ServerApp.open_browser=False" in served[0]


def test_the_worked_edition_stands_in_a_folder_beside_the_lessons(
    home: Path, served: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys)
    for name in ("01_lenet.ipynb", "06_degradation.ipynb"):
        worked = Path("mine/solutions", name).read_bytes()
        assert worked == (home / "notebooks" / "solutions" / name).read_bytes()
        assert worked != Path("mine", name).read_bytes()


def test_it_opens_the_lesson_asked_for(served: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "--lesson", "6", "--browser", "--port", "9000")
    assert {"--LabApp.default_url=/lab/tree/06_degradation.ipynb", "--ServerApp.port=9000"} <= set(served[0])
    assert "--ServerApp.open_browser=True" in served[0]


@pytest.mark.usefixtures("served")
def test_answers_are_kept_and_a_newer_edition_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys)
    answers = save(Path("mine/01_lenet.ipynb"), "my answers")
    assert said(capsys) == ["Your lessons are in mine (1 kept as you changed them)."]
    save(home / "notebooks" / "06_degradation.ipynb", "a newer edition")
    newer = save(home / "notebooks" / "01_lenet.ipynb", "a newer edition")
    assert said(capsys) == [
        "Your lessons are in mine (1 updated, 1 kept as you changed them).",
        f"The course has newer editions; yours are kept: 01_lenet.ipynb. {AGAIN}",
    ]
    assert Path("mine/01_lenet.ipynb").read_bytes() == answers
    assert said(capsys, "--force") == [
        "Your lessons are in mine.",
        f"01_lenet.ipynb is the course's again; yours is kept as 01_lenet.{TODAY}.ipynb.",
    ]
    assert Path(f"mine/01_lenet.{TODAY}.ipynb").read_bytes() == answers
    assert Path("mine/01_lenet.ipynb").read_bytes() == newer


@pytest.mark.usefixtures("served")
def test_an_older_course_of_unknown_origin_is_kept_and_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys)
    Path("mine", copies.MANIFEST).unlink()  # or somebody copied the notebooks by hand
    for name in ("01_lenet", "06_degradation"):
        save(home / "notebooks" / f"{name}.ipynb", "a newer edition")
    assert said(capsys)[1:] == [
        f"The course has newer editions; yours are kept: 01_lenet.ipynb, 06_degradation.ipynb. {AGAIN}"
    ]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("damage", ['{"cells": [', "<<<<<<< HEAD\n{}", ""])
def test_a_half_edited_notebook_is_told_and_kept(capsys: pytest.CaptureFixture[str], damage: str) -> None:
    said(capsys)
    Path("mine/01_lenet.ipynb").write_text(damage)
    assert said(capsys) == [
        "Your lessons are in mine (1 kept as you changed them).",
        f"01_lenet.ipynb is not a readable notebook; it is left as it is. {AGAIN}",
    ]
    assert Path("mine/01_lenet.ipynb").read_text() == damage
    assert said(capsys, "--force")[1:] == [
        f"01_lenet.ipynb is the course's again; yours is kept as 01_lenet.{TODAY}.ipynb."
    ]
    assert Path(f"mine/01_lenet.{TODAY}.ipynb").read_text() == damage


@pytest.mark.usefixtures("served")
def test_a_damaged_progress_file_is_told_and_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys)
    Path("mine/.resnet_edu_progress.json").write_text('{"format": 1, "exer')
    assert said(capsys) == [
        "Your lessons are in mine.",
        ".resnet_edu_progress.json cannot be read: the next check keeps it as .resnet_edu_progress.json.corrupt "
        "and begins a new one.",
    ]
    assert Path("mine/.resnet_edu_progress.json").read_text() == '{"format": 1, "exer'
    monkeypatch.chdir("mine")  # where a check runs
    note = progress_table.record("01.1", "passed")
    assert (
        note
        == "the progress file could not be read. It is kept as .resnet_edu_progress.json.corrupt; a new one begins."
    )
    assert Path(".resnet_edu_progress.json.corrupt").read_text() == '{"format": 1, "exer'


@pytest.mark.usefixtures("served")
def test_it_tells_how_to_come_in_over_ssh(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    cli.run(["lab", "mine"])
    assert "ssh -N -L PORT:127.0.0.1:PORT HOST" in capsys.readouterr().out
