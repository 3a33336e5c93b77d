"""Every figure of the package: it is drawn without a warning, says what it shows, and can be read."""

import inspect
import io
from collections.abc import Callable

import matplotlib as mpl
import pytest
import torch
from drawn import history, lines
from matplotlib.text import Text
from oracle import on_meta
from PIL import Image

from resnet_edu import data, facts, models, plots, probe
from resnet_edu.models import Pretrained
from resnet_edu.models.pretrained import PhotoTransforms
from resnet_edu.plots.lesson_10 import LABELS, METHODS
from resnet_edu.plots.style import Figure, course_style, new_figure
from resnet_edu.prediction import Prediction
from resnet_edu.study import Recorded

NOT_FIGURES = {"Stage", "named_layers", "published_nets"}
#: Figures whose panels have titles, and no message of their own.
WITHOUT_MESSAGE = {"kernel_effect", "photo_attribution", "six_curves"}
ERRORS = {"plain": [9.0, 5.0, 4.0], "residual": [8.0, 3.0, 1.0]}
RUNS = {"plain20": history(80, 40, 9), "plain56": history(90, 80, 70), "resnet56": history(70, 20, 2)}
PANELS = {letter: {"plain20": history(50, 5), "plain56": history(80, 70)} for letter in "ABCDEF"}
PHOTO = torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8)
PICTURE = Image.new("RGB", (40, 30), "red")
SIGNALS = probe.LayerSignals([1.0, 0.1, 0.01], [3.0, 0.3, 0.03], [5.0, 0.5, 0.05])
STAGES = [plots.Stage("input", "", (1, 32, 32), 0), plots.Stage("C1", "convolution", (6, 28, 28), 156)]
TWO = {"one": ([1e-3, 2e-3], [1e-1, 2e-1]), "two": ([1.0, 2.0], [3.0, 4.0])}
RUNS_OVER = {"plain": {20: [0.2, 0.4], 56: [0.0, 0.1]}, "many": {20: [1.0, 3.0] * 8, 56: [2.0] * 16}}
BARS = {"cost (ms)": {"one": {"forward": 2.0, "update": 0.5}, "two": {"read": 1.5, "forward": 2.0}}}
SURE = {"some": (torch.tensor([90.0, 20.0]), torch.tensor([True, False]))}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(8, 1, 4, 4), torch.arange(8)


def network() -> Pretrained:
    model = models.build("resnet18", num_classes=3).eval()
    return Pretrained(model, ("a", "b", "c"), PhotoTransforms(32, (0.5,) * 3, (0.2,) * 3), "a test")


def recorded(*settings: str) -> Recorded:
    """A study with two seeds of each setting."""
    runs = {(name, seed): history(60 + seed, 30 + seed).epochs for name in settings for seed in (0, 1)}
    found = [{"setting": name, "seed": seed, "test_error": run[-1].val_error} for (name, seed), run in runs.items()]
    return Recorded("toy", {name: {} for name in settings}, found, runs)


def depths() -> Recorded:
    return recorded(*(f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)))


def transfer() -> Recorded:
    return recorded(*(f"{method}, {labels} labels" for method in METHODS for labels in LABELS))


def photo_predictions() -> Figure:
    return plots.photo_predictions([Prediction(data.photo("cat"), [("cat", 81.0), ("dog", 12.0)])], title="A cat")


#: Every figure of the room with something to draw.
SAMPLES: dict[str, Callable[[], Figure]] = {
    "activation_slopes": plots.activation_slopes,
    "architecture": lambda: plots.architecture(on_meta("resnet18"), (3, 64, 64), title="A net"),
    "channel_values": lambda: plots.channel_values({"before": torch.randn(4, 3, 5, 5)}, title="Batch norm"),
    "photos_and_maps": lambda: plots.photos_and_maps({"photo": PHOTO}, {"conv1": [torch.rand(4, 9, 9)]}, title="Maps"),
    "augmented_views": lambda: plots.augmented_views(PHOTO),
    "block_diagrams": lambda: plots.block_diagrams({"basic": models.BasicBlock(4, 8, 2)}, title="A block"),
    "chain": lambda: plots.chain([("w", 1.0, 2.0), ("2 w", 2.0, 1.0)], ["2"], title="A chain"),
    "challenge_history": lambda: plots.challenge_history({k: f.value for k, f in facts.ILSVRC_TOP5.items()}, human=5.1),
    "channel_budget": plots.channel_budget,
    "confusion_matrix": lambda: plots.confusion_matrix(torch.eye(3).long(), ("a", "b", "$c^"), title="All right"),
    "connections": lambda: plots.connections(
        {"a layer": [torch.eye(3), torch.ones(2, 3, requires_grad=True)]}, title="Lines"
    ),
    "convolution_over_channels": lambda: plots.convolution_over_channels(
        torch.ones(2, 4, 4), torch.ones(2, 3, 3), 1, 0, 0
    ),
    "convolution_step": lambda: plots.convolution_step(torch.ones(5, 6), torch.ones(3, 3), 1, 2),
    "degradation": lambda: plots.degradation(RUNS, title="Deeper and worse"),
    "depth_and_skip": lambda: plots.depth_and_skip(depths()),
    "descents": lambda: plots.descents(torch.square, {"rate 0.1": [1.0, 0.8]}, title="Downhill"),
    "error_against_cost": lambda: plots.error_against_cost(plots.published_nets(), title="Cost"),
    "errors_without": lambda: plots.errors_without({"plain": {"layer1.0": 80.0}}, {"plain": 6.0}, title="Loss"),
    "feature_maps": lambda: plots.feature_maps({"C1": torch.randn(6, 5, 4), "dead": torch.zeros(2, 3, 3)}, title="M"),
    "gradient_flow": lambda: plots.gradient_flow(*batch(), depth=5, activation="relu", init="large"),
    "gradient_flow_grid": lambda: plots.gradient_flow_grid(*batch()),
    "gradient_series": lambda: plots.gradient_series(torch.rand(5), {"plain": torch.rand(5)}, title="Series"),
    "identity_extension": plots.identity_extension,
    "image_grid": lambda: plots.image_grid(PHOTO[None], ["one"], title="A photo"),
    "kernel_effect": lambda: plots.kernel_effect(PHOTO[0], torch.ones(3, 3)),
    "kernel_places": lambda: plots.kernel_places([(6, 3, 1, 2)], title="Places"),
    "layer_costs": lambda: plots.layer_costs(probe.summary(on_meta("vgg11"), (3, 64, 64)), title="Costs"),
    "learning_curves": lambda: plots.learning_curves(RUNS, title="Curves"),
    "lines": lambda: plots.lines(ERRORS, title="Lines", x="epoch", y="error (%)", levels={"a": 9.0, "b": 9.1}),
    "maps_over_photos": lambda: plots.maps_over_photos(torch.rand(1, 3, 6, 5), {"m": torch.randn(1, 6, 5)}, title="M"),
    "model_picker": lambda: plots.model_picker(plots.published_nets()),
    "named_photos": lambda: plots.named_photos(network(), {"red": PICTURE}, top=2, threshold=90),
    "network_walk": lambda: plots.network_walk(STAGES, torch.rand(32, 32), title="A walk"),
    "patches_as_columns": lambda: plots.patches_as_columns(torch.ones(3, 4), torch.ones(2, 2)),
    "paths_and_lengths": plots.paths_and_lengths,
    "numbers": lambda: plots.numbers({"a": torch.ones(2, 3), "b": torch.ones(3)}, signs="=", title="Numbers"),
    "paired_seeds": lambda: plots.paired_seeds(TWO, ("without", "with"), title="Heads", y="norm"),
    "photo_attribution": lambda: plots.photo_attribution(network(), PICTURE, method="Occlusion", place=2),
    "photo_predictions": photo_predictions,
    "pooling": lambda: plots.pooling(torch.arange(16).view(4, 4)),
    "precision_and_coverage": lambda: plots.precision_and_coverage(SURE, threshold=50, title="Fewer, better"),
    "receptive_growth": lambda: plots.receptive_growth(PHOTO, layers=2),
    "runs_over": lambda: plots.runs_over(RUNS_OVER, title="Runs", x="depth", y="error (%)"),
    "signal_and_gradient": lambda: plots.signal_and_gradient(depth=50, residual=False, gain=2.0),
    "signals_by_layer": lambda: plots.signals_by_layer({"net": SIGNALS}, quantities=["weight"], title="A net"),
    "six_curves": lambda: plots.six_curves(PANELS),
    "stacked_bars": lambda: plots.stacked_bars(BARS, title="Shares"),
    "stage_table": lambda: plots.stage_table(side=64, depth=18, width=16),
    "tensor_shapes": lambda: plots.tensor_shapes([(), (2, 3), (2, 2, 3, 4)], title="Shapes"),
    "transfer_curves": lambda: plots.transfer_curves(transfer(), title="Few labels"),
    "transfer_grid": lambda: plots.transfer_grid(transfer()),
    "transfer_view": lambda: plots.transfer_view(transfer()),
}


def test_no_figure_is_left_out() -> None:
    assert SAMPLES.keys() == set(plots.__all__) - NOT_FIGURES
    assert [name for name in plots.__all__ if not inspect.getdoc(getattr(plots, name))] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_figure_says_what_it_shows_and_can_be_read(name: str) -> None:
    before = dict(mpl.rcParams)
    figure = SAMPLES[name]()
    assert dict(mpl.rcParams) == before, "the learner's settings are left alone"
    assert isinstance(figure, Figure)
    message = figure.get_suptitle() or figure.axes[0].get_title(loc="left")
    assert bool(message.strip()) or name in WITHOUT_MESSAGE

    png, size = figure._repr_png_()
    assert Image.open(io.BytesIO(png)).width == pytest.approx(2 * size["width"], abs=2), "sharp on any screen"
    assert size["width"] <= 1250

    for way, common in (("x", figure.get_supxlabel()), ("y", figure.get_supylabel())):
        charts = [axes for axes in figure.axes if axes.axison and (axes.lines or axes.containers)]
        ticks = [tick.get_text() for axes in charts for tick in getattr(axes, f"get_{way}ticklabels")()]
        named = any(letter.isalpha() or letter == "%" for text in ticks for letter in text)
        assert common or named or not ticks or any(getattr(axes, f"get_{way}label")() for axes in charts), way
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]  # type: ignore[attr-defined]
    assert min(text.get_fontsize() for text in texts) >= 7  # type: ignore[attr-defined]


#: Of some figures, lines that each panel must have.
LINES: dict[str, tuple[Callable[[], Figure], list[list[list[float]]]]] = {
    "learning_curves": (
        lambda: plots.learning_curves({"a": history(50, 20), "b": history(60, 30)}, title="Two runs"),
        [[[50, 20], [60, 30]], [[55, 25], [65, 35]]],
    ),
    "degradation": (
        lambda: plots.degradation({"plain20": history(9), "plain56": history(60), "resnet56": history(2)}, title="T"),
        [[[9], [14], [60], [65]], [[2], [7]]],
    ),
    "six_curves": (
        lambda: plots.six_curves({key: {"resnet20": history(50, 10)} for key in "ABCDEF"}),
        [[[50, 10], [55, 15]]] * 6,
    ),
    "runs_over": (  # the means, and every run of a few
        lambda: plots.runs_over(RUNS_OVER, title="T", x="depth", y="error (%)"),
        [[[0.3, 0.05], [0.2, 0.4], [0.0, 0.1], [2, 2]]],
    ),
    "signals_by_layer": (
        lambda: plots.signals_by_layer({"net": SIGNALS}, quantities=["weight", "signal"], title="T"),
        [[[5, 0.5, 0.05]], [[1, 0.1, 0.01]]],
    ),
    "errors_without": (  # the last line crosses out what is as bad as guessing
        lambda: plots.errors_without(
            {"plain": {"layer1.0": 80.0, "layer1.1": 90.0}, "residual": {"layer1.0": 20.0, "layer1.1": 5.0}},
            {"plain": 6.0, "residual": 4.0},
            title="T",
        ),
        [[[80, 90], [6, 6], [20, 5], [4, 4], [90, 90]]],
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_go_through_what_was_measured(name: str) -> None:
    draw, expected = LINES[name]
    for axes, wanted in zip(draw().axes, expected, strict=False):
        assert [line for line in wanted if not any(drawn == pytest.approx(line) for drawn in lines(axes))] == []


def test_a_letter_that_no_font_has_is_drawn_without_a_warning() -> None:
    with course_style():
        figure, _ = new_figure(1, 2, title="\U00012345")
    assert figure.png().startswith(b"\x89PNG")
