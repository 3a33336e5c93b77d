"""Figures of lesson 09 on the family: every bar is what was counted or quoted."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from resnet_edu import facts, models, plots, probe
from resnet_edu.plots.lesson_09 import PARTS, by_part, part_of


def summary_of(name: str) -> probe.Summary:
    with torch.device("meta"):
        return probe.summary(models.build(name), (3, 64, 64))


def bars(axes: object) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]  # type: ignore[attr-defined]


def test_the_challenge_has_a_bar_an_entry_and_the_person_as_a_line() -> None:
    errors = {entry: fact.value for entry, fact in facts.ILSVRC_TOP5.items()}
    (axes,) = plots.challenge_history(errors, human=5.1).axes
    assert [bar.get_height() for bar in bars(axes)] == list(errors.values())
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[5.1, 5.1]]
    assert axes.get_title(loc="left") == "Six challenges, from 28.2 % to 3.57 %"
    assert "one trained\nperson: 5.1" in [text.get_text() for text in axes.texts]
    assert len({bar.get_facecolor() for bar in bars(axes)}) == 3


def test_stage_costs_add_up_to_the_totals() -> None:
    summaries = {name: summary_of(name) for name in ("resnet18", "resnet50")}
    figure = plots.stage_costs(summaries, title="Costs")
    for axes, quantity, unit in zip(figure.axes, ("parameters", "macs"), (1e6, 1e9), strict=True):
        widths = [bar.get_width() for bar in bars(axes)]
        assert len(widths) == len(PARTS) * 2
        for start, summary in zip((0, len(PARTS)), summaries.values(), strict=True):
            assert sum(widths[start : start + len(PARTS)]) == pytest.approx(getattr(summary, quantity) / unit)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["resnet18", "resnet50"]


@pytest.mark.parametrize("name", ["resnet18", "resnet152"])
def test_every_layer_has_its_part(name: str) -> None:
    summary = summary_of(name)
    assert sum(by_part(summary.rows, "parameters").values()) == facts.PARAMETERS[name].value
    assert by_part(summary.rows, "macs")["classifier"] == 1000 * (512 if name == "resnet18" else 2048)


def test_a_layer_of_another_net_is_refused() -> None:
    assert part_of("layer3.0.conv1") == "stage 3"
    with pytest.raises(ValueError, match=r"'features.0' belongs to no part of a ResNet"):
        part_of("features.0")
