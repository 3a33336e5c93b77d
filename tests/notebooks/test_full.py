"""The profile `full`: every cell of lessons 06 and 09 on the data it names, in the real formats, an epoch each."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import pytest
import tiny_sets
from served import serving
from torch import nn

import resnet_edu as edu
from resnet_edu.data import sets

SOURCES = Path(__file__).parents[2] / "notebooks" / "source"
fit, some_images = edu.fit, tiny_sets.some_images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lesson", "name", "times"),
    [("06_degradation", "cifar10", 1), ("09_resnet_family", "fashion_mnist", 30)],
    ids=["06", "09"],
)
def test_every_cell_runs_and_only_a_claim_may_fail(
    lesson: str, name: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_EDU_PROFILE", "full")
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path))
    trained = []

    def one_epoch(model: nn.Module, data: edu.data.Data, config: edu.TrainConfig, **options: Any) -> edu.History:
        trained.append(data.source)
        return fit(model, data, replace(config, epochs=1, warmup_epochs=0), **options)

    monkeypatch.setattr(edu, "fit", one_epoch)
    more = lambda count, *shape, seed: some_images(times * count, *shape, seed=seed)  # noqa: E731
    monkeypatch.setattr(tiny_sets, "some_images", more)
    with serving() as server:
        tiny_sets.publish(server, monkeypatch)
        sets.fetch(name, tmp_path)
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    vars(page)["__name__"] = "page"
    for cell in jupytext.read(SOURCES / f"{lesson}.py").cells:
        if cell.cell_type == "code" and "check" not in cell.metadata.get("tags", []):
            with suppress(AssertionError):
                exec(cell.source, vars(page))
    assert any(name in source for source in trained)
