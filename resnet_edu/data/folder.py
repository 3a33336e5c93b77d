"""Images of your own: a folder with one folder a class, or with `train`, `val` and `test` of them.

`listing` says what lies there, `cache` reads the pictures once and keeps them in the cache.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..errors import UnreadablePicture
from ..files import printable, tilde
from .cache import decoded
from .listing import PARTS, in_parts, list_folder, list_test, unused_folders
from .pictures import View
from .split import Data, Split

NOTES = 20  # skipped files and duplicates named one by one; the rest are counted


def is_folder(name: object) -> bool:
    """Whether `name` is meant as a path and not as the name of a data set: a Path, or a text with a slash or a ~."""
    if not isinstance(name, str):
        return isinstance(name, PathLike)
    return name.startswith((".", "~")) or "/" in name or os.sep in name


def load_folder(folder: Path, view: View, *, seed: int = 0, strict: bool = False) -> Data:
    """Load the pictures of a folder, to train on.

    Args:
        folder: holds `CLASS/FILE.jpg`, which are then cut into parts of 70, 10 and 20 % of each class, or
            `train/CLASS/FILE.jpg` with `test` and perhaps `val` or `validation` beside it; without these it is a
            tenth of `train`.
        view: side, channels and crop.
        seed: which images go to which part.
        strict: refuse a folder with a file that cannot be used, in place of skipping it.

    Returns:
        The data set. Its images lie in a file of the cache, mapped into memory. `notes` says what was skipped and
        which pictures seem to stand in two parts.

    Raises:
        DatasetUnavailable: no such folder, no pictures in it, or no room for the cache.
        UnreadablePicture: a file cannot be used, with `strict`.
        ValueError: a class is missing in one part, or a part is empty.
    """
    listed, classes, ignored = list_folder(folder)
    refuse(folder, ignored if strict else [])
    found = decoded(folder, in_parts(listed, seed), classes, view, training=True)
    refuse(folder, found.skipped if strict else [])
    parts, start = {}, 0
    for part in PARTS:
        stop = start + found.counts[part]
        if stop == start:
            raise ValueError(f"{folder} has too few pictures: none is left for {part}. Three of each class will do.")
        parts[part] = Split(found.images[start:stop], found.labels[start:stop], found.mean, found.std)
        start = stop
    skipped = ignored + found.skipped
    lines = [*notes(skipped, found.twice), *lacking(parts, classes), *beside(unused_folders(folder))]
    source = described(folder, parts, view) + f", seed {seed}" + left_out(skipped)
    return Data(tilde(folder), parts["train"], parts["val"], parts["test"], tuple(classes), source, tuple(lines))


@dataclass(frozen=True, eq=False)
class OnePart:
    """Pictures of a folder in one part, to measure a network on.

    Args:
        name: the folder.
        split: the images; normalised by their own mean and standard deviation, unless you replace these.
        classes: the label's names, in the order of the labels.
        source: one line that says what was really loaded, and from where.
        notes: which files were skipped, a line each.
    """

    name: str
    split: Split
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...]


def load_one_part(folder: Path, view: View, *, strict: bool = False) -> OnePart:
    """Load the pictures of a folder that are to be named: there may be few of them, and of some classes only.

    Args:
        folder: holds `CLASS/FILE.jpg`, of which all are taken, or `test/CLASS/FILE.jpg`, of which those are.
        view: side, channels and crop.
        strict: refuse a folder with a file that cannot be used, in place of skipping it.

    Raises:
        DatasetUnavailable: no such folder, no pictures in it that can be used, or no room for the cache.
        UnreadablePicture: a file cannot be used, with `strict`.
        ValueError: there is a folder `train`, but none called `test`.
    """
    listed, classes, ignored = list_test(folder)
    refuse(folder, ignored if strict else [])
    found = decoded(folder, listed, classes, view, training=False)
    refuse(folder, found.skipped if strict else [])
    split = Split(found.images, found.labels, found.mean, found.std)
    skipped = ignored + found.skipped
    source = described(folder, {"test": split}, view) + left_out(skipped)
    return OnePart(tilde(folder), split, tuple(classes), source, tuple(notes(skipped, [])))


def refuse(folder: Path, skipped: Sequence[tuple[str, str]]) -> None:
    """Raise `UnreadablePicture` for the first of these files, if there is one."""
    for name, reason in skipped:
        raise UnreadablePicture(folder / name, reason)


def described(folder: Path, parts: Mapping[str, Split], view: View) -> str:
    """What was loaded, and from where."""
    numbers = " · ".join(f"{len(split):,} {part}" for part, split in parts.items())
    colour = "grey" if view.channels == 1 else "colour"
    return f"{tilde(folder)}: your own pictures; {numbers}, {view.width}×{view.height}, {colour}, crop {view.crop}"


def left_out(skipped: Sequence[tuple[str, str]]) -> str:
    """How many files were skipped, empty if none was."""
    return f"; {counted(len(skipped), 'file', 'files')} skipped" if skipped else ""


def notes(skipped: Sequence[tuple[str, str]], twice: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What to know before trusting a result, a line each; long lists are cut."""
    left_out = counted(len(skipped), "file was", "files were")
    alike = counted(len(twice), "picture seems", "pictures seem")
    for heading, lines in (
        (f"{left_out} skipped:", [f"  {name}: {reason}" for name, reason in skipped]),
        (f"{alike} to stand in two parts:", [f"  {one} and {other}" for one, other in twice]),
    ):
        if lines:
            yield heading
            yield from map(printable, lines[:NOTES])
        if len(lines) > NOTES:
            yield f"  … and {len(lines) - NOTES} more"


def lacking(parts: Mapping[str, Split], classes: Sequence[str]) -> Iterator[str]:
    """A line for each part that has no picture of some classes."""
    for part, split in parts.items():
        present = {*split.labels.tolist()}
        missing = [name for label, name in enumerate(classes) if label not in present]
        if missing:
            names = printable(", ".join(missing))
            yield f"No picture is left for {part} of {names}: its error says nothing about them."


def beside(unused: Sequence[str]) -> Iterator[str]:
    """A line about folders that stand beside the parts, if there are any."""
    if unused:
        yield f"Not used: {printable(', '.join(unused))}. Only train, val (or validation) and test are parts."


def counted(number: int, one: str, several: str) -> str:
    """1 file, 2 files."""
    return f"{number} {one if number == 1 else several}"
