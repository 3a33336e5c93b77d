"""README says what the files and the records say."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from resnet_edu import models
from resnet_edu.tools import course

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_and_lessons_are_those_of_the_records(readme: ModuleType) -> None:
    assert readme.filled(README) == README, "run: python docs/readme.py"


def test_the_rehearsal_names_no_place_of_one_machine() -> None:
    runs = json.loads((ROOT / "docs" / "rehearsal.json").read_text(encoding="utf-8"))
    assert [run["page"] for run in runs if Path(run["page"]).is_absolute()] == []


def test_every_lesson_is_listed(readme: ModuleType) -> None:
    table = readme.lesson_table()
    for lesson in course.lessons("learner"):
        assert f"notebooks/solutions/{lesson.name}.ipynb" in table


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"lab", "test"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
    cli = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "resnet_edu" / "tools").glob("cli*.py"))
    commands = set(re.findall(r"resnet-edu ([a-z]+)", README))
    assert [command for command in commands if not re.search(rf"def {command}\(", cli)] == []


def test_the_networks_named_exist() -> None:
    named = set(re.findall(r"`((?:lenet|alexnet|vgg|googlenet|resnet|plain)\d*)`", README))
    assert named <= set(models.available())
    assert len(named) >= 8
