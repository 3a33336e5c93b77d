"""The bench of naming a folder: both sides give the same answers, and the numbers are what they say."""

from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version
from PIL import Image

from resnet_edu.tools.bench import folder_prediction
from resnet_edu.tools.bench.folder_prediction import measure_folder_prediction, write_crops

RESIZED_ALIKE = Version(version("torchvision")) >= Version("0.29")  # older ones round some pixels the other way
NAMES = ["ResNet-18 at 64×64", "ResNet-20 at 32×32"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_both_sides_give_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_prediction, "WORKERS", (0,))
    said: list[str] = []
    found = measure_folder_prediction(2, pictures=150, say=said.append)
    assert [text.partition(":")[0] for text in said] == NAMES
    assert found["pictures"] == 150
    for name in NAMES:
        rows = {row["what"]: row for row in found["rows"] if row["network"] == name}
        assert list(rows)[:2] == ["loading", "float32"]
        assert rows["loading"]["other_labels"] is None
        if RESIZED_ALIKE or name == NAMES[1]:  # which sees the pictures as they are
            assert rows["float32"]["other_labels"] == 0
            assert rows["float32"]["largest_difference"] < 0.01
        for row in rows.values():
            pairs = zip(row["ours"]["values"], row["plain"]["values"], strict=True)
            assert row["ratio"]["values"] == pytest.approx([ours / plain for ours, plain in pairs])
    trained = [row for row in found["rows"] if row["network"].startswith("ResNet-18")]
    if RESIZED_ALIKE:
        assert all(not row["other_labels"] for row in trained)  # in bfloat16 too: float32 decides where it is close


def imagesize(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_the_crops_are_small_jpegs_in_folders_of_classes(tmp_path: Path) -> None:
    files = sorted(write_crops(tmp_path, 20).glob("*/*.jpg"))
    assert len(files) == 20
    assert {imagesize(file) for file in files} == {(32, 32)}
    assert len({file.read_bytes() for file in files}) == 20


def test_a_folder_with_too_few_pictures_is_refused(tmp_path: Path) -> None:
    write_crops(tmp_path, 9)
    with pytest.raises(ValueError, match="holds 9 pictures, 10 are needed"):
        measure_folder_prediction(1, folder=tmp_path, pictures=10, say=print)
