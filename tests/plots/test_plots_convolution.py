"""Figures of the convolution: the numbers on them are those that PyTorch computes."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch.nn import functional as F

from resnet_edu import plots
from resnet_edu.plots.lesson_01 import filtered

EDGES = torch.tensor([[-1.0, 0.0, 1.0]] * 3)


def shown(axes: Axes) -> np.ndarray:
    """The values of the picture in the axes."""
    return np.asarray(axes.get_images()[0].get_array())


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def corners(axes: Axes) -> list[tuple[float, float, float]]:
    """Left, top and side of each frame."""
    return [(p.get_x(), p.get_y(), p.get_width()) for p in axes.patches if isinstance(p, Rectangle)]


def test_convolution_step_shows_the_output_of_torch_and_marks_where_it_comes_from() -> None:
    image = torch.arange(30.0).view(5, 6) % 7
    figure = plots.convolution_step(image, EDGES, 2, 1)
    left, middle, right = figure.axes
    np.testing.assert_allclose(shown(right), F.conv2d(image[None, None], EDGES[None, None])[0, 0])
    assert texts(left)[:3] == ["0", "1", "2"]
    assert texts(middle) == ["−1", "0", "1"] * 3
    assert corners(left) == [(0.5, 1.5, 3)]
    assert corners(right) == [(0.5, 1.5, 1)]


def test_convolution_step_writes_the_sum_out() -> None:
    image = torch.zeros(4, 4)
    image[1, 2] = 5
    figure = plots.convolution_step(image, EDGES, 0, 0)
    assert figure.get_supxlabel().startswith("0·(−1) + 0·1 + 0·(−1) + 5·1 + 0·(−1) + 0·1 = 5")
    assert plots.convolution_step(image, -EDGES, 0, 0).get_supxlabel().partition(" = ")[2].startswith("(−5)")


@pytest.mark.parametrize("place", [(-1, 0), (0, 3), (2, 0)])
def test_convolution_step_refuses_a_place_outside(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"output is 2×3, so it has no pixel"):
        plots.convolution_step(torch.zeros(4, 5), EDGES, *place)


@pytest.mark.parametrize(
    ("size", "kernel", "padding", "stride"), [(7, 3, 0, 1), (7, 3, 1, 2), (8, 3, 0, 2), (5, 5, 0, 3)]
)
def test_kernel_positions_draws_as_many_places_as_torch_has_outputs(
    size: int, kernel: int, padding: int, stride: int
) -> None:
    places = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), padding=padding, stride=stride).shape[2]
    (axes,) = plots.kernel_positions(size, kernel, padding=padding, stride=stride).axes
    pixels, windows = size + 2 * padding, [c for c in corners(axes) if c[2] == kernel and c[1] > 0]
    assert [left for left, _, _ in windows] == [place * stride for place in range(places)]
    assert len(corners(axes)) == pixels + places
    assert axes.get_title(loc="left").startswith(f"{places} place")
    assert texts(axes).count("0") == 2 * padding
    assert texts(axes).count("not reached") == pixels - (windows[-1][0] + kernel)


def test_kernel_positions_refuses_a_kernel_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"9 pixels does not fit on 5 \+ 2·1"):
        plots.kernel_positions(5, 9, padding=1)


def test_filtered_keeps_the_brightness_unless_the_weights_cancel_out() -> None:
    flat = torch.full((6, 6), 80.0)
    assert torch.allclose(filtered(flat, torch.ones(3, 3)), torch.full((4, 4), 80.0))
    assert torch.allclose(filtered(flat, EDGES), torch.zeros(4, 4))


def test_kernel_effect_shows_photo_kernel_and_result_on_the_scale_that_fits() -> None:
    photo = torch.randint(0, 256, (9, 8), dtype=torch.uint8)
    left, middle, right = plots.kernel_effect(photo, torch.ones(3, 3), name="blur").axes
    np.testing.assert_array_equal(shown(left), photo)
    assert middle.get_title(loc="left") == "blur"
    np.testing.assert_allclose(shown(right), F.avg_pool2d(photo[None].float(), 3, stride=1)[0], rtol=1e-5)
    assert right.get_images()[0].get_clim() == (0, 255)
    balanced = plots.kernel_effect(photo, EDGES).axes[2]
    low, high = balanced.get_images()[0].get_clim()
    assert low == -high < 0
    assert "negative" in balanced.get_xlabel()


def test_a_negative_kernel_shows_the_negative_of_the_photo() -> None:
    photo = torch.randint(0, 256, (5, 5), dtype=torch.uint8)
    minus_identity = torch.zeros(3, 3)
    minus_identity[1, 1] = -1
    np.testing.assert_allclose(shown(plots.kernel_effect(photo, minus_identity).axes[2]), 255.0 - photo[1:-1, 1:-1])


def test_kernel_gallery_stands_each_result_below_its_kernel() -> None:
    photo = torch.randint(0, 256, (7, 7), dtype=torch.uint8)
    figure = plots.kernel_gallery(photo)
    assert isinstance(figure, Figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == list(plots.KERNELS)
    for index, (name, weights) in enumerate(plots.KERNELS.items()):
        row, column = divmod(index, 4)
        assert titles[8 * row + column] == name
        result = shown(figure.axes[8 * row + 4 + column])
        np.testing.assert_allclose(result, filtered(photo, torch.tensor(weights).view(3, 3)), rtol=1e-5)


def test_kernel_gallery_hides_the_places_left_over() -> None:
    figure = plots.kernel_gallery(torch.zeros(7, 7), dict(list(plots.KERNELS.items())[:5]))
    assert sum(axes.axison for axes in figure.axes) == 10


def test_pooling_shows_average_and_maximum() -> None:
    values = torch.tensor([[1, 3, 0, 0], [2, 8, 1, 1], [0, 0, 4, 5], [0, 2, 6, 9]])
    left, average, maximum = plots.pooling(values).axes
    assert texts(average) == ["3.5", "0.5", "0.5", "6"]
    assert texts(maximum) == ["8", "1", "2", "9"]
    assert len(corners(left)) == 4
    assert len({axes.get_images()[0].get_clim() for axes in (left, average, maximum)}) == 1  # one grey scale
