"""Figures of lesson 01 on the network: shape walk, feature maps, the race of two versions, shifted digits."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from resnet_edu import plots
from resnet_edu.history import Epoch, History
from resnet_edu.plots.style import CourseFigure

STAGES = [
    plots.Stage("input", "", (1, 32, 32), 0),
    plots.Stage("C1", "convolution", (6, 28, 28), 156),
    plots.Stage("S2", "pooling", (6, 14, 14), 0),
    plots.Stage("F", "linear", (10,), 11_770),
]


def history(*losses: float) -> History:
    return History([Epoch(i + 1, loss, 1.0, 1.0, 1.0, 0.1, 1.0, 100.0) for i, loss in enumerate(losses)])


def test_a_stage_knows_its_size_and_how_the_paper_writes_it() -> None:
    assert [(stage.size, stage.text) for stage in STAGES] == [
        (1024, "32×32"),
        (4704, "6@28×28"),
        (1176, "6@14×14"),
        (10, "10"),
    ]


def test_network_walk_draws_each_map_to_scale_and_writes_the_parameters() -> None:
    (axes,) = plots.network_walk(STAGES, title="A walk").axes
    sides = [patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert sides == [32] + [28] * 6 + [14] * 6 + [3]
    written = [text.get_text() for text in axes.texts]
    assert "156" in written
    assert "11,770" in written
    assert "0" not in written  # pooling has no parameters: nothing is written
    assert "C1\n6@28×28\n4,704 numbers" in written
    assert axes.get_title(loc="left") == "A walk"


def test_network_walk_draws_the_stages_from_left_to_right_without_overlap() -> None:
    (axes,) = plots.network_walk(STAGES, title="A walk").axes
    spans: dict[float, list[float]] = {}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        spans.setdefault(patch.get_width(), []).extend([patch.get_x(), patch.get_x() + patch.get_width()])
    edges = [edge for span in spans.values() for edge in (min(span), max(span))]
    assert edges == sorted(edges)


def test_feature_maps_draws_every_map_under_the_name_of_its_layer() -> None:
    maps = {"C1": torch.randn(6, 5, 4), "C3": torch.randn(16, 3, 3)}
    figure = plots.feature_maps(maps, title="Maps")
    assert [part.get_suptitle() for part in figure.subfigs] == ["C1: 6 @ 5×4", "C3: 16 @ 3×3"]
    for part, stack in zip(figure.subfigs, maps.values(), strict=True):
        images = [axes.get_images()[0] for axes in part.axes if axes.get_images()]
        assert len(images) == len(stack)
        for image, values in zip(images, stack, strict=True):
            np.testing.assert_array_equal(np.asarray(image.get_array()), values.numpy())
        assert {image.get_clim() for image in images} == {(float(stack.min()), float(stack.max()))}


def test_feature_maps_takes_a_layer_that_is_blank() -> None:
    figure = plots.feature_maps({"dead": torch.zeros(2, 3, 3)})
    assert len(figure.subfigs[0].axes[0].get_images()) == 1


@pytest.mark.parametrize(("losses", "steps"), [((2.0, 0.4, 0.1), 20), ((0.5, 0.5, 0.5), 10), ((2.0, 0.6, 0.51), None)])
def test_steps_to_reach_is_the_end_of_the_first_epoch_below(losses: tuple[float, ...], steps: int | None) -> None:
    assert plots.steps_to_reach(history(*losses), 0.5, steps_per_epoch=10) == steps


def test_loss_race_draws_both_runs_the_mark_and_the_crossing() -> None:
    figure = plots.loss_race(("old", history(2, 1, 0.5)), ("new", history(1.5, 0.4, 0.2)), steps_per_epoch=10)
    (axes,) = figure.axes
    old, new, mark, crossing = axes.lines
    assert np.asarray(old.get_xdata()).tolist() == [10, 20, 30]
    assert (np.asarray(old.get_ydata()).tolist(), np.asarray(new.get_ydata()).tolist()) == (
        [2, 1, 0.5],
        [1.5, 0.4, 0.2],
    )
    assert set(np.asarray(mark.get_ydata()).tolist()) == {0.5}
    assert set(np.asarray(crossing.get_xdata()).tolist()) == {20}
    assert axes.get_title(loc="left") == "new needs 20 steps where old needs 30"


def test_loss_race_says_so_when_the_mark_is_not_reached() -> None:
    (axes,) = plots.loss_race(("old", history(1, 0.1)), ("new", history(2, 1)), steps_per_epoch=10).axes
    assert len(axes.lines) == 3
    assert "does not reach" in axes.get_title(loc="left")


def test_error_by_shift_draws_one_line_a_network() -> None:
    (axes,) = plots.error_by_shift({"a": [3, 4, 20], "b": [3, 3, 5]}, title="Shifted", ceiling=50).axes
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[3, 4, 20], [3, 3, 5]]
    assert axes.get_xlabel() == "shift to the right (pixels)"
    assert axes.get_ylim() == (0, 50)


def test_a_figure_made_of_subfigures_shows_itself_in_a_notebook() -> None:
    assert isinstance(plots.feature_maps({"C1": torch.randn(2, 3, 3)}), CourseFigure)
