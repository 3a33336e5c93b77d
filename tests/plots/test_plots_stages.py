"""Figures of lesson 08 on the stages: what the rows say, and what is drawn of them."""

import pytest
from matplotlib.patches import Rectangle

from resnet_edu import facts, plots
from resnet_edu.plots.lesson_08 import SETTINGS, short, stage_rows


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_rows_add_up_to_the_published_numbers(depth: int) -> None:
    rows = stage_rows(224, depth, 64)
    assert sum(row.parameters for row in rows) == facts.PARAMETERS[f"resnet{depth}"].value
    assert sum(row.macs for row in rows) / 1e9 == pytest.approx(facts.GMACS[f"resnet{depth}"].value, rel=0.005)


def test_rows_of_resnet34() -> None:
    rows = stage_rows(224, 34, 64)
    assert [row.name for row in rows] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert [row.blocks for row in rows] == [0, 3, 4, 6, 3, 0]
    assert [row.side for row in rows] == [56, 56, 28, 14, 7, 1]
    assert [row.channels for row in rows] == [64, 64, 128, 256, 512, 1000]
    assert rows[0].parameters == 64 * 3 * 49 + 128
    assert rows[1].macs == 6 * 9 * 64 * 64 * 56 * 56


def test_a_width_of_16_and_small_images_scale_the_rows() -> None:
    rows = stage_rows(64, 34, 16)
    assert [row.side for row in rows] == [16, 16, 8, 4, 2, 1]
    assert [row.channels for row in rows] == [16, 16, 32, 64, 128, 1000]
    assert rows[1].macs == 6 * 9 * 16 * 16 * 16 * 16


@pytest.mark.parametrize(("number", "text"), [(21_797_672, "21.8 M"), (3.66e9, "3.66 G"), (9408, "9.41 k"), (0, "0")])
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text


def test_table_writes_every_number_and_draws_every_bar() -> None:
    figure = plots.stage_table(side=64, depth=18, width=16)
    table, parameters, macs = figure.axes
    rows = stage_rows(64, 18, 16)
    written = [text.get_text() for text in table.texts]
    for row in rows:
        assert {row.name, str(row.channels), str(row.side)} <= set(written)
    for axes, values in ((parameters, [r.parameters for r in rows]), (macs, [r.macs for r in rows])):
        assert [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)] == values
        assert [text.get_text() for text in axes.texts] == [short(value) for value in values]
    assert figure.get_suptitle().startswith("ResNet-18, width 16, 64 pixels: ")


def test_twin_draws_the_shares_of_six_nets() -> None:
    figure = plots.stage_table_grid()
    assert len(figure.axes) == len(SETTINGS)
    for axes in figure.axes:
        heights = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert len(heights) == 12
        assert sum(heights[:6]) == pytest.approx(100)
        assert sum(heights[6:]) == pytest.approx(100)
        assert heights[4] == max(heights[1:5])  # parameters of stage 4
    assert "ResNet-34, width 64: 21.8 M" in figure.axes[1].get_title(loc="left")
