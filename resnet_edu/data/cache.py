"""The pictures of a folder as a file of uint8 numbers in the cache: decoded once, several at a time, then mapped.

Mapping takes no time and only as much memory as is used. A changed, new or removed picture makes a new file. Every
folder of the cache can be deleted at any time; those whose pictures are gone are deleted when a new one is made.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import machine
from ..errors import DatasetUnavailable, UnreadablePicture
from ..files import data_folder, locked, printable, require_room
from ..machine import cores
from .duplicates import across_parts
from .listing import PARTS, Picture
from .pictures import View
from .split import channel_statistics

FORMAT = 2  # raise it when what stands in the cache is made in another way
ADVICE = "Make room there, or set RESNET_EDU_DATA to a folder you may write."


class Decoded(NamedTuple):
    """All pictures of a folder that can be used, in the order of their list.

    Args:
        images: uint8, `(N, C, H, W)`; a file mapped into memory, which does not notice when they are changed.
        labels: int64, `(N,)`.
        counts: how many are in each part; those of `train` come first, then `val`, then `test`.
        mean: of each channel over the training images, or over all if there are none; on a scale of 0 to 1.
        std: standard deviation of each channel, likewise.
        skipped: name of each picture that cannot be used, and why.
        refused: names of those that the system did not hand out; it may another time.
        twice: pairs of names that seem to be one picture, in two parts.
    """

    images: Tensor
    labels: Tensor
    counts: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: list[tuple[str, str]]
    refused: list[str]
    twice: list[tuple[str, str]]


def decoded(folder: Path, listed: list[Picture], classes: list[str], view: View, *, training: bool) -> Decoded:
    """The pictures of a folder, from the cache, or read and kept there.

    Args:
        folder: where they are.
        listed: sorted by part.
        classes: names of the labels.
        view: size, channels and crop.
        training: each class needs a picture in the part `train`.

    Raises:
        DatasetUnavailable: none of them can be used, or there is no room for the cache.
        ValueError: a class has nothing to train on.
    """
    wanted = [FORMAT, asdict(view), classes, [(*each,) for each in listed]]
    key = sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    place = data_folder() / "folders" / f"{folder.name}-{view.width}x{view.height}-{key}"
    found = kept(place, view, len(listed), len(classes))
    if found is None or any(handed_out(folder / name, view) for name in found.refused):
        with locked(place, "pictures", advice=ADVICE):
            found = kept(place, view, len(listed), len(classes))  # perhaps another process has just written it
            if found is None or any(handed_out(folder / name, view) for name in found.refused):
                try:
                    facts = write(folder, listed, classes, view, place, training=training)
                except BaseException:
                    delete_but(place, named(place))
                    raise
                found = mapped(place, view, len(listed), len(classes), facts)
    return found


def kept(place: Path, view: View, listed: int, classes: int) -> Decoded | None:
    """What the cache holds; None if that is nothing, or damaged."""
    try:
        facts = json.loads((place / "about.json").read_text(encoding="utf-8"))
        return mapped(place, view, listed, classes, facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def mapped(place: Path, view: View, listed: int, classes: int, facts: dict[str, Any]) -> Decoded:
    """The images of a file and what is known about them.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError: the file is missing, or does not fit
            the facts.
    """
    file = place / Path(facts["file"]).name
    labels = torch.tensor(facts["labels"], dtype=torch.int64)
    counts = {part: int(facts["counts"][part]) for part in PARTS}
    shape = (len(labels), view.channels, view.height, view.width)
    size = file.stat().st_size
    if size not in (math.prod(shape), listed * math.prod(shape[1:])):  # the second where it could not be cut
        raise ValueError(f"{file.name} has {size} bytes in place of {math.prod(shape)}.")
    if (
        not ((labels >= 0) & (labels < classes)).all()
        or sum(counts.values()) != len(labels)
        or not len(facts["mean"]) == len(facts["std"]) == view.channels
    ):
        raise ValueError("about.json contradicts itself.")
    images = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="c", shape=shape))
    mean, std = (tuple(map(float, facts[key])) for key in ("mean", "std"))
    skipped, twice = ([(str(one), str(other)) for one, other in facts[key]] for key in ("skipped", "twice"))
    return Decoded(images, labels, counts, mean, std, skipped, [*map(str, facts["refused"])], twice)


def write(
    folder: Path, listed: list[Picture], classes: list[str], view: View, place: Path, *, training: bool
) -> dict[str, Any]:
    """Write all pictures that can be used, in the order of the list, and `about.json`; what that says.

    The file of images has a name of its own, for somebody may read or have mapped an earlier one. What `about.json`
    does not name is deleted, also what an interrupt left.
    """
    shape = (len(listed), view.channels, view.height, view.width)
    about, target = place / "about.json", place / f"images-{token_hex(4)}.bin"
    delete_but(place, named(place))
    require_room(target, math.prod(shape))  # a disk that fills up under a mapped file ends the process
    images = np.memmap(target, dtype=np.uint8, mode="w+", shape=shape)
    refused: set[str] = set()

    def read(index: int) -> str:
        try:
            images[index] = view.of(folder / listed[index].name).transpose(2, 0, 1)
        except UnreadablePicture as error:
            if is_refusal(error):
                refused.add(listed[index].name)
            return error.reason
        return ""

    with ThreadPoolExecutor(cores()) as pool:
        reasons = list(watched(pool.map(read, range(len(listed))), len(listed), folder.name))
    usable = [index for index, reason in enumerate(reasons) if not reason]
    for row, index in enumerate(usable):  # close the gaps, from the front
        if row != index:
            images[row] = images[index]
    images.flush()
    with suppress(OSError):  # Windows cuts no file while it is mapped; what lies behind the last picture is not read
        os.truncate(target, len(usable) * math.prod(shape[1:]))
    used = [listed[index] for index in usable]
    counts = {part: sum(picture.part == part for picture in used) for part in PARTS}
    missing = {*range(len(classes))} - {picture.label for picture in used if picture.part == "train"}
    if training and missing:
        names = ", ".join(classes[label] for label in sorted(missing))
        raise ValueError(f"{folder} has no picture to train on of {names}: add some, or remove the class.")
    if not used:
        raise DatasetUnavailable(f"{folder} holds no picture that can be used. {listed[0].name}: {reasons[0]}.")
    pixels = torch.from_numpy(images[: len(usable)])
    mean, std = channel_statistics(pixels[: counts["train"] or len(usable)])
    twice = across_parts(pixels, [picture.part for picture in used])
    facts = {
        "file": target.name,
        "folder": str(folder.absolute()),
        "labels": [picture.label for picture in used],
        "counts": counts,
        "mean": mean,
        "std": std,
        "skipped": [(listed[index].name, reason) for index, reason in enumerate(reasons) if reason],
        "refused": sorted(refused),
        "twice": [[f"{used[index].name} ({used[index].part})" for index in pair] for pair in twice],
    }
    part = place / "about.json.part"
    part.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(part, about)  # last: where it is, the rest is whole
    delete_but(place, target.name)
    drop_orphans(place.parent)
    return facts


def named(place: Path) -> str | None:
    """The file of images that `about.json` speaks of; None if it is damaged, or missing."""
    try:
        return str(json.loads((place / "about.json").read_text(encoding="utf-8"))["file"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def delete_but(place: Path, name: str | None) -> None:
    """Delete the files of images that are not called so."""
    for file in place.glob("images*.bin"):
        if file.name != name:
            with suppress(OSError):  # Windows keeps one that is mapped
                file.unlink()


def is_refusal(error: UnreadablePicture) -> bool:
    """Whether the system did not hand out a file, for want of rights or memory: that says nothing about the picture."""
    cause = error.__cause__
    return isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno is not None)  # Pillow's: None


def handed_out(path: Path, view: View) -> bool:
    """Whether the system hands out a file now that it refused before, whatever is in it."""
    try:
        view.read(path)
    except UnreadablePicture as error:
        return not is_refusal(error)
    return True


def drop_orphans(cache: Path) -> None:
    """Delete what the cache holds of folders that are gone, such as temporary ones."""
    for about in cache.glob("*/about.json"):
        try:
            source = json.loads(about.read_text(encoding="utf-8")).get("folder")
            if source and not Path(source).exists():
                about.unlink()  # first, so that nothing is left that looks whole
                shutil.rmtree(about.parent)
        except (OSError, ValueError, TypeError, AttributeError):
            continue  # damaged, or in use by another process


def watched(results: Iterator[str], total: int, name: str) -> Iterator[str]:
    """The results as they come, with a progress bar where somebody is looking."""
    from tqdm.auto import tqdm  # imported here: it looks for a notebook, and loads the widgets in one

    shown = total > 500 and machine.show_progress()
    title = f"read {printable(name)}"
    return iter(tqdm(results, total=total, desc=title, unit="pictures", disable=not shown, leave=False))
