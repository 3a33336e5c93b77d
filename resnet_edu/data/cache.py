"""The pictures of a folder as one file of uint8 numbers in the cache: decoded once, several at a time, then mapped.

Mapping takes no time and only as much memory as is used. A changed, new or removed picture makes a new file, and so
does the package for HEIC. All can be deleted at any time; of what is gone or old they are, when a new one is made.
"""

import json
import os
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ..display import ProgressLine
from ..errors import DatasetUnavailable, UnreadablePicture
from ..files import data_folder, locked, printable, write_atomically
from .pictures import View, read_at_once
from .split import PARTS, channel_statistics

FORMAT = 4  # raise it when what stands in the cache is made in another way
ADVICE = "Make room there, or set RESNET_EDU_DATA to a folder you may write."
KEPT = 5  # files of one folder at one size: each seed, and each change of the pictures, makes another
AT_ONCE = 128  # pictures for which an interrupt has to wait
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

    images: Tensor  # uint8, (N, C, H, W); perhaps a mapped file, which does not notice when they are changed
    labels: Tensor  # int64, (N,)
    counts: dict[str, int]  # how many are in each part; those of `train` come first, then `val`, then `test`
    mean: tuple[float, ...]  # of each channel over the first part, on a scale of 0 to 1
    std: tuple[float, ...]
    skipped: list[tuple[str, str]]  # name of each picture that cannot be used, and why
    twice: list[tuple[str, str]]  # names of what seems to be one picture in two parts or two classes
    blank: list[str]  # names of pictures that show nothing


def decoded(folder: Path, listed: list[Picture], classes: list[str], view: View) -> Decoded:
    """The pictures of a folder, listed by part, from the cache, or read and kept there.

    Somebody's own `find` may be edited between two calls: then nothing is kept.
    """
    if view.crop == "objects" and not getattr(view.find, "__module__", "").startswith("resnet_edu."):
        return examined(folder, classes, *read(folder, listed, view))
    options = view.width, view.height, view.channels, view.crop, view.max_megabytes, bool(find_spec("pillow_heif"))
    key = sha256(json.dumps([FORMAT, options, classes, listed]).encode()).hexdigest()[:16]
    file = data_folder() / "folders" / f"{folder.name[:40]}-{view.width}x{view.height}-{key}.safetensors"
    if found := from_cache(file):
        return found
    with locked(file.parent, file.stem, advice=ADVICE):
        if found := from_cache(file):  # another process has just written it
            return found
        for left in file.parent.glob(f".resnet_edu.*{key}.*"):
            left.unlink(missing_ok=True)
        used, images, faults = read(folder, listed, view)
        found = examined(folder, classes, used, images, faults)
        # Nothing is kept where the system hands out no file, for want of rights or memory (Pillow gives no errno).
        if not any(isinstance(e.__cause__, MemoryError) or getattr(e.__cause__, "errno", None) for _, e in faults):
            about = json.dumps({"folder": str(folder.absolute()), "found": found[2:]})
            tensors = {"images": found.images, "labels": found.labels}
            try:  # `save_file` takes no copy of what may be gigabytes
                write_atomically(file, partial(save_file, tensors, metadata={"about": about}))
            except SafetensorError as error:
                raise DatasetUnavailable(f"{file} cannot be written ({error}). {ADVICE}") from error
            drop_old(file, folder)
        return found


def from_cache(file: Path) -> Decoded | None:
    """What the cache holds; None if that is nothing, or damaged."""
    try:
        with safe_open(file, "pt") as content:
            counts, mean, std, *notes = json.loads(content.metadata()["about"])["found"]
            return Decoded(
                content.get_tensor("images"), content.get_tensor("labels"), counts, tuple(mean), tuple(std), *notes
            )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def drop_old(new: Path, folder: Path) -> None:
    """Delete what the cache holds of folders that are gone, and of this one at this size all but the newest."""
    alike = 0
    for file in sorted(new.parent.glob("*.safetensors"), key=os.path.getmtime, reverse=True):
        try:
            with safe_open(file, "pt") as content:
                source = json.loads(content.metadata()["about"])["folder"]
            same = source == str(folder.absolute()) and file.stem[:-16] == new.stem[:-16]  # but for the key
            alike += same
            if (same and alike > KEPT) or not Path(source).exists():
                file.unlink()
                file.with_name(f".{file.stem}.lock").unlink(missing_ok=True)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            continue  # damaged, or in use by another process


def read(
    folder: Path, listed: list[Picture], view: View
) -> tuple[list[Picture], Tensor, list[tuple[str, UnreadablePicture]]]:
    """The pictures that can be used, their pixels, uint8 `(N, C, H, W)`, and the errors of the others."""
    images = torch.empty(len(listed), view.channels, view.height, view.width, dtype=torch.uint8)
    used, faults = [], []
    with ProgressLine(f"read {printable(folder.name)}", shown=len(listed) > 500) as line:
        for start in range(0, len(listed), AT_ONCE):
            block = listed[start : start + AT_ONCE]
            found = read_at_once(lambda picture: view.of(folder / picture.name), block)
            for picture, result in zip(block, found, strict=True):
                if isinstance(result, UnreadablePicture):
                    faults.append((picture.name, result))
                else:
                    images[len(used)] = torch.tensor(result).permute(2, 0, 1)  # (C, H, W)
                    used.append(picture)
            done = start + len(block)
            line.show(f"{done:,} of {len(listed):,} pictures", done / len(listed))
        line.done(f"{len(listed):,} pictures")
    return used, images[: len(used)], faults


def examined(
    folder: Path,
    classes: list[str],
    used: list[Picture],
    images: Tensor,
    faults: list[tuple[str, UnreadablePicture]],
) -> Decoded:
    """The pictures with what is known of them; an error if there are none, or none to train on of a class."""
    skipped = sorted((name, error.reason) for name, error in faults)
    why = "".join(f" {name}: {reason}." for name, reason in skipped[:1])
    if not used:
        raise DatasetUnavailable(f"{folder} holds no picture that can be used.{why}")
    parts, labels = [picture.part for picture in used], [picture.label for picture in used]
    counts = {part: parts.count(part) for part in PARTS}
    missing = {*range(len(classes))} - {*labels[: counts["train"]]}
    if counts["train"] and missing:
        names = ", ".join(classes[label] for label in sorted(missing))
        raise ValueError(f"{folder} has no picture to train on of {names}: add some, or remove the class.{why}")
    mean, std = channel_statistics(images[: counts[parts[0]]])
    names = [f"{picture.name} ({picture.part})" for picture in used]
    twice = [(names[one], names[other]) for one, other in duplicates(miniatures(images), parts, labels)]
    levels = images.flatten(1).amax(dim=1).int() - images.flatten(1).amin(dim=1)
    blank = sorted(picture.name for picture, few in zip(used, levels < LEVELS, strict=True) if few)
    return Decoded(images, torch.tensor(labels), counts, mean, std, skipped, twice, blank)


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
    grey = torch.cat([F.adaptive_avg_pool2d(part.float(), SIDE).mean(dim=1).flatten(1) for part in images.split(256)])
    grey = grey - grey.mean(dim=1, keepdim=True)
    return F.normalize(torch.where(grey.std(dim=1, keepdim=True) > 2, grey, 0))
