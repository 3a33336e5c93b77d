"""Figures of lesson 02: augmented views, the gap of training and test error, local response normalisation."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle
from torch import Tensor

from resnet_edu import plots
from resnet_edu.plots.lesson_02 import views
from resnet_edu.plots.style import CourseFigure


@pytest.fixture
def image() -> Tensor:
    return torch.randint(1, 256, (3, 20, 20), dtype=torch.uint8)


def shown(axes: Axes) -> Tensor:
    return torch.from_numpy(np.array(axes.get_images()[0].get_array()))


def test_without_options_every_view_is_the_image(image: Tensor) -> None:
    assert (views(image, padding=0, flip=False, seed=3) == image).all()
    figure = plots.augmented_views(image, padding=0, flip=False)
    assert all(torch.equal(shown(axes), image.permute(1, 2, 0)) for axes in figure.axes)
    assert "Nothing changes" in figure.get_suptitle()


def test_a_flip_alone_shows_the_image_or_its_mirror(image: Tensor) -> None:
    kinds = {bool((view == image).all()) for view in views(image, padding=0, flip=True, seed=0, count=20)}
    assert kinds == {True, False}
    for view in views(image, padding=0, flip=True, seed=0, count=20):
        assert torch.equal(view, image) or torch.equal(view, image.flip(2))


def test_a_crop_moves_the_image_and_lets_black_in(image: Tensor) -> None:
    batch = views(image, padding=4, flip=False, seed=0, count=20)
    black = (batch == 0).flatten(1).float().mean(dim=1)
    assert 0 < black.mean() < 1 - (16 / 20) ** 2
    assert len({tuple(view.flatten().tolist()) for view in batch}) > 15


def test_one_control_changes_one_thing(image: Tensor) -> None:
    plain, flipped = (views(image, padding=4, flip=flip, seed=5) for flip in (False, True))
    same = [torch.equal(a, b) or torch.equal(a.flip(2), b) for a, b in zip(plain, flipped, strict=True)]
    assert all(same)
    assert not torch.equal(views(image, padding=4, flip=False, seed=6), plain)


@pytest.mark.parametrize(("padding", "flip", "count"), [(16, True, "2,178"), (1, False, "9"), (0, True, "2")])
def test_the_title_counts_the_images_one_stands_for(image: Tensor, padding: int, flip: bool, count: str) -> None:
    figure = plots.augmented_views(image, padding=padding, flip=flip)
    assert figure.get_suptitle() == f"One image stands for {count}"


def test_the_grid_has_three_rows_an_image_and_begins_each_with_the_image(image: Tensor) -> None:
    figure = plots.augmentation_grid({"photo": image, "digit": image[:1]}, columns=4)
    assert len(figure.axes) == 6 * 5
    assert [figure.axes[5 * row].get_ylabel() for row in (0, 1, 5)] == [
        "photo\ncrop",
        "photo\nflip",
        "digit\ncrop and flip",
    ]
    for row in range(3):
        assert torch.equal(shown(figure.axes[5 * row]), image.permute(1, 2, 0))
    assert isinstance(figure, CourseFigure)


def test_train_and_test_draws_two_dots_and_the_gap_between_them() -> None:
    runs = {"bare": (1.0, 11.5), "crop": (4.0, 7.0)}
    figure = plots.train_and_test(runs, title="A gap", quantity="error (%)")
    (axes,) = figure.axes
    dots = [np.asarray(c.get_offsets()).tolist()[0] for c in axes.collections if isinstance(c, PathCollection)]
    assert dots == [[1.0, 0.0], [11.5, 0.0], [4.0, 1.0], [7.0, 1.0]]
    assert [text.get_text() for text in axes.texts] == ["gap 10.50", "gap 3.00"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["bare", "crop"]
    assert axes.get_xlabel() == "error (%)"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "from top to bottom"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training images", "test images"]


def test_response_normalisation_draws_the_activations_and_every_divisor() -> None:
    figure = plots.response_normalisation([0.1, 1, 0.5], {"small": [2, 2, 2], "large": [2, 4, 3]}, title="LRN")
    heights = [[bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)] for axes in figure.axes]
    assert heights == [[0.1, 1, 0.5], [2, 2, 2], [2, 4, 3]]
    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == ["small", "large"]
    assert figure.axes[1].get_ylim() == figure.axes[2].get_ylim(), "comparable"
