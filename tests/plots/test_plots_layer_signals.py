"""Figures of the lesson on gradients: what is drawn is what was measured."""

import math

import matplotlib.axes
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from matplotlib.lines import Line2D

from resnet_edu import plots
from resnet_edu.history import Epoch, History
from resnet_edu.models import deep_net
from resnet_edu.plots.lesson_05 import measured, verdict
from resnet_edu.plots.style import GREY, PLAIN, RESIDUAL
from resnet_edu.probe import LayerSignals, autocorrelation, layer_signals


def batch(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 10


def heights(line: Line2D) -> list[float]:
    """The y values that a line goes through."""
    return np.asarray(line.get_ydata()).tolist()


def names(axes: matplotlib.axes.Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_activation_slopes_draw_functions_and_derivatives() -> None:
    left, right = plots.activation_slopes().axes
    assert names(left) == ["sigmoid", "tanh", "ReLU"]
    x = np.asarray(left.lines[0].get_xdata())
    assert np.allclose(heights(left.lines[0]), 1 / (1 + np.exp(-x)), atol=1e-6)
    assert max(heights(right.lines[0])) == pytest.approx(0.25)
    assert max(heights(right.lines[1])) == pytest.approx(1)
    assert set(heights(right.lines[2])) == {0.0, 1.0}


def test_signals_by_layer_has_a_panel_a_quantity_and_a_line_a_net() -> None:
    nets = {"a": LayerSignals([1, 2], [3, 4], [5, 6]), "b": LayerSignals([1, 1, 1], [2, 2, 2], [3, 3, 3])}
    figure = plots.signals_by_layer(nets, quantities=("weight", "signal"), title="Two nets")
    weight, signal = figure.axes
    assert [heights(line) for line in weight.lines] == [[5, 6], [3, 3, 3]]
    assert [heights(line) for line in signal.lines] == [[1, 2], [1, 1, 1]]
    assert np.asarray(signal.lines[1].get_xdata()).tolist() == [1, 2, 3]
    assert weight.get_yscale() == signal.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert weight.get_ylabel() == "gradient norm of the weights"
    assert figure.get_suptitle() == "Two nets"


def test_a_small_change_does_not_fill_the_panel() -> None:
    nets = {"a": LayerSignals([1.0, 1.1], [1.0, 1.1], [1.0, 1.1])}
    low, high = plots.signals_by_layer(nets, title="").axes[0].get_ylim()
    assert low <= 1e-2
    assert high >= 1e2


def test_the_explorers_figure_shows_the_chosen_net_beside_the_reference() -> None:
    images, labels = batch()
    figure = plots.gradient_flow(images, labels, depth=6, activation="tanh", init="small", skip=True, seed=3)
    torch.manual_seed(3)
    chosen = layer_signals(deep_net(6, activation="tanh", init="small", skip=True, inputs=16), images, labels)
    torch.manual_seed(3)
    reference = layer_signals(deep_net(6, inputs=16), images, labels)
    for axes, quantity in zip(figure.axes, ("signal", "gradient", "weight"), strict=True):
        assert heights(axes.lines[0]) == pytest.approx(getattr(reference, quantity))
        assert heights(axes.lines[1]) == pytest.approx(getattr(chosen, quantity))
        assert same_color(axes.lines[0].get_color(), GREY)
        assert same_color(axes.lines[1].get_color(), RESIDUAL)
    assert figure.get_suptitle() == verdict(chosen)
    assert same_color(plots.gradient_flow(images, labels, depth=4).axes[0].lines[1].get_color(), PLAIN)


def test_measuring_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    measured(*batch(), 4, 5, inputs=16)
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("gradient", "word", "factor"),
    [
        ([1e-4, 1e-2, 1.0, 9.0], "Vanishes", "0.01"),
        ([1, 2, 4, 9], "Arrives", "0.50"),
        ([1e6, 1e3, 1, 9], "Explodes", "1000.00"),
    ],
)
def test_the_verdict_is_on_the_hidden_layers(gradient: list[float], word: str, factor: str) -> None:
    text = verdict(LayerSignals(gradient, gradient, gradient))
    assert text.startswith(f"{word}: ")
    assert f"× {factor} a layer" in text


def test_the_grid_shows_every_choice_relative_to_the_last_hidden_layer() -> None:
    images, labels = batch()
    figure = plots.gradient_flow_grid(images, labels, depth=5, width=8)
    assert len(figure.axes) == 12
    assert figure.axes[5].get_title(loc="left") == "tanh, Xavier"
    assert figure.axes[11].get_title(loc="left") == "ReLU, large"
    for axes in figure.axes:
        nets = [heights(line) for line in axes.lines[:4]]
        assert [len(net) for net in nets] == [4] * 4
        assert all(net[-1] == pytest.approx(1) for net in nets)
    neither, norm, skip, both = (heights(line) for line in figure.axes[8].lines[:4])  # ReLU, small
    assert neither[0] < 1e-3 < min(norm[0], skip[0], both[0])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["neither", "batch norm", "skip", "batch norm and skip"]


def test_errors_by_epoch_lists_the_worst_run_first() -> None:
    def history(*errors: float) -> History:
        return History([Epoch(i + 1, 1.0, error, 1.0, error, 0.1, 1.0, 100.0) for i, error in enumerate(errors)])

    figure = plots.errors_by_epoch({"good": history(50, 5), "bad": history(90, 89)}, title="Two runs")
    (axes,) = figure.axes
    assert [heights(line) for line in axes.lines] == [[50, 5], [90, 89]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["bad", "good"]
    assert same_color(legend.get_lines()[0].get_color(), axes.lines[1].get_color())


def test_a_run_that_breaks_ends_in_a_cross() -> None:
    losses = {"fine": [3.0, 2.0, 1.0], "broken": [3.0, 1e9, math.inf], "no number": [2.0, math.nan]}
    (axes,) = plots.losses_by_step(losses, title="").axes
    fine, broken, cross, no_number, second_cross = axes.lines
    assert heights(fine) == [3, 2, 1]
    assert heights(broken) == [3, 1e9]
    assert (cross.get_marker(), heights(cross)) == ("x", [1e9])
    assert (heights(no_number), heights(second_cross)) == ([2], [2])
    assert names(axes) == ["fine", "broken", "no number"]


def test_gradient_series_are_centred_and_scaled() -> None:
    points = torch.linspace(-1, 1, 5)
    series = {"plain, 2": torch.tensor([1.0, 2, 3, 4, 5]), "residual, 2": torch.randn(5), "other": torch.randn(5)}
    figure = plots.gradient_series(points, series, columns=2, title="Three")
    drawn = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title(loc="left") for axes in drawn] == list(series)
    for axes in drawn:
        values = np.asarray(heights(axes.lines[0]))
        assert values.mean() == pytest.approx(0, abs=1e-6)
        assert values.std(ddof=1) == pytest.approx(1, rel=1e-5)
    assert same_color(drawn[0].lines[0].get_color(), PLAIN)
    assert same_color(drawn[1].lines[0].get_color(), RESIDUAL)
    assert not figure.axes[3].axison


def test_autocorrelations_draw_means_with_their_standard_errors() -> None:
    lags = [0, 1, 2]
    torch.manual_seed(0)
    curves = {name: autocorrelation(torch.randn(30, 9), lags) for name in ("plain, 24", "plain, 50", "white noise")}
    (axes,) = plots.autocorrelations(curves, lags, title="").axes
    for line, values in zip(axes.lines, curves.values(), strict=False):
        assert heights(line) == pytest.approx(values.mean(dim=1).tolist())
    band = axes.collections[1].get_paths()[0].vertices
    widest = curves["plain, 50"].mean(dim=1) + curves["plain, 50"].std(dim=1) / 3
    assert np.asarray(band)[:, 1].max() == pytest.approx(widest.max().item())
    assert [line.get_linestyle() for line in axes.lines[:2]] == ["-", "--"]
    assert names(axes) == list(curves)
