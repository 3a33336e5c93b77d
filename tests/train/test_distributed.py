"""Two processes train what one would, and a run survives the death of one of them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from resnet_edu import History, distributed
from resnet_edu.tools import cli

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo"),
    pytest.mark.timeout(900),  # several processes, and machines are shared
]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(20):
            pixels = numbers.integers(0, 90, (32, 32, 3))
            pixels[..., channel] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{index:02}.png")
    return tmp_path / "pictures"


def torchrun(line: str, tmp_path: Path, *program: str) -> subprocess.CompletedProcess[str]:
    """`resnet-edu …`, or another program, in two processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "RESNET_EDU_DATA": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", "CI": "true"}
    command = [*start, *(program or ("-m", "resnet_edu")), *line.split()]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800)


def losses(run: Path) -> Tensor:
    epochs = History.from_csv(run / "history.csv").epochs
    return torch.tensor([[epoch.train_loss, epoch.train_error, epoch.val_loss, epoch.val_error] for epoch in epochs])


# LeNet-5 has no batch norm, whose statistics are those of each process's own images.
TRAIN = "train --data ./pictures --model lenet5 --size 32 --batch-size 14 --lr 0.02 --precision float32 --epochs 4"


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path, pictures: Path) -> None:
    alone, both = cli.run(f"{TRAIN} --out one".split()), torchrun(f"{TRAIN} --out two", tmp_path)
    assert (alone, both.returncode) == (0, 0), both.stderr
    assert both.stdout.count("epoch   1  ") == 1, "only the first process talks"
    assert both.stdout.count("epochs; ") == 1
    torch.testing.assert_close(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-3, atol=1e-3)
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[0]["test_error"] == reports[1]["test_error"]


DYING = """
import os, signal, time
from resnet_edu import run
from resnet_edu.tools.cli import main

fit = run.fit

def dies(epoch, _):
    if (epoch.epoch, os.environ["RANK"]) == (3, "1"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(SECONDS)  # none: the other sees a connection fail; else torchrun's signal comes first

run.fit = lambda *given, callbacks, **more: fit(*given, callbacks=(*callbacks, dies), **more)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", ["0", "0.5"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on this system")
def test_a_dead_worker_ends_the_run_and_one_process_resumes_it(seconds: str, tmp_path: Path, pictures: Path) -> None:
    line = TRAIN.replace("--epochs 4", "--epochs 8")
    (tmp_path / "dying.py").write_text(DYING.replace("SECONDS", seconds))
    process = torchrun(f"{line} --out run", tmp_path, "dying.py")
    assert process.returncode != 0
    assert "Go on with: resnet-edu train --resume run" in process.stdout + process.stderr
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "run" / "report.json").exists()
    assert cli.run(["train", "--resume", "run"]) == 0
    assert cli.run(f"{line} --out whole".split()) == 0
    run, whole = (losses(tmp_path / name)[:, 0] for name in ("run", "whole"))
    torch.testing.assert_close(run, whole, rtol=2e-2, atol=2e-2)


def test_alone_nothing_is_shared() -> None:
    batch = torch.arange(7)
    assert (distributed.size(), distributed.rank(), distributed.first()) == (1, 0, True)
    assert distributed.share(batch).tolist() == batch.tolist()
    assert distributed.total(1, 2.5) == [1, 2.5]
    assert distributed.from_first(lambda: 4) == 4
    model = torch.nn.Linear(1, 1)
    assert distributed.together(model) is model
    with distributed.joined():
        assert distributed.size() == 1


def test_a_batch_is_shared_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert distributed.share(torch.arange(6)).tolist() == [1, 3, 5]
    assert distributed.share(torch.arange(7)).tolist() == [1, 3, 5]  # the last row has no partner
    with pytest.raises(ValueError, match=r"A batch of 1 images is too small for 2 processes: choose a larger"):
        distributed.share(torch.arange(1))


@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda", "Too few GPUs: give torchrun --nproc-per-node=1"), ("cpu", "This torch has no gloo")],
)
def test_what_two_processes_lack_is_told(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RESNET_EDU_DEVICE", device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.distributed, "is_gloo_available", lambda: False)
    with pytest.raises(ValueError, match=message), distributed.joined():
        pass
