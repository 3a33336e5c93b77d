"""The lessons of the course. A learner never works in these files: `copies.py` gives them their own."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import files
from ..errors import UnknownName

Edition = Literal["learner", "worked"]

EDITIONS: tuple[Edition, ...] = ("learner", "worked")


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course."""

    number: int
    name: str  # the file's stem: 06_degradation
    title: str  # the notebook's first heading
    path: Path


def notebooks() -> Path:
    """The folder of the learner's edition; the worked edition stands in its `solutions/`."""
    return files.course_folder() / "notebooks"


def lessons(edition: Edition = "learner") -> list[Lesson]:
    """The lessons of one edition in their order. Empty where none has been built.

    Raises:
        UnknownName: an edition that does not exist.
    """
    if edition not in EDITIONS:
        raise UnknownName("edition", edition, EDITIONS)
    folder = notebooks() if edition == "learner" else notebooks() / "solutions"
    return lessons_in(folder)


def require_lessons(edition: Edition = "learner") -> list[Lesson]:
    """The lessons of one edition, at least one.

    Raises:
        ValueError: none has been built, or the installation lacks them; says how to get them.
    """
    found = lessons(edition)
    if not found:
        raise ValueError(f"No lessons in {notebooks()}. {how_to_get_lessons()}")
    return found


def lessons_in(folder: Path) -> list[Lesson]:
    """The files `NN_name.ipynb` of a folder as lessons, in their order."""
    found = [(re.fullmatch(r"(\d\d)_\w+", path.stem), path) for path in sorted(folder.glob("*.ipynb"))]
    return [Lesson(int(match[1]), path.stem, title_of(path), path) for match, path in found if match]


def title_of(path: Path) -> str:
    """A notebook's first heading, or the file's stem where it has none.

    Raises:
        ValueError: the file is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a readable notebook ({error}). Restore the file or build it anew.") from error
    heading = re.search(r"^# +(.+?) *$", text, re.MULTILINE)
    return heading[1] if heading else path.stem


def find_lesson(name: str, edition: Edition = "learner") -> Lesson:
    """The lesson that a number or a name means: `6`, `06`, `06_degradation`, `degradation`.

    Raises:
        UnknownName: no lesson of that name; says the nearest one.
        ValueError: the course has no lessons at all.
    """
    known = require_lessons(edition)
    for lesson in known:
        names = {lesson.name, lesson.name[3:], f"{lesson.number}", f"{lesson.number:02}", lesson.path.name}
        if name.strip().lower() in names:
            return lesson
    raise UnknownName("lesson", name, [lesson.name for lesson in known])


def how_to_get_lessons() -> str:
    """The advice for a course without notebooks."""
    if files.checkout():
        return "Build them with: make notebooks"
    return "Install the wheel again, something is missing: pip install --force-reinstall --no-deps resnet_edu-*.whl"
