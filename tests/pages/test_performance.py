"""The page on performance says what the records say; and what is slow has a reason."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from bench_record import record

from resnet_edu.tools.bench.parts import PARTS
from resnet_edu.tools.bench.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")
RECORDS = [DOCS / f"{name}.json" for name in ("bench", "naming", "accuracy", "growth", "slow_tests")]
recorded = pytest.mark.skipif(
    not all(file.is_file() for file in RECORDS), reason="needs the records; docs/performance.py says how to make them"
)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("performance", DOCS / "performance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@recorded
def test_the_tables_are_those_of_the_records(page: ModuleType) -> None:
    assert page.filled(PAGE) == PAGE, "run: python docs/performance.py"


@recorded
def test_every_part_is_recorded(page: ModuleType) -> None:
    bench, alone = page.read(page.BENCH), {name: page.read(file) for name, file in page.ALONE.items()}
    assert set(PARTS) - set(alone) <= set(bench)
    assert [each["title"] for each in bench["training"]] == [workload.title for workload in WORKLOADS]
    assert bench["settings"]["repeats"] >= 5
    assert not bench["settings"]["quick"]
    assert alone["growth"]["growth"]["loading"]["at"] == [1_000, 3_000, 10_000, 30_000, 60_000]
    invented = record()
    for name in PARTS:  # the invented record of the other tests has the same keys
        real = alone.get(name, bench)[name]
        assert keys(real) == keys(invented[name]), name


def keys(value: object) -> object:
    """The shape of a record: names, and for a list that of its first entry."""
    if isinstance(value, dict):
        named = value if not {"curves"} & set(value) else {**value, "curves": list(value["curves"].values())}
        return {name: keys(each) for name, each in named.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def test_records_name_no_place_of_one_machine() -> None:
    for file in DOCS.glob("*.json"):
        assert not re.search(r"\"/|/home|/work|/tmp", file.read_text(encoding="utf-8")), file.name


@recorded
def test_the_picture_is_small_and_there() -> None:
    [picture] = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)
    assert 5_000 < (DOCS / picture).stat().st_size <= 150_000


@recorded
def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert len(links) >= 4
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_what_is_slow_needs_a_reason(page: ModuleType) -> None:
    assert page.why_test("test_lab.py::test_x", 20.0) == "starts JupyterLab"
    assert page.why_cell("06_degradation", "models, histories = {}, {}", 20.0).startswith("trains plain-20")
    assert page.why_test("test_quick.py::test_x", 9.9) == ""
    with pytest.raises(ValueError, match=r"test_new.py::test_x takes 11 s: give the reason"):
        page.why_test("test_new.py::test_x", 11.0)
    with pytest.raises(ValueError, match="01_lenet: models = 1 takes 12 s"):
        page.why_cell("01_lenet", "models = 1", 12.0)


def test_the_slowest_tests_are_read_from_pytests_report(page: ModuleType, tmp_path: Path) -> None:
    cases = "".join(f'<testcase classname="tests.test_{n % 2}" name="test_{n}" time="{n}.04"/>' for n in range(12))
    report = tmp_path / "tests.xml"
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    found = page.slowest_tests(report)
    assert len(found) == 10
    assert found[0] == {"test": "test_1.py::test_11", "seconds": 11.0}
    assert found[-1] == {"test": "test_0.py::test_2", "seconds": 2.0}


@recorded
def test_a_page_without_a_place_is_refused(page: ModuleType) -> None:
    with pytest.raises(ValueError, match="needs one place for training"):
        page.filled(PAGE.replace("<!-- training: begin -->\n", ""))


def test_the_figure_has_a_panel_for_each_curve(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invented = record()
    first = invented["growth"]["curves"]["depth"]
    invented["growth"]["curves"] = dict.fromkeys(("depth", "width", "side", "batch"), first)
    (tmp_path / "growth.json").write_text(json.dumps(invented))
    monkeypatch.setitem(page.ALONE, "growth", tmp_path / "growth.json")
    figure = page.growth_figure()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.partition(":")[0] for title in titles] == [
        *("Depth", "Width", "Side", "Batch", "Loading pictures", "Memory while loading")
    ]
