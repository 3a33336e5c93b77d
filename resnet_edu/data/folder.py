"""Pictures of your own: a folder that holds one folder per class, or parts that hold such folders.

pets/cat/1.jpg          all parts are cut from these
pets/train/cat/1.jpg    with pets/val/cat/2.jpg, pets/test/cat/3.jpg or both; what is missing is cut from train
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import torch

from ..errors import DatasetUnavailable, UnreadablePicture
from ..files import counted, printable, tilde
from .cache import Picture, decoded
from .pictures import View, suffixes
from .split import PARTS, SHARES, Data, Split, channel_statistics, described, equal_shares, split_indices

SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing"),
}
NOTES = 20  # skipped files and duplicates named one by one; the rest are counted


class Listing(NamedTuple):
    """What lies in a folder, before any picture is read."""

    pictures: list[Picture]  # sorted by part, class and name
    classes: list[str]  # names of the labels
    skipped: list[tuple[str, str]]  # files that are left out, and why
    notes: list[str]  # what else to know, a line each


def load_folder(
    folder: Path,
    view: View,
    *,
    seed: int = 0,
    limit: int | None = None,
    strict: bool = False,
    name: str = "",
    title: str = "your own pictures",
) -> Data:
    """Load the pictures of a folder, to train on; missing parts are cut as `SHARES` says. Options: see `data.load`."""
    listing = list_folder(folder)
    found = decoded(folder, in_parts(listing.pictures, seed), listing.classes, view)
    classes, skipped = tuple(listing.classes), listing.skipped + found.skipped
    if strict and skipped:
        raise UnreadablePicture(folder / skipped[0][0], skipped[0][1])
    parts, start = {}, 0
    for part in PARTS:
        stop = start + found.counts[part]
        if stop == start:
            raise ValueError(f"{folder} has too few pictures: none are left for {part}. Three per class are enough.")
        parts[part] = Split(found.images[start:stop], found.labels[start:stop], found.mean, found.std)
        start = stop
    if limit is not None:
        train = parts["train"]
        train = train.subset(equal_shares(train.labels, limit, classes=len(classes), name=name or str(folder)))
        mean, std = channel_statistics(train.images)
        parts = {part: replace(split, mean=mean, std=std) for part, split in (parts | {"train": train}).items()}
    notes = [*report(skipped, found.twice, found.blank), *lacking(parts, classes), *listing.notes]
    where = f"{name}: {title}, from {tilde(folder)}" if name else f"{tilde(folder)}: {title}"
    left_out = f"; {counted(len(skipped), 'file')} skipped" if skipped else ""
    source = f"{where}; {described(parts)}, crop {view.crop}, seed {seed}{left_out}"
    return Data(name or tilde(folder), **parts, classes=classes, source=source, notes=tuple(notes))


def load_one_part(folder: Path, view: View) -> tuple[Split, tuple[str, ...], tuple[str, ...]]:
    """Load the pictures of a folder that are to be named: there may be few of them, and of some classes only.

    `CLASS/FILE.jpg` are all taken; of a folder with parts, those in `test`. Raises as `load_folder` does.
    """
    listing = list_folder(folder, only_test=True)
    found = decoded(folder, listing.pictures, listing.classes, view)
    notes = tuple(report(listing.skipped + found.skipped, [], found.blank))
    return Split(found.images, found.labels, found.mean, found.std), tuple(listing.classes), notes


# Which files there are


def list_folder(folder: Path, *, only_test: bool = False) -> Listing:
    """What lies in a folder of pictures, or in its part `test` alone; a folder without parts is read as that."""
    parts, notes = find_parts(folder)
    needed = "test" if only_test else "train"
    if parts and needed not in parts:
        given = next(iter(parts.values()))
        raise ValueError(f"{folder} has a folder {given} but none called {needed}: add {needed}/CLASS/FILE.jpg.")
    missing = [part for part in SHARES if part not in parts]
    if parts and missing and not only_test:
        shares = " and ".join(f"{100 * SHARES[part]:.0f} %" for part in missing)
        none = " and no ".join(missing)
        notes.insert(0, f"There is no {none}: {shares} of each class in {parts['train']} took its place.")
    chosen = {needed: parts.get(needed, "")} if only_test or not parts else parts
    folders = {part: class_folders(folder, place) for part, place in chosen.items()}
    first = next(iter(folders.values()))
    for part, found in folders.items():
        if different := {*found} ^ {*first}:
            one, other = folder / chosen[part], folder / next(iter(chosen.values()))
            raise ValueError(f"{one} and {other} need the same classes. In one only: {', '.join(sorted(different))}.")
    beside = [name for place in sorted({"", *chosen.values()}) for name in loose_pictures(folder, place)]
    skipped = [(name, "not in a class folder") for name in beside]
    pictures: list[Picture] = []
    for part, found in folders.items():
        for label, each in enumerate(sorted(first)):
            for place in found[each]:
                for entry in entries_of(folder / place):
                    if reason := why_not(entry, folder):
                        skipped.append((f"{place}/{entry.name}", reason))
                    else:
                        status = os.stat(entry.path)
                        identity = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
                        pictures.append(Picture(f"{place}/{entry.name}", part, label, identity))
    if not pictures:
        some = ", ".join(f"{name} ({reason})" for name, reason in skipped[:3])
        why = f" Skipped: {some}{f', and {len(skipped) - 3} more' if len(skipped) > 3 else ''}." if skipped else ""
        message = f"{folder} holds no pictures. Expected {folder.name}/CLASS/FILE.jpg for each class.{why}"
        raise DatasetUnavailable(printable(message))
    return Listing(pictures, sorted(first), skipped, notes)


def find_parts(folder: Path) -> tuple[dict[str, str], list[str]]:
    """The folder of each part, none where the folder is not divided; and notes about folders that are not used.

    A folder called `train` is a part if it holds folders; if it holds pictures, it is a class of that name.
    """
    if not folder.is_dir():
        raise DatasetUnavailable(f"There is no folder {folder}. Expected one with a folder of pictures for each class.")
    names = subfolders(folder)
    loose = {name: len(loose_pictures(folder, name)) for name in names if part_of(name)}
    parts: dict[str, str] = {}
    for name in sorted(loose, key=lambda name: (len(name), name.swapcase())):  # val before validation before Validation
        if len(subfolders(folder / name)) > loose[name]:  # a few pictures may lie outside the class folders
            parts.setdefault(part_of(name), name)
    parts = {part: parts[part] for part in PARTS if part in parts}
    unlabelled = [name for name in names if loose.get(name) and name not in parts.values()]
    train = next((name for name in unlabelled if part_of(name) == "train"), "")
    if not parts and train and unlabelled == names:
        raise ValueError(f"{folder / train} holds pictures without classes. Expected train/CLASS/FILE.jpg.")
    notes = [f"Not used: {name}, which holds {counted(loose[name], 'picture')} without classes." for name in unlabelled]
    if unused := [name for name in names if name not in (*parts.values(), *unlabelled)]:
        notes.append(f"Not used: {', '.join(unused)}. Parts are train, val and test, with a folder per class.")
    return parts, [printable(note) for note in notes if parts]


def part_of(name: str) -> str:
    """The part that a folder's name means, empty if it means none: `Training_set` is `train`."""
    short = name.lower().removesuffix("set").rstrip("_- ")
    return next((part for part, spellings in SPELLINGS.items() if short in spellings), "")


def entries_of(folder: Path) -> list["os.DirEntry[str]"]:
    """What lies in a folder, by name, without what is hidden."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders inside a folder."""
    return [entry.name for entry in entries_of(folder) if os.path.isdir(entry.path)]


def loose_pictures(folder: Path, place: str) -> list[str]:
    """The pictures that lie in a place of a folder itself, and not in a folder there."""
    names = [entry.name for entry in entries_of(folder / place) if is_picture(entry.name) and not entry.is_dir()]
    return [Path(place, name).as_posix() for name in names]


def class_folders(folder: Path, place: str) -> dict[str, list[str]]:
    """The folders of each class; several where their names differ only in how an accent is stored, as on a Mac."""
    folders: dict[str, list[str]] = {}
    for name in subfolders(folder / place):
        if leads_out(path := folder / place / name, folder):
            raise ValueError(f"{path} is a link that leads out of the folder. Put its pictures there.")
        folders.setdefault(normalize("NFC", name), []).append(Path(place, name).as_posix())
    return folders


def why_not(entry: "os.DirEntry[str]", folder: Path) -> str:
    """Why a file in a class's folder is left out before it is read; empty if it is not."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        return "a link that leads nowhere"
    if entry.is_symlink() and leads_out(entry.path, folder):
        return "a link that leads out of the folder"
    if entry.is_dir():
        return "a folder inside a class"
    if not is_picture(entry.name):
        return "not a picture, by its ending"
    return "" if entry.is_file() else "no regular file"  # a pipe would be waited for


def is_picture(name: str) -> bool:
    """Whether a file is one by its ending."""
    return f".{name.rpartition('.')[2].lower()}" in suffixes()


def leads_out(path: Path | str, folder: Path) -> bool:
    """Whether a path is a link that ends outside of the folder."""
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def in_parts(pictures: list[Picture], seed: int) -> list[Picture]:
    """The pictures with their final part: all of `train`, then `val`, then `test`; each part in random order."""
    by_part = {part: [picture for picture in pictures if picture.part == part] for part in PARTS}
    missing = [part for part in SHARES if not by_part[part]]
    labels = torch.tensor([picture.label for picture in by_part["train"]])
    cut = split_indices(labels, seed, missing=missing) if missing and by_part["train"] else {}
    found = []
    for part in PARTS:
        given = by_part["train" if part in cut else part]
        fixed = torch.Generator().manual_seed(0)  # what is given is in the same order for every seed, and cached once
        order = cut[part] if part in cut else torch.randperm(len(given), generator=fixed)
        found += [Picture(given[at].name, part, given[at].label, given[at].identity) for at in order.tolist()]
    return found


# What is said about them


def report(skipped: Sequence[tuple[str, str]], twice: Sequence[tuple[str, str]], blank: Sequence[str]) -> Iterator[str]:
    """What to know before trusting a result, a line each; long lists are cut."""
    for heading, lines in (
        (f"{counted(len(skipped), 'file')} skipped:", [f"{name}: {reason}" for name, reason in skipped]),
        (f"{counted(len(blank), 'picture')} blank, or nearly so:", blank),
        (
            f"{counted(len(twice), 'picture')} apparently in two parts or classes:",
            [f"{one} and {other}" for one, other in twice],
        ),
    ):
        if lines:
            yield heading
            yield from (printable(f"  {line}") for line in lines[:NOTES])
        if len(lines) > NOTES:
            yield f"  … and {len(lines) - NOTES} more"


def lacking(parts: dict[str, Split], classes: Sequence[str]) -> Iterator[str]:
    """A line for each part that has no picture of some classes."""
    for part, split in parts.items():
        present = {*split.labels.tolist()}
        if missing := [name for label, name in enumerate(classes) if label not in present]:
            names = printable(", ".join(missing))
            yield f"{part} has no pictures of {names}, so its error says nothing about them."
