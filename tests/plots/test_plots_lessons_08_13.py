"""Pictures, and figures of lessons 08 to 13: what is drawn is what was counted, recorded or said."""

import numpy as np
import pytest
import torch
from drawn import bars, heights, legend, lines, pixels, places, texts, title, titles
from hypothesis import given, strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from oracle import on_meta
from PIL import Image
from test_figures import network, photo_predictions, summaries, transfer
from torch import Tensor, nn

from resnet_edu import facts, models, plots, probe
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms
from resnet_edu.plots.lesson_08 import SETTINGS, short, stage_rows
from resnet_edu.plots.lesson_09 import BUDGETS, within_budget
from resnet_edu.plots.lesson_10 import LABELS, METHODS
from resnet_edu.plots.lesson_11 import ATTRIBUTIONS
from resnet_edu.plots.lesson_12 import deepest_layer
from resnet_edu.plots.style import BLUE, GREY
from resnet_edu.study import Recorded

NETS = plots.published_nets()
PICTURES = {"one": Image.new("RGB", (40, 30), "red"), "two": Image.effect_noise((50, 50), 90).convert("RGB")}


@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (3, 3, 5, 4), (3, 5, 4)])
def test_an_image_grid_takes_grey_colour_and_maps(shape: tuple[int, ...]) -> None:
    figure = plots.image_grid(torch.randint(0, 256, shape, dtype=torch.uint8), ["x", "y", "z"], columns=2)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [title(axes) for axes in drawn] == ["x", "y", "z"]
    assert pixels(drawn[0]).shape[:2] == (5, 4)
    diverging = plots.image_grid(torch.tensor([[[-2.0, 0.0, 1.0]]]), diverging=True)
    assert diverging.axes[0].images[0].get_clim() == (-2, 2)


def test_feature_maps_draw_every_map_under_the_name_of_its_layer() -> None:
    maps = {"C1": torch.randn(6, 5, 4), "C3": torch.randn(16, 3, 3)}
    figure = plots.feature_maps(maps, title="Maps")
    assert [part.get_suptitle() for part in figure.subfigs] == ["C1: 6 @ 5×4", "C3: 16 @ 3×3"]
    for part, stack in zip(figure.subfigs, maps.values(), strict=True):
        drawn = [axes for axes in part.axes if axes.images]
        for axes, values in zip(drawn, stack, strict=True):
            np.testing.assert_array_equal(pixels(axes), values.numpy())
        assert {axes.images[0].get_clim() for axes in drawn} == {(float(stack.min()), float(stack.max()))}


def test_bars_are_as_long_as_the_percentages() -> None:
    picture, answers = photo_predictions().axes
    assert picture.images
    assert [bar.get_width() for bar in bars(answers)] == [81, 12]
    assert texts(answers) == ["81.0 %", "12.0 %"]
    assert [text.get_text() for text in answers.get_yticklabels()] == ["cat", "dog"]


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_stages_add_up_to_the_published_numbers(depth: int) -> None:
    rows = stage_rows(224, depth, 64)
    assert sum(row.parameters for row in rows) == facts.PARAMETERS[f"resnet{depth}"].value
    assert sum(row.macs for row in rows) / 1e9 == pytest.approx(facts.GMACS[f"resnet{depth}"].value, rel=0.005)


def test_rows_of_resnet34_wide_and_narrow() -> None:
    rows = stage_rows(224, 34, 64)
    assert [row.name for row in rows] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert [row.blocks for row in rows] == [0, 3, 4, 6, 3, 0]
    assert [(row.side, row.channels) for row in rows] == [
        (56, 64), (56, 64), (28, 128), (14, 256), (7, 512), (1, 1000)
    ]  # fmt: skip
    assert (rows[0].parameters, rows[1].macs) == (64 * 3 * 49 + 128, 6 * 9 * 64 * 64 * 56 * 56)
    narrow = stage_rows(64, 34, 16)
    assert [row.side for row in narrow] == [16, 16, 8, 4, 2, 1]
    assert narrow[1].macs == 6 * 9 * 16 * 16 * 16 * 16


@pytest.mark.parametrize(("number", "text"), [(21_797_672, "21.8 M"), (3.66e9, "3.66 G"), (9408, "9.41 k"), (0, "0")])
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text


def test_the_stage_table_writes_every_number_and_draws_every_bar() -> None:
    figure = plots.stage_table(side=64, depth=18, width=16)
    table, parameters, macs = figure.axes
    rows = stage_rows(64, 18, 16)
    assert all({row.name, str(row.channels), str(row.side)} <= set(texts(table)) for row in rows)
    for axes, values in ((parameters, [r.parameters for r in rows]), (macs, [r.macs for r in rows])):
        assert [bar.get_width() for bar in bars(axes)] == values
        assert texts(axes) == [short(value) for value in values]
    assert figure.get_suptitle().startswith("ResNet-18, width 16, 64 pixels: ")


def test_the_twin_of_the_stages_draws_shares_of_six_nets() -> None:
    figure = plots.stage_table_grid()
    assert len(figure.axes) == len(SETTINGS)
    for axes in figure.axes:
        shares = [bar.get_height() for bar in bars(axes)]
        assert (sum(shares[:6]), sum(shares[6:])) == pytest.approx((100, 100))
        assert shares[4] == max(shares[1:5])  # parameters of stage 4
    assert "ResNet-34, width 64: 21.8 M" in titles(figure)[1]


def test_the_challenge_has_a_bar_an_entry_and_the_person_as_a_line() -> None:
    errors = {entry: fact.value for entry, fact in facts.ILSVRC_TOP5.items()}
    (axes,) = plots.challenge_history(errors, human=5.1).axes
    assert [bar.get_height() for bar in bars(axes)] == list(errors.values())
    assert lines(axes) == [[5.1, 5.1]]
    assert title(axes) == "Six challenges, from 28.2 % to 3.57 %"
    assert len({bar.get_facecolor() for bar in bars(axes)}) == 3


def test_stage_costs_add_up_to_the_totals() -> None:
    nets = summaries()
    figure = plots.stage_costs(nets, title="Costs")
    for axes, quantity, unit in zip(figure.axes, ("parameters", "macs"), (1e6, 1e9), strict=True):
        widths = [bar.get_width() for bar in bars(axes)]
        assert [sum(widths[:6]), sum(widths[6:])] == pytest.approx([getattr(s, quantity) / unit for s in nets.values()])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(nets)


def dots(axes: Axes, *, filled: bool = True) -> list[tuple[float, float]]:
    """Where the nets lie; a ring is not filled."""
    found = [item for item in axes.collections if isinstance(item, PathCollection)]
    found = [item for item in found if bool(len(np.asarray(item.get_facecolor()))) == filled]
    return [tuple(np.asarray(item.get_offsets())[0]) for item in found]


@given(gmacs=st.floats(0, 25), million=st.floats(0, 160))
def test_within_budget_keeps_both_and_begins_with_the_best(gmacs: float, million: float) -> None:
    fitting = within_budget(NETS, gmacs=gmacs, million=million)
    assert {name for name, net in NETS.items() if net.gmacs <= gmacs and net.million <= million} == set(fitting)
    assert fitting == sorted(fitting, key=lambda name: NETS[name].error)


def test_every_net_is_a_dot_and_the_best_within_the_budget_has_a_ring() -> None:
    assert NETS["resnet50"] == (pytest.approx(100 - 76.130), 4.089, 25.557032)
    assert set(NETS) == set(facts.GMACS)
    left, right = plots.error_against_cost(NETS, title="Cost").axes
    assert dots(left) == [(net.gmacs, net.error) for net in NETS.values()]
    assert dots(right) == [(net.million, net.error) for net in NETS.values()]
    assert set(texts(left)) == set(NETS)
    assert places(left.lines[0]) == [NETS[f"resnet{depth}"].gmacs for depth in (18, 34, 50, 101, 152)]
    figure = plots.model_picker(NETS, gmacs=8, million=30)
    best = NETS["resnet50"]
    assert [dots(axes, filled=False) for axes in figure.axes] == [
        [(best.gmacs, best.error)],
        [(best.million, best.error)],
    ]
    assert [places(axes.lines[-1])[0] for axes in figure.axes] == [8, 30]
    assert figure.get_suptitle() == "8 GMACs and 30 million parameters: resnet50, 23.9 % error"
    nothing = plots.model_picker(NETS, gmacs=0.5, million=5)
    assert (nothing.get_suptitle()[-11:], dots(nothing.axes[0], filled=False)) == ("no net fits", [])
    for axes, (gmacs, million) in zip(plots.model_picker_grid(NETS).axes, BUDGETS, strict=True):
        name = within_budget(NETS, gmacs=gmacs, million=million)[0]
        assert (dots(axes, filled=False), texts(axes)) == ([(NETS[name].gmacs, NETS[name].error)], [name])


@pytest.fixture
def study() -> Recorded:
    """Test errors that follow from method, labels and seed: method 0 with 5 labels gives 25 and 27."""
    recorded = transfer()
    for run in recorded.runs:
        method, _, labels = run["setting"].removesuffix(" labels").rpartition(", ")
        run["test_error"] = 5 + 10 * [*METHODS].index(method) + 100 / int(labels) + 2 * run["seed"]
    return recorded


def test_transfer_is_drawn_as_means_and_run_by_run(study: Recorded) -> None:
    (axes,) = plots.transfer_curves(study, title="a message").axes
    named = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert legend(axes) == list(METHODS)
    for place, line in enumerate(named):
        assert places(line) == list(LABELS)
        assert heights(line) == pytest.approx([10 * place + 100 / labels + 6 for labels in LABELS])
    assert (len(axes.lines), axes.get_xscale()) == (len(METHODS) * (1 + len(LABELS)), "log")
    figure = plots.transfer_view(study, labels=20, method="frozen")
    assert figure.get_suptitle() == "frozen, 20 labels a class: 21.0 % test error (20.0 to 22.0)"
    assert [line.get_label() for line in figure.axes[0].lines if line.get_alpha() == 1.0] == ["frozen"]
    assert lines(figure.axes[1]) == [[10 * p + 10, 10 * p + 12] for p in range(len(METHODS))]
    twin = plots.transfer_grid(study)
    assert titles(twin) == [f"{labels} labels" for labels in LABELS]
    for labels, axes in zip(LABELS, twin.axes, strict=True):
        assert lines(axes)[1] == pytest.approx([15 + 100 / labels, 17 + 100 / labels])


def test_errors_by_layer_are_means_with_every_seed() -> None:
    errors = {"trained": {"relu": [10.0, 20.0], "layer4": [30.0, 50.0]}, "random": {"relu": [1.0], "layer4": [2.0]}}
    (axes,) = plots.errors_by_layer(errors, title="t").axes
    assert [heights(line) for line in axes.lines if line.get_label() in errors] == [[15.0, 40.0], [1.0, 2.0]]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["stem", "stage 4"]
    assert [10.0, 20.0] in lines(axes)


class Quarters(nn.Module):
    """Logits: red, green and blue, averaged after a convolution that keeps the colours apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.eye_(self.layer2.weight.data.view(3, 3))
        self.layer4 = nn.AvgPool2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer2(x)).mean((2, 3)) * 4


@pytest.fixture
def quarters() -> Pretrained:
    return Pretrained(Quarters(), ("red", "green", "blue"), PhotoTransforms(16, (0.0,) * 3, (1.0,) * 3), "a test")


@pytest.fixture
def spot() -> Image.Image:
    image = Image.new("RGB", (32, 32), (0, 0, 40))
    image.paste((255, 90, 40), (16, 0, 32, 16))  # upper right
    return image


def test_maps_stand_beside_their_photos() -> None:
    images, plain, signed = torch.rand(2, 3, 6, 5), torch.rand(2, 6, 5), torch.randn(2, 6, 5)
    signed[1] = signed[1].abs()  # still drawn like the rest of its column
    maps = {"plain": plain, "signed": signed}
    figure = plots.maps_over_photos(images, maps, titles=["a", "b"], title="Maps")
    assert titles(figure)[:3] == ["photo", "plain", "signed"]
    for row, below in enumerate(("a", "b")):
        photo, first, second = figure.axes[3 * row : 3 * row + 3]
        assert photo.get_xlabel() == below
        assert (pixels(photo).min(), pixels(photo).max()) == (0, 1)
        np.testing.assert_allclose(pixels(first, -1), plain[row])
        np.testing.assert_allclose(pixels(second), signed[row])
        low, high = second.images[0].get_clim()
        assert low == -high
    nothing = plots.maps_over_photos(torch.zeros(1, 3, 4, 4), {"none": torch.zeros(1, 4, 4)}, title="Nothing")
    assert nothing.png().startswith(b"\x89PNG")


def test_rank_correlations_draw_mean_and_range() -> None:
    found = {"a": {"fc": [0.2, 0.4], "all": [0.0, 0.1]}, "b": {"fc": [1.0, 0.9], "all": [0.5, 0.7]}}
    (axes,) = plots.rank_correlations(found, threshold=0.5, title="Ranks").axes
    np.testing.assert_allclose(lines(axes), [[0.3, 0.05], [0.95, 0.6], [0.5, 0.5]])
    corners = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
    assert (corners.min(), corners.max()) == (0, 0.4)


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_a_photo_its_answers_and_its_map(method: str, quarters: Pretrained, spot: Image.Image) -> None:
    image = quarters.transforms(spot)[None]
    percents = (100 * quarters.model(image).softmax(1)[0]).sort(descending=True)
    labels = [quarters.categories[index] for index in percents.indices]
    photo, answers, found = plots.photo_attribution(quarters, spot, method=method, place=3).axes
    assert labels[0] == "red"
    assert [tick.get_text() for tick in answers.get_yticklabels()] == labels
    np.testing.assert_allclose([bar.get_width() for bar in bars(answers)], percents.values.detach(), rtol=1e-4)
    assert pixels(photo).shape == (16, 16, 3)
    assert title(found) == f"{method}: {labels[2]}"
    wanted = ATTRIBUTIONS[method](quarters.model, image, int(percents.indices[2]))[0]
    np.testing.assert_allclose(pixels(found, -1), wanted, rtol=1e-4, atol=1e-5)
    evidence = ATTRIBUTIONS[method](quarters.model, image, 0)[0]
    assert evidence[:8, 8:].sum() > 0.6 * evidence.clamp(min=0).sum(), "it lies where it was put"


def test_the_twin_asks_about_each_photos_own_answer(quarters: Pretrained, spot: Image.Image) -> None:
    figure = plots.attribution_grid(quarters, {"spot": spot, "sea": Image.new("RGB", (20, 30), "blue")})
    columns = 1 + len(ATTRIBUTIONS)
    assert [figure.axes[row * columns].get_xlabel() for row in (0, 1)] == ["spot: red", "sea: blue"]
    wanted = probe.occlusion(quarters.model, quarters.transforms(spot)[None], 0, window=4, stride=2)[0]
    np.testing.assert_allclose(pixels(figure.axes[columns - 1], -1), wanted, atol=1e-5)


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
        assert (title(left), title(middle), title(right)) == (name, labels[0], f"evidence for {labels[0]}")
        assert [bar.get_width() for bar in bars(middle)] == pytest.approx(best.values.tolist())
        assert [tick.get_text() for tick in middle.get_yticklabels()] == labels
        assert len(right.images) == 2
    best = sorted(float(percents_of(own, picture).max()) for picture in PICTURES.values())
    assert best[0] < best[1]
    unsure = plots.named_photos(own, PICTURES, threshold=sum(best) / 2)
    said = {title(axes): to_hex(bars(axes)[0].get_facecolor()).upper() for axes in unsure.axes[1::3]}
    assert said.pop("not sure") == GREY
    assert list(said.values()) == [BLUE]


@pytest.mark.parametrize(
    ("name", "side", "layer"), [("resnet18", 64, "layer3"), ("resnet18", 32, "layer2"), ("resnet18", 4, None)]
)
def test_the_deepest_layer_that_is_fine_enough(name: str, side: int, layer: str | None) -> None:
    model = models.build(name, num_classes=2).eval()
    assert deepest_layer(model, torch.zeros(1, 3, side, side)) == layer


@pytest.mark.parametrize("name", ["lenet5", "vgg11", "resnet20"])
def test_nets_of_every_kind_name_photos_also_grey_ones(name: str) -> None:
    channels = 1 if name == "lenet5" else 3
    assert on_meta(name, in_channels=channels)
    model = models.build(name, num_classes=4, in_channels=channels).eval()

    def transforms(picture: Image.Image) -> Tensor:
        return PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3)(picture)[:channels]

    own = Pretrained(model, ("a", "b", "c", "d"), transforms, "a test")
    assert plots.named_photos(own, PICTURES, top=4).png().startswith(b"\x89PNG")


def test_precision_and_coverage_are_those_of_the_answers_given() -> None:
    measured = {"some": (torch.tensor([90.0, 80.0, 50.0, 20.0]), torch.tensor([True, False, True, False]))}
    figure = plots.precision_and_coverage(measured, threshold=50, title="t")
    precision, coverage = (heights(axes.lines[0]) for axes in figure.axes)
    at = (0, 20, 21, 50, 51, 80, 81, 90)
    assert [precision[place] for place in at] == pytest.approx([50, 50, 200 / 3, 200 / 3, 50, 50, 100, 100])
    assert precision[91] != precision[91], "nothing is answered, so nothing is right or wrong"
    assert [coverage[place] for place in (0, 20, 21, 50, 51, 81, 91)] == [100, 100, 75, 75, 50, 25, 0]
    assert [places(line)[0] for axes in figure.axes for line in axes.lines[1:]] == [50, 50]
    without = plots.precision_and_coverage(measured, title="t")
    assert [len(axes.lines) for axes in without.axes] == [1, 1]


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


def test_losses_together_draws_the_distance_to_the_first_run() -> None:
    above, below = plots.losses_together({"one": [2.0, 1.0, 0.5], "two": [2.0, 1.0 + 1e-6]}, title="T").axes
    assert [len(line) for line in lines(above)] == [3, 2]
    assert lines(below)[0] == pytest.approx([0, 1e-6])
    assert lines(below)[1] == [1e-3, 1e-3]
    assert [len(axes.lines) for axes in plots.losses_together({"one": [2.0, 1.0]}, title="T").axes] == [1, 1]


def test_rates_are_spread_over_the_epochs_of_their_run() -> None:
    rates, losses = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.5]}, {"a": [2.0, 1.0], "b": [3.0, 2.0]}
    left, right = plots.rates_and_losses(rates, losses, title="T").axes
    assert [places(line) for line in left.lines] == [[0, 0.5, 1, 1.5], [0, 1]]
    assert lines(right) == [[2.0, 1.0], [3.0, 2.0]]


def test_step_times_stack_up_and_name_each_stage_once() -> None:
    steps = {"memory": {"batch": 0.5, "forward": 2.0}, "JPEG": {"decode": 6.0, "batch": 0.5, "forward": 2.0}}
    (axes,) = plots.step_times(steps, title="T").axes
    drawn = [bar for bar in bars(axes) if bar.get_width()]
    assert [(bar.get_x(), bar.get_width()) for bar in drawn] == [(0, 0.5), (0.5, 2), (0, 6), (6, 0.5), (6.5, 2)]
    assert legend(axes) == ["batch", "forward", "decode"]
    assert drawn[0].get_facecolor() == drawn[3].get_facecolor()
    assert texts(axes) == ["80 %", "71 %", "24 %"]
