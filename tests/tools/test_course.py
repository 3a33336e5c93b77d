"""Lessons are found, and come whole into a learner's folder, never over what is theirs."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from tiny_course import save

from resnet_edu import files
from resnet_edu.errors import UnknownName
from resnet_edu.tools import course

NAMES = ("01_lenet", "06_degradation")


def test_an_installed_wheel_carries_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "resnet_edu"
    save(package / "_course" / "notebooks" / "01_lenet.ipynb")
    monkeypatch.setattr(files, "PACKAGE", package)
    assert files.checkout() is None
    assert [lesson.name for lesson in course.lessons()] == ["01_lenet"]
    assert files.assets() == package / "_course" / "assets"


def test_lessons_are_numbered_titled_and_in_order(home: Path) -> None:
    save(home / "notebooks" / "scratch.ipynb")  # no lesson
    save(home / "notebooks" / "01_lenet.ipynb", title="Lesson 01")
    found = course.lessons()
    assert [(lesson.name, lesson.number) for lesson in found] == [("01_lenet", "01"), ("06_degradation", "06")]
    assert found[1].title == "Lesson 06"
    assert course.lessons("worked")[0].path == home / "notebooks" / "solutions" / "01_lenet.ipynb"
    (home / "notebooks" / "02_broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"02_broken\.ipynb is not a readable notebook"):
        course.lessons()


@pytest.mark.parametrize("name", ["6", "06", "06_degradation", "degradation", "06_degradation.ipynb", " Degradation "])
def test_a_lesson_is_found_by_number_or_name(home: Path, name: str) -> None:
    assert course.find_lesson(name).name == "06_degradation"


def test_a_lesson_in_between_has_a_letter(home: Path) -> None:
    save(home / "notebooks" / "01b_primer.ipynb")
    assert [lesson.number for lesson in course.lessons()] == ["01", "01b", "06"]
    assert {course.find_lesson(name).name for name in ("01b", "1b", "primer")} == {"01b_primer"}
    assert {course.find_lesson(name).name for name in ("1", "01")} == {"01_lenet"}


def test_an_unknown_lesson_names_the_nearest_or_how_to_get_any(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"'06_degredation'.*Did you mean '06_degradation'\?.*01_lenet"):
        course.find_lesson("06_degredation")
    monkeypatch.setattr(files, "course_folder", lambda: home / "empty")
    assert course.lessons() == []
    with pytest.raises(ValueError, match=r"No lessons in .* make notebooks"):
        course.find_lesson("1")


def test_a_newer_edition_replaces_only_what_the_learner_left_alone(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "deep" / "mine"
    added = course.copy_lessons(mine).added
    assert added == [f"{name}.ipynb" for name in NAMES] + [f"solutions/{name}.ipynb" for name in NAMES]
    assert {path.name for path in mine.iterdir()} == {*added[:2], "solutions", course.MANIFEST}
    (mine / "06_degradation.ipynb").write_text("my answers")
    (mine / "notes.ipynb").write_text("my notes")
    (mine / "solutions" / "06_degradation.ipynb").unlink()
    newer = [save(home / "notebooks" / f"{name}.ipynb", "a newer edition") for name in NAMES]
    report = course.copy_lessons(mine)
    assert report.updated == ["01_lenet.ipynb"]
    assert report.kept == report.outdated == ["06_degradation.ipynb"]
    assert report.added == ["solutions/06_degradation.ipynb"]
    assert (mine / "06_degradation.ipynb").read_text() == "my answers"
    assert (mine / "notes.ipynb").read_text() == "my notes"
    assert (mine / "01_lenet.ipynb").read_bytes() == newer[0]


@pytest.mark.parametrize("damage", [None, "", "{", "[1]", '{"01_lenet.ipynb": 3}'])
def test_without_a_manifest_every_difference_is_the_learners(home: Path, tmp_path: Path, damage: str | None) -> None:
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    (mine / course.MANIFEST).unlink()
    if damage is not None:
        (mine / course.MANIFEST).write_text(damage)
    save(home / "notebooks" / "01_lenet.ipynb", "a newer edition")
    report = course.copy_lessons(mine)
    assert report.kept == ["01_lenet.ipynb"]
    assert len(report.unchanged) == 3
    assert set(json.loads((mine / course.MANIFEST).read_text())) >= set(report.unchanged)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["learner", "course", "copy"]), st.sampled_from(NAMES)), max_size=12))
def test_no_order_of_events_loses_an_answer(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    home, mine = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("mine")
    answers: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "course_folder", lambda: home)
        for name in NAMES:
            save(home / "notebooks" / f"{name}.ipynb", "first edition")
        course.copy_lessons(mine)
        for count, (actor, name) in enumerate(steps):
            if actor == "learner":
                answers[name] = f"answer {count}"
                (mine / f"{name}.ipynb").write_text(answers[name])
            elif actor == "course":
                save(home / "notebooks" / f"{name}.ipynb", f"edition {count}")
            course.copy_lessons(mine)
        for name in NAMES:
            expected = answers.get(name) or (home / "notebooks" / f"{name}.ipynb").read_text()
            assert (mine / f"{name}.ipynb").read_text() == expected


def test_a_folder_without_worked_lessons_stays_without_them(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "handed out"
    files = {"01_lenet.ipynb": (home / "notebooks" / "01_lenet.ipynb").read_bytes()}
    course.put(files, course.compare(mine, files))
    assert course.copy_lessons(mine).added == ["06_degradation.ipynb"]
    assert not (mine / "solutions").exists()
