"""Figures of lesson 07 on signal and gradient: every line is what the probe measured."""

import numpy as np
import pytest

from resnet_edu import plots, probe
from resnet_edu.plots.lesson_07 import CEILING, FLOOR, GAINS


def test_signal_and_gradient_draws_the_flow_of_its_state() -> None:
    state = {"depth": 5, "residual": True, "batch_norm": True, "gain": 0.5}
    figure = plots.signal_and_gradient(**state)
    flow = probe.residual_flow(state.pop("depth"), **state)  # type: ignore[arg-type]
    for axes, values in zip(figure.axes, flow, strict=True):
        np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), values)
        assert axes.get_yscale() == "log"
    assert figure.get_suptitle() == "5 blocks ReLU(F(x) + x), gain 0.5, with batch norm"
    assert figure.axes[0].get_title(loc="left") == f"Signal: {flow.signal[-1]:.2g}"
    assert figure.axes[1].get_title(loc="left") == f"Gradient: {flow.gradient[0]:.2g}"


@pytest.mark.parametrize(("gain", "border"), [(0.0, FLOOR), (2.0, CEILING)])
def test_what_lies_beyond_the_panel_is_drawn_on_its_border(gain: float, border: float) -> None:
    figure = plots.signal_and_gradient(depth=50, residual=gain > 0, gain=gain)
    assert np.asarray(figure.axes[0].lines[0].get_ydata())[-1] == border


def test_the_grid_holds_every_kind_of_block_at_every_gain() -> None:
    figure = plots.signal_and_gradient_grid(depth=4)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert titles == ["plain", "residual", "plain, batch norm", "residual, batch norm"]
    assert all(len(axes.lines) == 2 * len(GAINS) for axes in figure.axes)
    flow = probe.residual_flow(4, residual=True, batch_norm=True, gain=1.0)
    np.testing.assert_allclose(np.asarray(figure.axes[3].lines[4].get_ydata()), flow.signal)
    np.testing.assert_allclose(np.asarray(figure.axes[7].lines[4].get_ydata()), flow.gradient)


def test_carry_draws_one_line_a_kind() -> None:
    (axes,) = plots.carry_by_depth({"a": [1, 0.5, 0.25], "b": [1, 1, 1]}, title="Carry").axes
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[1, 0.5, 0.25], [1, 1, 1]]
    assert axes.get_title(loc="left") == "Carry"
    assert axes.get_xlabel() == "layer"
