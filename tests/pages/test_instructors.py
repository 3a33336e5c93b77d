"""The instructor's guide adds up: its minutes, its exercises, its questions and the mistakes it names."""

import ast
import json
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
SOURCES = {path.stem[:2]: path.read_text(encoding="utf-8") for path in sorted((ROOT / "notebooks/source").glob("*.py"))}
BOX = r"^# ### Exercise (\d+\.\d+) · .*?\*\*Difficulty\*\* [●○]{5} · \*\*(\d+) minutes?\*\*"
EXERCISES = {
    number: int(minutes)
    for source in SOURCES.values()
    for number, minutes in re.findall(BOX, source, re.MULTILINE | re.DOTALL)
}
READING = {number: int(re.findall(r"\*\*Minutes:\*\* (\d+) reading", source)[0]) for number, source in SOURCES.items()}
RUNNING = {
    run["lesson"][:2]: math.ceil(run["seconds"] / 60)
    for run in json.loads((ROOT / "docs" / "rehearsal.json").read_text(encoding="utf-8"))
}


def part(heading: str) -> str:
    """What stands below a heading, up to the next of its rank or higher."""
    (start,) = re.finditer(rf"^{re.escape(heading)}.*$", GUIDE, re.MULTILINE)
    rank = len(heading) - len(heading.lstrip("#"))
    end = re.search(rf"^#{{1,{rank}}} ", GUIDE[start.end() :], re.MULTILINE)
    return GUIDE[start.end() : start.end() + end.start()] if end else GUIDE[start.end() :]


def flat(text: str) -> str:
    """One line, without the signs of Markdown, for comparing sentences."""
    return re.sub(r"\s+", " ", re.sub(r"^[#> ]+", "", text, flags=re.MULTILINE).replace("*", "")).strip()


def rows(plan: str) -> list[tuple[int, int, str]]:
    """Start in minutes of the day, length in minutes, text."""
    found = re.findall(r"^\| (\d+):(\d\d) \| (\d+) \| (.+) \|$", plan, re.MULTILINE)
    return [(60 * int(hour) + int(minute), int(length), text) for hour, minute, length, text in found]


def exercises(text: str) -> list[str]:
    """The numbers behind the word exercise: `exercises 1.2, 1.3 and 1.4`."""
    lists = re.findall(r"\bexercises? ((?:\d+\.\d+(?:, | and )?)+)", text)
    return [number for found in lists for number in re.findall(r"\d+\.\d+", found)]


WEEKS = [part(f"### Week {week} ·") for week in range(1, 7)]
PLANS = {"half a day": (part("## Half a day"), 240), "a day": (part("## A day"), 480)}
PLANS |= {f"week {number}": (week, 120) for number, week in enumerate(WEEKS, start=1)}
every_plan = pytest.mark.parametrize(("plan", "minutes"), PLANS.values(), ids=PLANS)
every_lesson = pytest.mark.parametrize("number", SOURCES)


@every_plan
def test_a_plan_has_no_hole_and_ends_in_time(plan: str, minutes: int) -> None:
    clock, _, _ = rows(plan)[0]
    for start, length, text in rows(plan):
        assert start == clock, (
            f"{text}: starts at {start // 60}:{start % 60:02}, the row before ends {clock - start} later"
        )
        clock += length
    assert clock - rows(plan)[0][0] == minutes


@every_plan
def test_a_plan_gives_exercises_and_running_their_minutes(plan: str, minutes: int) -> None:
    started = set[str]()
    for _, length, text in rows(plan):
        lessons = re.findall(r"\bLesson (\d\d)\b", text)
        assert len(lessons) <= 1, f"one lesson a row: {text}"
        needed = sum(EXERCISES[number] for number in exercises(text))
        needed += sum(RUNNING[lesson] for lesson in lessons if lesson not in started)
        assert length >= needed, f"{text}: {length} minutes, {needed} needed"
        assert all(number.split(".")[0].zfill(2) in lessons for number in exercises(text)), f"of another lesson: {text}"
        started.update(lessons)


def test_the_half_day_names_the_lessons_it_needs() -> None:
    plan, _ = PLANS["half a day"]
    (needed,) = re.findall(r"Needs lessons ([\d, and]+)\.", plan)
    assert set(re.findall(r"\d\d", needed)) == set(re.findall(r"\| .*Lesson (\d\d)", plan))


def test_every_exercise_comes_up_once_in_six_weeks() -> None:
    in_class = [number for week in WEEKS for _, _, text in rows(week) for number in exercises(text)]
    at_home = [number for week in WEEKS for number in exercises(homework(week)[1])]
    assert sorted(in_class + at_home) == sorted(EXERCISES)


def homework(week: str) -> tuple[int, str]:
    """Minutes and text of the paragraph `At home`."""
    ((minutes, text),) = re.findall(r"\*\*At home, (\d+) minutes:\*\*(.*?)(?:\n\n|\Z)", week, re.DOTALL)
    return int(minutes), flat(text)


@pytest.mark.parametrize("week", WEEKS, ids=range(1, 7))
def test_homework_takes_as_long_as_it_says(week: str) -> None:
    minutes, text = homework(week)
    reading = [READING[number] for number in re.findall(r"read lesson (\d\d)", text)]
    assert minutes == sum(reading) + sum(EXERCISES[number] for number in exercises(text))


@every_lesson
def test_a_lesson_has_its_section_with_its_minutes(number: str) -> None:
    section = part(f"### {number} · ")
    (reading, doing) = map(
        int, re.findall(r"^(\d+) minutes to read, (\d+) for the exercises\.", section, re.MULTILINE)[0]
    )
    own = {name: minutes for name, minutes in EXERCISES.items() if name.split(".")[0] == str(int(number))}
    assert (reading, doing) == (READING[number], sum(own.values()))
    (title,) = re.findall(r"^# # \d\d · ([^:\n]+)", SOURCES[number], re.MULTILINE)
    assert f"### {number} · {title.strip()}" in GUIDE
    assert all(f"**{word}.**" in section for word in ("Say", "Ask", "Mistakes"))
    assert re.findall(r"^\* \*\*(\d+\.\d+)\*\*", section, re.MULTILINE) == list(own), (
        "mistakes of each exercise, in order"
    )
    (link,) = re.findall(r"\]\(\.\./(notebooks/solutions/[^)]+)\)", section)
    assert (ROOT / link).exists()


def questions(source: str) -> list[str]:
    """What a lesson asks for discussion: in a box to predict in, in an Explore section, in a list of its own."""
    asked = []
    for cell in [cell for cell in source.split("\n# %%") if cell.startswith(" [markdown]")]:
        text = re.sub(r"^# ?", "", cell.split("\n# ### Exercise")[0], flags=re.MULTILINE)
        asked += re.findall(r"(?:^> .*\n)+", text, re.MULTILINE)
        asked += re.findall(r"^\* .*\?$", text, re.MULTILINE)
        asked += re.findall(r"^### Explore.*\n((?:.*\n?)*)", text, re.MULTILINE)
    return [question.strip() for text in asked for question in re.findall(r"[^.:?!]*\?", flat(text))]


@every_lesson
def test_every_question_of_a_lesson_is_answered(number: str) -> None:
    section = flat(part(f"### {number} · ")).lower()
    for question in questions(SOURCES[number]):
        assert question.lower() in section, f"lesson {number} asks {question!r}"


def test_the_questions_are_found() -> None:
    assert sum(len(questions(source)) for source in SOURCES.values()) >= 20
    assert len(questions(SOURCES["06"])) == 3


def messages(number: str) -> str:
    """All that the checks of a lesson say, and what their mutants are told, as one text."""
    files = [*ROOT.glob(f"resnet_edu/checks/lesson_{number}*.py"), *ROOT.glob(f"tests/mutants/lesson_{number}*.py")]
    files += [ROOT / "resnet_edu" / "checks" / name for name in ("block.py", "expect.py", "shortcut_parts.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


@every_lesson
def test_the_mistakes_are_those_that_the_checks_name(number: str) -> None:
    said = messages(number)
    for bullet in re.findall(r"^\* \*\*\d+\.\d+\*\*(.*(?:\n  .*)*)", part(f"### {number} · "), re.MULTILINE):
        for phrase in re.findall(r'"([^"]+)"', flat(bullet)):
            assert phrase.rstrip(".") in said.replace("*", ""), f"no check of lesson {number} says {phrase!r}"


def test_the_commands_exist() -> None:
    cli = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "resnet_edu" / "tools").glob("cli*.py"))
    commands = re.findall(r"resnet-edu ([a-z]+)", GUIDE)
    assert {"doctor", "rehearse", "bundle", "export", "lab"} <= set(commands)
    assert [command for command in commands if not re.search(rf"def {command}\(", cli)] == []
    assert set(re.findall(r"^nbgrader ([a-z_]+)", GUIDE, re.MULTILINE)) == {
        "generate_assignment", "validate", "autograde", "generate_feedback", "export"
    }  # fmt: skip


def test_every_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\s-]", "", text).strip().lower().replace(" ", "-")
        for text in re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    }
    for link in re.findall(r"\]\(\s*([^)\s]+)\s*\)", GUIDE):
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif "://" not in link and link != "jupyterhub.md":
            assert (ROOT / "docs" / link).exists(), link
