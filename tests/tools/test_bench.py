"""The bench: both sides of a comparison do the same work, what is measured is told, and the command prints it."""

import json
from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from resnet_edu import data, models
from resnet_edu.errors import UnknownName
from resnet_edu.tools import bench, cli

SMALL = bench.Workload("small", "lenet5", channels=1, batch=32)


def test_each_side_is_as_often_first_as_last() -> None:
    asked: list[str] = []
    sides = {name: lambda name=name: asked.append(name) or float(len(asked)) for name in "abc"}
    assert bench.take_turns(sides, 3) == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert "".join(asked) == "abccbaabc"


def test_quotients_are_of_the_same_round() -> None:
    assert bench.ratio([2.0, 30.0], [1.0, 10.0]) == {"unit": "times", "median": 2.5, "low": 2.0, "high": 3.0}


def test_a_step_costs_three_times_the_forward_pass() -> None:
    # LeNet-5: 6·28²·25 + 16·10²·150 + 400·120 + 120·84 + 84·10 multiply-adds (LeCun et al. 1998)
    assert SMALL.operations() == 6 * (6 * 784 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 84 * 10)


def test_the_plain_loop_sees_the_pictures_that_fit_sees() -> None:
    images = data.load("mnist5k", size=16, channels=3).train
    pictures = bench.Pictures(images, ())
    picture, label = pictures[7]
    wanted = F.normalize(images.images[7] / 255, [*images.mean], [*images.std])
    assert (label, len(pictures)) == (int(images.labels[7]), len(images))
    torch.testing.assert_close(picture, wanted, atol=1e-5, rtol=0)


def test_both_loops_train_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[torch.nn.Module] = []
    build_one = models.build

    def build(*arguments: Any, **options: Any) -> torch.nn.Module:
        built.append(build_one(*arguments, **options))
        return built[-1]

    monkeypatch.setattr(bench.models, "build", build)
    loops = bench.plain_loop(SMALL, workers=0), bench.fit_loop(SMALL)
    first, second = (dict(net.named_parameters()) for net in built)
    assert all(torch.equal(first[name], second[name]) for name in first), "the same first weights"
    before = {name: value.clone() for name, value in first.items()}
    for train in loops:
        assert train(64) > 0
    assert not any(torch.equal(first[name], before[name]) or torch.equal(second[name], before[name]) for name in first)
    with torch.no_grad():
        apart = sum(float((first[name] - second[name]).norm()) for name in first)
        moved = sum(float((first[name] - before[name]).norm()) for name in first)
    assert apart < 2 * moved, "steps of the same size"


@pytest.mark.slow
def test_training_is_measured_beside_the_plain_loop() -> None:
    [found] = bench.measure_training(1, seconds=0.01, workloads=(SMALL,))
    assert found["ratio"]["median"] == pytest.approx(found["fit"]["median"] / found["plain"]["median"])
    assert 0 < found["share"]["median"] < 200


@pytest.mark.slow
def test_the_verdict_counts_both_nets_and_all_epochs() -> None:
    found = bench.measure_verdict()
    assert found["nets"] == ["plain20", "plain56"]
    assert found["epochs"] > 1
    assert found["seconds"]["median"] > 0


@pytest.mark.slow
def test_prediction_gives_the_labels_of_the_plain_script() -> None:
    found = bench.measure_prediction(1, pictures=40)
    assert [row["what"].split()[0] for row in found["rows"]] == ["plain,", "predict", "predict"]
    assert [row["other_labels"] for row in found["rows"]][:2] == [0, 0]
    assert found["rows"][0]["ratio"]["median"] == 1


def number(value: float) -> dict[str, Any]:
    return bench.measured("", (value, 0.9 * value))


HERE = {"cpu": "A processor", "cores": 2, "memory_gb": 24, "torch": "2.9", "device": "cpu", "threads": 2}
ROW = {"what": "predict", "rate": number(9), "ratio": number(2), "other_labels": 0}
RECORD: dict[str, Any] = {
    "machine": {**HERE, "precision": "bfloat16"},
    "settings": {"parts": [], "repeats": 3, "quick": False},
    "limits": {"float32": number(180), "bfloat16": number(600)},
    "training": [dict.fromkeys(("plain", "fit", "ratio", "share"), number(2)) | {"title": "ResNet-20", "batch": 128}],
    "verdict": {"nets": ["plain20", "plain56"], "epochs": 6, "seconds": number(9.5)},
    "prediction": {"pictures": 1000, "rows": [ROW]},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the bench was asked to measure; nothing is."""
    calls: list[dict[str, Any]] = []

    def pretend(parts: Any, *, say: Any, **options: Any) -> dict[str, Any]:
        calls.append({"parts": list(parts), **options})
        return RECORD

    monkeypatch.setattr(bench, "measure", pretend)
    monkeypatch.setenv("RESNET_EDU_QUIET", "")  # the command sets it
    return calls


def test_the_command_shows_one_screen_or_prints_json_alone(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench"]) == 0
    out, _ = capsys.readouterr()
    assert all(word in out for word in ("A processor", "570 (540", "ResNet-20", "verdict", "predict"))
    assert out.count("\n") <= 40
    assert cli.run(["bench", "limits", "--quick", "--repeats", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RECORD
    assert asked == [
        {"parts": [], "rounds": 5, "quick": False},
        {"parts": ["limits"], "rounds": 7, "quick": True},
    ]


def test_a_part_that_does_not_exist_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'training'"):
        bench.measure(["limits", "trainning"])
