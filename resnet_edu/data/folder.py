"""Images of your own: a folder with one folder a class, or with `train`, `val` and `test` of them.

The pictures are decoded once, several at a time, into a file of uint8 numbers in the cache; the next call maps
that file into memory, which takes no time and only as much memory as is used. A changed, new or removed picture
makes a new file. Every folder of the cache can be deleted at any time; those whose pictures are gone are deleted
when a new one is made.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .. import runtime
from ..errors import DatasetUnavailable, UnreadablePicture
from .cache import data_folder, locked, require_room, tilde
from .duplicates import across_parts
from .pictures import ENDINGS, View
from .split import Data, Split, channel_statistics, split_indices

PARTS = ("train", "val", "test")
SHARES = {"": {"train": 0.7, "val": 0.1, "test": 0.2}, "train": {"train": 0.9, "val": 0.1}}  # how each is cut
NOTES = 20  # skipped files and duplicates named one by one; the rest are counted
FORMAT = 1  # raise it when what stands in the cache is made in another way


class Picture(NamedTuple):
    """A file, before it is read. `name` is its path from the folder on; size in bytes, changed in nanoseconds."""

    name: str
    part: str
    label: int
    size: int
    changed: int


def is_folder(name: object) -> bool:
    """Whether `name` is meant as a path and not as the name of a data set: a Path, or a text with a slash or a ~."""
    return isinstance(name, PathLike) or (isinstance(name, str) and (name.startswith((".", "~")) or os.sep in name))


def load_folder(folder: Path, view: View, *, seed: int = 0, strict: bool = False) -> Data:
    """Load the pictures of a folder.

    Args:
        folder: holds `CLASS/FILE.jpg`, which are then cut into parts of 70, 10 and 20 % of each class, or
            `train/CLASS/FILE.jpg` with `test` and perhaps `val` beside it; without `val` it is a tenth of `train`.
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
    listed = in_parts(listed, seed)
    if strict and ignored:
        raise UnreadablePicture(folder / ignored[0], f"its ending is none of {', '.join(sorted(ENDINGS))}")
    wanted = [FORMAT, asdict(view), classes, [(*each,) for each in listed]]
    key = sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    place = data_folder() / "folders" / f"{folder.name}-{view.width}x{view.height}-{key}"
    advice = "Make room there, or set RESNET_EDU_DATA to a folder you may write."
    about = place / "about.json"  # written last: where it is, the rest is whole
    if not about.is_file():
        with locked(place, "pictures", advice=advice):
            if not about.is_file():  # perhaps another process has just written it
                decode(folder, listed, classes, view, place)
    facts = json.loads(about.read_text(encoding="utf-8"))
    if strict and facts["skipped"]:
        name, reason = facts["skipped"][0]
        raise UnreadablePicture(folder / name, reason)
    count = len(facts["labels"])
    shape = (count, view.channels, view.height, view.width)
    images = torch.from_numpy(np.memmap(place / "images.bin", dtype=np.uint8, mode="c", shape=shape))
    labels = torch.tensor(facts["labels"])
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    parts, start = {}, 0
    for part in PARTS:
        stop = start + facts["counts"][part]
        if stop == start:
            raise ValueError(f"{folder} has too few pictures: none is left for {part}. Six of each class will do.")
        parts[part] = Split(images[start:stop], labels[start:stop], mean, std)
        start = stop
    skipped = [(name, "not a picture, by its ending") for name in ignored] + facts["skipped"]
    lines = notes(skipped, facts["twice"])
    numbers = " · ".join(f"{len(split):,} {part}" for part, split in parts.items())
    colour = "grey" if view.channels == 1 else "colour"
    source = f"{tilde(folder)}: your own pictures; {numbers}, {view.width}×{view.height}, {colour}, crop {view.crop}"
    source += f", seed {seed}" + (f"; {counted(len(skipped), 'file', 'files')} skipped" if skipped else "")
    return Data(tilde(folder), parts["train"], parts["val"], parts["test"], tuple(classes), source, tuple(lines))


def list_folder(folder: Path) -> tuple[list[Picture], list[str], list[str]]:
    """Every picture, sorted by part, class and name, the classes, and the files that are none by their ending.

    Raises:
        DatasetUnavailable: there is no such folder, or it holds no pictures in folders of classes.
        ValueError: a class of one part is missing in another, or there is a `train` without `test`.
    """
    if not folder.is_dir():
        raise DatasetUnavailable(f"There is no folder {folder}. Expected one with a folder of pictures for each class.")
    divided = (folder / "train").is_dir()
    found = [part for part in PARTS if (folder / part).is_dir()] if divided else [""]
    if divided and "test" not in found:
        raise ValueError(f"{folder} has a folder train but none called test: add test/CLASS/FILE.jpg.")
    classes = names_of(folder / found[0])
    listed, ignored = [], []
    for part in found:
        root = folder / part
        different = {*names_of(root)} ^ {*classes}
        if different:
            raise ValueError(f"{root} and {folder / found[0]} differ in their classes: {', '.join(sorted(different))}.")
        for label, name in enumerate(classes):
            with os.scandir(root / name) as entries:
                files = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
            for entry in files:
                path = "/".join(filter(None, [part, name, entry.name]))
                if entry.is_dir() or os.path.splitext(entry.name)[1].lower() not in ENDINGS:
                    ignored.append(path)
                    continue
                status = entry.stat()
                listed.append(Picture(path, part, label, status.st_size, status.st_mtime_ns))
    if not listed:
        raise DatasetUnavailable(f"{folder} holds no pictures. Expected {folder.name}/CLASS/FILE.jpg for each class.")
    return listed, classes, ignored


def names_of(folder: Path) -> list[str]:
    """Names of the folders inside a folder, without hidden ones."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")


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


def decode(folder: Path, listed: list[Picture], classes: list[str], view: View, place: Path) -> None:
    """Write `images.bin` and `about.json`: all pictures that can be used, in the order of the list."""
    shape = (len(listed), view.channels, view.height, view.width)
    target = place / "images.bin"
    require_room(target, math.prod(shape))  # a disk that fills up under a mapped file ends the process
    images = np.memmap(target, dtype=np.uint8, mode="w+", shape=shape)

    def read(index: int) -> str:
        try:
            images[index] = view.of(folder / listed[index].name).transpose(2, 0, 1)
        except UnreadablePicture as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = list(watched(pool.map(read, range(len(listed))), len(listed), folder.name))
    kept = [index for index, reason in enumerate(reasons) if not reason]
    for row, index in enumerate(kept):  # close the gaps, from the front
        if row != index:
            images[row] = images[index]
    images.flush()
    os.truncate(target, len(kept) * math.prod(shape[1:]))
    used = [listed[index] for index in kept]
    training = sum(picture.part == "train" for picture in used)
    missing = {*range(len(classes))} - {picture.label for picture in used if picture.part == "train"}
    if missing:
        names = ", ".join(classes[label] for label in sorted(missing))
        raise ValueError(f"{folder} has no picture to train on of {names}: add some, or remove the class.")
    pixels = torch.from_numpy(images[: len(kept)])
    mean, std = channel_statistics(pixels[:training])
    twice = across_parts(pixels, [picture.part for picture in used])
    facts = {
        "folder": str(folder.absolute()),
        "labels": [picture.label for picture in used],
        "counts": {part: sum(picture.part == part for picture in used) for part in PARTS},
        "mean": mean,
        "std": std,
        "skipped": [(listed[index].name, reason) for index, reason in enumerate(reasons) if reason],
        "twice": [[f"{used[index].name} ({used[index].part})" for index in pair] for pair in twice],
    }
    part = place / "about.json.part"
    part.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(part, place / "about.json")
    drop_orphans(place.parent)


def drop_orphans(cache: Path) -> None:
    """Delete what the cache holds of folders that are gone, such as temporary ones."""
    for about in cache.glob("*/about.json"):
        try:
            source = json.loads(about.read_text(encoding="utf-8")).get("folder")
            if source and not Path(source).exists():
                about.unlink()  # first, so that nothing is left that looks whole
                shutil.rmtree(about.parent)
        except (OSError, ValueError):
            continue  # damaged, or in use by another process


def watched(results: Iterator[str], total: int, name: str) -> Iterator[str]:
    """The results as they come, with a progress bar where somebody is looking."""
    from tqdm.auto import tqdm  # imported here: it looks for a notebook, and loads the widgets in one

    shown = total > 500 and runtime.show_progress()
    return iter(tqdm(results, total=total, desc=f"read {name}", unit="pictures", disable=not shown, leave=False))


def notes(skipped: list[tuple[str, str]], twice: list[tuple[str, str]]) -> Iterator[str]:
    """What to know before trusting a result, a line each; long lists are cut."""
    left_out = counted(len(skipped), "file was", "files were")
    alike = counted(len(twice), "picture seems", "pictures seem")
    for heading, lines in (
        (f"{left_out} skipped:", [f"  {name}: {reason}" for name, reason in skipped]),
        (f"{alike} to stand in two parts:", [f"  {one} and {other}" for one, other in twice]),
    ):
        if lines:
            yield heading
            yield from lines[:NOTES]
        if len(lines) > NOTES:
            yield f"  … and {len(lines) - NOTES} more"


def counted(number: int, one: str, several: str) -> str:
    """1 file, 2 files."""
    return f"{number} {one if number == 1 else several}"
