"""The lessons of the course, and a learner's copy of them. A learner never works in the course's own files.

Files come into somebody's folder whole or not at all, and never over what they have changed there. A small hidden file
in the folder knows by SHA-256 what was put there: a file that is still as it was put may be replaced by a newer
edition, any other that differs is theirs. Theirs is left alone and listed; whoever wants the course's again renames
it. Where the hidden file is lost or damaged, every difference counts as theirs.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .. import files
from ..errors import UnknownName

Edition = Literal["learner", "worked"]

MANIFEST = ".resnet_edu_course.json"


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course."""

    number: str  # 06; 00b for what was put in between
    name: str  # the file's stem: 06_degradation
    title: str  # the notebook's first heading
    path: Path


def notebooks() -> Path:
    """The folder of the learner's edition; the worked edition is in its `solutions/`."""
    return files.course_folder() / "notebooks"


def lessons(edition: Edition = "learner") -> list[Lesson]:
    """The lessons of one edition in their order. Empty where none has been built."""
    folder = notebooks() if edition == "learner" else notebooks() / "solutions"
    found = [(re.fullmatch(r"(\d\d[a-z]?)_\w+", path.stem), path) for path in sorted(folder.glob("*.ipynb"))]
    return [Lesson(match[1], path.stem, title_of(path), path) for match, path in found if match]


def require_lessons(edition: Edition = "learner") -> list[Lesson]:
    """The lessons of one edition, at least one."""
    found = lessons(edition)
    if not found:
        raise ValueError(f"No lessons in {notebooks()}. {how_to_get_lessons()}")
    return found


def find_lesson(name: str, edition: Edition = "learner") -> Lesson:
    """The lesson that a number or a name means: `6`, `06`, `06_degradation`, `degradation`."""
    known = require_lessons(edition)
    for lesson in known:
        words = lesson.name.partition("_")[2]
        names = {lesson.name, words, lesson.number, lesson.number.removeprefix("0"), lesson.path.name}
        if name.strip().lower() in names:
            return lesson
    raise UnknownName("lesson", name, [lesson.name for lesson in known])


def how_to_get_lessons() -> str:
    if files.checkout():
        return "Build them with: make notebooks"
    return "Install the wheel again, something is missing: pip install --force-reinstall --no-deps resnet_edu-*.whl"


def title_of(path: Path) -> str:
    """A notebook's first heading, or the file's stem where it has none."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a readable notebook ({error}). Restore the file or build it anew.") from error
    heading = re.search(r"^# +(.+?) *$", text, re.MULTILINE)
    return heading[1] if heading else path.stem


@dataclass
class CopyReport:
    """What was or would be done, file by file. Paths are relative to the folder."""

    folder: Path
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)  # still as it was put there, replaced by a newer edition
    unchanged: list[str] = field(default_factory=list)  # equal to the course's
    kept: list[str] = field(default_factory=list)  # changed since, left alone
    outdated: list[str] = field(default_factory=list)  # those of `kept` that the course has a newer edition of

    def __str__(self) -> str:
        counts = {"added": self.added, "updated": self.updated, "unchanged": self.unchanged}
        counts["kept as you changed them"] = self.kept
        return ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)

    def news(self) -> str:
        """What a learner wants to know of it: about notebooks, and only what is new or theirs."""
        lists = [[name for name in names if name.endswith(".ipynb")] for names in (self.added, self.updated, self.kept)]
        return str(CopyReport(self.folder, added=lists[0], updated=lists[1], kept=lists[2]))


def copy_lessons(folder: Path) -> CopyReport:
    """Copy the learner's edition into a folder and the worked edition into its `solutions/`.

    A folder that was made without worked lessons, by `export --edition learner`, stays without them.
    """
    if folder.resolve() == notebooks().resolve():
        return CopyReport(folder)
    contents = {lesson.path.name: handed_out(lesson.path) for lesson in require_lessons("learner")} | pages(folder)
    if not read_manifest(folder) or (folder / "solutions").is_dir():
        contents |= {f"solutions/{lesson.path.name}": lesson.path.read_bytes() for lesson in lessons("worked")}
    return put(contents, compare(folder, contents))


def handed_out(path: Path) -> bytes:
    """A learner's notebook without the cell that installs the course in Colab, which opens it from elsewhere."""
    content = path.read_bytes()
    if b'"colab"' not in content:
        return content
    notebook = json.loads(content)
    notebook["cells"] = [cell for cell in notebook["cells"] if "colab" not in cell["metadata"].get("tags", [])]
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode() + b"\n"


def pages(folder: Path) -> dict[str, bytes]:
    """The home page, with what is done in this folder; the glossary; the pictures of both."""
    source, passed = notebooks(), exercises_passed(folder)
    found = [*source.glob("*.md"), *source.glob("pictures/*.png")]
    contents = {path.relative_to(source).as_posix(): path.read_bytes() for path in found}
    if "home.md" in contents:
        card = re.compile(r"(\d+) exercises?(?=<!-- (\d\d[a-z]?) -->)")
        text = contents["home.md"].decode()
        contents["home.md"] = card.sub(lambda match: f"{passed.get(match[2], 0)} of {match[0]} passed", text).encode()
    return contents


def exercises_passed(folder: Path) -> dict[str, int]:
    """How many exercises are done, by the lesson's number; read without the checks, which would bring torch."""
    try:
        content = json.loads(files.progress_file(folder).read_text(encoding="utf-8"))["exercises"]
        return dict(Counter(name.partition(".")[0] for name, entry in content.items() if entry["best"] == "passed"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def compare(folder: Path, contents: Mapping[str, bytes], *, manifest: str = MANIFEST) -> CopyReport:
    """What `put` would do with these files, by relative path. Changes nothing."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. Name a folder; it is made if missing.")
    copied, report = read_manifest(folder, manifest), CopyReport(folder)
    for name, content in contents.items():
        target, new = folder / name, hashlib.sha256(content).hexdigest()
        old = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
        if old is None:
            report.added.append(name)
        elif old == new:
            report.unchanged.append(name)
        elif old == copied.get(name):
            report.updated.append(name)
        else:
            report.kept.append(name)
            if copied.get(name) != new:
                report.outdated.append(name)
    return report


def put(contents: Mapping[str, bytes], report: CopyReport, *, manifest: str = MANIFEST) -> CopyReport:
    """Write what `compare` found to be missing or outdated, and note it; nothing of what was changed."""
    noted = read_manifest(report.folder, manifest)
    for name in [*report.added, *report.updated]:
        files.write_atomically(report.folder / name, contents[name])
    put_there = [*report.added, *report.updated, *report.unchanged]
    copied = noted | {name: hashlib.sha256(contents[name]).hexdigest() for name in put_there}
    if copied != noted:
        content = json.dumps(copied, indent=1, sort_keys=True).encode() + b"\n"
        files.write_atomically(report.folder / manifest, content)
    return report


def read_manifest(folder: Path, manifest: str = MANIFEST) -> dict[str, str]:
    """SHA-256 by relative path of what was put there; empty where the file is missing or damaged."""
    try:
        content = json.loads((folder / manifest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: str(digest) for name, digest in content.items()} if isinstance(content, dict) else {}
