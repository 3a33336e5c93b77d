"""The plain loop and `fit` train the same thing, in processes of their own that take turns."""

import os
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn

from resnet_edu import Prediction, TrainConfig, data, fit, models, predict
from resnet_edu.data.split import Data, Split, channel_statistics
from resnet_edu.studies import STUDIES
from resnet_edu.tools.bench import imports, prediction, verdict
from resnet_edu.tools.bench.plain_loop import Pictures, PlainLoop, Slice, training_transform
from resnet_edu.tools.bench.side import Side, peak_memory
from resnet_edu.tools.bench.training import Fit, calibrated, measure_training
from resnet_edu.tools.bench.workloads import Workload

CONFIG = TrainConfig(
    epochs=1, batch_size=24, lr=0.05, schedule="constant", augment=(), precision="float32", weight_decay=0.01
)


def random_data(images: int = 24, channels: int = 3) -> Data:
    pixels = torch.randint(0, 256, (images, channels, 8, 8), dtype=torch.uint8)
    split = Split(pixels, torch.arange(images) % 3, *channel_statistics(pixels))
    return Data("random", split, split, split, ("a", "b", "c"), "random pixels")


def small_net(channels: int = 3) -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("channels", [1, 3])
def test_on_whole_batches_both_take_the_same_steps(channels: int) -> None:
    images, own, plain = random_data(channels=channels), small_net(channels), small_net(channels)
    history = fit(own, images, replace(CONFIG, epochs=4))
    loop = PlainLoop(plain, images, CONFIG, workers=0)
    slices = [loop.train(24) for _ in range(4)]
    assert [each.images for each in slices] == [24] * 4
    assert [each.loss for each in slices] == pytest.approx([epoch.train_loss for epoch in history.epochs], rel=1e-4)
    assert slices[-1].loss < 0.9 * slices[0].loss
    for (name, one), other in zip(own.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(one.contiguous(), other, rtol=1e-3, atol=1e-4, msg=name)
    assert loop.evaluate() == history.last.val_error


def test_both_are_timed_over_the_same_images() -> None:
    for side in (Fit(small_net(), random_data(), CONFIG), PlainLoop(small_net(), random_data(), CONFIG, workers=0)):
        for images in (24, 72):  # 24 images, three times over
            slice_ = side.train(images)
            assert slice_.images == images
            assert slice_.seconds > 0
        assert 0 <= side.evaluate() <= 100


def one_bright_pixel(count: int) -> Split:
    """Images with one bright pixel, not in the middle, so that each crop and flip moves it elsewhere."""
    pixels = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    pixels[:, :, 2, 1] = torch.tensor([250, 150, 50], dtype=torch.uint8)
    return Split(pixels, torch.zeros(count, dtype=torch.int64), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def by_place(images: Sequence[Tensor]) -> tuple[Counter[int], dict[int, Tensor]]:
    """How often the bright pixel is where, and an image of each."""
    places = [int(image[0].argmax()) for image in images]
    return Counter(places), dict(zip(places, images, strict=True))


def test_crops_and_flips_have_the_same_distribution() -> None:
    count, split = 3600, one_bright_pixel(3600)
    augment = ("crop", "flip")
    batches = data.training_batches(split, 600, augment=augment, generator=torch.Generator().manual_seed(0))
    ours, our_images = by_place([image for images, _ in batches for image in images])
    pictures = Pictures(split, training_transform(split, augment))
    theirs, their_images = by_place([pictures[index][0] for index in range(count)])
    assert len(ours) == len(theirs) == 18  # 3 × 3 crops, mirrored or not
    expected, deviation = count / 18, (count * 1 / 18 * 17 / 18) ** 0.5
    for place in ours:
        assert abs(ours[place] - expected) < 6 * deviation
        assert abs(theirs[place] - expected) < 6 * deviation
        torch.testing.assert_close(our_images[place], their_images[place], rtol=0, atol=1e-5)


class Clock:
    """A side whose every image takes a tenth of a second."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def ask(self, *order: Any) -> Slice:
        self.asked.append(order)
        return Slice(order[1], order[1] / 10, 1.0)


@pytest.mark.parametrize(("seconds", "images"), [(0.1, 4), (1.2, 12), (2.0, 20)])
def test_a_slice_is_whole_batches_and_runs_once_before_it_counts(seconds: float, images: int) -> None:
    side = Clock()
    assert calibrated(side, 4, seconds) == images  # pyright: ignore[reportArgumentType]
    assert side.asked == [("train", 4), ("train", 4), ("train", images)]


@pytest.mark.slow
def test_a_side_answers_from_a_process_of_its_own() -> None:
    with Side(deque, [1, 2, 3]) as side, Side(int, "many") as wrong, Side(os._exit, 3) as dead:
        assert side.ask("pop") == 3
        assert side.ask("pop") == 2
        assert 50e6 < side.peak_bytes < 5e9
        with pytest.raises(ValueError, match="ValueError: invalid literal"):
            wrong.ask("bit_length")
        with pytest.raises(ValueError, match="process of the bench ended too soon"):
            dead.ask("anything")
        assert side.ask("pop") == 1
        with pytest.raises(ValueError, match="IndexError: pop from an empty deque"):
            side.ask("pop")
    assert not any(each.process.is_alive() for each in (side, wrong, dead))


def test_the_peak_is_at_least_what_is_held_now() -> None:
    block = torch.ones(20_000_000)  # 80 MB
    assert psutil.Process().memory_info().rss - 1e6 <= peak_memory() < psutil.virtual_memory().total
    assert block.sum() == 20_000_000


@pytest.mark.slow
def test_training_is_measured_in_two_processes() -> None:
    said: list[str] = []
    tiny = Workload("tiny", "resnet20", side=8, batch=64, options={"width": 2})
    [found] = measure_training(2, 0.0, workloads=[tiny], say=said.append)
    assert said == ["training tiny: fit and the plain loop"]
    assert {name: found[name]["unit"] for name in ("plain", "fit", "ratio", "matrix", "share")} == {
        "plain": "images/s",
        "fit": "images/s",
        "ratio": "fit / plain",
        "matrix": "GFLOP/s",
        "share": "% of matrix",
    }
    assert all(len(found[name]["values"]) == 2 for name in ("plain", "fit", "ratio", "matrix", "share"))
    for number in range(2):
        plain, own, limit = (found[name]["values"][number] for name in ("plain", "fit", "matrix"))
        assert found["ratio"]["values"][number] == pytest.approx(own / plain)
        assert found["share"]["values"][number] == pytest.approx(100 * own * found["gflop_per_image"] / limit)
    assert found["gflop_per_image"] == tiny.operations() / 1e9
    assert 0.05 < found["fit_peak_gb"] < 5
    assert 0.05 < found["plain_peak_gb"] < 5


def test_the_verdict_is_that_of_lesson_06(monkeypatch: pytest.MonkeyPatch) -> None:
    study = STUDIES["mnist5k-degradation"]
    smaller = {name: replace(each, data={**each.data, "limit": 130}) for name, each in study.settings.items()}
    monkeypatch.setitem(verdict.STUDIES, study.name, replace(study, settings=smaller))
    found = verdict.measure_verdict(1)
    assert found["nets"] == ["plain20", "plain56"]
    assert found["epochs"] == 6
    assert len(found["seconds"]["values"]) == 1  # both nets, one epoch of six
    assert found["rate"]["median"] > 0
    assert verdict.images_of(smaller["plain20"]) == 128
    assert verdict.operations_of(smaller["plain56"]) == pytest.approx(6 * 7_870_000, rel=0.02)  # 125.5 M / 16


@pytest.mark.slow
def test_predictions_one_by_one_are_those_of_predict() -> None:
    network, paths = models.pretrained(source="bundled"), list(data.photos().values())
    together: list[Prediction] = predict(network, paths, top=1)
    assert prediction.one_by_one(network, paths) == [each.top[0][0] for each in together]
    found = prediction.measure_prediction(1, files=2)
    assert {name: found[name]["unit"] for name in ("one_by_one", "predict")} == {
        "one_by_one": "pictures/s",
        "predict": "pictures/s",
    }


@pytest.mark.slow
def test_an_import_is_measured_in_a_fresh_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = imports.measure_imports(1)
    assert 0 < found["resnet_edu"]["median"] < found["torch"]["median"] * 10
    monkeypatch.setattr(imports, "SCRIPT", "import nothing_of_this_name")
    with pytest.raises(ValueError, match=r"cannot import resnet_edu: .*nothing_of_this_name"):
        imports.import_once()
