"""A run that was stopped, however rudely, ends like one that never was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from resnet_edu import Epoch, TrainConfig, data, fit, models
from resnet_edu.checkpoint import Checkpoint
from resnet_edu.errors import WrongCheckpoint

CONFIG = TrainConfig(epochs=4, batch_size=20, lr=0.05)


@pytest.fixture(scope="module")
def digits() -> data.Data:
    return data.load("mnist5k", size=16, limit=100)


def network() -> nn.Sequential:
    """Weights in channels_last, buffers of batch norm, and dropout, which draws from torch's own generator."""
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()
    return nn.Sequential(*first, nn.Conv2d(4, 4, 3, stride=2), nn.Dropout(0.3), nn.Flatten(), nn.Linear(36, 10))


def stop_after(epoch: int) -> object:
    def stop(record: Epoch, _: nn.Module) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return stop


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_run_stopped_after_any_epoch_goes_on_to_the_same_end(
    tmp_path: Path, digits: data.Data, optimizer: str
) -> None:
    config = replace(CONFIG, optimizer=optimizer, lr=0.05 if optimizer == "sgd" else 0.002)
    whole = network()
    expected = fit(whole, digits, config)
    checkpoint = Checkpoint(tmp_path / "run.safetensors", config)
    for epoch in (1, 3):
        history = fit(network(), digits, config, checkpoint=checkpoint, callbacks=[stop_after(epoch)])  # type: ignore[list-item]
        assert history.interrupted
        assert history.epochs == expected.epochs[:epoch] == checkpoint.history().epochs
    resumed = network()
    assert fit(resumed, digits, config, checkpoint=checkpoint).epochs == expected.epochs
    assert same_weights(resumed, whole)
    again = network()  # a run that has ended is not run again
    assert fit(again, digits, config, checkpoint=checkpoint).epochs == expected.epochs
    assert same_weights(again, whole)


def test_a_frozen_backbone_stays_and_has_no_memory_in_the_optimizer(tmp_path: Path, digits: data.Data) -> None:
    model = network()
    models.freeze(model[:2])
    checkpoint = Checkpoint(tmp_path / "run.safetensors", CONFIG)
    fit(model, digits, CONFIG, checkpoint=checkpoint)
    assert same_weights(model[:2], network()[:2])
    assert not same_weights(model[2:], network()[2:])
    names = {name for name in load_file(checkpoint.path) if name.startswith("optimizer")}
    assert names == {f"optimizer.{number}.momentum_buffer" for number in range(4)}


# Bad input


def test_a_file_of_another_run_is_refused(tmp_path: Path, digits: data.Data) -> None:
    path, wide = tmp_path / "run.safetensors", data.load("mnist5k", size=32, limit=100)
    fit(network(), digits, CONFIG, checkpoint=Checkpoint(path, CONFIG))
    before = path.read_bytes()
    with pytest.raises(WrongCheckpoint, match=r"other options \(lr: 0\.05 → 0\.1\)\. Start a new run"):
        fit(network(), digits, replace(CONFIG, lr=0.1), checkpoint=Checkpoint(path, replace(CONFIG, lr=0.1)))
    with pytest.raises(WrongCheckpoint, match="do not fit LeNet5"):
        fit(models.build("lenet5", in_channels=1), wide, CONFIG, checkpoint=Checkpoint(path, CONFIG))
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    for content in (b"nothing of the kind", save({"a": torch.ones(1)})):
        path.write_bytes(content)
        with pytest.raises(WrongCheckpoint, match="is no checkpoint of a run, or damaged"):
            Checkpoint(path, CONFIG).history()
