"""The progress table: what a try adds, a file that others have touched, and one that cannot be written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_edu import checks
from resnet_edu.checks.exercise import REGISTRY
from resnet_edu.checks.progress import Entry, Progress, progress_file as where_progress_is, read, record
from resnet_edu.checks.result import headings, way_on


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "progress.json"
    monkeypatch.setenv("RESNET_EDU_PROGRESS", str(path))
    return path


def right(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def wrong(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride


def test_progress_before_anything_was_tried_lists_every_exercise(progress_file):
    table = checks.progress()
    assert list(table.entries) == sorted(REGISTRY)
    assert table.passed == 0
    assert not progress_file.exists()
    assert f"0 of {len(REGISTRY)} exercises passed" in str(table)


def test_tries_are_counted_and_a_pass_stays(progress_file):
    for answer in (None, wrong, right, wrong):
        checks.check_output_size(answer)
    entry = checks.progress().entries["01.1 output size"]
    assert (entry.best, entry.last, entry.tries) == ("passed", "wrong", 3)
    assert entry.first_passed is not None
    checks.check_output_size(right)
    assert checks.progress().entries["01.1 output size"].first_passed == entry.first_passed
    assert {path.name for path in progress_file.parent.iterdir()} <= {progress_file.name, progress_file.name + ".lock"}


def test_a_demonstration_is_not_counted(progress_file):
    assert checks.check_output_size(wrong, recorded=False).status == "wrong"
    assert not progress_file.exists()


def test_progress_survives_a_restart_and_importing_the_checks_is_cheap(progress_file):
    checks.check_output_size(right)
    code = (
        "import sys, resnet_edu.checks; print(resnet_edu.checks.progress().passed); "
        "print([name for name in ('pandas', 'matplotlib', 'ipywidgets', 'captum') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "[]"]


def test_the_file_is_in_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("RESNET_EDU_PROGRESS")
    monkeypatch.chdir(tmp_path)
    assert where_progress_is(Path()) == tmp_path / ".resnet_edu_progress.json"


def test_exercises_of_a_newer_course_are_kept(progress_file):
    record("42.1 of the future", "passed")
    checks.check_output_size(right)
    assert read(progress_file)[0]["exercises"]["42.1"]["best"] == "passed"


def test_what_else_is_in_the_file_is_kept_and_a_link_stays_one(progress_file, tmp_path):
    content = {"format": 1, "by": "somebody", "exercises": {"01.1 an older title": {"best": "wrong", "tries": 1}}}
    (tmp_path / "elsewhere.json").write_text(json.dumps(content))
    progress_file.parent.mkdir()
    progress_file.symlink_to(tmp_path / "elsewhere.json")
    assert checks.check_output_size(right).note == ""
    assert progress_file.is_symlink()
    written = json.loads((tmp_path / "elsewhere.json").read_text())
    assert written["by"] == "somebody"
    assert written["exercises"]["01.1"].items() >= {"best": "passed", "tries": 2}.items()


@pytest.mark.slow
def test_two_notebooks_at_once_lose_no_try(progress_file):
    code = "from resnet_edu.checks.progress import record\nfor _ in range(50): assert not record('01.1', 'wrong')"
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert read(progress_file)[0]["exercises"]["01.1"]["tries"] == 100


def with_entry(**entry: object) -> bytes:
    return json.dumps({"format": 1, "exercises": {"01.1 output size": entry}}).encode()


FOREIGN = {
    "empty": b"",
    "half": b'{"format": 1, "exerc',
    "bytes": b"\xff\xfe\x00\x01",
    "list": b"[]",
    "number": b"3",
    "other format": b'{"format": 2, "exercises": {}}',
    "no exercises": b'{"format": 1, "exercises": []}',
    "entry is a number": json.dumps({"format": 1, "exercises": {"01.1 output size": 3}}).encode(),
    "unknown status": with_entry(best="brilliant"),
    "status is a list": with_entry(best=["passed"]),
    "tries is text": with_entry(tries="3"),
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_or_corrupt_file_is_put_aside_and_said(progress_file, content: bytes):
    progress_file.parent.mkdir()
    progress_file.write_bytes(content)
    result = checks.check_output_size(right)
    assert result.passed
    assert "kept as progress.json.corrupt" in result.note
    assert progress_file.with_name("progress.json.corrupt").read_bytes() == content
    assert checks.progress().passed == 1
    assert checks.check_output_size(right).note == ""
    progress_file.write_bytes(content)
    assert "kept as progress.json-2.corrupt" in checks.check_output_size(right).note


def test_where_nothing_can_be_written_the_check_still_answers(progress_file, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "progress.json", tmp_path):  # inside a file; a folder
        monkeypatch.setenv("RESNET_EDU_PROGRESS", str(path))
        result = checks.check_output_size(right)
        assert result.passed
        assert "could not be saved" in result.note
        assert checks.progress().passed == 0
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_table_in_html_has_header_cells_and_every_status_in_words():
    table = Progress(
        {
            "01.1 output size": Entry("passed", "wrong", 3, "2026-02-03T10:00:00+01:00"),
            "01.2 conv2d": Entry("wrong", "wrong", 1),
            "06.1 plain block": Entry(),
        },
        note="a <note>",
        current="01",
    )
    page = table._repr_html_()
    for part in ("1 of 3 exercises passed", "passed", "wrong", "scope='col'", "2026-02-03", "a &lt;note&gt;"):
        assert part in page
    assert page.count("<details>") == 1
    assert page.count("<details open>") == 1
    text = str(table).splitlines()
    assert text[0] == "1 of 3 exercises passed"
    assert text[2] == "01 · LeNet-5                                ■□"
    assert text[4].split() == ["Exercise", "1.1", "·", "Output", "size", "✓", "passed", "3", "2026-02-03"]
    assert "06 · Degradation" in text[6]
    assert len(text) == 9


def test_a_check_bears_the_title_of_its_card_and_says_where_to_go_on():
    for answer, told in ((right, "Next: Exercise 1.2 · "), (wrong, "Hints are in the card above."), (None, "")):
        result = checks.check_output_size(answer)
        assert result.name == "Exercise 1.1 · Output size"
        assert result.way_on.startswith(told)
        assert bool(result.way_on) == bool(told)
    assert checks.progress().current == "01"
    known = headings()
    assert [name for name in REGISTRY if name.split()[0] not in known] == []
    assert [name for name in known if way_on(name, "passed")[0] == ""] == []
    last = max(name for name in known if name[:2] == "05")
    told = "That was the lesson's last exercise. Next lesson: 06 · Degradation"
    assert way_on(last, "passed") == (told, "06_degradation.ipynb")
