"""Where the course's own files are, and how a file is written whole or not at all.

In a checkout the lessons stand in `notebooks/` and the records in `assets/` beside the package; an installed
wheel carries the same two folders inside it. A learner never works in either: `copies.py` gives them their own.
"""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import UnknownName

Edition = Literal["learner", "worked"]

EDITIONS: tuple[Edition, ...] = ("learner", "worked")
PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course."""

    number: int
    name: str  # the file's stem: 06_degradation
    title: str  # the notebook's first heading
    path: Path


def checkout() -> Path | None:
    """The repository's root where the package runs from a checkout, None where it is installed from a wheel."""
    root = PACKAGE.parent
    in_wheel = (PACKAGE / "_course").is_dir()
    return root if not in_wheel and (root / "pyproject.toml").is_file() else None


def home() -> Path:
    """The folder that holds `notebooks/` and `assets/`."""
    return checkout() or PACKAGE / "_course"


def notebooks() -> Path:
    """The folder of the learner's edition; the worked edition stands in its `solutions/`."""
    return home() / "notebooks"


def assets() -> Path:
    """The folder of recorded runs, pictures and bundled weights."""
    return home() / "assets"


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
    if checkout():
        return "Build them with: make notebooks"
    return "Install the wheel again, something is missing: pip install --force-reinstall --no-deps resnet_edu-*.whl"


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file whole or not at all: into a neighbour first, then renamed. Makes the folder if missing.

    Raises:
        OSError: the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, neighbour = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(neighbour, 0o644)  # mkstemp's 0600 would hide the file from a shared folder's readers
        os.replace(neighbour, target)
    except BaseException:
        Path(neighbour).unlink(missing_ok=True)
        raise
