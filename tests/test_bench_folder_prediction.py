"""The bench of naming a folder: both sides give the same answers, and the numbers are what they say."""

from pathlib import Path

import pytest
from PIL import Image

from resnet_edu.bench import folder_prediction
from resnet_edu.bench.folder_prediction import measure_folder_prediction, networks, write_crops


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_both_sides_give_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_prediction, "WORKERS", (0,))
    said: list[str] = []
    found = measure_folder_prediction(1, pictures=150, say=said.append)
    assert said == ["ResNet-18 at 64×64: 150 pictures", "ResNet-20 at 32×32: 150 pictures"]
    for name in networks():
        agreement = found[name]["agreement"]["float32"]
        assert agreement["other_labels"] == 0
        assert agreement["largest_difference_in_percent"] < 0.01
        for part in ("loading", "answers"):
            sides = found[name][part]
            ours = next(side for side in sides if side.startswith("ours") and "/" not in side)
            quotient = sides[f"{ours} / plain, 0 workers"]
            assert quotient["median"] == pytest.approx(sides[ours]["median"] / sides["plain, 0 workers"]["median"])


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
        measure_folder_prediction(1, folder=tmp_path, pictures=10)
