"""The checks of lesson 07 on the two blocks of ResNet-18 and 34: identity block and projection block."""

from typing import Any

import torch
from torch import Tensor, nn

from .block import Parts, need_once, need_same, need_shape, randomise
from .expect import Mistake, need_module_class
from .lesson_06_plain import ORDERS
from .lesson_06_repair import REPAIR_MISTAKES, branch
from .runner import Wrong, check
from .shortcut_parts import (
    Wanted,
    convolutions,
    letters,
    need_convolution,
    need_counts,
    take_shortcut,
    trace_with_shortcut,
)

R = torch.relu


def residual(p: Parts, x: Tensor) -> Tensor:
    """The oracle: H(x) = ReLU(F(x) + shortcut(x))."""
    return R(branch(p, x) + p.shortcut(x))


PROJECTION_COUNTS = {
    ("convolution", 2): (
        "The block defines 2 convolutions, those of the branch. x has other channels than F(x): it needs a third, on "
        "the shortcut."
    ),
    ("batch norm", 2): "The block defines 2 batch norms. The convolution on the shortcut is followed by one too.",
    ("ReLU", 3): "The block defines 3 ReLUs. There is none on the shortcut, which only fits x to F(x).",
    ("ReLU", 1): "The block defines 1 ReLU. It needs 2 modules: one inside the branch, one after the addition.",
}

PROJECTION_MISTAKES = (
    Mistake(
        lambda p, x: R(branch(p, x) + R(p.shortcut(x))),
        "A ReLU cuts off what the shortcut brings. Add it as it is: the ReLU comes after the addition.",
    ),
    *(mistake for mistake in REPAIR_MISTAKES if "Nothing is added" not in mistake.message),
)


@check("07.2 projection block")
def check_projection_block(ProjectionBlock: Any) -> str:  # noqa: N803 – the learner's class
    """`ProjectionBlock(in_channels, channels, stride=2)`: the basic block with 1×1 and batch norm around it."""
    signature = "ProjectionBlock(in_channels, channels, stride=2)"
    name = need_module_class(ProjectionBlock, signature, 4, 8, 2)
    need_module_class(ProjectionBlock, signature, 4, 8)
    for in_channels, channels, stride in ((4, 8, 2), (3, 7, 1)):
        block = ProjectionBlock(in_channels, channels, stride)
        x = torch.randn(3, in_channels, 8, 6)
        remedy = "Send x through the shortcut's convolution, which has the same channels and stride as the branch."
        out, used = trace_with_shortcut(block, x, name, remedy=remedy)
        need_counts(block, PROJECTION_COUNTS, convolution=3, batch_norm=3, ReLU=2)
        need_once(used)
        shortcut = find_shortcut(block, used)
        shortcut_norm, rest = take_shortcut(block, used, shortcut)
        order = letters(block, rest)
        if order != "cbrcbr":
            raise Wrong(ORDERS.get(order, "On the branch: convolution, batch norm, ReLU, convolution, batch norm."))
        conv1, conv2 = convolutions(block, rest)
        around, first = Wanted((in_channels, channels), 1, stride), Wanted((in_channels, channels), 3, stride)
        need_convolution(block, conv1, first, role="the first convolution")
        need_convolution(block, conv2, Wanted((channels, channels), 3, 1), role="the second convolution")
        need_convolution(block, shortcut, around, role="the shortcut")
        wanted = (3, channels, 8 // stride, 6 // stride)
        need_shape(out, wanted, x, f"{name}({in_channels}, {channels}, stride={stride})")
        randomise(block)
        norms = [part for part in rest if isinstance(block.get_submodule(part), nn.BatchNorm2d)]
        names = (conv1, norms[0], conv2, norms[1], shortcut, shortcut_norm)

        def parts(copied: nn.Module, names: tuple[str, ...] = names) -> Parts:
            *four, conv, norm = map(copied.get_submodule, names)
            return Parts(*four, shortcut=nn.Sequential(conv, norm))

        need_same(block, parts, residual, PROJECTION_MISTAKES, x)
    return "ReLU(F(x) + projection of x): shapes, values and gradients are right, in train and in eval mode."


def find_shortcut(block: nn.Module, used: list[str]) -> str:
    """The name of the 1×1 convolution.

    Raises:
        Wrong: one of the three convolutions is not used, or not exactly one of them is 1×1.
    """
    convs = convolutions(block, used)
    if len(convs) < 3:
        unused = [n for n, m in block.named_modules() if isinstance(m, nn.Conv2d) and n not in used]
        raise Wrong(f"`{unused[0]}` is defined and not used in `forward`.")
    small = [part for part in convs if getattr(block.get_submodule(part), "kernel_size", None) == (1, 1)]
    if len(small) != 1:
        raise Wrong(
            f"{len(small)} of the three convolutions are 1×1; expected one, on the shortcut. A 1×1 convolution mixes "
            "channels and looks at no neighbours; the two of the branch are 3×3."
        )
    return small[0]
