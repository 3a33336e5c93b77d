"""Figures of the degradation lesson: what is drawn is what was measured."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from resnet_edu import plots
from resnet_edu.data import photo
from resnet_edu.history import Epoch, History
from resnet_edu.plots.style import CourseFigure
from resnet_edu.predict import Prediction
from resnet_edu.probe import LayerGradient, Surface
from resnet_edu.study import Recorded


def history(*train: float) -> History:
    return History([Epoch(i + 1, 1.0, error, 1.0, error + 5, 0.1, 1.0, 100.0) for i, error in enumerate(train)])


@pytest.fixture
def study() -> Recorded:
    """Two seeds of each of the eight nets; the error falls with the epoch and grows with the seed."""
    names = [f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)]
    runs = {(name, seed): history(60 + seed, 30 + seed, 20 + seed).epochs for name in names for seed in (0, 1)}
    return Recorded("toy", {name: {} for name in names}, [], runs)


def heights(line: Line2D) -> list[float]:
    """The y values that a line goes through."""
    return np.asarray(line.get_ydata()).tolist()


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_learning_curves_draw_every_run_twice() -> None:
    figure = plots.learning_curves({"a": history(50, 20), "b": history(60, 30)}, title="Two runs")
    training, test = figure.axes
    assert [heights(line) for line in training.lines] == [[50, 20], [60, 30]]
    assert [heights(line) for line in test.lines] == [[55, 25], [65, 35]]
    assert training.get_ylabel() == "training error (%)"
    assert training.get_legend() is not None


def test_degradation_puts_plain_left_and_residual_right() -> None:
    figure = plots.degradation({"plain20": history(9), "plain56": history(60), "resnet56": history(2)})
    plain, residual = figure.axes
    assert titles(figure) == ["Plain nets", "Residual nets"]
    assert [heights(line) for line in plain.lines] == [[9], [14], [60], [65]]
    assert [heights(line) for line in residual.lines] == [[2], [7]]
    assert plain.lines[0].get_linewidth() < plain.lines[2].get_linewidth()


def test_depth_sweep_draws_each_run_and_the_mean(study: Recorded) -> None:
    (axes,) = plots.depth_sweep(study).axes
    assert [heights(line) for line in axes.lines] == [[20.5] * 4, [20.5] * 4]
    assert [np.asarray(dots.get_offsets()).tolist() for dots in axes.collections[:2]] == [
        [[20, 20], [20, 21]],
        [[32, 20], [32, 21]],
    ]
    assert len(axes.collections) == 8
    assert "2 seeds" in axes.get_title(loc="left")


def test_depth_and_skip_shows_the_chosen_net_beside_plain20(study: Recorded) -> None:
    figure = plots.depth_and_skip(study, depth=44, skip=True)
    labels = [line.get_label() for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert labels == ["plain20", "resnet44"]
    assert "Residual, 44 layers: training error 20.5 %" in figure.get_suptitle()


def test_the_static_twin_shows_all_eight(study: Recorded) -> None:
    figure = plots.depth_and_skip_grid(study)
    assert titles(figure) == [f"{kind} {depth}" for kind in ("plain", "residual") for depth in (20, 32, 44, 56)]
    for axes in figure.axes:
        assert [heights(line) for line in axes.lines] == [[60, 30, 20], [61, 31, 21], [60.5, 30.5, 20.5]]


def test_six_curves_draws_two_nets_in_one_panel() -> None:
    panels = {letter: {"resnet20": history(50, 10)} for letter in "ABDEF"}
    panels["C"] = {"plain20": history(50, 5), "plain56": history(80, 70)}
    figure = plots.six_curves(dict(sorted(panels.items())))
    assert titles(figure) == list("ABCDEF")
    assert [len(axes.lines) for axes in figure.axes] == [3, 3, 5, 3, 3, 3]  # the faint one is chance
    assert heights(figure.axes[2].lines[2]) == [80, 70]


def test_gradients_by_layer_is_logarithmic_from_first_to_last() -> None:
    layers = [LayerGradient(f"layer{i}", 10.0**i, 1.0) for i in range(3)]
    (axes,) = plots.gradients_by_layer({"net": layers}).axes
    assert axes.get_yscale() == "log"
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [0, 0.5, 1]
    assert heights(axes.lines[0]) == [1, 10, 100]


def test_loss_surfaces_draw_what_is_not_finite_as_the_limit() -> None:
    axis = torch.linspace(-1, 1, 3)
    losses = torch.full((3, 3), 2.0)
    losses[0, 0] = float("nan")
    figure = plots.loss_surfaces({"a": Surface(axis, axis, losses), "b": Surface(axis, axis, losses + 1)}, limit=8)
    assert titles(figure)[:2] == ["a: 2.00 at the star", "b: 3.00 at the star"]
    assert np.isfinite(np.asarray(figure.axes[0].collections[0].get_array())).all()


@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (3, 3, 5, 4), (3, 5, 4)])
def test_image_grid_takes_grey_colour_and_maps(shape: tuple[int, ...]) -> None:
    figure = plots.image_grid(torch.randint(0, 256, shape, dtype=torch.uint8), ["x", "y", "z"], columns=2)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 3
    assert np.asarray(drawn[0].images[0].get_array()).shape[:2] == (5, 4)
    assert [axes.get_title() for axes in drawn] == ["x", "y", "z"]


def test_a_diverging_grid_is_white_at_zero() -> None:
    figure = plots.image_grid(torch.tensor([[[-2.0, 0.0, 1.0]]]), diverging=True)
    assert figure.axes[0].images[0].get_clim() == (-2, 2)


def test_photo_predictions_draws_bars_as_long_as_the_percentages() -> None:
    figure = plots.photo_predictions([Prediction(photo("cat"), [("cat", 81.0), ("dog", 12.0)])])
    picture, bars = figure.axes
    assert picture.images
    assert [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)] == [81, 12]
    assert [text.get_text() for text in bars.get_yticklabels()] == ["cat", "dog"]


def test_a_figure_shows_itself_in_any_notebook_and_leaves_the_settings_alone() -> None:
    before = dict(mpl.rcParams)
    figure = plots.learning_curves({"a": history(1)})
    assert isinstance(figure, CourseFigure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
