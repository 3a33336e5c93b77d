"""From a picture file to labels with percentages."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_edu import predict
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import photo_transforms


class MeanColour(nn.Module):
    """Logits: the mean of each channel, times 10."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x.mean(dim=(2, 3))


@pytest.fixture
def network() -> Pretrained:
    transforms = photo_transforms(8, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    return Pretrained(MeanColour(), ("red", "green", "blue"), transforms, "a test")


def photo(folder: Path, name: str, colour: tuple[int, int, int]) -> Path:
    path = folder / name
    Image.new("RGB", (30, 20), colour).save(path)
    return path


def test_percentages_are_the_softmax_of_the_logits(network: Pretrained, tmp_path: Path) -> None:
    path = photo(tmp_path, "grass.png", (51, 204, 0))
    (prediction,) = predict(network, [path], top=3)
    red, green, blue = (torch.tensor([2.0, 8.0, 0.0]).softmax(0) * 100).tolist()
    assert [label for label, _ in prediction.top] == ["green", "red", "blue"]
    assert [percent for _, percent in prediction.top] == pytest.approx([green, red, blue], rel=1e-4)
    assert prediction.file == path


def test_one_prediction_a_file_in_order_and_top_labels_only(network: Pretrained, tmp_path: Path) -> None:
    files = [photo(tmp_path, "a.png", (255, 0, 0)), photo(tmp_path, "b.png", (0, 0, 255))]
    predictions = predict(network, map(str, files), top=1)
    assert [prediction.top[0][0] for prediction in predictions] == ["red", "blue"]
    assert all(len(prediction.top) == 1 for prediction in predictions)


def test_it_reads_as_a_table(network: Pretrained, tmp_path: Path) -> None:
    (prediction,) = predict(network, [photo(tmp_path, "a b.png", (255, 0, 0))], top=2)
    first, second, _ = str(prediction).splitlines()
    assert first == "a b.png"
    assert second.split()[:3] == ["red", "100.0", "%"]


@pytest.mark.parametrize("top", [0, 4])
def test_top_out_of_range(network: Pretrained, top: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and 3, got {top}"):
        predict(network, [], top=top)


def test_a_single_path_is_refused_with_the_way_to_write_it(network: Pretrained) -> None:
    with pytest.raises(ValueError, match=r"write \['cat.jpg'\] for one"):
        predict(network, "cat.jpg", top=1)


def test_files_that_are_no_pictures(network: Pretrained, tmp_path: Path) -> None:
    text, cut, nothing = tmp_path / "text.jpg", tmp_path / "cut.png", tmp_path / "empty.png"
    text.write_text("not a picture")
    nothing.touch()
    whole = photo(tmp_path, "whole.png", (9, 9, 9)).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (text, cut, nothing):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read: "):
            predict(network, [path], top=1)
    with pytest.raises(ValueError, match="there is no such file"):
        predict(network, [tmp_path / "missing.png"], top=1)
