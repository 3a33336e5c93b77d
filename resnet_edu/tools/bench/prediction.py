"""Pictures a second: `predict` over many files beside one file after the other, as the tutorials do it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ... import data, machine
from ...models.pretrained import Pretrained, pretrained
from ...predict import predict
from .measured import Measured, ratio, take_turns

FILES = 64  # one batch of `predict`


def measure_prediction(rounds: int, *, files: int = FILES) -> dict[str, Any]:
    """Name the course's photos, again and again, with the bundled ResNet-18; reading the files counts."""
    network = pretrained(source="bundled")
    photos = list(data.photos().values())
    paths = [photos[index % len(photos)] for index in range(files)]

    def timed(name_all: Callable[[], object]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            name_all()
            return len(paths) / (time.perf_counter() - start)

        return rate

    sides = {
        "one_by_one": timed(lambda: one_by_one(network, paths)),
        "predict": timed(lambda: predict(network, paths, top=1)),
    }
    take_turns(sides, 1)  # warm up
    rates = take_turns(sides, rounds)
    return {
        "network": "bundled ResNet-18",
        "files": files,
        **{name: Measured("pictures/s", rates[name]).to_dict() for name in sides},
        "ratio": ratio("predict / one by one", rates["predict"], rates["one_by_one"]).to_dict(),
    }


def one_by_one(network: Pretrained, paths: Sequence[Path]) -> list[str]:
    """The best label of each file: open it, make a batch of one, ask the network."""
    device = machine.device()
    model = network.model.to(device).eval()
    labels = []
    for path in paths:
        image = network.transforms(network.read(path))  # (C, H, W)
        with torch.no_grad():
            logits = model(image.unsqueeze(0).to(device))  # (1, classes)
        labels.append(network.categories[int(logits.argmax())])
    return labels
