"""Figures of lessons 01 to 04: the numbers on them are those that PyTorch and the probes compute."""

import numpy as np
import pytest
import torch
from drawn import bars, pixels, places, texts, title, titles
from matplotlib.axes import Axes
from oracle import on_meta
from torch import nn
from torch.nn import functional as F

from resnet_edu import plots, probe
from resnet_edu.models import Inception
from resnet_edu.models.googlenet import INCEPTIONS
from resnet_edu.plots.lesson_02 import augmented
from resnet_edu.plots.lesson_03 import rows_of
from resnet_edu.plots.lesson_04 import branches_of

EDGES = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
IMAGE = torch.randint(1, 256, (3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WALK = [
    plots.Stage("input", "", (1, 32, 32), 0),
    plots.Stage("C1", "convolution", (6, 28, 28), 156),
    plots.Stage("S2", "pooling", (6, 14, 14), 0),
    plots.Stage("F", "linear", (10,), 11_770),
]


def frames(axes: Axes) -> list[tuple[float, float, float]]:
    """Left, top and side of each frame."""
    return [(box.get_x(), box.get_y(), box.get_width()) for box in bars(axes)]


def test_one_step_of_a_convolution_is_torchs_and_marks_where_it_comes_from() -> None:
    image = torch.arange(30.0).view(5, 6) % 7
    figure = plots.convolution_step(image, EDGES, 2, 1)
    left, middle, right = figure.axes
    np.testing.assert_allclose(pixels(right), F.conv2d(image[None, None], EDGES[None, None])[0, 0])
    assert (texts(left)[:3], texts(middle)) == (["0", "1", "2"], ["−1", "0", "1"] * 3)
    assert (frames(left), frames(right)) == ([(0.5, 1.5, 3)], [(0.5, 1.5, 1)])
    image = torch.zeros(4, 4)
    image[1, 2] = 5
    said = plots.convolution_step(image, EDGES, 0, 0).get_supxlabel()
    assert said.startswith("0·(−1) + 0·1 + 0·(−1) + 5·1 + 0·(−1) + 0·1 = 5")
    assert plots.convolution_step(image, -EDGES, 0, 0).get_supxlabel().partition(" = ")[2].startswith("(−5)")


@pytest.mark.parametrize(
    ("size", "kernel", "padding", "stride"), [(6, 3, 0, 1), (6, 3, 1, 2), (5, 2, 0, 2), (4, 4, 0, 3)]
)
def test_a_kernels_places_are_those_of_a_convolution(size: int, kernel: int, padding: int, stride: int) -> None:
    image, weight = torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel)
    count = F.conv2d(image, weight, padding=padding, stride=stride).shape[2]
    (axes,) = plots.kernel_places([(size, kernel, padding, stride)], title="Places").axes
    assert title(axes).endswith(f"{count}×{count} positions")
    assert sum(len(places(line)) for line in axes.lines) == count**2
    assert texts(axes).count("0") == (size + 2 * padding) ** 2 - size**2
    *_, first, last = frames(axes)
    assert (first[2], last[2]) == (kernel, kernel)
    assert last[0] - first[0] == (count - 1) * stride


def test_a_kernel_over_channels_adds_up_its_slices() -> None:
    image, kernel = torch.randint(0, 5, (2, 5, 4)).float(), torch.randint(-2, 3, (2, 3, 3)).float()
    panels = plots.convolution_over_channels(image, kernel, 2.0, 0, 0).axes
    wanted = F.conv2d(image[None], kernel[None], torch.tensor([2.0]))[0, 0]
    np.testing.assert_allclose(pixels(panels[-1]), wanted, atol=1e-5)
    np.testing.assert_allclose(pixels(panels[2]) + pixels(panels[6]) + 2, wanted, atol=1e-5)


def test_patches_as_columns_show_the_convolution() -> None:
    image, kernel = torch.randint(0, 9, (3, 4)), torch.randint(-2, 3, (2, 2))
    product = pixels(plots.patches_as_columns(image, kernel).axes[3])
    wanted = F.conv2d(image[None, None].float(), kernel[None, None].float()).flatten()
    np.testing.assert_allclose(product[0], wanted, atol=1e-5)


def test_a_kernels_effect_is_shown_on_the_scale_that_fits() -> None:
    photo = torch.randint(0, 256, (9, 8), dtype=torch.uint8)
    left, _, right = plots.kernel_effect(photo, torch.ones(3, 3)).axes
    np.testing.assert_array_equal(pixels(left), photo)
    np.testing.assert_allclose(pixels(right), F.avg_pool2d(photo[None].float(), 3, stride=1)[0], rtol=1e-5)
    assert right.get_images()[0].get_clim() == (0, 255)
    balanced = plots.kernel_effect(photo, EDGES).axes[2]
    low, high = balanced.get_images()[0].get_clim()
    assert low == -high < 0
    assert "negative" in balanced.get_xlabel()
    negative = plots.kernel_effect(photo, -F.pad(torch.ones(1, 1), (1, 1, 1, 1))).axes[2]
    np.testing.assert_allclose(pixels(negative), 255.0 - photo[1:-1, 1:-1])


def test_the_walk_draws_each_map_to_scale_from_left_to_right() -> None:
    assert [(stage.size, stage.text) for stage in WALK] == [
        (1024, "32×32"), (4704, "6@28×28"), (1176, "6@14×14"), (10, "10")
    ]  # fmt: skip
    digit = torch.randint(0, 256, (32, 32), dtype=torch.uint8)
    (axes,) = plots.network_walk(WALK, digit, title="A walk").axes
    np.testing.assert_array_equal(pixels(axes), digit)
    assert axes.get_images()[0].get_extent() == [0, 32, -16, 16], "the image fills the first stage"
    assert [box.get_width() for box in bars(axes)] == [32] + [28] * 6 + [14] * 6 + [3]
    assert {"156", "11,770", "C1\n6@28×28\n4,704 numbers"} <= set(texts(axes))
    assert "0" not in texts(axes), "pooling has no parameters, so nothing is written"
    spans: dict[float, list[float]] = {}
    for box in bars(axes):
        spans.setdefault(box.get_width(), []).extend([box.get_x(), box.get_x() + box.get_width()])
    edges = [edge for span in spans.values() for edge in (min(span), max(span))]
    assert edges == sorted(edges), "no stage overlaps the next"


def test_views_are_moved_and_mirrored_and_one_control_changes_one_thing() -> None:
    mirrored = augmented(IMAGE, padding=0, flip=True, seed=0, count=20)
    assert {torch.equal(view, IMAGE) for view in mirrored} == {True, False}
    assert all(torch.equal(view, IMAGE) or torch.equal(view, IMAGE.flip(2)) for view in mirrored)
    moved = augmented(IMAGE, padding=4, flip=False, seed=0, count=20)
    assert 0 < (moved == 0).float().mean() < 1 - (16 / 20) ** 2, "black comes in"
    assert len({tuple(view.flatten().tolist()) for view in moved}) > 15
    plain, flipped = (augmented(IMAGE, padding=4, flip=flip, seed=5) for flip in (False, True))
    assert all(torch.equal(a, b) or torch.equal(a.flip(2), b) for a, b in zip(plain, flipped, strict=True))
    assert not torch.equal(augmented(IMAGE, padding=4, flip=False, seed=6), plain)


def test_photos_stand_beside_the_map_that_varies_most() -> None:
    maps = torch.zeros(3, 5, 5)
    maps[1] = torch.arange(25.0).view(5, 5)
    figure = plots.photos_and_maps({"cat": IMAGE}, {"conv1": [maps]}, title="Maps")
    photo, best = figure.axes
    np.testing.assert_array_equal(pixels(photo), IMAGE.permute(1, 2, 0))
    np.testing.assert_array_equal(pixels(best), maps[1])
    assert titles(figure) == ["the photo", "conv1\n1 of 3 maps, 5×5"]


def stack(*, kernel: int = 3, layers: int = 3, first_stride: int = 1, pool_every: int = 0) -> nn.Sequential:
    net = nn.Sequential()
    for index in range(1, layers + 1):
        net.append(nn.Conv2d(1, 1, kernel, stride=first_stride if index == 1 else 1))
        if pool_every and index % pool_every == 0:
            net.append(nn.MaxPool2d(2))
    return net


@pytest.mark.parametrize("setting", [{"layers": 4, "pool_every": 2}, {"kernel": 5, "first_stride": 2}, {"kernel": 1}])
def test_windows_grow_as_the_probe_says(setting: dict[str, int]) -> None:
    rows = rows_of(**setting)
    fields = probe.receptive_field(stack(**setting), (1, rows[-1].size, rows[-1].size))
    assert [(row.size, row.jump) for row in rows[1:]] == [(field.size, field.jump) for field in fields]


def test_each_channel_is_a_hill_where_its_values_lie() -> None:
    maps = torch.stack([torch.full((2, 3, 3), value) for value in (4.0, -2.0)], dim=1)
    (axes,) = plots.channel_values({"before": maps}, title="Batch norm").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["channel 2", "channel 1"]
    for hill, value, base in zip(axes.collections, (4.0, -2.0), (1, 0), strict=True):
        corners = np.asarray(hill.get_paths()[0].vertices)
        highest = corners[corners[:, 1] > base + 0.5, 0]
        assert highest.min() <= value <= highest.max()
        assert highest.max() - highest.min() < 0.2


def test_bars_are_the_layers_parameters_numbers_and_multiply_adds() -> None:
    costs = probe.summary(on_meta("vgg16"), (3, 224, 224))
    names = list(plots.named_layers(costs))
    assert names[:5] == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    assert (names[-4:], len(names)) == (["conv5_3", "fc6", "fc7", "fc8"], 16)
    figure = plots.layer_costs(costs, title="Costs")
    widths = [[bar.get_width() for bar in bars(axes)] for axes in figure.axes]
    np.testing.assert_allclose([sum(values) for values in widths], [138.357544, 13.556_712, 15.47026432], rtol=1e-6)
    assert widths[0][13] == pytest.approx(102.764544)
    assert titles(figure) == [f"linear layers: {share} %" for share in ("89", "0.07", "0.8")]
    bottom, top = figure.axes[0].get_ylim()
    assert top < bottom, "the first layer stands at the top"


@pytest.mark.parametrize("name", INCEPTIONS)
def test_the_channel_budget_is_that_of_the_real_block(name: str) -> None:
    sizes = INCEPTIONS[name]
    branches, block = branches_of(sizes, kernel=3), Inception(*sizes)  # 3×3, as in the package
    counted = probe.summary(block, (sizes[0], 14, 14))
    assert 1e3 * branches.weights == pytest.approx(counted.macs / 14**2)
    assert sum(branches.channels) == block(torch.zeros(1, sizes[0], 3, 3)).shape[1]
