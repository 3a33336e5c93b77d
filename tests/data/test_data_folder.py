"""A folder of pictures becomes a data set, whatever its layout, once decoded, and says what it left out."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from picture_folders import CLASSES, everything, fill, noise, sizes
from PIL import Image

from resnet_edu import data
from resnet_edu.data.folder import load_one_part
from resnet_edu.data.pictures import View
from resnet_edu.data.sets import is_path
from resnet_edu.data.split import channel_statistics
from resnet_edu.errors import DatasetUnavailable, UnreadablePicture


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
    assert expected == Counter(
        (image.numpy().tobytes(), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
    for split, count in zip(splits, (7, 1, 2), strict=True):
        assert torch.bincount(split.labels).tolist() == [count] * 3
    assert (loaded.train.mean, loaded.train.std) == channel_statistics(loaded.train.images.clone())
    assert loaded.val.mean == loaded.test.mean == loaded.train.mean


@pytest.mark.parametrize("crop", ["none", "center"])
def test_a_view_is_used_for_every_picture(pictures: Path, crop: str) -> None:
    loaded = data.load(pictures, size=(12, 12), channels=1, crop=crop)  # type: ignore[arg-type]
    view = View(12, 12, channels=1, crop=crop)  # type: ignore[arg-type]
    expected = {view.of(path).transpose(2, 0, 1).tobytes() for path in pictures.glob("*/*.png")}
    assert {image.numpy().tobytes() for image in everything(loaded)} == expected
    assert f"12×12, grey, crop {crop}, seed 0" in loaded.source


# Layouts


@pytest.mark.parametrize(
    ("parts", "expected", "note"),
    [
        ({"": 10}, (14, 2, 4), ""),
        ({"train": 10}, (14, 2, 4), "There is no val and no test: 10 % and 20 % of each class in train took its "),
        ({"train": 10, "test": 5}, (18, 2, 10), "There is no val: 10 % of each class in train took its place."),
        ({"Training": 10, "dev": 5}, (16, 10, 4), "There is no test: 20 % of each class in Training took its place."),
        ({"train": 10, "val": 3, "test": 5}, (20, 6, 10), ""),
        ({"TRAIN": 10, "Validation": 3, "testing": 5}, (20, 6, 10), ""),
        ({"training_set": 10, "valid": 3, "test-set": 5}, (20, 6, 10), ""),
        ({"train": 10, "validation": 3, "test": 5, "extra": 4, ".git": 1}, (20, 6, 10), "Not used: extra. Parts are "),
        ({"train": 10, "validation": 3, "test": 5, "val": 4}, (20, 8, 10), "Not used: validation. Parts are"),
    ],
)  # fmt: skip
def test_a_folder_may_be_divided_in_many_ways(
    parts: dict[str, int], expected: tuple[int, ...], note: str, tmp_path: Path
) -> None:
    for number, (part, count) in enumerate(parts.items()):
        fill(tmp_path / "pets" / part, {"cat": count, "dog": count}, first=5000 * number)
    loaded = data.load(tmp_path / "pets", size=16)
    assert sizes(loaded) == expected
    assert len(loaded.notes) == bool(note)
    assert "".join(loaded.notes).startswith(note)
    assert loaded.classes == ("cat", "dog")
    assert {*loaded.train.labels[:6].tolist()} == {0, 1}  # not one class after the other
    given = data.load(tmp_path / "pets", size=16, seed=1)
    for part, folder in {"val": ("val", "dev", "Validation"), "test": ("test", "testing")}.items():
        if {*folder} & {*parts}:  # what was given stays, whatever the seed
            assert torch.equal(getattr(given, part).images, getattr(loaded, part).images)


def test_unlabelled_test_pictures_are_told_of_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "kaggle" / "train", {"cat": 10, "dog": 10})
    fill(tmp_path / "kaggle", {"test": 4}, first=9000)
    loaded = data.load(tmp_path / "kaggle", size=16)
    assert sizes(loaded) == (14, 2, 4)
    assert loaded.notes[1] == "Not used: test, which holds 4 pictures without classes."
    shutil.rmtree(tmp_path / "kaggle" / "train")
    fill(tmp_path / "kaggle", {"train": 4})
    with pytest.raises(ValueError, match=r"train holds pictures without classes\. Expected train/CLASS/FILE\.jpg"):
        data.load(tmp_path / "kaggle", size=16)


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    fill(tmp_path / "vehicles", {"car": 5, "train": 5, "val": 5})
    (tmp_path / "vehicles" / "val" / "more").mkdir()
    loaded = data.load(tmp_path / "vehicles", size=16)
    assert loaded.classes == ("car", "train", "val")
    assert loaded.notes == ("1 file skipped:", "  val/more: a folder inside a class")


def test_pictures_beside_the_classes_are_told_of(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets" / "train", {"cat": 5, "dog": 5})
    noise(1).save(root / "lost.png")
    noise(2).save(root.parent / "cover.PNG")
    (root.parent / "readme.txt").touch()
    notes = data.load(root.parent, size=16).notes
    assert notes[0] == "2 files skipped:"
    assert {*notes[1:3]} == {f"  {name}: not in a class folder" for name in ("cover.PNG", "train/lost.png")}
    with pytest.raises(UnreadablePicture, match="not in a class folder"):
        data.load(root.parent, size=16, strict=True)


def test_names_of_classes_do_not_depend_on_how_an_accent_is_stored(tmp_path: Path) -> None:
    composed, apart = normalize("NFC", "café"), normalize("NFD", "café")
    fill(tmp_path / "places" / "train", {apart: 5, "bar": 5})
    fill(tmp_path / "places" / "test", {composed: 2, "bar": 2}, first=5000)
    assert data.load(tmp_path / "places", size=16).classes == ("bar", composed)
    fill(tmp_path / "places" / "train", {composed: 4}, first=9000)
    if len([*(tmp_path / "places" / "train").iterdir()]) == 3:  # a Mac has one folder
        assert sizes(data.load(tmp_path / "places", size=16)) == (12, 2, 4)


def test_one_part_is_all_of_a_folder_or_its_test_images(tmp_path: Path) -> None:
    root, view = fill(tmp_path / "pets", {"cat": 1, "dog": 2}), View(20, 16)
    split, classes, notes = load_one_part(root, view)
    assert (classes, notes, split.labels.tolist()) == (("cat", "dog"), (), [0, 1, 1])
    expected = [view.of(root / name) for name in ("cat/000.png", "dog/000.png", "dog/001.png")]
    assert (split.images.permute(0, 2, 3, 1).numpy() == np.stack(expected)).all()
    assert (split.mean, split.std) == channel_statistics(split.images)
    fill(tmp_path / "more" / "Test", {"dog": 1})
    (tmp_path / "more" / "Test" / "dog" / "broken.jpg").touch()
    fill(tmp_path / "more" / "train", {"cat": 4, "dog": 4})  # its classes may be others
    split, classes, notes = load_one_part(tmp_path / "more", view)
    assert (classes, split.labels.tolist()) == (("dog",), [0])
    assert notes[1] == "  Test/dog/broken.jpg: no picture in a format that Pillow knows"


def test_split_and_limit_follow_seed_and_number(pictures: Path) -> None:
    one, same, other = (data.load(pictures, size=16, seed=seed).train.images for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    loaded = data.load(pictures, size=16, limit=6)
    assert torch.bincount(loaded.train.labels).tolist() == [2, 2, 2]
    assert loaded.val.mean == channel_statistics(loaded.train.images)[0]
    assert "6 train · 3 val" in loaded.source


def test_what_is_a_folder_and_what_a_name() -> None:
    paths = {"data/pets", "data\\pets", "./pets", "~pets", ".."}  # a run may come from Windows
    assert {name for name in (*paths, "pets", "mnist5k", 3) if is_path(name)} == paths
    assert is_path(Path("pets"))


# What is said


def test_what_is_no_picture_is_skipped_and_named(pictures: Path) -> None:
    (pictures / "cat" / "readme.txt").write_text("cats")
    (pictures / "cat" / ".hidden").write_text("not seen")
    (pictures / "dog" / "more").mkdir()
    (pictures / "dog" / "folder.png").mkdir()
    (pictures / "emu" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (pictures / "emu" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    noise(0, (300, 300)).save(pictures / "emu" / "big.bmp")
    reasons = {
        "cat/readme.txt": "not a picture, by its ending",
        "dog/more": "a folder inside a class",
        "dog/folder.png": "a folder inside a class",
        "emu/broken.jpg": "no picture in a format that Pillow knows",
        "emu/phone.heic": "a HEIC photo needs one more package: pip install pillow-heif. Or export it as JPEG",
        "emu/big.bmp": "0.3 MB, at most 0.2 are allowed",
    }
    if os.name == "posix":
        (pictures / "emu" / "out.png").symlink_to(pictures.parent / "elsewhere")
        (pictures / "emu" / "nowhere.png").symlink_to("gone.png")
        (pictures / "emu" / "twin.png").symlink_to("000.png")  # stays inside: fine
        (pictures / "loop").symlink_to("loop")  # not seen
        reasons |= {"emu/out.png": "a link that leads nowhere", "emu/nowhere.png": "a link that leads nowhere"}
    loaded = data.load(pictures, size=16, max_megabytes=0.2)
    assert sum(sizes(loaded)) == 30 + (os.name == "posix")
    assert loaded.source.endswith(f"; {len(reasons)} files skipped")
    assert loaded.notes[0] == f"{len(reasons)} files skipped:"
    assert {f"  {name}: {reason}" for name, reason in reasons.items()} == {*loaded.notes[1 : len(reasons) + 1]}
    with pytest.raises(UnreadablePicture, match=r"cannot be read: (not a picture|a folder|no picture)"):
        data.load(pictures, size=16, strict=True)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other names")
def test_notes_stay_on_their_line_and_long_lists_are_cut(pictures: Path) -> None:
    for index in range(40):
        (pictures / "cat" / f"{index}\nlines.txt").touch()
    fill(pictures, {"only\rone": 1}, first=7000)
    loaded = data.load(pictures.rename(pictures.with_name("\x1b[2Jpets")), size=16)
    assert loaded.notes[21] == "  … and 20 more"
    assert loaded.notes[22] == "val has no pictures of only\\rone, so its error says nothing about them."
    assert not {"\x1b", "\r", "\n"} & {*"".join(loaded.notes), *loaded.source, *loaded.name}


def test_a_picture_in_two_parts_or_two_classes_is_told_of(tmp_path: Path) -> None:
    root = tmp_path / "leaking"
    fill(root / "train", {"cat": 10, "dog": 10})
    fill(root / "val", {"cat": 5, "dog": 5}, first=3000)
    fill(root / "test", {"cat": 5, "dog": 5}, first=5000)
    smooth = noise(3, (6, 5)).resize((90, 70))
    smooth.save(root / "train" / "cat" / "original.png")
    smooth.resize((60, 44)).save(root / "test" / "cat" / "smaller.jpg", quality=60)
    shutil.copy(root / "train" / "cat" / "004.png", root / "train" / "dog" / "copied.png")
    for name in ("cat", "dog"):
        Image.new("RGB", (20, 20), "white").save(root / "train" / name / "blank.png")
    notes = data.load(root, size=32, crop="none").notes
    assert notes[:3] == ("2 pictures blank, or nearly so:", "  train/cat/blank.png", "  train/dog/blank.png")
    assert notes[3] == "2 pictures apparently in two parts or classes:"
    assert {*notes[4:]} == {
        "  train/cat/original.png (train) and test/cat/smaller.jpg (test)",
        "  train/cat/004.png (train) and train/dog/copied.png (train)",
    }


# Bad input


def no_train(root: Path) -> None:
    fill(root / "val", {"a": 8, "b": 8})


def other_classes(root: Path) -> None:
    fill(root / "train", {"a": 8})
    fill(root / "test", {"a": 8, "b": 8})


def only_rubbish(root: Path) -> None:
    (root / "a").mkdir(parents=True)
    (root / "a" / "empty.jpg").touch()


def only_texts(root: Path) -> None:
    (root / "a").mkdir(parents=True)
    for index in range(5):
        (root / "a" / f"{index}\n.txt").touch()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda root: None, DatasetUnavailable, r"There is no folder .*pets\. Expected one with a folder of pictures"),
        (Path.touch, DatasetUnavailable, "There is no folder"),
        (Path.mkdir, DatasetUnavailable, r"pets holds no pictures\. Expected pets/CLASS/FILE\.jpg for each class\.$"),
        (only_texts, DatasetUnavailable, r"Skipped: a/0\\n\.txt \(not a picture, .* a/2.*\), and 2 more\.$"),
        (only_rubbish, DatasetUnavailable, r"pets holds no picture that can be used\. a/empty\.jpg: no picture"),
        (lambda root: fill(root, {"a": 8, "fox": 0}), ValueError, "no picture to train on of fox: add some, or remove"),
        (lambda root: fill(root, {"a": 2, "b": 2}), ValueError, r"too few pictures: none are left for test\. Three"),
        (lambda root: [fill(root / p, {"a": n}) for p, n in (("train", 0), ("test", 1))], ValueError, "left for train"),
        (no_train, ValueError, r"pets has a folder val but none called train: add train/CLASS/FILE\.jpg"),
        (other_classes, ValueError, r"test and .*train need the same classes. In one only: b\."),
    ],
)
def test_folders_that_are_no_data_set(
    make: Callable[[Path], object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "pets")
    with pytest.raises(error, match=message):
        data.load(tmp_path / "pets", size=16)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other links")
def test_a_class_may_not_lie_elsewhere(tmp_path: Path, pictures: Path) -> None:
    (pictures / "fox").symlink_to(fill(tmp_path / "others", {"fox": 3}) / "fox")
    with pytest.raises(ValueError, match=r"fox is a link that leads out of the folder\. Put its pictures there"):
        data.load(pictures, size=16)


def test_test_images_must_be_there_to_be_measured_on(tmp_path: Path) -> None:
    fill(tmp_path / "pets" / "train", {"a": 8, "b": 8})
    with pytest.raises(ValueError, match="has a folder train but none called test"):
        load_one_part(tmp_path / "pets", View(16, 16))
    fill(tmp_path / "exams", {"test": 3, "homework": 3})  # no part, but a class
    assert len(load_one_part(tmp_path / "exams", View(16, 16))[0]) == 6
