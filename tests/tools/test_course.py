from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from resnet_edu import files
from resnet_edu.errors import UnknownName
from resnet_edu.tools import course

NAMES = ("00_start_here", "01_lenet", "06_degradation")


def write(path: Path, *cells: str, title: str | None = None) -> Path:
    notebook = v4.new_notebook()
    notebook.cells = [v4.new_markdown_cell(f"# {title or path.stem}\n\nText."), *map(v4.new_code_cell, cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of three lessons in both editions, in place of the real one."""
    home = tmp_path / "home"
    for name in NAMES:
        write(home / "notebooks" / f"{name}.ipynb", "raise NotImplementedError", title=f"Lesson {name[:2]}")
        write(home / "notebooks" / "solutions" / f"{name}.ipynb", "1 + 1", title=f"Lesson {name[:2]}")
    monkeypatch.setattr(files, "course_folder", lambda: home)
    return home


def test_an_installed_wheel_carries_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "resnet_edu"
    write(package / "_course" / "notebooks" / "01_lenet.ipynb")
    monkeypatch.setattr(files, "PACKAGE", package)
    assert files.checkout() is None
    assert [lesson.name for lesson in course.lessons()] == ["01_lenet"]
    assert files.assets() == package / "_course" / "assets"


def test_lessons_are_numbered_titled_and_in_order(home: Path) -> None:
    write(home / "notebooks" / "scratch.ipynb")  # not a lesson
    found = course.lessons()
    assert [lesson.name for lesson in found] == list(NAMES)
    assert [lesson.number for lesson in found] == [0, 1, 6]
    assert found[2].title == "Lesson 06"
    assert course.lessons("worked")[0].path == home / "notebooks" / "solutions" / "00_start_here.ipynb"


@pytest.mark.parametrize("name", ["6", "06", "06_degradation", "degradation", "06_degradation.ipynb", " Degradation "])
def test_a_lesson_is_found_by_number_or_name(home: Path, name: str) -> None:
    assert course.find_lesson(name).name == "06_degradation"


def test_an_unknown_lesson_names_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownName, match=r"'06_degredation'.*Did you mean '06_degradation'\?.*01_lenet"):
        course.find_lesson("06_degredation")


def test_an_unknown_edition_is_refused(home: Path) -> None:
    with pytest.raises(UnknownName, match="Known: learner, worked"):
        course.lessons("teacher")  # pyright: ignore[reportArgumentType]


def test_a_course_without_lessons_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path)
    assert course.lessons() == []
    with pytest.raises(ValueError, match=r"No lessons in .* make notebooks"):
        course.find_lesson("1")


def test_a_file_that_is_no_notebook_is_named(home: Path) -> None:
    (home / "notebooks" / "02_broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"02_broken\.ipynb is not a readable notebook"):
        course.lessons()
