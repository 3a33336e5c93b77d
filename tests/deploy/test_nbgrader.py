"""nbgrader grades the lessons: right answers get all points, wrong ones and stubs none."""

import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks import build, editions
from resnet_edu import checks
from resnet_edu.checks.result import Graded, NotPassed

STAND_ALONE = {"setup", "exercise", "check"}
WRONG = {
    "exercise_01_1": "return size - kernel + 1",  # in place of the stub: no padding, no stride
    "exercise_01_2": 'import sys\n    print("careful", file=sys.stderr)\n    return F.conv2d(x, weight, bias)',
    "exercise_01_4": "side = side +",  # a syntax error
}

needs_nbgrader = pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed; the extra `workshop` has it"
)


def first_answer(images):
    return len(images), images.shape[2], images.shape[3]


def with_stderr(images):
    print("careful", file=sys.stderr)
    return first_answer(images)


def stub(images):
    raise NotImplementedError("not yet")


# --- a check under nbgrader, without nbgrader ---------------------------------------------------------------------


@pytest.mark.parametrize("errand", ["autograde", "validate"])
def test_an_answer_that_has_not_passed_fails_its_cell(errand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", errand)
    with pytest.raises(NotPassed, match=r"… not yet · Exercise 0\.1"):
        checks.check_first_answer(stub)
    with pytest.raises(NotPassed, match=r"✗ wrong · Exercise 0\.1"):
        checks.check_first_answer(lambda images: images.shape[:3])
    with pytest.raises(NotPassed, match="… not yet"):
        checks.check_first_answer(None)


def test_a_passed_answer_is_shown_and_is_not_the_cells_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_progress: Path
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    result = checks.check_first_answer(with_stderr)
    assert isinstance(result, Graded)
    assert result.passed
    result._ipython_display_()
    out, err = capsys.readouterr()
    assert "HTML object" in out, "outside a kernel, display prints the object's name"
    assert err == "", "nbgrader takes anything on stderr for a failure"
    assert not own_progress.exists(), "a grading run leaves no progress behind"


# --- nbgrader itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """An empty nbgrader course folder with the settings of this course."""
    folder = tmp_path / "course"
    folder.mkdir()
    shutil.copy(build.HERE / "nbgrader_config.py", folder)
    return folder


def nbgrader(course: Path, *words: str) -> str:
    """Run the command in the course folder, with nothing of this machine's settings; what it logged."""
    own = {"JUPYTER_CONFIG_DIR": str(course / "none"), "IPYTHONDIR": str(course / "none"), "HOME": str(course)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic by name
    env = os.environ | own | {"PATH": path, "PYTHONPATH": str(build.HERE.parent), "RESNET_EDU_PROFILE": "quick"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words], cwd=course, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def lesson(number: str, edition: str) -> NotebookNode:
    (path,) = (build.HERE / edition).glob(f"{number}_*.ipynb")
    return nbformat.read(path, as_version=4)


def cut(notebook: NotebookNode) -> NotebookNode:
    """The set-up cell, the exercises and their checks: the rest takes time and is not graded."""
    notebook.cells = [cell for cell in notebook.cells if STAND_ALONE & set(cell.metadata.get("tags", []))]
    return notebook


def hand_in(course: Path, student: str, **notebooks: NotebookNode) -> None:
    folder = course / "submitted" / student / "week1"
    folder.mkdir(parents=True)
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")


def scores(course: Path, student: str) -> dict[str, float]:
    """Points by check, as they stand in the gradebook."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's, about nbgrader's way of using it
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
            submission = gradebook.find_submission("week1", student)
            return {grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades}


def in_both(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that are the same in both editions: their links lead elsewhere, and Colab opens the learner's."""
    cells = [cell for cell in notebook.cells if "colab" not in cell["id"]]
    return [cell for cell in cells if "navigation" not in cell.metadata.get("tags", [])]


@needs_nbgrader
@pytest.mark.slow
def test_generate_assignment_gives_the_learners_edition(course: Path) -> None:
    shutil.copytree(build.HERE / "solutions", course / "source" / "all", ignore=shutil.ignore_patterns(".*"))
    nbgrader(course, "generate_assignment", "all")
    released = sorted((course / "release" / "all").glob("*.ipynb"))
    assert [path.name for path in released] == sorted(path.name for path in build.HERE.glob("*.ipynb"))
    for path in released:
        ours = in_both(nbformat.read(build.HERE / path.name, as_version=4))
        theirs = in_both(nbformat.read(path, as_version=4))
        assert [(cell["id"], cell.source) for cell in theirs] == [(cell["id"], cell.source) for cell in ours]
        assert not any(cell.get("outputs") for cell in theirs)


@needs_nbgrader
@pytest.mark.slow
def test_autograde_pays_for_what_passes_and_for_nothing_else(course: Path) -> None:
    source = course / "source" / "week1"
    source.mkdir(parents=True)
    nbformat.write(cut(lesson("00", "solutions")), source / "00_start_here.ipynb")
    nbformat.write(cut(lesson("01", "solutions")), source / "01_lenet.ipynb")
    nbgrader(course, "generate_assignment", "week1")

    right = {"00_start_here": cut(lesson("00", "solutions")), "01_lenet": cut(lesson("01", "solutions"))}
    hand_in(course, "right", **right)
    hand_in(course, "unfinished", **{"01_lenet": cut(lesson("01", "."))})  # our learner's edition, untouched
    wrong = cut(lesson("01", "."))
    answers = {cell.metadata["nbgrader"]["grade_id"]: cell for cell in wrong.cells if "nbgrader" in cell.metadata}
    for name, answer in WRONG.items():
        answers[name].source = answers[name].source.replace(editions.PLACEHOLDER, answer)
    answers["check_01_1"].source = "print('passed')"  # locked: nbgrader puts the check back
    (whole,) = [cell for cell in lesson("01", "solutions").cells if cell["id"] == answers["exercise_01_3"]["id"]]
    init = "        super().__init__()\n"
    warned = init + "        import warnings\n        warnings.warn('old')\n"
    answers["exercise_01_3"].source = whole.source.replace(init, warned)
    hand_in(course, "wrong", **{"01_lenet": wrong})
    log = nbgrader(course, "autograde", "week1")

    full = {"check_00_1": 1, "check_01_1": 1, "check_01_2": 3, "check_01_3": 2, "check_01_4": 3, "check_01_5": 3}
    assert scores(course, "right") == full
    assert scores(course, "unfinished") == dict.fromkeys(full, 0)
    assert scores(course, "wrong") == dict.fromkeys(full, 0) | {"check_01_3": 2}, "a warning costs no points"
    assert "partial credit" not in log, "no result was taken for a number of points"
