"""The figures of lesson 12: what is drawn, for nets of several kinds."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from resnet_edu import models, plots
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms
from resnet_edu.plots.style import BLUE, GREY


@pytest.fixture
def network() -> Pretrained:
    torch.manual_seed(0)
    model = models.build("resnet18", num_classes=3).eval()
    return Pretrained(model, ("a", "b", "c"), PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3), "a test")


PICTURES = {"one": Image.new("RGB", (40, 30), "red"), "two": Image.effect_noise((50, 50), 90).convert("RGB")}


def percents(network: Pretrained, picture: Image.Image) -> torch.Tensor:
    with torch.inference_mode():
        return 100 * network.model(network.transforms(picture)[None])[0].softmax(dim=0)


def test_each_row_shows_the_photo_its_best_labels_and_a_map(network: Pretrained) -> None:
    figure = plots.named_photos(network, PICTURES, top=2)
    assert len(figure.axes) == 6
    for row, (name, picture) in enumerate(PICTURES.items()):
        left, middle, right = figure.axes[3 * row : 3 * row + 3]
        best = percents(network, picture).topk(2)
        labels = [network.categories[index] for index in best.indices.tolist()]
        assert left.get_title() == name
        assert [bar.get_width() for bar in middle.patches] == pytest.approx(best.values.tolist())  # type: ignore[attr-defined]
        assert [tick.get_text() for tick in middle.get_yticklabels()] == labels
        assert middle.get_title(loc="center") == labels[0]
        assert right.get_title() == f"evidence for {labels[0]}"
        assert len(right.images) == 2


def test_below_the_threshold_there_is_no_answer(network: Pretrained) -> None:
    least = min(float(percents(network, picture).max()) for picture in PICTURES.values())
    most = max(float(percents(network, picture).max()) for picture in PICTURES.values())
    assert least < most
    figure = plots.named_photos(network, PICTURES, top=3, threshold=(least + most) / 2)
    said = {figure.axes[place].get_title(loc="center"): figure.axes[place] for place in (1, 4)}
    assert "not sure" in said
    for answer, axes in said.items():
        assert to_hex(axes.patches[0].get_facecolor()).upper() == (GREY if answer == "not sure" else BLUE)


@pytest.mark.parametrize(
    ("name", "side", "cells", "layer"),
    [
        ("resnet18", 64, 4, "layer3"),
        ("resnet18", 32, 4, "layer2"),
        ("resnet18", 64, 2, "layer4"),
        ("lenet5", 32, 40, None),
    ],
)
def test_the_deepest_layer_that_is_fine_enough(name: str, side: int, cells: int, layer: str | None) -> None:
    channels = 1 if name == "lenet5" else 3
    model = models.build(name, num_classes=2, in_channels=channels).eval()
    assert plots.deepest_layer(model, torch.zeros(1, channels, side, side), cells=cells) == layer


@pytest.mark.parametrize("name", ["lenet5", "vgg11", "resnet20"])
def test_nets_of_every_kind_and_grey_photos(name: str) -> None:
    channels = 1 if name == "lenet5" else 3
    model = models.build(name, num_classes=4, in_channels=channels).eval()

    def transforms(picture: Image.Image) -> torch.Tensor:
        return PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3)(picture)[:channels]

    network = Pretrained(model, ("a", "b", "c", "d"), transforms, "a test")
    figure = plots.named_photos(network, PICTURES, top=4)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_precision_and_coverage_are_those_of_the_answers_given() -> None:
    confidence, right = torch.tensor([90.0, 80.0, 50.0, 20.0]), torch.tensor([True, False, True, False])
    figure = plots.precision_and_coverage({"some": (confidence, right)}, threshold=50, title="t")
    precision, coverage = (np.asarray(axes.lines[0].get_ydata()).tolist() for axes in figure.axes)
    assert [precision[at] for at in (0, 20, 21, 50, 51, 80, 81, 90)] == pytest.approx(
        [50, 50, 200 / 3, 200 / 3, 50, 50, 100, 100]
    )
    assert precision[91] != precision[91], "nothing is answered, so nothing is right or wrong"
    assert [coverage[at] for at in (0, 20, 21, 50, 51, 81, 91)] == [100, 100, 75, 75, 50, 25, 0]
    assert [np.asarray(line.get_xdata())[0] for axes in figure.axes for line in axes.lines[1:]] == [50, 50]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["some"]  # type: ignore[union-attr]


def test_without_a_threshold_none_is_drawn() -> None:
    one = {"some": (torch.tensor([50.0]), torch.tensor([True]))}
    for threshold in (None, float("inf")):
        figure = plots.precision_and_coverage(one, threshold=threshold, title="t")
        assert [len(axes.lines) for axes in figure.axes] == [1, 1]
