"""Figures of lesson 03 on receptive fields: sizes, dots and frames are those of the probe and of the gradient."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Polygon, Rectangle
from oracle import measured_receptive_field
from torch import nn

from resnet_edu import plots, probe
from resnet_edu.plots.lesson_03 import MOST_DOTS, SETTINGS, conv_stack, rows_of

PHOTO = torch.full((3, 64, 64), 128, dtype=torch.uint8)


@pytest.mark.parametrize(
    "setting",
    [{}, {"kernel": 5, "layers": 2, "first_stride": 2}, {"kernel": 3, "layers": 4, "pool_every": 2}, {"kernel": 1}],
)
def test_rows_count_what_the_gradient_finds(setting: dict[str, int]) -> None:
    net = conv_stack(**setting)
    rows = rows_of(net)
    needed = rows[0].needed
    assert needed == rows[-1].field.size
    assert rows[-1].needed == 1
    measured = measured_receptive_field(net, (1, needed + 2, needed + 2), position=(0, 0))
    assert measured.rows == (0, needed - 1)
    assert [row.field for row in rows[1:]] == probe.receptive_field(net, (1, needed, needed))


def test_the_stack_has_the_layers_of_its_setting() -> None:
    net = conv_stack(kernel=5, layers=4, first_stride=2, pool_every=2)
    kinds = [type(module) for module in net]
    assert kinds == [nn.Conv2d, nn.Conv2d, nn.MaxPool2d, nn.Conv2d, nn.Conv2d, nn.MaxPool2d]
    assert [module.stride for module in net if isinstance(module, nn.Conv2d)] == [(2, 2), (1, 1), (1, 1), (1, 1)]


def test_growth_draws_a_row_of_dots_and_a_window_a_layer() -> None:
    figure = plots.receptive_growth(PHOTO, kernel=3, layers=3)
    left, right = figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in left.lines] == [7, 5, 3, 1]
    assert len([patch for patch in left.patches if isinstance(patch, Polygon)]) == 3
    assert [text.get_text() for text in left.texts] == ["sees 3, jump 1", "sees 5, jump 1", "sees 7, jump 1"]
    assert [text.get_text() for text in left.get_yticklabels()] == ["image", "conv 3×3", "conv 3×3", "conv 3×3"]
    assert [patch.get_width() for patch in right.patches if isinstance(patch, Rectangle)] == [3, 5, 7]
    assert figure.get_suptitle() == "One number sees 7×7 pixels; its neighbour's window lies 1 pixel on"
    assert right.get_title(loc="left") == "on a photo of 64×64"


def test_growth_keeps_places_in_pixels_of_the_image() -> None:
    left, _ = plots.receptive_growth(PHOTO, kernel=3, layers=2, pool_every=1).axes
    by_row = [np.asarray(line.get_xdata()).tolist() for line in left.lines]
    assert by_row[-1] == [0]
    assert by_row[-2] == [-1, 1], "two numbers of jump 2 go into the last pooling"
    assert by_row[0] == [x - 4.5 for x in range(10)]


def test_what_is_too_much_becomes_a_bar_and_what_is_too_large_is_said() -> None:
    left, right = plots.receptive_growth(PHOTO, kernel=11, layers=8, first_stride=4, pool_every=1).axes
    rows = rows_of(conv_stack(kernel=11, layers=8, first_stride=4, pool_every=1))
    assert rows[0].needed > 2048 > MOST_DOTS
    assert len(np.asarray(left.lines[0].get_xdata())) == 2
    assert right.get_title(loc="left") == "larger than a photo of 64×64"


def test_a_grey_photo_will_do() -> None:
    assert len(plots.receptive_growth(PHOTO[0]).axes[1].images) == 1


def test_the_grid_shows_every_setting() -> None:
    figure = plots.receptive_growth_grid()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"{name}: {rows_of(conv_stack(**s))[-1].field.size} pixels" for name, s in SETTINGS.items()]
    assert titles[:2] == ["one 5×5: 5 pixels", "two 3×3: 5 pixels"]


def test_seen_pixels_frames_what_is_not_zero() -> None:
    map_of = torch.zeros(9, 9)
    map_of[2:7, 3:8] = 0.5
    figure = plots.seen_pixels({"net": map_of, "other": torch.eye(9)}, title="Seen")
    first, second = figure.axes[:2]
    assert first.get_title(loc="left") == "net\n5×5 pixels"
    assert second.get_title(loc="left") == "other\n9×9 pixels"
    (drawn,) = first.patches
    assert isinstance(drawn, Rectangle)
    assert (drawn.get_xy(), drawn.get_width()) == ((2.5, 1.5), 5)
    assert np.asarray(first.images[0].get_array()).max() == 1
