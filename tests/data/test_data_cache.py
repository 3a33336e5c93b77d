"""The pictures of a folder are decoded once, and anew whenever one of them is another."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from picture_folders import CLASSES, everything, fill, noise, sizes
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from resnet_edu import data
from resnet_edu.data import cache as module
from resnet_edu.data.pictures import View
from resnet_edu.errors import DatasetUnavailable

BOXES = (0, 0, 10, 10), (5, 5, 15, 15)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return fill(tmp_path / "pets", dict.fromkeys(CLASSES, 10))


def test_pictures_are_decoded_once(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.load(pictures, size=16)
    monkeypatch.setattr(View, "of", lambda *_: pytest.fail("decoded again"))
    again = data.load(pictures, size=16)
    assert torch.equal(again.train.images, first.train.images)
    assert again.source == first.source
    again.train.images.zero_()  # the cache does not notice
    assert torch.equal(data.load(pictures, size=16).train.images, first.train.images)


def edit_in_secret(root: Path) -> None:
    """Other pixels; name, size and time of change stay."""
    path = root / "cat" / "000.bmp"
    before = path.stat()
    noise(78).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange(root: Path) -> None:
    """Two classes change their names; their files have equal names, sizes and times."""
    for path in root.glob("*/*.bmp"):
        os.utime(path, ns=(10**18, 10**18))
    for old, new in (("cat", "away"), ("dog", "cat"), ("away", "dog")):
        (root / old).rename(root / new)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other times")
@pytest.mark.parametrize(
    "change",
    [
        lambda root: noise(77).save(root / "cat" / "new.bmp"),
        lambda root: (root / "cat" / "000.bmp").unlink(),
        lambda root: noise(77).save(root / "cat" / "000.bmp"),
        edit_in_secret,
        exchange,
    ],
)
def test_a_changed_folder_is_read_anew(tmp_path: Path, change: Callable[[Path], object]) -> None:
    root = fill(tmp_path / "pets", dict.fromkeys(CLASSES, 5), kind="bmp")
    data.load(root, size=(20, 16))
    change(root)
    loaded = data.load(root, size=(20, 16))
    found = Counter(
        (loaded.classes[label], image.permute(1, 2, 0).numpy().tobytes())
        for split in (loaded.train, loaded.val, loaded.test)
        for image, label in zip(split.images, split.labels.tolist(), strict=True)
    )
    assert found == Counter((path.parent.name, Image.open(path).tobytes()) for path in root.glob("*/*.bmp"))


def test_what_somebodys_own_function_finds_is_not_kept(pictures: Path) -> None:
    views = (data.load(pictures, size=8, crop="objects", find=lambda _, box=box: box) for box in BOXES)
    first, second = map(everything, views)  # the same folder and options: only the function was edited
    assert not torch.equal(first, second)


def test_folders_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    for name, first in (("one", 0), ("other", 5000)):
        fill(tmp_path / name / "pets", {"cat": 6}, first=first, kind="bmp")
        for path in (tmp_path / name).rglob("*.bmp"):
            os.utime(path, ns=(10**18, 10**18))
    one, other = (everything(data.load(tmp_path / name / "pets", size=16)) for name in ("one", "other"))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_reading_that_was_broken_off_leaves_no_images(
    pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "duplicates", lambda *_: (_ for _ in ()).throw(error))
        with pytest.raises(error):
            data.load(pictures, size=16)
    assert [*(cache / "folders").iterdir()]  # it was begun
    assert not [*cache.rglob("*.safetensors")]
    assert len(data.load(pictures, size=16).test) == 6


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O error"), MemoryError()])
def test_a_file_that_was_refused_once_is_read_when_it_can_be(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def opened(path: Path, **formats: Any) -> Image.Image:
        if path.name == "003.png" and path.parent.name == "cat":
            raise error
        return open_picture(path, **formats)

    open_picture = Image.open
    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", opened)
        before = data.load(pictures, size=16)
        assert "1 file skipped" in before.source
    images = before.train.images.clone()
    after = data.load(pictures, size=16)
    assert sum(sizes(after)) == 30
    assert torch.equal(before.train.images, images)  # what was loaded stays as it is


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def with_metadata(about: str) -> Callable[[Path], object]:
    return lambda file: save_file(load_file(file), file, metadata={"about": about})


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        cut,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes() + b"more"),
        lambda file: save_file(load_file(file), file),
        lambda file: save_file({}, file, metadata={"about": '{"found": [{}, [], [], [], [], []]}'}),
        *map(with_metadata, ("", "{", "{}", "[]", "null", '{"found": []}', '{"found": [{}, 1, 1, [], [], []]}')),
    ],
)
def test_a_damaged_cache_is_made_anew(pictures: Path, cache: Path, spoil: Callable[[Path], object]) -> None:
    images = data.load(pictures, size=16).train.images.clone()
    (file,) = cache.rglob("*.safetensors")
    content = file.read_bytes()
    spoil(file)
    assert not file.exists() or file.read_bytes() != content
    after = data.load(pictures, size=16)
    assert file.read_bytes() == content
    assert torch.equal(after.train.images, images)


def test_twins_within_a_part_are_none_however_many_pictures_it_has() -> None:
    small = F.normalize(torch.randn(600, 64))
    small[590], small[595] = small[300], small[3]
    assert module.duplicates(small, ["train"] * 10 + ["test"] * 590, [0] * 600) == [(3, 595)]


def test_brightness_makes_no_twins_and_hides_none() -> None:
    images = torch.randint(150, 256, (20, 3, 32, 32), dtype=torch.uint8)
    darker = (images[:1] * 0.5 + 20).byte()
    small = module.miniatures(torch.cat([images, darker]))
    assert module.duplicates(small, ["train"] * 10 + ["test"] * 11, [0] * 21) == [(0, 20)]


def test_what_is_kept_of_a_folder_that_is_gone_is_deleted(tmp_path: Path, pictures: Path, cache: Path) -> None:
    passing = fill(tmp_path / "passing", dict.fromkeys(CLASSES, 10), first=5000)
    for folder in (pictures, passing):
        data.load(folder, size=16)
    for name, about in (("foreign", "no JSON"), ("foreign-list", "[]"), ("foreign-number", '{"folder": 3}')):
        save_file({}, cache / "folders" / f"{name}.safetensors", metadata={"about": about})
    shutil.rmtree(passing)
    data.load(pictures, size=24)
    found = sorted(each.stem.split("-")[0] for each in (cache / "folders").glob("*.safetensors"))
    assert found == ["foreign", "foreign", "foreign", "pets", "pets"]


def test_of_a_folder_the_newest_readings_are_kept(pictures: Path, cache: Path) -> None:
    data.load(pictures, size=24)
    for seed in range(7):
        data.load(pictures, size=16, seed=seed)
    assert [len(list(cache.glob(f"folders/*-{side}x{side}-*.safetensors"))) for side in (24, 16)] == [1, 5]


def test_a_cache_that_cannot_be_written(pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("resnet_edu.data.cache.read", full)
        with pytest.raises(DatasetUnavailable, match=r"No space left on device.*set RESNET_EDU_DATA"):
            data.load(pictures, size=16)
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable, match="set RESNET_EDU_DATA to a folder you may write"):
        data.load(pictures, size=16)
