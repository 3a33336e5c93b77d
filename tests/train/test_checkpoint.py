"""A run that was stopped, however rudely, ends like one that never was."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from resnet_edu import Epoch, TrainConfig, data, fit, models
from resnet_edu.checkpoint import Checkpoint
from resnet_edu.errors import WrongCheckpoint
from resnet_edu.history import History

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
@pytest.mark.parametrize("fused", [True, False])
def test_a_run_stopped_after_any_epoch_goes_on_to_the_same_end(
    tmp_path: Path, digits: data.Data, optimizer: str, fused: bool
) -> None:
    config = replace(CONFIG, optimizer=optimizer, lr=0.05 if optimizer == "sgd" else 0.002, fused=fused)
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


SCRIPT = """
import sys, torch
from pathlib import Path
from resnet_edu import TrainConfig, data, fit, models
from resnet_edu.checkpoint import Checkpoint
torch.set_num_threads(1)
torch.manual_seed(0)
model = models.build("resnet20", in_channels=1, width=4)
config = TrainConfig(epochs=12, batch_size=20, lr=0.05)
path = Path(sys.argv[1])
history = fit(model, data.load("mnist5k", size=16, limit=60), config, checkpoint=Checkpoint(path, config))
torch.save(model.state_dict(), path.with_suffix(".pt"))
history.to_csv(path.with_suffix(".csv"))
"""


def run_script(path: Path, *, seconds: float | None = None) -> int:
    """Run the training in a process of its own, and kill it once its first epoch is saved and some time has passed."""
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", SCRIPT, str(path)])
    if seconds is None:
        return process.wait()
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns > before):
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on this system")
def test_killed_at_ten_random_moments_it_ends_like_a_run_that_never_was(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    assert run_script(whole) == 0
    moments = random.Random(0)
    codes = [run_script(killed, seconds=moments.uniform(0, 0.25)) for _ in range(10)]
    assert codes.count(-9) >= 5, "most of them must have been killed while they ran"
    assert run_script(killed) == 0
    histories = [History.from_csv(path.with_suffix(".csv")) for path in (whole, killed)]
    assert histories[0].epochs == histories[1].epochs
    assert len(histories[0]) == 12
    states = [torch.load(path.with_suffix(".pt"), weights_only=True) for path in (whole, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# Bad input


def test_a_file_of_another_run_is_refused(tmp_path: Path, digits: data.Data) -> None:
    path, wide = tmp_path / "run.safetensors", data.load("mnist5k", size=32, limit=100)
    fit(network(), digits, CONFIG, checkpoint=Checkpoint(path, CONFIG))
    before = path.read_bytes()
    with pytest.raises(WrongCheckpoint, match=r"other options \(lr: 0\.05 → 0\.1\)\. Start a new run"):
        fit(network(), digits, replace(CONFIG, lr=0.1), checkpoint=Checkpoint(path, replace(CONFIG, lr=0.1)))
    with pytest.raises(WrongCheckpoint, match="do not fit checkpoint"):
        fit(models.build("lenet5", in_channels=1), wide, CONFIG, checkpoint=Checkpoint(path, CONFIG))
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    for content in (b"nothing of the kind", save({"a": torch.ones(1)})):
        path.write_bytes(content)
        with pytest.raises(WrongCheckpoint, match="is no checkpoint of a run, or damaged"):
            Checkpoint(path, CONFIG).history()
