"""Figures of lesson 13: lines and bars carry the numbers they were given."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from resnet_edu import plots


def test_gradient_error_draws_a_line_a_network_from_many_images_to_few() -> None:
    figure = plots.gradient_error([32, 8, 2], {"without": [1e-7] * 3, "with": [0.2, 0.3, 0.5]}, title="T")
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["without", "with"]
    assert np.asarray(axes.lines[1].get_ydata()).tolist() == [0.2, 0.3, 0.5]
    left, right = axes.get_xlim()
    assert left > right
    assert axes.get_title(loc="left") == "T"


def test_losses_together_draws_the_distance_to_the_first_run() -> None:
    figure = plots.losses_together({"one": [2.0, 1.0, 0.5], "two": [2.0, 1.0 + 1e-6]}, title="T")
    above, below = figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in above.lines] == [3, 2]
    (apart, limit) = below.lines
    assert np.asarray(apart.get_ydata()).tolist() == pytest.approx([0, 1e-6])
    assert np.asarray(limit.get_ydata()).tolist() == [1e-3, 1e-3]
    assert apart.get_label() == "two"


def test_losses_together_needs_no_second_run() -> None:
    above, below = plots.losses_together({"one": [2.0, 1.0]}, title="T").axes
    assert len(above.lines) == len(below.lines) == 1


def test_rates_are_spread_over_the_epochs_of_their_run() -> None:
    rates, losses = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.5]}, {"a": [2.0, 1.0], "b": [3.0, 2.0]}
    left, right = plots.rates_and_losses(rates, losses, title="T").axes
    assert np.asarray(left.lines[0].get_xdata()).tolist() == [0, 0.5, 1, 1.5]
    assert np.asarray(left.lines[1].get_xdata()).tolist() == [0, 1]
    assert np.asarray(right.lines[1].get_ydata()).tolist() == [3.0, 2.0]


def test_step_times_stack_up_and_name_each_stage_once() -> None:
    steps = {"memory": {"batch": 0.5, "forward": 2.0}, "JPEG": {"decode": 6.0, "batch": 0.5, "forward": 2.0}}
    (axes,) = plots.step_times(steps, title="T").axes
    bars = [each for each in axes.patches if isinstance(each, Rectangle)]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 0.5), (0.5, 2), (0, 6), (6, 0.5), (6.5, 2)]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["batch", "forward", "decode"]
    assert bars[0].get_facecolor() == bars[3].get_facecolor()
    assert [text.get_text() for text in axes.texts] == ["80 %", "71 %", "24 %"]
