"""The picture of a network has what the network has: layers, blocks, sides, shortcuts."""

import pytest
from drawn import pixels, texts, title
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from oracle import on_meta
from torch import nn

from resnet_edu import models, plots
from resnet_edu.models import BasicBlock, Bottleneck, Inception, PlainBlock, PreActBlock, ResidualBlock
from resnet_edu.models.googlenet import INCEPTIONS
from resnet_edu.plots.architecture import SHORTCUTS, WAYS, units_of
from resnet_edu.plots.lesson_07 import block_parts

SMALL = ("lenet5", "plain", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202")


def boxes(axes: Axes) -> list[Polygon]:
    return [patch for patch in axes.patches if isinstance(patch, Polygon)]


@pytest.mark.parametrize("name", [name for name in models.available() if name != "resnet1202"])
def test_every_network_of_the_course_is_drawn_whole(name: str) -> None:
    channels = 1 if name == "lenet5" else 3
    model, side = on_meta(name, in_channels=channels), 32 if name.startswith(SMALL) else 224
    units = units_of(model, (channels, side, side))
    drawn = [layer.kind for unit in units for branch in unit.branches for layer in branch]
    layers = [each for part, each in model.named_modules() if not any(w in part for w in (*SHORTCUTS, "aux"))]
    assert drawn.count("convolution") == sum(isinstance(module, nn.Conv2d) for module in layers)
    assert drawn.count("linear") == sum(isinstance(module, nn.Linear) for module in layers)
    blocks = [module for module in layers if any(hasattr(module, shortcut) for shortcut in SHORTCUTS)]
    assert sum(unit.kind in WAYS for unit in units) == len(blocks)


@pytest.mark.parametrize(("depth", "blocks", "dashed"), [(18, 8, 3), (34, 16, 3), (50, 16, 4), (101, 33, 4)])
def test_a_resnet_has_as_many_boxes_with_weights_as_its_name_says(depth: int, blocks: int, dashed: int) -> None:
    (axes,) = plots.architecture(on_meta(f"resnet{depth}"), (3, 224, 224), title="").axes
    colours = [box.get_facecolor() for box in boxes(axes)]
    assert len(colours) == depth + 2  # and two poolings
    assert len(set(colours)) == 3
    assert [line.get_linestyle() for line in axes.lines].count("--") == dashed
    assert len(axes.lines) == blocks


def test_the_stages_carry_their_side_and_channels() -> None:
    googlenet = on_meta("googlenet")
    (axes,) = plots.architecture(googlenet, (3, 224, 224), title="Nine blocks").axes
    assert title(axes) == "Nine blocks"
    stages = {"112×112\n64 ch.", "28×28\n256–480 ch.", "14×14\n512–832 ch.", "7×7\n832–1,024 ch.", "vector"}
    assert stages <= set(texts(axes))
    assert {"3a", "5b", "1×1", "3×3", "pool", "max pool → 28×28", "average"} <= set(texts(axes))
    inception = [unit for unit in units_of(googlenet, (3, 224, 224)) if len(unit.branches) == 4]
    assert [len(branch) for branch in inception[0].branches] == [1, 2, 2, 2]
    assert (len(inception), inception[0].shape) == (9, (256, 28, 28))


def test_pooling_stands_where_it_happens_and_narrows_and_is_left_out_where_it_does_nothing() -> None:
    units = units_of(on_meta("alexnet"), (3, 224, 224))
    assert [unit.kind for unit in units].count("pooling") == 3, "the average pooling from 6×6 to 6×6 does nothing"
    (pool,) = units[1].branches[0]
    assert (pool.text, pool.before, pool.shape) == ("max pool → 27×27", (64, 55, 55), (64, 27, 27))
    (axes,) = plots.architecture(on_meta("alexnet"), (3, 224, 224), title="").axes
    corners = boxes(axes)[1].get_xy()[:4]
    assert corners[1][1] - corners[0][1] > corners[2][1] - corners[3][1] > 0


def test_what_enters_is_a_picture_or_a_box_and_arrows_lead_on() -> None:
    nets = {"lenet5": (1, 32, 32), "alexnet": (3, 224, 224)}
    for name, shape in nets.items():
        (axes,) = plots.architecture(on_meta(name, in_channels=shape[0]), shape, title="").axes
        assert pixels(axes).ndim == 3 - (shape[0] == 1)
        arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
        assert len(arrows) == len(units_of(on_meta(name, in_channels=shape[0]), shape))
        assert f"{shape[1]}×{shape[2]}\n{shape[0]} ch." in texts(axes)


def test_a_block_of_branches_is_drawn_on_its_own() -> None:
    (axes,) = plots.architecture(Inception(*INCEPTIONS["3a"]), (192, 28, 28), title="3a").axes
    assert {"1×1, 64", "1×1, 96", "3×3, 128", "max pool", "28×28\n192 ch.", "28×28\n256 ch."} <= set(texts(axes))
    assert len(boxes(axes)) == 7


def kinds(modules: list[nn.Module] | None) -> str:
    return "".join(type(module).__name__[0] for module in modules or [])


@pytest.mark.parametrize(
    ("block", "branch", "around"),
    [
        (PlainBlock(4, 4), "CBRCBR", None),
        (BasicBlock(4, 8, 2), "CBRCBR", "CB"),
        (ResidualBlock(4, 4), "CBRCBR", ""),
        (ResidualBlock(4, 8, 2), "CBRCBR", "P"),
        (PreActBlock(4, 4), "BRCBRC", ""),
    ],
)
def test_parts_of_a_block_are_told_apart_by_running_it(block: nn.Module, branch: str, around: str | None) -> None:
    found = block_parts(block)
    assert (kinds(found[0]), found[1] is None) == (branch, around is None)
    assert kinds(found[1]) == (around or "")


def test_a_block_has_a_box_for_each_module_and_an_addition_for_its_shortcut() -> None:
    blocks = {"plain": PlainBlock(4, 4), "neck": Bottleneck(8, 4, 2), "pre": PreActBlock(4, 4)}
    figure = plots.block_diagrams(blocks, title="Blocks")
    assert [sum(isinstance(patch, FancyBboxPatch) for patch in axes.patches) for axes in figure.axes] == [6, 9, 6]
    plain, neck, pre = map(texts, figure.axes)
    assert ["+" in words for words in (plain, neck, pre)] == [False, True, True]
    assert {"3×3, 4, /2", "1×1, 16, /2\nbatch norm"} <= set(neck)
    assert "identity" in pre
    assert figure.get_suptitle() == "Blocks"


def test_the_addition_stands_before_a_last_relu_and_last_of_all_without() -> None:
    post, pre = plots.block_diagrams({"2015": BasicBlock(4, 4), "2016": PreActBlock(4, 4)}, title="").axes
    rows = [next(-text.get_position()[1] for text in axes.texts if text.get_text() == "+") for axes in (post, pre)]
    assert rows == [6, 7]
