"""The learner's progress: which exercises are done, kept in a small file in the learner's own folder.

The file is `.resnet_edu_progress.json` in the current folder, or the one that the environment variable
`RESNET_EDU_PROGRESS` names. A try is written under a lock, and the file whole or not at all. What cannot be read
is kept beside it as `….corrupt`, and where nothing can be written a check still answers.
"""

import html
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..display import Table, table
from ..files import progress_file, write_atomically
from .result import MARKS, Status, heading, lesson_title

RANK: dict[Status, int] = {"not yet": 0, "wrong": 1, "passed": 2}
BAR = (
    '<span style="display: inline-block; width: 8em; height: 0.7em; border-radius: 0.35em; overflow: hidden; '
    'background: rgba(128, 128, 128, 0.3)"><span style="display: inline-block; height: 0.7em; width: {:.0f}%; '
    'vertical-align: top; background: #009E73"></span></span>'
)
SECONDS = 5.0  # to wait for another notebook that is just writing the file


@dataclass(frozen=True)
class Entry:
    """What is known of one exercise. A pass is never taken back by a later try."""

    best: Status = "not yet"  # the best status so far
    last: Status = "not yet"  # the status of the last try
    tries: int = 0  # answers judged, passed or wrong; a stub does not count
    first_passed: str | None = None  # date and time of the first pass (ISO 8601), or None

    def after(self, status: Status) -> "Entry":
        """The entry after one more try."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        first_passed = self.first_passed or (now if status == "passed" else None)
        best = max(self.best, status, key=RANK.__getitem__)
        return Entry(best, status, self.tries + (status != "not yet"), first_passed)


def record(exercise: str, status: Status) -> str:
    """Write one try down. Returns a note for the learner where something is amiss, else an empty text."""
    try:
        path = progress_file(Path())
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), timeout=SECONDS):
            content, note = read(path)
            known, number = content["exercises"], exercise.split()[0]  # "01.1": a later edition may change the title
            known[number] = vars(Entry(**known.get(number, {})).after(status))
            content["current"] = exercise.partition(".")[0]  # the lesson that is being worked on
            write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
    except (OSError, RuntimeError, Timeout) as error:  # RuntimeError: a home folder that cannot be found
        reason = getattr(error, "strerror", None) or str(error)
        return f"your progress could not be saved ({reason}). Set RESNET_EDU_PROGRESS to a file you may write."
    return note


def read(path: Path) -> tuple[dict[str, Any], str]:
    """The file's content, and a note if it could not be understood and was put aside."""
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != 1:
            raise ValueError("the file is of another format")
        for fields in content["exercises"].values():
            Entry(**fields).after("not yet")  # raises an error for what is no entry
        content["exercises"] = {name.split()[0]: fields for name, fields in content["exercises"].items()}
        return content, ""
    except FileNotFoundError:
        return {"format": 1, "exercises": {}}, ""
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        aside = path.with_name(path.name + ".corrupt")
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}-{number}.corrupt")
        os.replace(path, aside)
        note = f"the progress file could not be read. It is kept as {aside.name}; a new one begins."
        return {"format": 1, "exercises": {}}, note


@dataclass(frozen=True, repr=False)
class Progress:
    """What `edu.checks.progress()` shows: a bar for each lesson, and the exercises of the current one."""

    entries: dict[str, Entry]  # what is known, by exercise id, in the order of the course
    note: str = ""  # anything amiss with the file
    current: str = "00"  # number of the lesson in which an exercise was last tried

    @property
    def passed(self) -> int:
        """Number of exercises done."""
        return sum(entry.best == "passed" for entry in self.entries.values())

    def summary(self) -> str:
        """One line: how much is done."""
        return f"{self.passed} of {len(self.entries)} exercises passed"

    def lessons(self) -> dict[str, dict[str, Entry]]:
        """The entries of each lesson, by its number."""
        by_lesson = groupby(sorted(self.entries.items()), key=lambda item: item[0].partition(".")[0])
        return {number: dict(entries) for number, entries in by_lesson}

    def exercises(self, lesson: str) -> Table:
        """Heading, status, tries and the day of the first pass of a lesson's exercises."""
        rows = [
            (
                heading(name),
                MARKS[each.best] if each.tries else "–",
                each.tries or "–",
                str(each.first_passed or "–")[:10],
            )
            for name, each in self.lessons()[lesson].items()
        ]
        return table(rows, ["Exercise", "Status", "Tries", "First passed"])

    def __str__(self) -> str:
        lines = [self.summary(), ""]
        for number, entries in self.lessons().items():
            done = [entry.best == "passed" for entry in entries.values()]
            lines.append(f"{lesson_title(number):42}  {'■' * sum(done)}{'□' * (len(done) - sum(done))}")
            if number == self.current:
                lines += [f"    {line}" for line in str(self.exercises(number)).splitlines()]
        return "\n".join([*lines, *([f"\nNote: {self.note}"] if self.note else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Bars that open; the current lesson is open. Numbers and words say the same without colours."""
        parts = [f"<p><strong>{self.summary()}</strong></p>"]
        for number, entries in self.lessons().items():
            done = sum(entry.best == "passed" for entry in entries.values())
            bar = BAR.format(100 * done / len(entries))
            told = f"{bar} {done} of {len(entries)} · {html.escape(lesson_title(number))}"
            opened = " open" if number == self.current else ""
            parts.append(f"<details{opened}><summary>{told}</summary>{self.exercises(number)._repr_html_()}</details>")
        return "".join(parts) + (f"<p><em>Note:</em> {html.escape(self.note)}</p>" if self.note else "")


def collect(exercises: Iterable[str]) -> Progress:
    """The progress of the given exercises of the course. An unreadable file is put aside, and the note says so."""
    try:
        content, note = read(progress_file(Path()))
    except (OSError, RuntimeError) as error:
        content, note = {"exercises": {}}, ""
        note = f"the progress file could not be read ({getattr(error, 'strerror', None) or error})."
    entries = {name: Entry(**content["exercises"].get(name.split()[0], {})) for name in exercises}
    return Progress(entries, note, str(content.get("current", "00")))
