"""The pages beside the lessons are those that their builder makes, and a learner's home says what is done."""

import json
from pathlib import Path

from notebooks import pages
from resnet_edu.tools import course


def test_they_are_built_and_each_lesson_has_its_card() -> None:
    for name, text in (("home.md", pages.home()), ("glossary.md", pages.glossary())):
        assert (pages.HERE / name).read_text(encoding="utf-8") == text, "run: make notebooks"
    lessons = course.lessons()
    assert [lesson.name for lesson in lessons if not pages.LINES.get(lesson.number)] == []
    assert sorted(path.stem for path in pages.PICTURES.iterdir()) == [lesson.number for lesson in lessons]
    assert pages.glossary().count("\n**") > 50


def test_a_learners_home_counts_what_is_passed(tmp_path: Path, own_progress: Path) -> None:
    done = {"01.1 output size": {"best": "passed"}, "01.2 conv2d": {"best": "wrong"}}
    own_progress.write_text(json.dumps({"format": 1, "exercises": done}))
    course.copy_lessons(tmp_path)
    home = (tmp_path / "home.md").read_text(encoding="utf-8")
    assert home.count("1 of 5 exercises passed<!-- 01 -->") == 1
    assert home.count("0 of 1 exercise passed<!-- 00 -->") == 1
    assert (tmp_path / "pictures" / "06.png").is_file()
    assert "google.colab" not in (tmp_path / "01_lenet.ipynb").read_text(encoding="utf-8")
