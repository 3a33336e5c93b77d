"""Pictures, and figures of lessons 08 to 13: what is drawn is what was counted, recorded or said."""

import numpy as np
import pytest
import torch
from drawn import bars, heights, legend, lines, pixels, places, texts, title
from hypothesis import given, strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from PIL import Image
from test_figures import network, transfer
from torch import Tensor

from resnet_edu import facts, plots
from resnet_edu.models import Pretrained
from resnet_edu.plots.lesson_08 import stage_rows
from resnet_edu.plots.lesson_09 import within_budget
from resnet_edu.plots.lesson_10 import LABELS, METHODS
from resnet_edu.plots.style import BLUE, GREY

NETS = plots.published_nets()
PICTURES = {"one": Image.new("RGB", (40, 30), "red"), "two": Image.effect_noise((50, 50), 90).convert("RGB")}


@pytest.mark.parametrize("depth", [18, 34, 50, 152])
def test_stages_add_up_to_the_published_numbers(depth: int) -> None:
    rows = stage_rows(224, depth, 64)
    assert sum(row.parameters for row in rows) == facts.PARAMETERS[f"resnet{depth}"].value
    assert sum(row.macs for row in rows) / 1e9 == pytest.approx(facts.GMACS[f"resnet{depth}"].value, rel=0.005)
    assert [row.name for row in rows] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert [row.side for row in rows] == [56, 56, 28, 14, 7, 1]
    if depth == 34:
        assert [row.blocks for row in rows] == [0, 3, 4, 6, 3, 0]
        assert [row.channels for row in rows] == [64, 64, 128, 256, 512, 1000]


def dots(axes: Axes, *, filled: bool = True) -> list[tuple[float, float]]:
    """Where the nets lie; a ring is not filled."""
    found = [item for item in axes.collections if isinstance(item, PathCollection)]
    found = [item for item in found if bool(len(np.asarray(item.get_facecolor()))) == filled]
    return [tuple(place) for item in found for place in np.asarray(item.get_offsets())]


@given(gmacs=st.floats(0, 25), million=st.floats(0, 160))
def test_within_budget_keeps_both_and_begins_with_the_best(gmacs: float, million: float) -> None:
    fitting = within_budget(NETS, gmacs=gmacs, million=million)
    assert {name for name, net in NETS.items() if net.gmacs <= gmacs and net.million <= million} == set(fitting)
    assert fitting == sorted(fitting, key=lambda name: NETS[name].error)


def test_every_net_is_a_dot_and_the_best_within_the_budget_has_a_ring() -> None:
    assert NETS["resnet50"] == (pytest.approx(100 - 76.130), 4.089, 25.557032)
    assert set(NETS) == set(facts.GMACS)
    left, right = plots.error_against_cost(NETS, title="Cost").axes
    assert sorted(dots(left)) == sorted((net.gmacs, net.error) for net in NETS.values())
    assert sorted(dots(right)) == sorted((net.million, net.error) for net in NETS.values())
    assert set(texts(left)) == set(NETS)
    assert places(left.lines[0]) == [NETS[f"resnet{depth}"].gmacs for depth in (18, 34, 50, 101, 152)]
    figure = plots.model_picker(NETS, gmacs=8, million=30)
    error, gmacs, million = NETS["resnet50"]
    assert [dots(axes, filled=False) for axes in figure.axes] == [[(gmacs, error)], [(million, error)]]
    assert [places(axes.lines[-1])[0] for axes in figure.axes] == [8, 30]
    assert figure.get_suptitle() == "8 GMACs and 30 million parameters: resnet50, 23.9 % error"
    nothing = plots.model_picker(NETS, gmacs=0.5, million=5)
    assert (nothing.get_suptitle()[-11:], dots(nothing.axes[0], filled=False)) == ("no net fits", [])


def test_transfer_is_drawn_as_means_and_run_by_run() -> None:
    study = transfer()
    (odd,) = (run for run in study.runs if (run["setting"], run["seed"]) == ("frozen, 20 labels", 1))
    odd["test_error"] = 45  # in place of 36
    (axes,) = plots.transfer_curves(study, title="a message").axes
    assert legend(axes) == list(METHODS)
    named = {str(line.get_label()): line for line in axes.lines if line.get_label() in METHODS}
    assert places(named["frozen"]) == list(LABELS)
    assert {name: heights(line)[2] for name, line in named.items()} == dict.fromkeys(METHODS, 35.5) | {"frozen": 40}
    assert [len(places(line)) for line in axes.lines] == [len(LABELS), 2 * len(LABELS)] * len(METHODS)
    figure = plots.transfer_view(study, labels=20, method="frozen")
    assert figure.get_suptitle() == "frozen, 20 labels per class: 40.0 % test error (35.0 to 45.0)"
    assert [line.get_label() for line in figure.axes[0].lines if line.get_alpha() == 1.0] == ["frozen"]
    assert lines(plots.transfer_grid(study).axes[2]) == [[35, 45] if name == "frozen" else [35, 36] for name in METHODS]


def percents_of(network: Pretrained, picture: Image.Image) -> Tensor:
    with torch.inference_mode():
        return 100 * network.model(network.transforms(picture)[None])[0].softmax(dim=0)


def test_a_named_photo_has_its_best_labels_and_a_map_and_below_the_threshold_no_answer() -> None:
    own = network()
    figure = plots.named_photos(own, PICTURES, top=2)
    for row, (name, picture) in enumerate(PICTURES.items()):
        left, middle, right = figure.axes[3 * row : 3 * row + 3]
        best = percents_of(own, picture).topk(2)
        labels = [own.categories[index] for index in best.indices.tolist()]
        assert (title(left), title(middle), title(right)) == (name, labels[0], f"evidence for\n{labels[0]}")
        assert [bar.get_width() for bar in bars(middle)] == pytest.approx(best.values.tolist())
        assert [tick.get_text() for tick in middle.get_yticklabels()] == labels
        assert len(right.images) == 2
    best = sorted(float(percents_of(own, picture).max()) for picture in PICTURES.values())
    assert best[0] < best[1]
    unsure = plots.named_photos(own, PICTURES, threshold=sum(best) / 2)
    said = {title(axes): to_hex(bars(axes)[0].get_facecolor()).upper() for axes in unsure.axes[1::3]}
    assert said.pop("not sure") == GREY
    assert list(said.values()) == [BLUE]


def test_precision_and_coverage_are_those_of_the_answers_given() -> None:
    measured = {"some": (torch.tensor([90.0, 80.0, 50.0, 20.0]), torch.tensor([True, False, True, False]))}
    figure = plots.precision_and_coverage(measured, threshold=50, title="t")
    precision, coverage = (heights(axes.lines[0]) for axes in figure.axes)
    at = (0, 20, 21, 50, 51, 80, 81, 90)
    assert [precision[place] for place in at] == pytest.approx([50, 50, 200 / 3, 200 / 3, 50, 50, 100, 100])
    assert precision[91] != precision[91], "nothing is answered, so nothing is right or wrong"
    assert [coverage[place] for place in (0, 20, 21, 50, 51, 81, 91)] == [100, 100, 75, 75, 50, 25, 0]
    assert [places(line)[0] for axes in figure.axes for line in axes.lines[1:]] == [50, 50]


def test_the_confusion_is_coloured_by_shares_and_counts_are_written() -> None:
    confusion = torch.tensor([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    (axes,) = plots.confusion_matrix(confusion, ("cat", "a very long class name", "emu"), title="Mostly right").axes
    np.testing.assert_allclose(pixels(axes), [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]])
    written = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "8", (0, 1): "2", (2, 0): "1", (2, 2): "3"}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "a very long c…", "emu"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    many = plots.confusion_matrix(torch.eye(30).long(), [str(n) for n in range(30)], title="")
    assert texts(many.axes[0]) == []
