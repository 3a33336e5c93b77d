"""Figures of lesson 07 on blocks: drawn from the modules, and errors without each of them."""

import numpy as np
from matplotlib.patches import FancyBboxPatch
from torch import nn

from resnet_edu import plots
from resnet_edu.models import BasicBlock, Bottleneck, PlainBlock, PreActBlock, ResidualBlock
from resnet_edu.plots.lesson_07 import block_parts
from resnet_edu.plots.style import PLAIN, RESIDUAL


def kinds(modules: list[nn.Module]) -> str:
    return "".join(type(module).__name__[0] for module in modules)


def test_parts_are_told_apart_by_running_the_block() -> None:
    assert (kinds(block_parts(PlainBlock(4, 4))[0]), block_parts(PlainBlock(4, 4))[1]) == ("CBRCBR", None)
    branch, around = block_parts(BasicBlock(4, 8, 2))
    assert (kinds(branch), kinds(around or [])) == ("CBRCBR", "CB")
    assert block_parts(ResidualBlock(4, 4))[1] == []
    assert kinds(block_parts(ResidualBlock(4, 8, 2))[1] or []) == "P"
    assert kinds(block_parts(PreActBlock(4, 4))[0]) == "BRCBRC"


def test_diagram_has_a_box_for_each_module_and_an_addition_for_each_shortcut() -> None:
    blocks = {"plain": PlainBlock(4, 4), "neck": Bottleneck(8, 4, 2), "pre": PreActBlock(4, 4)}
    figure = plots.block_diagrams(blocks, title="Blocks")
    boxes = [sum(isinstance(patch, FancyBboxPatch) for patch in axes.patches) for axes in figure.axes]
    assert boxes == [6, 9, 6]
    written = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert ["+" in words for words in written] == [False, True, True]
    assert "3×3, 4, /2" in written[1]
    assert "1×1, 16, /2\nbatch norm" in written[1]
    assert "identity" in written[2]
    assert [axes.get_title() for axes in figure.axes] == list(blocks)
    assert figure.get_suptitle() == "Blocks"


def test_the_addition_stands_before_a_last_relu_and_last_of_all_without() -> None:
    post, pre = plots.block_diagrams({"2015": BasicBlock(4, 4), "2016": PreActBlock(4, 4)}, title="").axes
    rows = [next(-text.get_position()[1] for text in axes.texts if text.get_text() == "+") for axes in (post, pre)]
    assert rows == [6, 7]


def test_errors_without_a_block_are_drawn_by_network_with_the_whole_net_dashed() -> None:
    removed = {"plain": {"layer1.0": 80.0, "layer1.1": 90.0}, "residual": {"layer1.0": 20.0, "layer1.1": 5.0}}
    (axes,) = plots.errors_without(removed, {"plain": 6.0, "residual": 4.0}, title="Loss").axes
    plain, plain_whole, residual, residual_whole, guessing = axes.lines
    assert np.asarray(plain.get_ydata()).tolist() == [80, 90]
    assert np.asarray(residual.get_ydata()).tolist() == [20, 5]
    assert (plain.get_color(), residual.get_color()) == (PLAIN, RESIDUAL)
    levels = [np.asarray(line.get_ydata())[0] for line in (plain_whole, residual_whole, guessing)]
    assert levels == [6, 4, 90]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1.0", "1.1"]
    assert axes.get_title(loc="left") == "Loss"
