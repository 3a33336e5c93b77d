"""The figures of lesson 10 draw what the runs say."""

import numpy as np
import pytest

from resnet_edu import plots
from resnet_edu.history import Epoch
from resnet_edu.plots.lesson_10 import LABELS, LOOK
from resnet_edu.study import Recorded


@pytest.fixture
def study() -> Recorded:
    """Errors that follow from method, labels and seed: method 0 with 5 labels gives 105 and 107, mean 106."""
    recorded = Recorded("toy")
    for place, method in enumerate(LOOK):
        for labels in LABELS:
            label = f"{method}, {labels} labels"
            recorded.settings[label] = {}
            for seed in (0, 1):
                error = 10 * place + 100 / labels + 2 * seed
                recorded.epochs[label, seed] = [Epoch(1, 0.0, 0.0, 0.0, error, 0.0, 1.0, 1.0)]
    return recorded


def test_curves_go_through_the_means(study: Recorded) -> None:
    (axes,) = plots.transfer_curves(study, title="a message").axes
    drawn = {line.get_label(): line for line in axes.lines if not str(line.get_label()).startswith("_")}
    assert list(drawn) == list(LOOK)
    for place, line in enumerate(drawn.values()):
        assert np.asarray(line.get_xdata()).tolist() == list(LABELS)
        assert np.asarray(line.get_ydata()).tolist() == pytest.approx(
            [10 * place + 100 / labels + 1 for labels in LABELS]
        )
    assert len(axes.lines) == len(LOOK) * (1 + len(LABELS))
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") + axes.get_title() == "a message"


def test_view_picks_out_one_method_and_its_runs(study: Recorded) -> None:
    figure = plots.transfer_view(study, labels=20, method="frozen")
    left, right = figure.axes
    assert figure.get_suptitle() == "frozen, 20 labels a class: 16.0 % test error (15.0 to 17.0)"
    strong = [line.get_label() for line in left.lines if line.get_alpha() == 1.0]
    assert strong == ["frozen"]
    assert [np.asarray(line.get_ydata()).tolist() for line in right.lines] == [
        [10 * p + 5, 10 * p + 7] for p in range(len(LOOK))
    ]


def test_grid_has_a_panel_for_each_number_of_labels(study: Recorded) -> None:
    figure = plots.transfer_grid(study)
    assert [axes.get_title(loc="left") + axes.get_title() for axes in figure.axes] == [f"{n} labels" for n in LABELS]
    for labels, axes in zip(LABELS, figure.axes, strict=True):
        assert np.asarray(axes.lines[1].get_ydata()).tolist() == pytest.approx([10 + 100 / labels, 12 + 100 / labels])


def test_errors_by_layer_are_means_with_every_seed() -> None:
    errors = {"trained": {"relu": [10.0, 20.0], "layer4": [30.0, 50.0]}, "random": {"relu": [1.0], "layer4": [2.0]}}
    (axes,) = plots.errors_by_layer(errors, title="t", baseline={"raw pixels": 25.0}).axes
    by_name = {line.get_label(): line for line in axes.lines}
    assert np.asarray(by_name["trained"].get_ydata()).tolist() == [15.0, 40.0]
    assert np.asarray(by_name["random"].get_ydata()).tolist() == [1.0, 2.0]
    assert np.asarray(by_name["raw pixels"].get_ydata()).tolist() == [25.0, 25.0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["stem", "stage 4"]
    assert [10.0, 20.0] in [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
