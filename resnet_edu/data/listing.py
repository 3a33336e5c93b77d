"""What lies in a folder of pictures, before any of them is read: the files, their classes, and their parts."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from ..errors import DatasetUnavailable
from .pictures import ENDINGS
from .split import split_indices

PARTS = ("train", "val", "test")
SHARES = {"": {"train": 0.7, "val": 0.1, "test": 0.2}, "train": {"train": 0.9, "val": 0.1}}  # how each is cut


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
        ValueError: a class of one part is missing in another, is a link to another place, or there is a `train`
            without `test`.
    """
    if not folder.is_dir():
        raise DatasetUnavailable(f"There is no folder {folder}. Expected one with a folder of pictures for each class.")
    divided = (folder / "train").is_dir()
    found = [part for part in PARTS if (folder / part).is_dir()] if divided else [""]
    if divided and "test" not in found:
        raise ValueError(f"{folder} has a folder train but none called test: add test/CLASS/FILE.jpg.")
    top = os.path.realpath(folder)
    classes = names_of(folder / found[0], top)
    listed, ignored = [], []
    for part in found:
        root = folder / part
        different = {*names_of(root, top)} ^ {*classes}
        if different:
            raise ValueError(f"{root} and {folder / found[0]} differ in their classes: {', '.join(sorted(different))}.")
        for label, name in enumerate(classes):
            with os.scandir(root / name) as entries:
                files = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
            for entry in files:
                path = "/".join(filter(None, [part, name, entry.name]))
                if reason := why_not(entry, top):
                    ignored.append((path, reason))
                else:
                    status = entry.stat()
                    listed.append(Picture(path, part, label, status.st_size, status.st_mtime_ns))
    if not listed:
        raise DatasetUnavailable(f"{folder} holds no pictures. Expected {folder.name}/CLASS/FILE.jpg for each class.")
    return listed, classes, ignored


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
    if os.path.splitext(entry.name)[1].lower() not in ENDINGS:
        return "a folder inside a class" if os.path.isdir(entry.path) else "not a picture, by its ending"
    if entry.is_symlink():
        if not os.path.exists(entry.path):
            return "a link that leads nowhere"
        if leads_out(entry, top):
            return "a link that leads out of the folder"
    return "a folder inside a class" if entry.is_dir() else ""


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
