"""Both sides of the bench train from the same weights, once for each seed, and their errors are compared."""

from dataclasses import replace

import pytest
import torch

from resnet_edu import evaluate, fit
from resnet_edu.data.split import Data, Split, channel_statistics
from resnet_edu.tools.bench import accuracy
from resnet_edu.tools.bench.accuracy import measure_accuracy
from resnet_edu.tools.bench.workloads import Workload

TINY = Workload("tiny", "resnet20", side=8, channels=1, batch=16, options={"width": 2})


def striped(images: int = 64) -> Data:
    """Three kinds of images that even a tiny net tells apart a little: a bright third each."""
    labels = torch.arange(images) % 3
    pixels = torch.randint(0, 100, (images, 1, 8, 8), dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[0, 2 * label : 2 * label + 3] = 255
    split = Split(pixels, labels, *channel_statistics(pixels))
    return Data("stripes", split, split, split, ("a", "b", "c"), "drawn here")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "PHASES", ((2, 0.05), (1, 0.005)))


@pytest.mark.usefixtures("short")
def test_errors_are_those_of_a_training_by_hand() -> None:
    images, said = striped(), list[str]()
    found = measure_accuracy(3, workload=TINY, images=images, say=said.append)
    assert len(said) == 3
    assert found["images"] == {"train": 64, "test": 64}
    assert len({*found["fit"]["values"], *found["plain"]["values"]}) > 1  # seeds and sides differ
    model = TINY.build(seed=2)
    for epochs, rate, own in ((2, 0.05, 2), (1, 0.005, 1002)):
        fit(model, images, replace(TINY.config(), epochs=epochs, lr=rate, seed=own))
    assert evaluate(model, images.test).top1_error == found["fit"]["values"][2]
    apart = torch.tensor(found["fit"]["values"]) - torch.tensor(found["plain"]["values"])
    assert found["difference"]["mean"] == pytest.approx(apart.mean().item(), abs=1e-4)
    assert found["difference"]["standard_error"] == pytest.approx((apart.var() / 3).sqrt().item(), abs=1e-4)


def test_a_seed_brings_its_own_weights_to_both_sides() -> None:
    one, again, other = (TINY.build(seed=seed).state_dict()["conv1.weight"] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
