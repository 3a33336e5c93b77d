"""The profile `full`: every cell of lesson 06 on CIFAR-10 in its real format, a few batches, an epoch each."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import pytest
from served import serving
from tiny_sets import publish
from torch import nn

import resnet_edu as edu
from resnet_edu.data import sets

LESSON = Path(__file__).parents[2] / "notebooks" / "source" / "06_degradation.py"
fit = edu.fit


@pytest.mark.slow
def test_every_cell_runs_and_only_a_claim_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "full")
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path))
    trained = []

    def one_epoch(model: nn.Module, data: edu.data.Data, config: edu.TrainConfig, **options: Any) -> edu.History:
        trained.append(data.source)
        return fit(model, data, replace(config, epochs=1, warmup_epochs=0), **options)

    monkeypatch.setattr(edu, "fit", one_epoch)
    with serving() as server:
        publish(server, monkeypatch)
        sets.fetch("cifar10", tmp_path)
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    for cell in jupytext.read(LESSON).cells:
        if cell.cell_type == "code" and "check" not in cell.metadata.get("tags", []):
            with suppress(AssertionError):
                exec(cell.source, vars(page))
    assert any("cifar10" in source for source in trained)
