"""Figures of lesson 04: inception blocks and their budget, the first layer's gradient, the votes of the pixels."""

import numpy as np
import pytest
import torch
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from resnet_edu import plots, probe
from resnet_edu.models import Inception
from resnet_edu.models.googlenet import INCEPTIONS
from resnet_edu.plots.lesson_04 import branches_of


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_block_is_drawn_with_its_kernels_channels_and_cost() -> None:
    figure = plots.inception_diagrams({"3a": Inception(*INCEPTIONS["3a"])}, in_channels=192, side=28, title="Block")
    written = texts(figure)
    assert written.count("max pool\n3×3") == 1
    assert "3×3, 128\n86.7 M" in written
    assert "1×1, 96\n14.5 M" in written
    assert written[-1] == "stacked: 256 channels"
    assert written[0] == "x: 192 channels, 28×28"
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 6 + 1 + 1  # convolutions, pooling, stack
    assert figure.get_suptitle() == "Block"


def test_a_block_without_reductions_is_drawn_as_it_is() -> None:
    naive = nn.Module()
    naive.branch1, naive.branch2 = nn.Conv2d(8, 3, 1), nn.MaxPool2d(3, 1, 1)
    written = texts(plots.inception_diagrams({"naive": naive}, in_channels=8, side=10, title=""))
    assert written[-1] == "stacked: 11 channels"
    assert "3×3, 3" not in "".join(written)


@pytest.mark.parametrize("name", INCEPTIONS)
def test_the_budget_is_that_of_the_real_block(name: str) -> None:
    sizes = INCEPTIONS[name]
    branches = branches_of(*sizes, kernel=3)  # as in the package
    block = Inception(*sizes)
    counted = probe.summary(block, (sizes[0], 14, 14))
    convolutions = sum(module.weight.numel() for module in block.modules() if isinstance(module, nn.Conv2d))
    assert sum(branch.reducing + branch.large for branch in branches) == convolutions == counted.macs / 14**2
    assert sum(branch.channels for branch in branches) == block(torch.zeros(1, sizes[0], 3, 3)).shape[1]


def test_the_explorers_figure_draws_its_state() -> None:
    figure = plots.channel_budget(three_reduced=8, kernel=5, side=10)
    costs, channels = figure.axes
    reducing = [bar.get_width() for bar in costs.containers[1]]
    large = [bar.get_width() for bar in costs.containers[2]]
    naive = [bar.get_width() for bar in costs.containers[0]]
    np.testing.assert_allclose(reducing, [0, 192 * 8 / 1e3, 192 * 16 / 1e3, 0])
    np.testing.assert_allclose(large, [192 * 64 / 1e3, 9 * 8 * 128 / 1e3, 25 * 16 * 32 / 1e3, 192 * 32 / 1e3])
    np.testing.assert_allclose(naive, [192 * 64 / 1e3, 9 * 192 * 128 / 1e3, 25 * 192 * 32 / 1e3, 0])
    assert [bar.get_height() for container in channels.containers for bar in container] == [
        64, 64, 128, 128, 32, 32, 32, 192,
    ]  # fmt: skip
    weights = round(1e3 * (sum(reducing) + sum(large)))
    assert figure.get_suptitle() == f"{weights:,} weights, {weights / 1e4:.0f} M multiply-adds, 192 → 256 channels"


def test_the_kernel_of_the_third_branch_is_named_and_counted() -> None:
    five, three = (plots.channel_budget(kernel=kernel).axes[0] for kernel in (5, 3))
    assert [label.get_text() for label in three.get_yticklabels()] == ["1×1", "3×3", "3×3 (third)", "pooling"]
    wide, narrow = (list(axes.containers[2])[2] for axes in (five, three))
    assert isinstance(wide, Rectangle)
    assert isinstance(narrow, Rectangle)
    assert wide.get_width() / narrow.get_width() == pytest.approx(25 / 9)


def test_the_twin_holds_the_nine_blocks() -> None:
    figure = plots.channel_budget_grid()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.split(" · ")[0] for title in titles] == list(INCEPTIONS)
    assert titles[0] == "3a · 28×28 · 128 M"
    ends = [bar.get_x() + bar.get_width() for bar in figure.axes[-1].containers[1]]
    assert max(ends) * 1e3 == pytest.approx(832 * 192 + 9 * 192 * 384)


def test_a_pair_of_points_for_each_seed() -> None:
    norms = {"one": ([1e-3, 2e-3], [1e-1, 2e-1]), "two": ([1.0, 2.0], [3.0, 4.0])}
    (axes,) = plots.gradient_with_and_without(norms, title="Heads").axes
    points = [line for line in axes.lines if line.get_marker() in ("s", "o")]
    drawn = {(line.get_marker(), float(np.asarray(line.get_ydata())[0])) for line in points}
    assert drawn == {("s", 1e-3), ("s", 2e-3), ("o", 1e-1), ("o", 2e-1), ("s", 1.0), ("s", 2.0), ("o", 3.0), ("o", 4.0)}
    assert axes.get_yscale() == "log"
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["without heads", "with heads"]


def test_votes_share_one_scale_around_zero() -> None:
    maps = {"3": torch.tensor([[1.0, -4.0]]), "7": torch.tensor([[2.0, 0.0]])}
    figure = plots.votes(torch.zeros(4, 8), maps, title="Votes")
    assert [axes.get_title(loc="center") for axes in figure.axes[:3]] == ["image", "votes for 3", "votes for 7"]
    for axes, values in zip(figure.axes[1:3], maps.values(), strict=True):
        assert axes.images[0].get_clim() == (-4, 4)
        np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), values.numpy())
