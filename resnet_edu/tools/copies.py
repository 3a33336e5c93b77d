"""How files come into somebody's folder: whole or not at all, and never over what they have changed there.

A small hidden file in the folder knows by SHA-256 what was put there. A file that is still as it was put may be
replaced by a newer edition; any other that differs is theirs. It is left alone and listed, or on request replaced
and kept beside, dated. Where the hidden file is lost or damaged, every difference counts as theirs.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ..files import write_atomically
from .course import lessons, require_lessons, title_of

MANIFEST = ".resnet_edu_course.json"


@dataclass
class CopyReport:
    """What was or would be done, file by file. Paths are relative to the folder."""

    folder: Path
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)  # still as it was put there, replaced by a newer edition
    unchanged: list[str] = field(default_factory=list)  # equal to the course's
    kept: list[str] = field(default_factory=list)  # changed since, left alone
    outdated: list[str] = field(default_factory=list)  # those of `kept` that the course has a newer edition of
    replaced: dict[str, str] = field(default_factory=dict)  # changed since, replaced: the name of the copy beside

    def __str__(self) -> str:
        counts = {"added": self.added, "updated": self.updated, "unchanged": self.unchanged, "replaced": self.replaced}
        counts["kept as you changed them"] = self.kept
        return ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)


def copy_lessons(folder: Path, *, force: bool = False) -> CopyReport:
    """Copy the learner's edition into a folder and the worked edition into its `solutions/`.

    A folder that was made without worked lessons, by `export --edition learner`, stays without them. With `force`, a
    changed notebook is replaced if the course has a newer edition of it or if it can no longer be read.

    Raises:
        ValueError: the folder is a file, or the course has no lessons.
        OSError: the folder cannot be written.
    """
    paths = {lesson.path.name: lesson.path for lesson in require_lessons("learner")}
    copied = read_manifest(folder)
    if not copied or (folder / "solutions").is_dir():
        paths |= {f"solutions/{lesson.path.name}": lesson.path for lesson in lessons("worked")}
    files = {name: path.read_bytes() for name, path in paths.items()}
    report = compare(folder, files)
    replace = {*report.outdated, *unreadable(folder, report.kept)} if force else ()
    return put(files, report, replace=replace)


def compare(folder: Path, files: Mapping[str, bytes], *, manifest: str = MANIFEST) -> CopyReport:
    """What `put` would do with these files, by relative path. Changes nothing.

    Raises:
        ValueError: the folder is a file.
        OSError: something in the folder cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. Name a folder; it is made if missing.")
    copied, report = read_manifest(folder, manifest), CopyReport(folder)
    for name, content in files.items():
        target, new = folder / name, sha256(content)
        old = sha256(target.read_bytes()) if target.exists() else None
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


def put(
    files: Mapping[str, bytes], report: CopyReport, *, replace: Iterable[str] = (), manifest: str = MANIFEST
) -> CopyReport:
    """Write what `compare` found to be missing or outdated; of what was changed, only the names in `replace`.

    Returns:
        The report, with what was replaced moved from `kept` to `replaced`.

    Raises:
        OSError: the folder cannot be written. What was written until then is noted.
    """
    folder = report.folder
    noted = read_manifest(folder, manifest)
    copied = noted | {name: sha256(files[name]) for name in report.unchanged}
    try:
        for name in [*report.added, *report.updated, *sorted(replace)]:
            if name in report.kept:
                report.replaced[name] = keep_beside(folder / name).relative_to(folder).as_posix()
            write_atomically(folder / name, files[name])
            copied[name] = sha256(files[name])
    finally:
        if folder.is_dir() and copied != noted:
            write_atomically(folder / manifest, json.dumps(copied, indent=1, sort_keys=True).encode() + b"\n")
    report.kept = [name for name in report.kept if name not in report.replaced]
    report.outdated = [name for name in report.outdated if name not in report.replaced]
    return report


def keep_beside(path: Path) -> Path:
    """Copy a file to a name with today's date that is still free: `06_degradation.2026-11-22.ipynb`."""
    dated, number = f"{path.stem}.{date.today().isoformat()}", 1
    aside = path.with_name(f"{dated}{path.suffix}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{dated}-{number}{path.suffix}")
    shutil.copy2(path, aside)
    return aside


def unreadable(folder: Path, names: Iterable[str]) -> list[str]:
    """Those files that are no longer notebooks: cut short, or with the marks of a merge in them."""
    found = []
    for name in names:
        try:
            title_of(folder / name)
        except ValueError:
            found.append(name)
    return found


def read_manifest(folder: Path, manifest: str = MANIFEST) -> dict[str, str]:
    """SHA-256 by relative path of what was put there; empty where the file is missing or damaged."""
    try:
        content = json.loads((folder / manifest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: str(digest) for name, digest in content.items()} if isinstance(content, dict) else {}


def sha256(content: bytes) -> str:
    """The digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
