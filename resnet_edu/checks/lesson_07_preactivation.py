"""The check of lesson 07 on the pre-activation block of 2016: batch norm and ReLU first, nothing after the addition."""

from typing import Any

import torch
from torch import Tensor, nn

from .block import Parts, need_once, need_same, need_shape, randomise, trace
from .expect import Mistake, need_module_class
from .lesson_06_plain import need_paper_convolutions, need_two_of_each
from .runner import Wrong, check
from .shortcut_parts import convolutions, letters

R = torch.relu


def branch(p: Parts, x: Tensor) -> Tensor:
    """F(x): batch norm, ReLU, convolution, twice."""
    return p.conv2(R(p.bn2(p.conv1(R(p.bn1(x))))))


MISTAKES = (
    Mistake(branch, "Nothing is added: F(x) alone comes out."),
    Mistake(
        lambda p, x: branch(p, x) + R(p.bn1(x)),
        "You add x after its batch norm and ReLU. Keep x as it came in: nothing may stand on the shortcut.",
    ),
    Mistake(
        lambda p, x: branch(p, x) + p.bn1(x),
        "You add x after its batch norm. Keep x as it came in: the shortcut carries it unscaled.",
    ),
    Mistake(
        lambda p, x: branch(p, x) + R(x),
        "You add ReLU(x), so negative values are lost on the way. The identity passes as it is.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) + x),
        "A ReLU follows the addition. Here the sum goes on as it is; the next block begins with its own.",
    ),
    Mistake(lambda p, x: branch(p, x) - x, "You subtract x. The block is F(x) + x."),
    Mistake(lambda p, x: 2 * branch(p, x), "You add `out` to itself. What is added is the block's input, x."),
)

#: Orders of conv (c), batch norm (b) and ReLU (r) that are not b r c b r c.
ORDERS = {
    "cbrcbr": "That is the order of 2015: convolution, batch norm, ReLU. Pre-activation begins with the batch norm.",
    "cbrcb": "That is the branch of 2015, without the last ReLU. Pre-activation begins with the batch norm.",
    "rbcrbc": "The ReLU comes before the batch norm. The order is batch norm, ReLU, convolution.",
    "rcbrcb": "ReLU, convolution, batch norm: ReLU-only pre-activation in the paper. The batch norm comes first.",
    "bcbc": "Neither ReLU is used.",
    "rcrc": "Neither batch norm is used.",
    "brcbc": "The second ReLU is not used.",
    "bcbrc": "The first ReLU is not used.",
    "brcrc": "The second batch norm is not used.",
    "rcbrc": "The first batch norm is not used.",
    "bcrbcr": "The ReLUs come after the convolutions. The order is batch norm, ReLU, convolution.",
}


@check("07.5 pre-activation")
def check_preactivation(PreActBlock: Any) -> str:  # noqa: N803 – the learner's class
    """`PreActBlock(channels)`: batch norm, ReLU, convolution, twice, then + x and nothing else."""
    name = need_module_class(PreActBlock, "PreActBlock(channels)", 4)
    for channels in (4, 6):
        block = PreActBlock(channels)
        x = torch.randn(3, channels, 8, 6)
        out, used = trace(block, x, name)
        need_two_of_each(block)
        need_once(used)
        order = letters(block, used)
        if order != "brcbrc":
            raise Wrong(ORDERS.get(order, "The order is batch norm, ReLU, convolution, twice."))
        convs = convolutions(block, used)
        norms = [part for part in used if isinstance(block.get_submodule(part), nn.BatchNorm2d)]
        need_paper_convolutions(block, convs, 1)
        need_shape(out, tuple(x.shape), x, f"{name}({channels})")
        randomise(block)

        def parts(copied: nn.Module, convs: list[str] = convs, norms: list[str] = norms) -> Parts:
            conv1, conv2 = map(copied.get_submodule, convs)
            bn1, bn2 = map(copied.get_submodule, norms)
            return Parts(conv1, bn1, conv2, bn2, nn.Identity())

        need_same(block, parts, lambda p, x: branch(p, x) + x, MISTAKES, x)
    return "F(x) + x with nothing on the shortcut: values and gradients are right, in train and in eval mode."
