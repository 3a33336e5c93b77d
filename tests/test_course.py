import json
import os
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings, strategies as st
from nbformat import v4

from resnet_edu import course
from resnet_edu.errors import UnknownName

NAMES = ("00_start_here", "01_lenet", "06_degradation")


def write(path: Path, *cells: str, title: str | None = None) -> Path:
    notebook = v4.new_notebook()
    notebook.cells = [v4.new_markdown_cell(f"# {title or path.stem}\n\nText."), *map(v4.new_code_cell, cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def edit(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": text}]}))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of three lessons in both editions, in place of the real one."""
    home = tmp_path / "home"
    for name in NAMES:
        write(home / "notebooks" / f"{name}.ipynb", "raise NotImplementedError", title=f"Lesson {name[:2]}")
        write(home / "notebooks" / "solutions" / f"{name}.ipynb", "1 + 1", title=f"Lesson {name[:2]}")
    monkeypatch.setattr(course, "home", lambda: home)
    return home


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_checkout_holds_the_courses_folders() -> None:
    root = course.checkout()
    assert root is not None
    assert (root / "resnet_edu" / "course.py").is_file()
    assert course.notebooks() == root / "notebooks"
    assert course.assets() == root / "assets"


def test_an_installed_wheel_carries_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "resnet_edu"
    write(package / "_course" / "notebooks" / "01_lenet.ipynb")
    monkeypatch.setattr(course, "PACKAGE", package)
    assert course.checkout() is None
    assert [lesson.name for lesson in course.lessons()] == ["01_lenet"]
    assert course.assets() == package / "_course" / "assets"


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
    monkeypatch.setattr(course, "home", lambda: tmp_path)
    assert course.lessons() == []
    for call in (lambda: course.find_lesson("1"), lambda: course.copy_lessons(tmp_path / "mine")):
        with pytest.raises(ValueError, match=r"No lessons in .* make notebooks"):
            call()


def test_a_file_that_is_no_notebook_is_named(home: Path) -> None:
    (home / "notebooks" / "02_broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"02_broken\.ipynb is not a readable notebook"):
        course.lessons()


def test_a_new_folder_gets_both_editions(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "deep" / "mine"
    report = course.copy_lessons(mine)
    assert report.added == [f"{name}.ipynb" for name in NAMES] + [f"solutions/{name}.ipynb" for name in NAMES]
    assert (mine / "01_lenet.ipynb").read_bytes() == (home / "notebooks" / "01_lenet.ipynb").read_bytes()
    assert sorted(everything(mine)) == sorted([*report.added, course.MANIFEST])


def test_copying_twice_changes_nothing(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    before = {path: path.stat().st_mtime_ns for path in mine.rglob("*")}
    report = course.copy_lessons(mine)
    assert len(report.unchanged) == 6
    assert report == course.CopyReport(mine, unchanged=report.unchanged)
    assert {path: path.stat().st_mtime_ns for path in mine.rglob("*")} == before


def test_a_newer_edition_replaces_only_what_the_learner_left_alone(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    (mine / "01_lenet.ipynb").write_text("my answers")
    (mine / "06_degradation.ipynb").write_text("my other answers")
    (mine / "notes.ipynb").write_text("my notes")
    (mine / "solutions" / "06_degradation.ipynb").unlink()
    for name in ("00_start_here", "01_lenet"):
        write(home / "notebooks" / f"{name}.ipynb", "a newer edition")
    report = course.copy_lessons(mine)
    assert report.updated == ["00_start_here.ipynb"]
    assert report.kept == ["01_lenet.ipynb", "06_degradation.ipynb"]
    assert report.outdated == ["01_lenet.ipynb"]
    assert report.added == ["solutions/06_degradation.ipynb"]
    assert (mine / "01_lenet.ipynb").read_text() == "my answers"
    assert (mine / "notes.ipynb").read_text() == "my notes"
    assert (mine / "00_start_here.ipynb").read_bytes() == (home / "notebooks" / "00_start_here.ipynb").read_bytes()


@pytest.mark.parametrize("damage", [None, "", "{", "[1]", '{"00_start_here.ipynb": 3}'])
def test_without_a_manifest_every_difference_is_the_learners(home: Path, tmp_path: Path, damage: str | None) -> None:
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    (mine / course.MANIFEST).unlink()
    if damage is not None:
        (mine / course.MANIFEST).write_text(damage)
    write(home / "notebooks" / "00_start_here.ipynb", "a newer edition")
    report = course.copy_lessons(mine)
    assert report.kept == ["00_start_here.ipynb"]
    assert len(report.unchanged) == 5
    assert set(json.loads((mine / course.MANIFEST).read_text())) >= set(report.unchanged)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["learner", "course", "copy"]), st.sampled_from(NAMES)), max_size=12))
def test_no_order_of_events_loses_an_answer(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    home, mine = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("mine")
    answers: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "home", lambda: home)
        for name in NAMES:
            edit(home / "notebooks" / f"{name}.ipynb", "first edition")
        course.copy_lessons(mine)
        for count, (actor, name) in enumerate(steps):
            if actor == "learner":
                answers[name] = f"answer {count}"
                (mine / f"{name}.ipynb").write_text(answers[name])
            elif actor == "course":
                edit(home / "notebooks" / f"{name}.ipynb", f"edition {count}")
            course.copy_lessons(mine)
        for name in NAMES:
            expected = answers.get(name) or (home / "notebooks" / f"{name}.ipynb").read_text()
            assert (mine / f"{name}.ipynb").read_text() == expected


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        course.write_atomically(target, b"new")
    assert everything(tmp_path) == {"file": b"old"}


def test_a_file_in_place_of_the_folder_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"is a file\. Name a folder"):
        course.copy_lessons(tmp_path / "file")
