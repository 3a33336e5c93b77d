"""The records in assets/runs are whole, and what README and the lessons print agrees with them."""

import json
import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import nbformat
import pytest

from resnet_edu import TrainConfig
from resnet_edu.studies import STUDIES
from resnet_edu.study import Recorded, in_full, load_study

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "assets" / "runs"
RECORDS = sorted(path.stem for path in RUNS.glob("*.json"))
VERSIONS = {"python", "torch", "torchvision", "cpu", "cores", "os", "device"}


YOUNGER = {"backbone_lr"}  # options that came after a record was made, which has their default


def faults(values: dict[str, Any]) -> list[str]:
    """What is missing in the JSON of a record."""
    found = []
    for label, setting in values["settings"].items():
        missing = {*TrainConfig().to_dict()} - {*setting["config"]} - YOUNGER
        found += [f"{label}: config without {', '.join(sorted(missing))}"] if missing else []
        found += [f"{label}: without {part}" for part in ("model", "options", "data") if part not in setting]
    for run in values["runs"]:
        missing = {"setting", "seed", "date", "seconds", "machine"} - {*run} | VERSIONS - {*run.get("machine", {})}
        found += [f"{run}: without {', '.join(sorted(missing))}"] if missing else []
    return found


def finals(study: Recorded, name: str, part: str) -> list[float]:
    return [getattr(run.last, part) for run in study.of(name)]


def test_there_are_records() -> None:
    assert {"mnist5k-degradation", "six-curves"} <= {*RECORDS}
    assert {path.stem for path in RUNS.glob("*.csv")} == {*RECORDS}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_what_was_run_with_which_seeds_and_versions(name: str) -> None:
    values = json.loads((RUNS / f"{name}.json").read_text(encoding="utf-8"))
    assert faults(values) == []
    assert values["study"] == name
    settings = json.loads(json.dumps({label: each.to_dict() for label, each in STUDIES[name].settings.items()}))
    if name != "mnist5k-transfer":  # recorded with weights that the package no longer has
        for label, setting in values["settings"].items():
            assert in_full(setting) == in_full(settings[label])
    recorded = load_study(name)
    rows = (RUNS / f"{name}.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == sum(map(len, recorded.epochs.values()))  # no row of a run that the JSON does not know
    assert len({(run["setting"], run["seed"]) for run in values["runs"]}) == len(values["runs"])


def test_the_faults_are_found() -> None:
    values = json.loads((RUNS / "six-curves.json").read_text(encoding="utf-8"))
    del values["settings"]["overfitting"]["config"]["lr"]
    del values["runs"][0]["seed"]
    del values["runs"][1]["machine"]["torch"]
    assert [fault.rpartition(" ")[2] for fault in faults(values)] == ["lr", "seed", "torch"]


def test_the_degradation_study_is_complete() -> None:
    study = load_study("mnist5k-degradation")
    assert {*study.epochs} == {*STUDIES["mnist5k-degradation"].runs()}


def printed_error(errors: list[float]) -> str:
    """As README shows an error: with its spread where there are several runs."""
    return f"{mean(errors):.1f} ± {stdev(errors):.1f} %" if len(errors) > 1 else f"{mean(errors):.1f} %"


@pytest.mark.parametrize(("record", "table"), [("cifar10-jpeg", 0), ("mnist5k-degradation", 1)])
def test_readme_prints_the_records_numbers(record: str, table: int) -> None:
    study, readme = load_study(record), (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("plain20", "plain56", "resnet20", "resnet56"):
        row = re.findall(rf"^\| {name} \|.*$", readme, re.MULTILINE)[table]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-2:] == [printed_error(finals(study, name, part)) for part in ("train_error", "val_error")]


def test_the_label_says_how_many_epochs_and_seeds() -> None:
    study, readme = load_study("cifar10-jpeg"), (ROOT / "README.md").read_text(encoding="utf-8")
    epochs = {setting["config"]["epochs"] for setting in study.settings.values()}
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    assert f"JPEG copy, {epochs.pop()} epochs, {seeds}, test" in readme
    assert not epochs  # the same for all nets


def printed_by_lesson_06() -> str:
    """What its worked edition prints."""
    notebook = nbformat.read(ROOT / "notebooks" / "solutions" / "06_degradation.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_lesson_06_prints_the_records_numbers() -> None:
    printed, study = printed_by_lesson_06(), load_study("mnist5k-degradation")
    for name in study.settings:
        train, test = (finals(study, name, part) for part in ("train_error", "val_error"))
        line = (
            rf"{name} +training +{mean(train):.1f} ± +{stdev(train):.1f} +test +{mean(test):.1f} ± +{stdev(test):.1f}"
        )
        assert re.search(line, printed), f"{line} is not printed by lesson 06: build it again"


def test_lesson_06_prints_the_cifar_records_numbers() -> None:
    printed, study = printed_by_lesson_06(), load_study("cifar10-jpeg")
    for name in study.settings:
        errors = [*finals(study, name, "train_error"), *finals(study, name, "val_error")]  # seed by seed
        row = " +".join(re.escape(f"{error:.1f}") for error in errors)
        assert re.search(rf"{name} .* {row}\n", printed), f"{name} is missing: build lesson 06 again"
