"""Lessons are found, and come whole into a learner's folder, never over what is theirs."""

import json
from datetime import date
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings, strategies as st
from nbformat import v4

from resnet_edu import files
from resnet_edu.errors import UnknownName
from resnet_edu.tools import course

NAMES = ("00_start_here", "01_lenet", "06_degradation")
TODAY = date.today().isoformat()


def write(path: Path, *cells: str, title: str = "Title") -> bytes:
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(f"# {title}"), *map(v4.new_code_cell, cells)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path.read_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of three lessons in both editions, in place of the real one."""
    home = tmp_path / "home"
    for name in NAMES:
        write(home / "notebooks" / f"{name}.ipynb", "raise NotImplementedError", title=f"Lesson {name[:2]}")
        write(home / "notebooks" / "solutions" / f"{name}.ipynb", "1 + 1", title=f"Lesson {name[:2]}")
    monkeypatch.setattr(files, "course_folder", lambda: home)
    return home


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    assert [lesson.number for lesson in found] == ["00", "01", "06"]
    assert found[2].title == "Lesson 06"
    assert course.lessons("worked")[0].path == home / "notebooks" / "solutions" / "00_start_here.ipynb"


@pytest.mark.parametrize("name", ["6", "06", "06_degradation", "degradation", "06_degradation.ipynb", " Degradation "])
def test_a_lesson_is_found_by_number_or_name(home: Path, name: str) -> None:
    assert course.find_lesson(name).name == "06_degradation"


def test_a_lesson_in_between_has_a_letter(home: Path) -> None:
    write(home / "notebooks" / "00b_primer.ipynb")
    assert [lesson.number for lesson in course.lessons()] == ["00", "00b", "01", "06"]
    assert {course.find_lesson(name).name for name in ("00b", "0b", "primer")} == {"00b_primer"}
    assert {course.find_lesson(name).name for name in ("0", "00")} == {"00_start_here"}


def test_an_unknown_lesson_names_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownName, match=r"'06_degredation'.*Did you mean '06_degradation'\?.*01_lenet"):
        course.find_lesson("06_degredation")


def test_a_course_without_lessons_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path)
    assert course.lessons() == []
    with pytest.raises(ValueError, match=r"No lessons in .* make notebooks"):
        course.find_lesson("1")


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
        patch.setattr(files, "course_folder", lambda: home)
        for name in NAMES:
            write(home / "notebooks" / f"{name}.ipynb", "first edition")
        course.copy_lessons(mine)
        for count, (actor, name) in enumerate(steps):
            if actor == "learner":
                answers[name] = f"answer {count}"
                (mine / f"{name}.ipynb").write_text(answers[name])
            elif actor == "course":
                write(home / "notebooks" / f"{name}.ipynb", f"edition {count}")
            course.copy_lessons(mine)
        for name in NAMES:
            expected = answers.get(name) or (home / "notebooks" / f"{name}.ipynb").read_text()
            assert (mine / f"{name}.ipynb").read_text() == expected


def test_force_replaces_what_is_outdated_or_unreadable_and_keeps_yours_beside(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    answers = write(mine / "00_start_here.ipynb", "my answers")
    older = write(mine / "01_lenet.ipynb", "answers to an older edition")
    (mine / "06_degradation.ipynb").write_text('{"cells": [{"cell_type"')  # cut short
    newer = write(home / "notebooks" / "01_lenet.ipynb", "a newer edition")
    report = course.copy_lessons(mine, force=True)
    assert report.replaced == {
        "01_lenet.ipynb": f"01_lenet.{TODAY}.ipynb",
        "06_degradation.ipynb": f"06_degradation.{TODAY}.ipynb",
    }
    assert (report.kept, report.outdated) == (["00_start_here.ipynb"], [])
    found = everything(mine)
    assert found["00_start_here.ipynb"] == answers
    assert found["01_lenet.ipynb"] == newer
    assert found[f"01_lenet.{TODAY}.ipynb"] == older
    assert found["06_degradation.ipynb"] == (home / "notebooks" / "06_degradation.ipynb").read_bytes()
    assert found[f"06_degradation.{TODAY}.ipynb"] == b'{"cells": [{"cell_type"'
    assert course.copy_lessons(mine, force=True).replaced == {}


def test_a_copy_beside_is_no_lesson(home: Path, tmp_path: Path) -> None:
    for path in list((home / "notebooks").glob("*.ipynb")):
        course.keep_beside(path)
    assert [lesson.name for lesson in course.lessons()] == list(NAMES)


def test_a_folder_without_worked_lessons_stays_without_them(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "handed out"
    files = {"01_lenet.ipynb": (home / "notebooks" / "01_lenet.ipynb").read_bytes()}
    course.put(files, course.compare(mine, files))
    assert course.copy_lessons(mine).added == ["00_start_here.ipynb", "06_degradation.ipynb"]
    assert not (mine / "solutions").exists()


def test_what_was_written_before_a_full_disk_is_noted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole = files.write_atomically

    def full(target: Path, content: bytes) -> None:
        if target.name == "01_lenet.ipynb":
            raise OSError(28, "No space left on device", str(target))
        write_whole(target, content)

    monkeypatch.setattr(files, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        course.copy_lessons(tmp_path / "mine")
    monkeypatch.setattr(files, "write_atomically", write_whole)
    write(home / "notebooks" / "00_start_here.ipynb", "a newer edition")
    assert course.copy_lessons(tmp_path / "mine").updated == ["00_start_here.ipynb"]


@pytest.mark.parametrize("cut", [b"", b"{", b"[]", b"<<<<<<< HEAD", b"\xff\xfe"])
def test_what_is_no_notebook_is_found(tmp_path: Path, cut: bytes) -> None:
    write(tmp_path / "good.ipynb")
    (tmp_path / "bad.ipynb").write_bytes(cut)
    assert course.unreadable(tmp_path, ["good.ipynb", "bad.ipynb"]) == ["bad.ipynb"]
