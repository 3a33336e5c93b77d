"""The commands rehearse (from a record) and bench: what they print, and how they refuse."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_record import record

from resnet_edu.tools import cli

ROOT = Path(__file__).resolve().parents[2]
REHEARSAL = str(ROOT / "docs" / "rehearsal.json")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the bench was asked to measure; nothing is."""
    calls: list[dict[str, Any]] = []

    def pretend(parts: Any, *, say: Any, **options: Any) -> dict[str, Any]:
        say("limits: pretended")
        calls.append({"parts": list(parts), **options})
        return record()

    monkeypatch.setattr("resnet_edu.tools.bench.parts.measure", pretend)
    monkeypatch.setenv("RESNET_EDU_QUIET", "")  # the command sets it
    return calls


def test_bench_explains_itself_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: resnet-edu bench" in text
    assert "Examples:\n    resnet-edu bench" in text


def test_bench_shows_a_screen(asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench"]) == 0
    assert asked == [{"parts": [], "rounds": 5, "quick": False, "folder": None}]
    out, _ = capsys.readouterr()
    assert "Advice:" in out
    assert out.count("\n") <= 60  # narrower than 100 columns here


def test_bench_prints_json_alone(asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "limits", "growth", "--quick", "--repeats", "7", "--folder", "x", "--json"]) == 0
    assert asked == [{"parts": ["limits", "growth"], "rounds": 7, "quick": True, "folder": Path("x")}]
    assert json.loads(capsys.readouterr().out) == record()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "trainning"], "Unknown part of the bench 'trainning'. Did you mean 'training'?"),
        (["bench", "--repeats", "0"], "Invalid value for '--repeats'"),
        (["bench", "--repeats", "many"], "Invalid value for '--repeats'"),
        (["bench", "limits", "--folder", "."], "A folder is only read to measure growth"),
        (["bench", "growth", "--folder", "nowhere"], "nowhere does not hold train/CLASS/FILE"),
        (["rehearse", "--recorded", "nowhere.json"], "No such file or directory: nowhere.json"),
        (["rehearse", "--recorded", "other.json"], "other.json is no record of a rehearsal"),
        (["rehearse", "1", "--recorded", "empty.json"], "empty.json has no run of 01_lenet."),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESNET_EDU_QUIET", "")
    Path("other.json").write_text("{}")
    Path("empty.json").write_text("[]")
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"resnet-edu: {message}")
    assert err.count("\n") == 1
    assert out == ""


def test_the_slowest_cells_of_all_lessons_are_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rehearse", "--recorded", REHEARSAL, "--cells", "10"]) == 0
    out, _ = capsys.readouterr()
    cells = sorted(
        ((cell["seconds"], run["lesson"]) for run in json.loads(Path(REHEARSAL).read_text()) for cell in run["cells"]),
        reverse=True,
    )
    rows = re.findall(r"│ (\d\d_\w+) +│ \d+ +│ +([\d.]+) +│", out[out.index("first line") :])
    assert rows == [(lesson, f"{seconds:.2f}") for seconds, lesson in cells[:10]]
    assert "The pages are in" not in out


def test_a_record_is_read_for_some_lessons_and_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rehearse", "6", "--recorded", REHEARSAL, "--json"]) == 0
    [run] = json.loads(capsys.readouterr().out)
    assert run in json.loads(Path(REHEARSAL).read_text())
