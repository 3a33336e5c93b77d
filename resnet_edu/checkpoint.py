"""Stop and go on: the whole state of a training run after an epoch, in one file, without pickle.

A safetensors file holds tensors and a header of text. Weights, buffers, the optimizer's memory and the states of
the random numbers are tensors; everything else stands in the header as JSON. The file is replaced as a whole, so
a run that is killed at any moment finds the last finished epoch.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn, optim

from . import distributed, machine
from .config import TrainConfig
from .errors import WrongCheckpoint
from .files import write_atomically
from .history import History, epoch_from
from .models.pretrained import load_state

HEADER = "resnet_edu"


class Checkpoint:
    """The file in which `fit` keeps a run, to go on from there; one of a run with another config is refused."""

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path = path
        self.config = config

    def history(self) -> History:
        """The epochs that are finished, none without a file; `WrongCheckpoint` as for `read`."""
        return self.read()[0] if self.path.exists() else History()

    def restore(self, model: nn.Module, optimizer: optim.Optimizer, generator: torch.Generator) -> History:
        """Put everything back as it was when the last epoch ended; the finished epochs."""
        if not self.path.exists():
            return History()
        history, tensors = self.read()
        weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        load_state(model, weights, name=type(model).__name__)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        saved = optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                # A copy, in the layout of the parameter, which torch would not see to. Windows replaces no mapped file.
                value = torch.empty_like(parameters[int(number)]).copy_(value) if value.ndim else value.clone()
                saved["state"].setdefault(int(number), {})[key] = value
        optimizer.load_state_dict(saved)
        generator.set_state(tensors["random.batches"])
        torch.set_rng_state(tensors["random.cpu"])
        if (here := machine.device()).type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], here)
        return history

    def save(self, model: nn.Module, optimizer: optim.Optimizer, generator: torch.Generator, history: History) -> None:
        """Replace the file by the present state; of several processes only the first one writes."""
        if not distributed.first():
            return
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for number, memory in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in memory.items() if value is not None}
        tensors |= {"random.batches": generator.get_state(), "random.cpu": torch.get_rng_state()}
        if (here := machine.device()).type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(here)
        header = json.dumps({"config": self.config.to_dict(), "epochs": [asdict(epoch) for epoch in history.epochs]})
        plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        write_atomically(self.path, save(plain, metadata={HEADER: header}))

    def read(self) -> tuple[History, dict[str, Tensor]]:
        """The file's history and tensors; `WrongCheckpoint` where it is damaged, or of a run with other options."""
        try:
            with safe_open(self.path, "pt") as file:
                header: dict[str, Any] = json.loads(file.metadata()[HEADER])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            config = TrainConfig.from_dict(header["config"])
            history = History([epoch_from(row, str(self.path)) for row in header["epochs"]])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise WrongCheckpoint(f"{self.path} is no checkpoint of a run, or damaged ({error}).") from error
        if config != self.config:
            old, new = config.to_dict(), self.config.to_dict()
            changed = ", ".join(f"{name}: {old[name]!r} → {new[name]!r}" for name in old if old[name] != new[name])
            raise WrongCheckpoint(f"{self.path} belongs to a run with other options ({changed}). Start a new run.")
        return history, tensors
