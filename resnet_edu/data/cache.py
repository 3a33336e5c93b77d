"""The pictures of a folder as a file of uint8 numbers in the cache: decoded once, several at a time, then mapped.

Mapping takes no time and only as much memory as is used. A changed, new or removed picture makes a new file. Every
folder of the cache can be deleted at any time; those whose pictures are gone are deleted when a new one is made.
"""

import json
import math
import shutil
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .. import machine
from ..display import ProgressLine
from ..errors import DatasetUnavailable, UnreadablePicture
from ..files import data_folder, locked, printable, write_atomically
from .pictures import View, without_warnings
from .split import PARTS, channel_counts, statistics_of

FORMAT = 3  # raise it when what stands in the cache is made in another way
ADVICE = "Make room there, or set RESNET_EDU_DATA to a folder you may write."
AT_ONCE = 1024  # pictures that are read together, to bound the memory
LEVELS = 16  # of 256 grey levels: a picture that uses fewer is blank
SIDE = 8  # of the miniatures by which pictures are compared
ALIKE = 0.998  # correlation of two miniatures that are taken for one picture


class Picture(NamedTuple):
    """A file, before it is read."""

    name: str  # its path from the folder on
    part: str  # "train", "val" or "test"
    label: int
    identity: tuple[int, ...]  # what changes when it is replaced or edited: its number on the disk, size and times


class Decoded(NamedTuple):
    """All pictures of a folder that can be used, in the order of their list."""

    images: Tensor  # uint8, (N, C, H, W): a file mapped into memory, which does not notice when they are changed
    labels: Tensor  # int64, (N,)
    counts: dict[str, int]  # how many are in each part; those of `train` come first, then `val`, then `test`
    mean: tuple[float, ...]  # of each channel over the first part, on a scale of 0 to 1
    std: tuple[float, ...]
    skipped: list[tuple[str, str]]  # name of each picture that cannot be used, and why
    twice: list[tuple[str, str]]  # names of what seems to be one picture in two parts or two classes
    blank: list[str]  # names of pictures that show nothing


def decoded(folder: Path, listed: list[Picture], classes: list[str], view: View) -> Decoded:
    """The pictures of a folder, listed by part, from the cache, or read and kept there."""
    options = view.width, view.height, view.channels, view.crop, view.max_megabytes
    key = sha256(json.dumps([FORMAT, options, classes, listed]).encode()).hexdigest()[:16]
    place = data_folder() / "folders" / f"{folder.name}-{view.width}x{view.height}-{key}"
    if found := from_cache(place, view):
        return found
    with locked(place, "pictures", advice=ADVICE):
        if found := from_cache(place, view):  # another process has just written it
            return found
        target = place / f"images-{token_hex(4)}.bin"  # somebody may have mapped an earlier one
        try:
            facts, refused = write(folder, listed, classes, view, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        found = mapped(place, view, facts)
        if not refused:
            write_atomically(place / "about.json", json.dumps(facts).encode())
        # What the system does not hand out now, it may another time: then nothing is kept beyond this mapping.
        for file in {*place.glob("images-*.bin")} - (set() if refused else {target}):
            with suppress(OSError):  # Windows keeps one that is mapped
                file.unlink()
        drop_orphans(place.parent)
        return found


def from_cache(place: Path, view: View) -> Decoded | None:
    """What the cache holds; None if that is nothing, or damaged."""
    try:
        return mapped(place, view, json.loads((place / "about.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mapped(place: Path, view: View, facts: dict[str, Any]) -> Decoded:
    """The images of a file and what is known about them; raises anything if these do not fit each other."""
    file, labels = place / facts["file"], torch.tensor(facts["labels"], dtype=torch.int64)
    shape = (len(labels), view.channels, view.height, view.width)
    if file.stat().st_size != math.prod(shape):
        raise ValueError(f"{file} has another size than {shape}")
    images = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="c", shape=shape))
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    skipped, twice = ([(one, other) for one, other in facts[key]] for key in ("skipped", "twice"))
    return Decoded(images, labels, facts["counts"], mean, std, skipped, twice, facts["blank"])


def write(
    folder: Path, listed: list[Picture], classes: list[str], view: View, target: Path
) -> tuple[dict[str, Any], bool]:
    """Write all pictures that can be used to a file. What is known of them, and whether some were not handed out."""
    used: list[Picture] = []
    blank: list[str] = []
    faults: list[tuple[str, UnreadablePicture]] = []
    small: list[Tensor] = []
    values = torch.zeros(view.channels, 256, dtype=torch.int64)
    with open(target, "wb") as file, closing(read(folder, listed, view, faults)) as blocks:
        for pictures, images in blocks:
            file.write(images.numpy().tobytes())
            used += pictures
            small.append(miniatures(images))
            values += channel_counts(images[: sum(picture.part == listed[0].part for picture in pictures)])
            levels = images.flatten(1).amax(dim=1).int() - images.flatten(1).amin(dim=1)
            blank += [picture.name for picture, dark in zip(pictures, levels < LEVELS, strict=True) if dark]
    skipped = sorted((name, error.reason) for name, error in faults)
    why = "".join(f" {name}: {reason}." for name, reason in skipped[:1])
    if not used:
        raise DatasetUnavailable(f"{folder} holds no picture that can be used.{why}")
    missing = {*range(len(classes))} - {picture.label for picture in used if picture.part == "train"}
    if listed[0].part == "train" and missing:
        names = ", ".join(classes[label] for label in sorted(missing))
        raise ValueError(f"{folder} has no picture to train on of {names}: add some, or remove the class.{why}")
    mean, std = statistics_of(values)
    twice = duplicates(torch.cat(small), [picture.part for picture in used], [picture.label for picture in used])
    facts = {
        "file": target.name,
        "folder": str(folder.absolute()),
        "labels": [picture.label for picture in used],
        "counts": {part: sum(picture.part == part for picture in used) for part in PARTS},
        "mean": mean,
        "std": std,
        "skipped": skipped,
        "twice": [[f"{used[index].name} ({used[index].part})" for index in pair] for pair in twice],
        "blank": sorted(blank),
    }
    return facts, any(is_refusal(error) for _, error in faults)


def read(
    folder: Path, listed: list[Picture], view: View, faults: list[tuple[str, UnreadablePicture]]
) -> Generator[tuple[list[Picture], Tensor]]:
    """The pictures that can be used, many at a time: uint8 `(N, C, H, W)`. The errors of the others go to `faults`."""

    def pixels(picture: Picture) -> NDArray[np.uint8] | UnreadablePicture:
        try:
            return view.of(folder / picture.name)
        except UnreadablePicture as error:
            return error

    with (
        ThreadPoolExecutor(machine.cores()) as pool,
        ProgressLine(f"read {printable(folder.name)}", shown=len(listed) > 500) as line,
        without_warnings(),
    ):
        for start in range(0, len(listed), AT_ONCE):
            block = listed[start : start + AT_ONCE]
            pictures, images = [], []
            for picture, result in zip(block, pool.map(pixels, block), strict=True):
                if isinstance(result, UnreadablePicture):
                    faults.append((picture.name, result))
                else:
                    pictures.append(picture)
                    images.append(result)
            if images:
                yield pictures, torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
            done = start + len(block)
            line.show(f"{done:,} of {len(listed):,} pictures", done / len(listed))
        line.done(f"{len(listed):,} pictures")


def is_refusal(error: UnreadablePicture) -> bool:
    """Whether the system did not hand out a file, for want of rights or memory: that says nothing about the picture."""
    cause = error.__cause__
    return isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno is not None)  # Pillow's: None


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


# Pictures that are there twice: a test error measured on those says nothing


def duplicates(small: Tensor, parts: Sequence[str], labels: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of indices of images that seem to be one picture, in two parts or in two classes.

    Between parts, two are taken for one if their miniatures correlate, whatever their size, brightness, contrast or
    JPEG quality: of each image its best twin in an earlier part. Within a part, only if the miniatures are equal.
    """
    pairs: dict[int, int] = {}
    for part in [*dict.fromkeys(parts)][1:]:
        start = parts.index(part)
        for first in range(start, start + parts.count(part), 256):  # rows at a time, to bound the memory
            rows = slice(first, min(first + 256, start + parts.count(part)))
            alike, twins = (small[rows] @ small[:start].T).max(dim=1)
            pairs |= {first + row: int(twins[row]) for row in (alike > ALIKE).nonzero().flatten().tolist()}
    seen: dict[bytes, int] = {}
    for index, row in enumerate((small * 1000).round().to(torch.int16).numpy()):
        earlier = seen.setdefault(row.tobytes(), index)
        if labels[earlier] != labels[index] and row.any():  # blank pictures are equal, and that is no news
            pairs.setdefault(index, earlier)
    return [(earlier, index) for index, earlier in sorted(pairs.items())]


def miniatures(images: Tensor) -> Tensor:
    """Grey miniatures of uint8 `(N, C, H, W)` with mean 0 and length 1, float32 `(N, 64)`; blank ones stay 0."""
    grey = torch.cat(
        [
            F.interpolate(part.float(), size=(SIDE, SIDE), mode="area").mean(dim=1).flatten(1)
            for part in images.split(256)
        ]
    )
    grey = grey - grey.mean(dim=1, keepdim=True)
    return F.normalize(torch.where(grey.std(dim=1, keepdim=True) > 2, grey, 0))
