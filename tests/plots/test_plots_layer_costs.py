"""The bars of lesson 03 are the numbers of the summary, under the names of the papers."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from oracle import on_meta

from resnet_edu import plots, probe
from resnet_edu.plots.lesson_03 import share


@pytest.fixture(scope="module")
def costs() -> probe.Summary:
    return probe.summary(on_meta("vgg16"), (3, 224, 224))


def test_layers_are_named_by_stage(costs: probe.Summary) -> None:
    names = [layer.name for layer in plots.named_layers(costs)]
    assert names[:5] == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    assert names[-4:] == ["conv5_3", "fc6", "fc7", "fc8"]
    assert len(names) == 16


def test_bars_are_parameters_numbers_and_multiply_adds(costs: probe.Summary) -> None:
    figure = plots.layer_costs(costs, title="Costs")
    bars = [[patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle)] for axes in figure.axes]
    np.testing.assert_allclose([sum(values) for values in bars], [138.357544, 13.556_712, 15.47026432], rtol=1e-6)
    assert bars[0][13] == pytest.approx(102.764544)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "linear layers: 89 %",
        "linear layers: 0.07 %",
        "linear layers: 0.8 %",
    ]
    assert figure.get_suptitle() == "Costs"
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top < bottom, "the first layer stands at the top"


def test_share() -> None:
    assert [share(1, 2), share(1, 200), share(0, 1)] == ["50 %", "0.5 %", "0 %"]
