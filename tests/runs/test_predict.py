"""From a picture file to labels with percentages."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_edu import predict
from resnet_edu.errors import UnreadablePicture
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms

MODULE = sys.modules[predict.__module__]


class MeanColour(nn.Module):
    """Logits: the mean of each channel, times 10."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x.mean(dim=(2, 3))


@pytest.fixture
def network() -> Pretrained:
    transforms = PhotoTransforms(8, (0.0,) * 3, (1.0,) * 3)
    return Pretrained(MeanColour(), ("red", "green", "blue"), transforms, "a test")


def photo(folder: Path, name: str, colour: tuple[int, int, int]) -> Path:
    path = folder / name
    Image.new("RGB", (30, 20), colour).save(path)
    return path


def test_percentages_are_the_softmax_of_the_logits(network: Pretrained, tmp_path: Path) -> None:
    path = photo(tmp_path, "grass.png", (51, 204, 0))
    (prediction,) = predict(network, [path])  # of five labels by default there are three
    red, green, blue = (torch.tensor([2.0, 8.0, 0.0]).softmax(0) * 100).tolist()
    assert [label for label, _ in prediction.top] == ["green", "red", "blue"]
    assert [percent for _, percent in prediction.top] == pytest.approx([green, red, blue], rel=1e-4)
    assert prediction.file == path
    first, second, _, _ = str(prediction).splitlines()
    assert (first, second.split()[:3]) == ("grass.png", ["green", f"{green:.1f}", "%"])


def test_a_network_left_in_training_mode_predicts_as_in_evaluation(network: Pretrained, tmp_path: Path) -> None:
    file = photo(tmp_path, "grass.png", (51, 204, 0))
    drops = nn.Sequential(nn.Dropout(0.9), network.model).train()
    assert predict(replace(network, model=drops), [file], top=3) == predict(network, [file], top=3)


def test_one_prediction_a_file_in_order_and_top_labels_only(network: Pretrained, tmp_path: Path) -> None:
    files = [photo(tmp_path, "a.png", (255, 0, 0)), photo(tmp_path, "b.png", (0, 0, 255))]
    predictions = predict(network, map(str, files), top=1)
    assert [prediction.top[0][0] for prediction in predictions] == ["red", "blue"]
    assert all(len(prediction.top) == 1 for prediction in predictions)


def test_pictures_of_many_sizes_are_named_as_each_alone(
    network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"BATCH": 64, "PIXELS": 260 * 40, "FEW": 100}.items():
        monkeypatch.setattr(MODULE, name, value)
    numbers = np.random.default_rng(0)
    files, faults = [], []
    for index in range(150):
        path = tmp_path / f"{index}.png"
        if index % 37 == 5:
            path.write_text("no picture")
        else:
            width = 300 if index % 50 == 0 else 8 + index % 3
            Image.fromarray(numbers.integers(0, 256, (260, width, 3), dtype=np.uint8)).save(path)
        files.append(path)
    predictions = predict(network, files, top=3, skip=faults.append, precision="float32")
    assert [str(each).partition(" cannot be read")[0] for each in faults] == [str(path) for path in files[5::37]]
    assert [each.file for each in predictions] == [path for path in files if path not in files[5::37]]
    for each in predictions[::29]:
        (alone,) = predict(network, [each.file], top=3)
        assert [label for label, _ in each.top] == [label for label, _ in alone.top]
        assert [share for _, share in each.top] == pytest.approx([share for _, share in alone.top], abs=1e-3)


def test_transforms_of_your_own_are_called_for_each_picture(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def transforms(picture: Image.Image) -> Tensor:
        seen.append(picture.size)
        return torch.zeros(3, 8, 8)

    own = Pretrained(MeanColour(), ("red", "green", "blue"), transforms, "a test")
    assert len(predict(own, [photo(tmp_path, f"{index}.png", (9, 9, 9)) for index in range(3)], top=1)) == 3
    assert seen == [(30, 20)] * 3


class Torn(nn.Module):
    """Nearly as sure of red as of green where a picture is grey; bfloat16 swaps the two."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = [*getattr(self, "seen", []), (len(x), torch.is_autocast_enabled("cpu"))]
        red = x[:, 0].mean(dim=(1, 2))
        swapped = 0.05 if torch.is_autocast_enabled("cpu") else 0.0
        return torch.stack([red + 0.02, 1 - red + swapped, torch.full_like(red, -9)], dim=1) * 2  # (N, 3)


def test_close_calls_are_made_in_float32(network: Pretrained, tmp_path: Path) -> None:
    torn = Torn()
    files = [photo(tmp_path, f"{value}.png", (value, 0, 0)) for value in (255, 128, 0)] * 50
    exact, rough = (predict(replace(network, model=torn), files, top=2, precision=n) for n in ("float32", "bfloat16"))
    assert [each.top[0][0] for each in exact] == [each.top[0][0] for each in rough] == ["red", "red", "green"] * 50
    assert exact[1] == rough[1]  # the close one
    assert torn.seen == [(150, False), (150, True), (50, False)]
    with pytest.raises(ValueError, match="precision 'float'"):
        predict(network, files, top=1, precision="float")


@pytest.mark.parametrize(("count", "rounded"), [(128, False), (129, True)])
def test_with_few_files_neither_bfloat16_nor_a_copy_is_worth_it(
    count: int, rounded: bool, network: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[nn.Module] = []
    monkeypatch.setattr(MODULE, "fold_batch_norms", lambda model: copied.append(model) or model)
    monkeypatch.setattr("resnet_edu.machine.precision", lambda _: torch.bfloat16)
    torn = Torn()
    predict(replace(network, model=torn), [photo(tmp_path, "red.png", (255, 0, 0))] * count, top=1, precision="auto")
    assert torn.seen == [(count, rounded)]
    assert copied == [torn] * rounded


def test_outputs_that_are_no_numbers_are_refused(network: Pretrained, tmp_path: Path) -> None:
    class Spoiled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3)).log()  # minus infinity for black

    files = [photo(tmp_path, "grey.png", (9, 9, 9)), photo(tmp_path, "black.png", (0, 0, 0))]
    with pytest.raises(ValueError, match=r"black\.png are not finite"):
        predict(replace(network, model=Spoiled()), files, top=1)


def test_a_file_that_cannot_be_looked_at_is_left_out_like_any_other(network: Pretrained, tmp_path: Path) -> None:
    good, bad, faults = photo(tmp_path, "a.png", (255, 0, 0)), tmp_path / f"{'b' * 300}.png", []
    assert [each.file for each in predict(network, [good, bad, tmp_path / "no\0name"], top=1, skip=faults.append)] == [
        good
    ]
    assert len(faults) == 2
    assert "File name too long" in str(faults[0])


@pytest.mark.parametrize("top", [0, 4])
def test_top_out_of_range(network: Pretrained, top: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and 3, got {top}"):
        predict(network, [], top=top)


def test_what_is_no_path_is_refused_with_the_way_to_write_it(network: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write \['cat.jpg'\] for one"):
        predict(network, "cat.jpg", top=1)
    with pytest.raises(ValueError, match=r"the paths of files, got Image\. For an open picture: network\.transforms"):
        predict(network, [Image.new("RGB", (9, 9))], top=1)  # type: ignore[list-item]
    with pytest.raises(UnreadablePicture, match="it is a folder"):
        predict(network, [tmp_path], top=1)
