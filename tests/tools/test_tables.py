from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from resnet_edu.config import TrainConfig
from resnet_edu.history import Epoch
from resnet_edu.study import Recorded, Setting, Study
from resnet_edu.tools import tables
from resnet_edu.tools.doctor import Finding
from resnet_edu.tools.rehearse import CellTime, Failure, Rehearsal


def text(table: Table) -> list[list[str]]:
    """The rows as they are shown, cell by cell."""
    console = Console(width=150, color_system=None)
    with console.capture() as captured:
        console.print(table)
    rows = [line.replace("┃", "│").split("│") for line in captured.get().splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in row[1:-1]] for row in rows]


def rehearsal(lesson: str, seconds: float, failure: Failure | None = None) -> Rehearsal:
    cells = (CellTime(1, 1.25, "import torch"), CellTime(2, seconds / 2, "net[0]"))
    return Rehearsal(lesson, lesson, seconds, 0.75, 100.0, cells, Path("x.html"), failure)


def test_findings_show_brackets_as_they_are() -> None:
    finding = Finding("packages", "fail", "unmet: torch[cpu]", "pip install '.[test]'")
    assert text(tables.findings([finding]))[1] == ["packages", "fail", "unmet: torch[cpu]", "pip install '.[test]'"]


def test_minutes_add_up() -> None:
    failed = rehearsal("06_degradation", 90, Failure(3, "assert x", "AssertionError"))
    head, first, second, total = text(tables.rehearsals([rehearsal("01_lenet", 30), failed]))
    assert head[:2] == ["lesson", "minutes"]
    assert first == ["01_lenet", "0.50", "2", "0.75", "15.0", "ok"]
    assert second == ["06_degradation", "1.50", "2", "0.75", "45.0", "cell 3 failed"]
    assert total[:2] == ["total", "2.00"]


def test_a_lesson_whose_first_cell_fails_has_a_row_too() -> None:
    run = Rehearsal("x", "X", 1.0, 0.1, 1.0, (), Path("x.html"), Failure(1, "1 / 0", "ZeroDivisionError"))
    assert text(tables.rehearsals([run]))[1][2:] == ["0", "0.10", "0.0", "cell 1 failed"]


def test_the_slowest_cells_are_listed_with_their_code() -> None:
    rows = text(tables.slowest_cells([rehearsal("01_lenet", 30)], count=1))
    assert rows[1:] == [["01_lenet", "2", "15.00", "net[0]"]]


def test_a_study_is_summed_up_by_median_and_range() -> None:
    def last(error: float) -> list[Epoch]:
        return [Epoch(1, 2.3, 90.0, 2.3, 90.0, 0.1, 1.0, 100.0), Epoch(2, 1.0, error, 1.0, error + 1, 0.1, 1.0, 100.0)]

    study = Recorded("demo", {"plain20": {}, "resnet20": {}})
    study.epochs = {("plain20", seed): last(error) for seed, error in enumerate((3.0, 9.0, 4.0))}
    assert text(tables.recorded(study))[1:] == [["plain20", "3", "4.0 (3.0 to 9.0)", "5.0 (4.0 to 10.0)"]]


@pytest.mark.parametrize("seeds", [1, 3])
def test_studies_are_listed_with_what_is_missing(tmp_path: Path, seeds: int) -> None:
    setting = Setting("plain20", {}, {"name": "mnist5k"}, TrainConfig())
    study = Study("demo", "A demonstration", {"plain20": setting}, range(seeds))
    assert text(tables.studies([study], tmp_path))[1] == ["demo", "A demonstration", str(seeds), "0"]
