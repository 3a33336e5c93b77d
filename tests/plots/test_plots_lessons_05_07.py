"""Curves, and figures of lessons 05 to 07: every line is what was measured."""

import math

import numpy as np
import pytest
import torch
from drawn import bars, heights, legend, lines, places, texts, titles
from matplotlib.colors import same_color

from resnet_edu import plots, probe
from resnet_edu.models import deep_net
from resnet_edu.plots.lesson_05 import measured
from resnet_edu.plots.lesson_07 import CEILING, FLOOR
from resnet_edu.plots.style import GREY, PLAIN, RESIDUAL


def batch(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 10


def test_lines_have_ticks_levels_and_limits() -> None:
    levels = {"a, guessed": 50.2, "b, guessed": 49.9, "c, guessed": 90.0}
    (axes,) = plots.lines({"a": [3, 4], "b": [5, 6]}, title="", x="x", y="y", ticks=["4", "8"], levels=levels).axes
    assert lines(axes)[:2] == [[3, 4], [5, 6]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "8"]
    assert {line[0] for line in lines(axes)[2:]} == {50.2, 49.9, 90.0}
    assert set(texts(axes)) == {"a, guessed\nb, guessed", "c, guessed"}, "levels that coincide have one text"
    (axes,) = plots.lines({"a": [1.0, 100.0]}, title="T", x="x", y="y", first=1, log=True, limits=(0.1, 1000)).axes
    assert (places(axes.lines[0]), axes.get_yscale(), axes.get_ylim()) == ([1, 2], "log", (0.1, 1000))


def test_a_line_that_stops_being_a_number_ends_in_a_cross() -> None:
    losses = {"fine": [3.0, 2.0, 1.0], "broken": [3.0, 1e9, math.inf], "no number": [2.0, math.nan]}
    (axes,) = plots.lines(losses, title="", x="step", y="loss", log=True).axes
    fine, broken, cross, _, second_cross = axes.lines
    assert (heights(fine), heights(broken)[:2]) == ([3, 2, 1], [3, 1e9])
    assert (cross.get_marker(), places(cross), heights(cross)) == ("x", [1], [1e9])
    assert heights(second_cross) == [2]
    assert legend(axes) == list(losses)


def test_bars_are_as_long_as_their_parts_and_give_the_shares_and_the_sum() -> None:
    (axes,) = plots.stacked_bars({"ms": {"a": {"x": 3.0, "y": 1.0}, "b": {"y": 2.0}}}, title="").axes
    assert [(bar.get_x(), bar.get_width()) for bar in bars(axes)] == [(0, 3), (3, 1), (0, 2)]
    assert [text for text in texts(axes) if text] == ["75 %", "25 %", " 4", "100 %", " 2"]
    assert same_color(bars(axes)[1].get_facecolor(), bars(axes)[2].get_facecolor()), "a part has one colour"


def test_slopes_are_the_derivatives_of_the_activations() -> None:
    left, right = plots.activation_slopes().axes
    assert legend(left) == ["sigmoid", "tanh", "ReLU"]
    x = np.asarray(places(left.lines[0]))
    assert np.allclose(heights(left.lines[0]), 1 / (1 + np.exp(-x)), atol=1e-6)
    assert [max(line) for line in lines(right)] == pytest.approx([0.25, 1, 1])


def test_gradient_flow_shows_the_chosen_net_beside_the_reference() -> None:
    images, labels = batch()
    options = {"activation": "tanh", "init": "small", "skip": True}
    figure = plots.gradient_flow(images, labels, depth=6, **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    chosen = probe.layer_signals(deep_net(6, inputs=16, **options), images, labels)  # type: ignore[arg-type]
    torch.manual_seed(0)
    reference = probe.layer_signals(deep_net(6, inputs=16), images, labels)
    for axes, quantity in zip(figure.axes, ("signal", "gradient", "likeness"), strict=True):
        assert heights(axes.lines[0]) == pytest.approx(getattr(reference, quantity))
        assert heights(axes.lines[1]) == pytest.approx(getattr(chosen, quantity))
        assert same_color(axes.lines[0].get_color(), GREY)
        assert same_color(axes.lines[1].get_color(), RESIDUAL)
    assert f"changes by × {chosen.gradient_factor:.2f} a layer" in figure.get_suptitle()
    assert same_color(plots.gradient_flow(images, labels, depth=4).axes[0].lines[1].get_color(), PLAIN)
    for word, init in (("Vanishes", "small"), ("Arrives", "he"), ("Explodes", "large")):
        said = plots.gradient_flow(images, labels, depth=20, activation="relu", init=init).get_suptitle()
        assert said.startswith(f"{word}: ")
    before = torch.get_rng_state()
    measured(images, labels, 4)
    assert torch.equal(torch.get_rng_state(), before), "the notebook's random numbers are left alone"


def test_gradient_series_are_centred_and_scaled() -> None:
    series = {"plain, 2": torch.tensor([1.0, 2, 3, 4, 5]), "residual, 2": torch.randn(5), "other": torch.randn(5)}
    figure = plots.gradient_series(torch.linspace(-1, 1, 5), series, title="Three")
    assert titles(figure)[:3] == list(series)
    for axes in figure.axes[:3]:
        values = np.asarray(lines(axes)[0])
        assert (values.mean(), values.std(ddof=1)) == pytest.approx((0, 1), abs=1e-5)
    assert same_color(figure.axes[0].lines[0].get_color(), PLAIN)
    assert same_color(figure.axes[1].lines[0].get_color(), RESIDUAL)
    assert not figure.axes[3].axison


def test_signal_and_gradient_are_those_of_the_probe() -> None:
    figure = plots.signal_and_gradient(depth=5, residual=True, batch_norm=True, gain=0.5)
    flow = probe.residual_flow(5, residual=True, batch_norm=True, gain=0.5)
    for axes, values in zip(figure.axes, flow, strict=True):
        np.testing.assert_allclose(heights(axes.lines[0]), values)
    assert figure.get_suptitle() == "5 blocks ReLU(F(x) + x), gain 0.5, with batch norm"
    assert titles(figure) == [f"Signal: {flow.signal[-1]:.2g}", f"Gradient: {flow.gradient[0]:.2g}"]


def test_what_lies_beyond_the_panel_is_drawn_on_its_border_and_nothing_at_all_is_a_cross() -> None:
    figure = plots.signal_and_gradient(depth=50, gain=2.0)
    assert heights(figure.axes[0].lines[0])[-1] == CEILING
    for axes, place in zip(plots.signal_and_gradient(depth=50, residual=False, gain=0.0).axes, (1, 49), strict=True):
        line, cross = axes.lines[:2]
        assert np.isfinite(heights(line)).sum() == 1, "zeros are no data"
        assert (places(cross), heights(cross), cross.get_marker()) == ([place], [FLOOR], "X")


def test_the_paths_through_three_blocks_and_the_lengths_of_those_through_many() -> None:
    left, right = plots.paths_and_lengths(blocks=4).axes
    assert [word for word in texts(left) if word.isdigit()] == list("01112223")
    assert [bar.get_height() for bar in bars(right)] == [6.25, 25, 37.5, 25, 6.25]
