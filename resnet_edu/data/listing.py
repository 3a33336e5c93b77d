"""What lies in a folder of pictures, before any of them is read: the files, their classes, and their parts."""

import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch

from ..errors import DatasetUnavailable
from ..files import printable
from .pictures import ENDINGS
from .split import split_indices

NAMES = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}  # of each part; the first one counts
PARTS = tuple(NAMES)
SHARES = {"": {"train": 0.7, "val": 0.1, "test": 0.2}, "train": {"train": 0.9, "val": 0.1}}  # how each is cut
REASONS = 3  # why files were left out, where none was found that could be taken


class Picture(NamedTuple):
    """A file, before it is read. `name` is its path from the folder on; size in bytes, changed in nanoseconds."""

    name: str
    part: str
    label: int
    size: int
    changed: int


def list_folder(folder: Path) -> tuple[list[Picture], list[str], list[tuple[str, str]]]:
    """Every picture, sorted by part, class and name; the classes; and what is left out, each with the reason.

    Raises:
        DatasetUnavailable: there is no such folder, or it holds no pictures in folders of classes.
        ValueError: a class of one part is missing in another, is a link to another place, or there is one of `train`
            and `test` without the other.
    """
    parts = parts_of(folder)
    require("test", folder, parts)
    require("train", folder, parts)
    return list_parts(folder, parts or {"": ""})


def list_test(folder: Path) -> tuple[list[Picture], list[str], list[tuple[str, str]]]:
    """As `list_folder`, of the part `test` alone; of a folder that is not divided, all are taken for that.

    Raises:
        DatasetUnavailable, ValueError: as for `list_folder`, but `train` may be missing.
    """
    parts = parts_of(folder)
    require("test", folder, parts)
    return list_parts(folder, {"test": parts.get("test", "")})


def parts_of(folder: Path) -> dict[str, str]:
    """Parts of a divided folder, each with the name of its own folder; none if classes stand there in their place.

    Raises:
        DatasetUnavailable: there is no such folder.
    """
    if not folder.is_dir():
        raise DatasetUnavailable(f"There is no folder {folder}. Expected one with a folder of pictures for each class.")
    there = [(part, name) for part, names in NAMES.items() for name in reversed(names) if (folder / name).is_dir()]
    found = dict(there)
    return found if "train" in found or any(holds_classes(folder / name) for name in found.values()) else {}


def holds_classes(folder: Path) -> bool:
    """Whether there are folders in it, and no pictures beside them."""
    with os.scandir(folder) as entries:
        inside = [(os.path.isdir(each.path), ending(each.name) in ENDINGS) for each in entries if each.name[0] != "."]
    return any(is_dir for is_dir, _ in inside) and not any(picture and not is_dir for is_dir, picture in inside)


def require(part: str, folder: Path, parts: Mapping[str, str]) -> None:
    """Raise `ValueError` if a divided folder lacks a part."""
    if parts and part not in parts:
        given = next(iter(parts.values()))
        raise ValueError(f"{folder} has a folder {given} but none called {part}: add {part}/CLASS/FILE.jpg.")


def unused_folders(folder: Path) -> list[str]:
    """Names of the folders that stand beside the parts of a divided folder, and are none."""
    parts = parts_of(folder)
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name[0] != "." and os.path.isdir(entry.path))
    return [name for name in names if name not in parts.values()] if parts else []


def list_parts(folder: Path, parts: Mapping[str, str]) -> tuple[list[Picture], list[str], list[tuple[str, str]]]:
    """As `list_folder`, of these parts; each has the name of its own folder, or of none if that is the whole."""
    top = os.path.realpath(folder)
    first = folder / next(iter(parts.values()))
    classes = names_of(first, top)
    listed, ignored = [], []
    for part, place in parts.items():
        root = folder / place
        different = {*names_of(root, top)} ^ {*classes}
        if different:
            raise ValueError(f"{root} and {first} differ in their classes: {', '.join(sorted(different))}.")
        for label, name in enumerate(classes):
            with os.scandir(root / name) as entries:
                files = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
            for entry in files:
                path = "/".join(filter(None, [place, name, entry.name]))
                if reason := why_not(entry, top):
                    ignored.append((path, reason))
                else:
                    status = entry.stat()
                    listed.append(Picture(path, part, label, status.st_size, status.st_mtime_ns))
    if not listed:
        raise DatasetUnavailable(no_pictures(folder, classes, ignored))
    return listed, classes, ignored


def no_pictures(folder: Path, classes: list[str], ignored: list[tuple[str, str]]) -> str:
    """What to say of a folder in which nothing was found: what was expected, and what is there."""
    message = f"{folder} holds no pictures. Expected {folder.name}/CLASS/FILE.jpg for each class."
    if ignored:
        some = ", ".join(f"{name} ({reason})" for name, reason in ignored[:REASONS])
        more = f", and {len(ignored) - REASONS} more" if len(ignored) > REASONS else ""
        message += f" Left out: {some}{more}."
    if {name.lower() for name in classes if name != name.lower()} & {*chain(*NAMES.values())}:
        message += " Parts are called train, val and test, in small letters."
    return printable(message)


def names_of(folder: Path, top: str) -> list[str]:
    """Names of the folders inside a folder, without hidden ones.

    Raises:
        ValueError: one of them is a link that leads out of `top`; a data set is whole in its folder.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] != "." and os.path.isdir(entry.path):
                if entry.is_symlink() and leads_out(entry, top):
                    raise ValueError(f"{entry.path} is a link that leads out of the folder. Put its pictures there.")
                names.append(entry.name)
    return sorted(names)


def why_not(entry: "os.DirEntry[str]", top: str) -> str:
    """Why a file in a class's folder is left out before it is read; empty if it is not."""
    if ending(entry.name) not in ENDINGS:
        return "a folder inside a class" if os.path.isdir(entry.path) else "not a picture, by its ending"
    if entry.is_symlink():
        if not os.path.exists(entry.path):
            return "a link that leads nowhere"
        if leads_out(entry, top):
            return "a link that leads out of the folder"
    if entry.is_dir():
        return "a folder inside a class"
    return "" if entry.is_file() else "no regular file"  # a pipe would be waited for


def ending(name: str) -> str:
    """Of a file's name, in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def leads_out(entry: "os.DirEntry[str]", top: str) -> bool:
    """Whether a link ends outside of `top`, a path without links."""
    end = os.path.realpath(entry.path)
    return end != top and not end.startswith(top.rstrip(os.sep) + os.sep)


def in_parts(listed: list[Picture], seed: int) -> list[Picture]:
    """The pictures with their final part, all of `train` first, then `val`, then `test`, in random order."""
    given = {picture.part for picture in listed}
    for whole, shares in SHARES.items():
        if whole in given and "val" not in given:
            members = [picture for picture in listed if picture.part == whole]
            rest = [picture for picture in listed if picture.part != whole]
            cut = split_indices(torch.tensor([picture.label for picture in members]), seed, shares=shares)
            listed = [members[index]._replace(part=part) for part, order in cut.items() for index in order.tolist()]
            listed += rest
    return sorted(listed, key=lambda picture: PARTS.index(picture.part))
