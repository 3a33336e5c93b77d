"""The bench: both sides of a comparison do the same work, what is measured is told, and the command prints it."""

import json
from copy import deepcopy
from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from resnet_edu import TrainConfig, data, models
from resnet_edu.tools import bench, cli


def test_each_side_is_as_often_first_as_last() -> None:
    asked: list[str] = []
    sides = {name: lambda name=name: asked.append(name) or float(len(asked)) for name in "abc"}
    assert bench.take_turns(sides, 3) == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert "".join(asked) == "abccbaabc"


def test_quotients_are_of_the_same_round() -> None:
    number = {"what": "fit", "unit": "images/s", "median": 16.0, "low": 2.0, "high": 30.0}
    assert bench.row("fit", "images/s", [2.0, 30.0], [1.0, 10.0]) == {**number, "ratio": 2.5}
    assert bench.row("fit", "images/s", [2.0, 30.0]) == {**number, "ratio": None}


def test_the_plain_loop_sees_the_pictures_that_fit_sees() -> None:
    images = data.load("mnist5k", size=16, channels=3).train
    pictures = bench.Pictures(images, ())
    picture, label = pictures[7]
    wanted = F.normalize(images.images[7] / 255, [*images.mean], [*images.std])
    assert (label, len(pictures)) == (int(images.labels[7]), len(images))
    torch.testing.assert_close(picture, wanted, atol=1e-5, rtol=0)


def test_both_loops_train_the_network_they_are_given() -> None:
    images = data.load("mnist5k", size=32, channels=1)
    config = TrainConfig(epochs=1, batch_size=32, lr=0.01, schedule="constant", augment=("crop", "flip"))
    model = models.build("lenet5", num_classes=10, in_channels=1)
    nets = deepcopy(model), deepcopy(model)
    loops = bench.plain_loop(nets[0], images, config, workers=0), bench.fit_loop(nets[1], images, config)
    for train in loops:
        assert train(64) > 0
    before, first, second = (dict(net.named_parameters()) for net in (model, *nets))
    assert not any(torch.equal(first[name], before[name]) or torch.equal(second[name], before[name]) for name in first)
    with torch.no_grad():
        apart = sum(float((first[name] - second[name]).norm()) for name in first)
        moved = sum(float((first[name] - before[name]).norm()) for name in first)
    assert apart < 2 * moved, "steps of the same size"


@pytest.mark.slow
def test_training_is_measured_beside_the_plain_loop() -> None:
    plain, own, share = bench.measure_training(1, seconds=0.01, workloads=[("lenet5", 32, 1, 32)])
    assert own["ratio"] == pytest.approx(own["median"] / plain["median"])
    # LeNet-5: 6·28²·25 + 16·10²·150 + 400·120 + 120·84 + 84·10 multiply-adds (LeCun et al. 1998), six operations each
    step = 6 * (6 * 784 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 84 * 10)
    limit = bench.matrix_product_rate(bench.machine.precision(bench.machine.device())) * 1e9
    assert share["median"] == pytest.approx(100 * step * own["median"] / limit, rel=9)  # it is measured at another time
    assert share["median"] < 200


@pytest.mark.slow
def test_prediction_gives_the_labels_of_the_plain_script() -> None:
    plain, *ours = bench.measure_prediction(1, pictures=40)
    assert [each["what"] for each in ours] == [f"predict, {name}" for name in ("float32", "float32", "auto", "auto")]
    assert [each["unit"] for each in ours] == ["pictures/s", "other of 40"] * 2
    assert ours[0]["ratio"] == pytest.approx(ours[0]["median"] / plain["median"])
    assert ours[1]["median"] == 0


RECORD: dict[str, Any] = {
    "machine": {"cpu": "A processor", "cores": 2, "memory_gb": 24, "torch": "2.9", "device": "cpu", "threads": 2,
                "precision": "bfloat16"},
    "rounds": 3,
    "rows": [
        {"part": "limits", **bench.row("bfloat16", "GFLOP/s", (600, 540))},
        {"part": "training", **bench.row("resnet20, fit", "images/s", (2000, 1500), (800, 1000))},
    ],
}  # fmt: skip


def test_the_command_shows_one_table_or_prints_json_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(bench, "measure", lambda *, quick, say: asked.append(quick) or RECORD)
    monkeypatch.setenv("RESNET_EDU_QUIET", "")  # the command sets it
    assert cli.run(["bench"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("A processor", "570 (540–600)", "resnet20, fit", "1,750 (1,500–2,000)", "2.00"))
    assert cli.run(["bench", "--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RECORD
    assert asked == [False, True]
