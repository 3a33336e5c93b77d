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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from .. import runtime
from ..errors import UnreadablePicture
from ..hardware import cores
from .cache import data_folder, locked, require_room, tilde
from .duplicates import across_parts
from .listing import PARTS, Picture, in_parts, list_folder
from .pictures import View
from .split import Data, Split, channel_statistics

NOTES = 20  # skipped files and duplicates named one by one; the rest are counted
FORMAT = 1  # raise it when what stands in the cache is made in another way


def is_folder(name: object) -> bool:
    """Whether `name` is meant as a path and not as the name of a data set: a Path, or a text with a slash or a ~."""
    if not isinstance(name, str):
        return isinstance(name, PathLike)
    return name.startswith((".", "~")) or "/" in name or os.sep in name


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
        name, reason = ignored[0]
        raise UnreadablePicture(folder / name, reason)
    wanted = [FORMAT, asdict(view), classes, [(*each,) for each in listed]]
    key = sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    place = data_folder() / "folders" / f"{folder.name}-{view.width}x{view.height}-{key}"
    advice = "Make room there, or set RESNET_EDU_DATA to a folder you may write."
    about = place / "about.json"  # written last: where it is, the rest is whole
    if not about.is_file():
        with locked(place, "pictures", advice=advice):
            if not about.is_file():  # perhaps another process has just written it
                try:
                    decode(folder, listed, classes, view, place)
                except BaseException:
                    if not about.is_file():
                        with suppress(OSError):  # there may be none yet, and Windows keeps one that is mapped
                            (place / "images.bin").unlink()
                    raise
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
            raise ValueError(f"{folder} has too few pictures: none is left for {part}. Three of each class will do.")
        parts[part] = Split(images[start:stop], labels[start:stop], mean, std)
        start = stop
    skipped = ignored + [(name, reason) for name, reason in facts["skipped"]]
    lines = [*notes(skipped, facts["twice"]), *lacking(parts, classes)]
    numbers = " · ".join(f"{len(split):,} {part}" for part, split in parts.items())
    colour = "grey" if view.channels == 1 else "colour"
    source = f"{tilde(folder)}: your own pictures; {numbers}, {view.width}×{view.height}, {colour}, crop {view.crop}"
    source += f", seed {seed}" + (f"; {counted(len(skipped), 'file', 'files')} skipped" if skipped else "")
    return Data(tilde(folder), parts["train"], parts["val"], parts["test"], tuple(classes), source, tuple(lines))


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

    with ThreadPoolExecutor(cores()) as pool:
        reasons = list(watched(pool.map(read, range(len(listed))), len(listed), folder.name))
    kept = [index for index, reason in enumerate(reasons) if not reason]
    for row, index in enumerate(kept):  # close the gaps, from the front
        if row != index:
            images[row] = images[index]
    images.flush()
    with suppress(OSError):  # Windows cuts no file while it is mapped; what lies behind the last picture is not read
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


def lacking(parts: Mapping[str, Split], classes: Sequence[str]) -> Iterator[str]:
    """A line for each part that has no picture of some classes."""
    for part, split in parts.items():
        present = {*split.labels.tolist()}
        missing = [name for label, name in enumerate(classes) if label not in present]
        if missing:
            yield f"No picture is left for {part} of {', '.join(missing)}: its error says nothing about them."


def counted(number: int, one: str, several: str) -> str:
    """1 file, 2 files."""
    return f"{number} {one if number == 1 else several}"
