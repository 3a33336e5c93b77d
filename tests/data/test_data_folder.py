"""A folder of pictures becomes a data set, once decoded, and says what it left out."""

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_edu import data
from resnet_edu.data import cache as decoded, folder as module
from resnet_edu.data.folder import load_one_part
from resnet_edu.data.listing import list_folder
from resnet_edu.data.pictures import View
from resnet_edu.data.split import channel_statistics
from resnet_edu.errors import DatasetUnavailable, UnreadablePicture

CLASSES = ("cat", "dog", "emu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def noise(seed: int, size: tuple[int, int] = (20, 16)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def fill(root: Path, counts: dict[str, int], *, first: int = 0) -> Path:
    """Lossless noise, a different picture in every file."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise(first + 1000 * number + index).save(root / name / f"{index:03}.png")
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return fill(tmp_path / "pets", dict.fromkeys(CLASSES, 10))


# Oracle: each file read by itself


def test_every_image_is_that_of_a_file_with_its_class(pictures: Path) -> None:
    loaded = data.load(pictures, size=(20, 16))
    assert loaded.classes == CLASSES
    expected = Counter()
    for label, name in enumerate(CLASSES):
        for path in (pictures / name).iterdir():
            expected[np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes(), label] += 1
    splits = (loaded.train, loaded.val, loaded.test)
    found = Counter(
        (image.numpy().tobytes(), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert found == expected
    for split, count in zip(splits, (7, 1, 2), strict=True):
        assert torch.bincount(split.labels).tolist() == [count] * 3
    assert (loaded.train.mean, loaded.train.std) == channel_statistics(loaded.train.images.clone())
    assert loaded.val.mean == loaded.test.mean == loaded.train.mean


def test_a_view_is_used_for_every_picture(pictures: Path) -> None:
    loaded = data.load(pictures, size=(12, 10), channels=1, crop="center")
    view = View(12, 10, channels=1, crop="center")
    listed, _, _ = list_folder(pictures)
    expected = {view.of(pictures / each.name).transpose(2, 0, 1).tobytes() for each in listed}
    assert {image.numpy().tobytes() for image in loaded.train.images} <= expected
    assert loaded.train.images.shape[1:] == (1, 10, 12)


# Structure


def test_train_and_test_stay_what_they_are(tmp_path: Path) -> None:
    root = tmp_path / "divided"
    fill(root / "train", {"cat": 10, "dog": 20})
    fill(root / "test", {"cat": 3, "dog": 4}, first=5000)
    loaded = data.load(root, size=16)
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [27, 3, 7]
    fill(root / "val", {"cat": 2, "dog": 1}, first=9000)
    loaded = data.load(root, size=16)
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [30, 3, 7]
    assert str(root) in loaded.source
    assert "30 train · 3 val · 7 test, 16×16, colour, crop none, seed 0" in loaded.source
    assert loaded.notes == ()


def test_validation_is_another_name_of_val(tmp_path: Path) -> None:
    root = tmp_path / "divided"
    for first, (part, count) in enumerate({"train": 10, "test": 3, "validation": 2, "extra": 4, ".git": 1}.items()):
        fill(root / part, {"cat": count, "dog": count}, first=5000 * first)
    loaded = data.load(root, size=16)
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [20, 4, 6]
    assert loaded.notes == ("Not used: extra. Only train, val (or validation) and test are parts.",)
    fill(root / "val", {"cat": 5, "dog": 5}, first=40_000)
    loaded = data.load(root, size=16)
    assert [len(split) for split in (loaded.train, loaded.val, loaded.test)] == [20, 10, 6]
    assert loaded.notes == ("Not used: extra, validation. Only train, val (or validation) and test are parts.",)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other links")
def test_links_that_lead_nowhere_are_no_folders(tmp_path: Path, pictures: Path) -> None:
    (pictures / "loop").symlink_to("loop")
    (pictures / "test").mkdir()
    (pictures / "test" / "loop").symlink_to("loop")
    assert list_folder(pictures)[1] == [*CLASSES, "test"]
    for part, first in (("train", 0), ("test", 9000)):
        fill(tmp_path / "divided" / part, {"cat": 3}, first=first)
    (tmp_path / "divided" / "loop").symlink_to("loop")
    assert data.load(tmp_path / "divided", size=16).notes == ()


def test_one_part_is_all_of_a_folder_or_its_test_images(tmp_path: Path) -> None:
    root, view = fill(tmp_path / "pets", {"cat": 1, "dog": 2}), View(20, 16)
    loaded = load_one_part(root, view)
    assert loaded.classes == ("cat", "dog")
    assert loaded.split.labels.tolist() == [0, 1, 1]
    expected = [view.of(root / name) for name in ("cat/000.png", "dog/000.png", "dog/001.png")]
    assert (loaded.split.images.permute(0, 2, 3, 1).numpy() == np.stack(expected)).all()
    assert (loaded.split.mean, loaded.split.std) == channel_statistics(loaded.split.images)
    assert (loaded.name, loaded.notes) == (str(root), ())
    assert loaded.source.endswith("pets: your own pictures; 3 test, 20×16, colour, crop none")
    fill(tmp_path / "more" / "test", {"dog": 1})
    (tmp_path / "more" / "test" / "dog" / "broken.jpg").touch()
    loaded = load_one_part(tmp_path / "more", view)
    assert (loaded.classes, loaded.split.labels.tolist()) == (("dog",), [0])
    assert loaded.source.endswith("; 1 file skipped")
    assert loaded.notes[1] == "  test/dog/broken.jpg: no picture in a format that Pillow knows"
    with pytest.raises(UnreadablePicture, match=r"broken\.jpg cannot be read"):
        load_one_part(tmp_path / "more", view, strict=True)
    fill(tmp_path / "more" / "train", {"cat": 4, "dog": 4})  # its classes may be others
    assert load_one_part(tmp_path / "more", view).source == loaded.source


def test_the_split_follows_the_seed(pictures: Path) -> None:
    one, same, other = (data.load(pictures, size=16, seed=seed).train.images for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_limit_keeps_as_many_of_each_class(pictures: Path) -> None:
    loaded = data.load(pictures, size=16, limit=6)
    assert torch.bincount(loaded.train.labels).tolist() == [2, 2, 2]
    assert loaded.train.mean == channel_statistics(loaded.train.images)[0]
    assert "6 train · 3 val" in loaded.source


def test_pictures_are_decoded_once(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.load(pictures, size=16)
    monkeypatch.setattr(View, "of", lambda *_: pytest.fail("decoded again"))
    again = data.load(pictures, size=16)
    assert torch.equal(again.train.images, first.train.images)
    assert again.source == first.source


@pytest.mark.parametrize("change", ["new", "gone", "other"])
def test_a_changed_folder_is_read_anew(pictures: Path, change: str) -> None:
    before = data.load(pictures, size=16)
    path = pictures / "cat" / ("new.png" if change == "new" else "000.png")
    if change == "gone":
        path.unlink()
    else:
        noise(77).save(path)
    after = data.load(pictures, size=16)
    count = {"new": 31, "gone": 29, "other": 30}[change]
    assert sum(len(split) for split in (after.train, after.val, after.test)) == count
    everything = [torch.cat([part.images for part in (each.train, each.val, each.test)]) for each in (before, after)]
    assert everything[0].sum() != everything[1].sum()


def test_the_images_can_be_changed_and_the_cache_does_not_notice(pictures: Path) -> None:
    loaded = data.load(pictures, size=16)
    original = loaded.train.images.clone()
    loaded.train.images.zero_()
    assert torch.equal(data.load(pictures, size=16).train.images, original)


def test_what_is_no_picture_is_skipped_and_named(pictures: Path) -> None:
    (pictures / "cat" / "readme.txt").write_text("cats")
    (pictures / "cat" / ".hidden").write_text("not seen")
    (pictures / "dog" / "more").mkdir()
    (pictures / "emu" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    noise(0, (300, 300)).save(pictures / "emu" / "big.bmp")
    loaded = data.load(pictures, size=16, max_megabytes=0.2)
    assert sum(len(split) for split in (loaded.train, loaded.val, loaded.test)) == 30
    assert loaded.source.endswith("; 4 files skipped")
    assert loaded.notes[0] == "4 files were skipped:"
    listed = "\n".join(loaded.notes)
    assert "cat/readme.txt: not a picture, by its ending" in listed
    assert "dog/more: a folder inside a class" in listed
    assert "emu/broken.jpg: no picture in a format" in listed
    assert "emu/big.bmp: 0.3 MB, at most 0.2 are allowed" in listed


def test_strict_refuses_what_would_be_skipped(pictures: Path) -> None:
    (pictures / "emu" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    with pytest.raises(UnreadablePicture, match=r"broken\.jpg cannot be read: no picture"):
        data.load(pictures, size=16, strict=True)
    (pictures / "emu" / "broken.jpg").rename(pictures / "emu" / "broken.txt")
    with pytest.raises(UnreadablePicture, match=r"broken\.txt cannot be read: not a picture, by its ending"):
        data.load(pictures, size=16, strict=True)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other names and files")
@pytest.mark.timeout(30)  # nobody writes into the pipe
def test_notes_stay_on_their_line(pictures: Path) -> None:
    os.mkfifo(pictures / "emu" / "pipe.jpg")
    (pictures / "cat" / "two\nlines.txt").touch()
    (pictures / "dog" / "\x1b[2Jscreen.jpg").touch()
    (pictures / "only\rone").mkdir()
    noise(3).save(pictures / "only\rone" / "1.png")
    loaded = data.load(pictures.rename(pictures.with_name("\x1b[2Jpets")), size=16)
    assert loaded.notes == (
        "3 files were skipped:",
        "  cat/two\\nlines.txt: not a picture, by its ending",
        "  emu/pipe.jpg: no regular file",
        "  dog/\\x1b[2Jscreen.jpg: no picture in a format that Pillow knows",
        "No picture is left for val of only\\rone: its error says nothing about them.",
        "No picture is left for test of only\\rone: its error says nothing about them.",
    )
    assert "\x1b" not in loaded.source + loaded.name
    (pictures.parent / "odd" / "a").mkdir(parents=True)
    (pictures.parent / "odd" / "a" / "two\nlines.txt").touch()
    with pytest.raises(DatasetUnavailable, match=r"Left out: a/two\\nlines\.txt \(not a picture"):
        data.load(pictures.parent / "odd")


def test_a_picture_in_two_parts_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "leaking"
    fill(root / "train", {"cat": 10, "dog": 10})
    fill(root / "test", {"cat": 5, "dog": 5}, first=5000)
    smooth = noise(3, (6, 5)).resize((90, 70))
    smooth.save(root / "train" / "cat" / "original.png")
    smooth.resize((60, 44)).save(root / "test" / "cat" / "smaller.jpg", quality=60)
    notes = data.load(root, size=32).notes
    assert notes[0] == "1 picture seems to stand in two parts:"
    assert notes[1] in [
        f"  train/cat/original.png ({part}) and test/cat/smaller.jpg (test)" for part in ("train", "val")
    ]


def test_long_lists_are_cut(pictures: Path) -> None:
    for index in range(40):
        (pictures / "cat" / f"{index}.txt").touch()
    notes = data.load(pictures, size=16).notes
    assert notes[-1] == "  … and 20 more"
    assert len(notes) == 22


def test_several_at_once_find_the_same(pictures: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: data.load(pictures, size=16), range(4)))
    assert all(torch.equal(each.test.images, loaded[0].test.images) for each in loaded)


def test_a_reading_that_was_broken_off_is_done_again(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(decoded, "across_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            data.load(pictures, size=16)
    assert len(data.load(pictures, size=16).test) == 6


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O error"), MemoryError()])
def test_a_file_that_was_refused_once_is_read_when_it_can_be(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (pictures / "emu" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")

    def opened(path: Path) -> Image.Image:
        if path.name == "003.png" and path.parent.name == "cat":
            raise error
        return open_picture(path)

    open_picture = Image.open
    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", opened)
        before = data.load(pictures, size=16)
        assert "2 files skipped" in before.source
        patched.setattr(View, "of", lambda *_: pytest.fail("decoded again, though nothing has changed"))
        assert data.load(pictures, size=16).source == before.source
    images = before.train.images.clone()
    after = data.load(pictures, size=16)
    assert sum(len(part) for part in (after.train, after.val, after.test)) == 30
    assert "1 file skipped" in after.source
    assert torch.equal(before.train.images, images)  # what was loaded stays as it is
    monkeypatch.setattr(View, "read", lambda *_: pytest.fail("read again, for a file that is no picture"))
    assert data.load(pictures, size=16).source == after.source


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("images-*.bin", Path.unlink),
        ("images-*.bin", cut),
        ("images-*.bin", lambda file: file.write_bytes(file.read_bytes() + b"more")),
        ("about.json", Path.unlink),
        ("about.json", cut),
        *(("about.json", partial(Path.write_text, data=text)) for text in ("", "{}", "[]", "null", '{"labels": [0]}')),
        ("about.json", lambda file: file.write_text(file.read_text().replace('"mean": [', '"mean": [0.5, '))),
        (
            "about.json",
            lambda file: file.write_text(file.read_text().replace('"counts": {"train": 2', '"counts": {"train": 3')),
        ),
        (
            "about.json",
            lambda file: file.write_text(file.read_text().replace('{"train": 2', '{"train": 2e400, "t": 2')),
        ),
        ("about.json", lambda file: file.write_text(file.read_text().replace('"labels": [', '"labels": [99, ', 1))),
        ("about.json", lambda file: file.write_text(re.sub(r'"labels": \[\d+', '"labels": [99', file.read_text()))),
    ],
)
def test_what_is_damaged_in_the_cache_is_made_again(
    pictures: Path, cache: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    before = data.load(pictures, size=16)
    images = before.train.images.clone()
    (file,) = cache.rglob(name)
    content = file.read_bytes()
    spoil(file)
    assert not file.exists() or file.read_bytes() != content
    after = data.load(pictures, size=16)
    (about,), (_,) = cache.rglob("about.json"), cache.rglob("images-*.bin")  # what was damaged is gone
    assert about.exists()
    assert torch.equal(after.train.images, images)
    assert after.train.mean == before.train.mean


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_three_of_each_class_will_do(tmp_path: Path, count: int) -> None:
    loaded = data.load(fill(tmp_path / "few", dict.fromkeys(CLASSES, count)), size=16)
    for split in (loaded.train, loaded.val, loaded.test):
        assert {*split.labels.tolist()} == {0, 1, 2}
    assert loaded.notes == ()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_reading_that_failed_leaves_no_images(
    pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    if error is ValueError:
        (pictures / "fox").mkdir()
    else:
        monkeypatch.setattr(decoded, "across_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(error):
        data.load(pictures, size=16)
    assert [*(cache / "folders").iterdir()]  # it was begun
    assert not [*cache.rglob("images*.bin")]


def test_what_is_whole_is_kept_when_only_the_tidying_fails(
    pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(decoded, "drop_orphans", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            data.load(pictures, size=16)
    assert len([*cache.rglob("images*.bin")]) == 1
    assert len(data.load(pictures, size=16).test) == 6


def test_a_file_that_cannot_be_cut_while_it_is_mapped(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "emu" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    expected = data.load(pictures, size=16)

    def refused(*_: object) -> None:
        raise PermissionError(13, "The requested operation cannot be performed on a file with a user-mapped section")

    monkeypatch.setattr(decoded.os, "truncate", refused)  # as on Windows
    monkeypatch.setattr(decoded, "FORMAT", 0)  # read anew
    data.load(pictures, size=16)
    monkeypatch.setattr(View, "of", lambda *_: pytest.fail("decoded again"))
    loaded = data.load(pictures, size=16)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(loaded, part).images, getattr(expected, part).images)
        assert torch.equal(getattr(loaded, part).labels, getattr(expected, part).labels)


def test_pictures_are_read_on_the_cores_that_are_ours(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int | None = None) -> None:
            asked.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(decoded, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(decoded, "cores", lambda: 3)
    data.load(pictures, size=16)
    assert asked == [3]


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_what_is_a_folder_and_what_a_name(separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "sep", separator)
        found = {name: module.is_folder(name) for name in ("data/pets", "./pets", "~pets", "..", "pets", "mnist5k", 3)}
        backslash = module.is_folder("data\\pets")
    assert found == {
        "data/pets": True,
        "./pets": True,
        "~pets": True,
        "..": True,
        "pets": False,
        "mnist5k": False,
        3: False,
    }
    assert backslash is (separator == "\\")
    assert module.is_folder(Path("pets"))


@pytest.mark.slow
def test_thousands_of_files_are_quick_the_second_time(tmp_path: Path) -> None:
    picture = noise(0, (32, 32))
    picture.save(tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    for name in CLASSES:
        (tmp_path / "many" / name).mkdir(parents=True)
        for index in range(1500):
            (tmp_path / "many" / name / f"{index}.png").write_bytes(content)
    data.load(tmp_path / "many", size=32)
    started = time.process_time()
    again = data.load(tmp_path / "many", size=32)
    assert time.process_time() - started < 1
    assert len(again.train) == 3150


def test_what_is_kept_of_a_folder_that_is_gone_is_deleted(tmp_path: Path, pictures: Path, cache: Path) -> None:
    passing = fill(tmp_path / "passing", dict.fromkeys(CLASSES, 10), first=5000)
    for folder in (pictures, passing):
        data.load(folder, size=16)
    for name, content in (("foreign", "no JSON"), ("foreign-list", "[]"), ("foreign-number", '{"folder": 3}')):
        (cache / "folders" / name).mkdir()
        (cache / "folders" / name / "about.json").write_text(content)
    foreign = ["foreign"] * 3
    assert sorted(each.name.split("-")[0] for each in (cache / "folders").iterdir()) == [*foreign, "passing", "pets"]
    shutil.rmtree(passing)
    data.load(pictures, size=16)  # nothing new, nothing deleted
    assert len(list((cache / "folders").iterdir())) == 5
    data.load(pictures, size=24)
    assert sorted(each.name.split("-")[0] for each in (cache / "folders").iterdir()) == [*foreign, "pets", "pets"]


# Bad input


def test_folders_that_are_no_data_set(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"There is no folder .*nowhere"):
        data.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetUnavailable, match=r"empty holds no pictures\. Expected empty/CLASS"):
        data.load(tmp_path / "empty")
    (pictures / "fox").mkdir()
    with pytest.raises(ValueError, match="no picture to train on of fox"):
        data.load(pictures, size=16)
    fill(tmp_path / "few", {"a": 2, "b": 2})
    with pytest.raises(
        ValueError, match=r"few has too few pictures: none is left for test\. Three of each class will do"
    ):
        data.load(tmp_path / "few", size=16)
    fill(tmp_path / "half" / "train", {"a": 8})
    with pytest.raises(ValueError, match="none called test"):
        data.load(tmp_path / "half")
    fill(tmp_path / "half" / "test", {"a": 8, "b": 8})
    with pytest.raises(ValueError, match="differ in their classes: b"):
        data.load(tmp_path / "half")


def test_a_divided_folder_needs_train_and_test(tmp_path: Path) -> None:
    for part, other in (("test", "train"), ("validation", "test"), ("train", "test")):
        root = tmp_path / part
        fill(root / part, {"a": 8, "b": 8})
        message = f"{part} has a folder {part} but none called {other}: add {other}/CLASS/FILE.jpg"
        with pytest.raises(ValueError, match=message):
            data.load(root)
        if part != "test":
            with pytest.raises(ValueError, match=message):
                load_one_part(root, View(16, 16))
    fill(tmp_path / "exams", {"test": 3, "homework": 3})  # no part, but a class
    (tmp_path / "exams" / "test" / "more").mkdir()
    assert data.load(tmp_path / "exams", size=16).classes == ("homework", "test")
    assert len(load_one_part(tmp_path / "exams", View(16, 16)).split) == 6


def test_where_there_are_no_pictures_it_is_said_what_there_is(tmp_path: Path) -> None:
    for number, name in enumerate(("a.gif", "b.heic", "c.heic", "d.gif", "e.gif")):
        (tmp_path / "phone" / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "phone" / f"class{number % 2}" / name).touch()
    fill(tmp_path / "large" / "Train", {"a": 3})
    fill(tmp_path / "large" / "Test", {"a": 3})
    reason = r"\(not a picture, by its ending\)"
    for load in (data.load, lambda folder: load_one_part(folder, View(16, 16))):
        left_out = rf"class0/a\.gif {reason}, class0/c\.heic {reason}, class0/e\.gif {reason}, and 2 more\.$"
        with pytest.raises(DatasetUnavailable, match=rf"Expected phone/CLASS/FILE\.jpg .* Left out: {left_out}"):
            load(tmp_path / "phone")
        with pytest.raises(
            DatasetUnavailable,
            match=r"Left out: Test/a \(a folder inside a class\), Train/a .*\. Parts are called train, val and",
        ):
            load(tmp_path / "large")
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "a" / "empty.jpg").touch()
    with pytest.raises(
        DatasetUnavailable, match=r"broken holds no picture that can be used\. a/empty\.jpg: no picture"
    ):
        load_one_part(tmp_path / "broken", View(16, 16))


@pytest.mark.parametrize("options", [{"size": 4}, {"size": (16, 4)}, {"channels": 2}, {"crop": "left"}, {"limit": 1}])
def test_impossible_options_are_refused(pictures: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"got \(?(4|2|1|'left')"):
        data.load(pictures, **options)  # type: ignore[arg-type]


def test_options_of_folders_are_for_folders() -> None:
    with pytest.raises(ValueError, match="are for folders, and 'mnist5k' is none"):
        data.load("mnist5k", crop="center")


def test_a_cache_that_cannot_be_written(pictures: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable, match="set RESNET_EDU_DATA to a folder you may write"):
        data.load(pictures, size=16)


def test_a_full_disk(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(pictures)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetUnavailable, match=r"No space left on device.*set RESNET_EDU_DATA"):
        data.load(pictures, size=16)
