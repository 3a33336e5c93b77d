"""The check of lesson 07 on the bottleneck: 1×1 down, 3×3, 1×1 up, and the identity around them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .block import need_once, need_same, need_shape, randomise
from .expect import Mistake, need_module_class
from .runner import Wrong, check
from .shortcut_parts import (
    ThreeParts,
    Wanted,
    convolutions,
    letters,
    need_convolution,
    need_counts,
    take_shortcut,
    trace_with_shortcut,
)

R = torch.relu
REMEDY = "Where the stride is 2 or the input has not 4 · channels, a 1×1 convolution and a batch norm fit x to F(x)."


def squeeze(p: Any, x: Tensor) -> Tensor:
    """The branch up to the last convolution."""
    return p.conv3(R(p.bn2(p.conv2(R(p.bn1(p.conv1(x)))))))


def bottleneck(p: Any, x: Tensor) -> Tensor:
    """The oracle: H(x) = ReLU(F(x) + shortcut(x))."""
    return R(p.bn3(squeeze(p, x)) + p.shortcut(x))


MISTAKES = (
    Mistake(lambda p, x: R(p.bn3(squeeze(p, x))), "Nothing is added: F(x) alone comes out."),
    Mistake(
        lambda p, x: R(p.bn3(squeeze(p, x))) + p.shortcut(x),
        "You added x after the ReLU. In the paper the ReLU comes after the addition.",
    ),
    Mistake(
        lambda p, x: R(p.bn3(squeeze(p, x) + p.shortcut(x))),
        "You add x before the third batch norm, which then rescales the identity. Add it after.",
    ),
    Mistake(
        lambda p, x: R(p.bn3(squeeze(p, x)) + R(p.shortcut(x))),
        "A ReLU cuts off what the shortcut brings. Add it as it is: the ReLU comes after the addition.",
    ),
    Mistake(lambda p, x: R(p.bn3(squeeze(p, x)) - p.shortcut(x)), "You subtract x. The block is F(x) + x."),
)

#: Orders of the branch that are not c b r c b r c b r, and what to say.
ORDERS = {
    "cbrcbrcb": "The last ReLU is missing: it comes after the addition.",
    "brcbrcbrc": "Batch norm and ReLU come before the convolutions. That is pre-activation; here they follow.",
    "crbcrbcrb": "The ReLUs come before the batch norms. The order is convolution, batch norm, ReLU.",
    "cbcbrcbr": "A ReLU between two of the convolutions is not used.",
    "cbrcbcbr": "A ReLU between two of the convolutions is not used.",
}


@check("07.3 bottleneck")
def check_bottleneck(Bottleneck: Any) -> str:  # noqa: N803 – the learner's class
    """`Bottleneck(in_channels, channels, stride=1)`: 1×1, 3×3 (takes the stride), 1×1 to 4 · channels, + x, ReLU."""
    signature = "Bottleneck(in_channels, channels, stride=1)"
    name = need_module_class(Bottleneck, signature, 16, 4, 2)
    need_module_class(Bottleneck, signature, 16, 4)
    for in_channels, channels, stride in ((16, 4, 1), (6, 4, 1), (24, 6, 2)):
        block = Bottleneck(in_channels, channels, stride)
        called = f"{name}({in_channels}, {channels}, stride={stride})"
        x = torch.randn(3, in_channels, 8, 6)
        out, used = trace_with_shortcut(block, x, name, remedy=REMEDY)
        projected = stride == 2 or in_channels != 4 * channels
        count = 4 if projected else 3
        need_counts(block, counted(called, projected=projected), convolution=count, batch_norm=count, ReLU=3)
        need_once(used)
        shortcut, rest = [], list(used)
        if projected:
            conv = find_projection(block, used, (in_channels, 4 * channels))
            norm, rest = take_shortcut(block, used, conv)
            need_convolution(block, conv, Wanted((in_channels, 4 * channels), 1, stride), role="the shortcut")
            shortcut = [conv, norm]
        need_branch(block, rest, in_channels, channels, stride)
        need_shape(out, (3, 4 * channels, 8 // stride, 6 // stride), x, called)
        randomise(block)
        norms = [part for part in rest if isinstance(block.get_submodule(part), nn.BatchNorm2d)]

        def parts(
            copied: nn.Module,
            convs: Sequence[str] = tuple(convolutions(block, rest)),
            norms: Sequence[str] = norms,
            around: Sequence[str] = shortcut,
        ) -> ThreeParts:
            conv1, conv2, conv3 = map(copied.get_submodule, convs)
            bn1, bn2, bn3 = map(copied.get_submodule, norms)
            return ThreeParts(conv1, bn1, conv2, bn2, nn.Sequential(*map(copied.get_submodule, around)), conv3, bn3)

        need_same(block, parts, bottleneck, MISTAKES, x)
    return "1×1, 3×3, 1×1 and the identity: shapes, values and gradients are right, with and without a projection."


def counted(called: str, *, projected: bool) -> dict[tuple[str, int], str]:
    """What to say to likely numbers of parts."""
    if projected:
        return {
            ("convolution", 3): f"`{called}` changes the shape, and 3 convolutions are not enough. {REMEDY}",
            (
                "batch norm",
                3,
            ): "The block defines 3 batch norms. The convolution on the shortcut is followed by one too.",
            ("ReLU", 4): "The block defines 4 ReLUs. There is none on the shortcut, which only fits x to F(x).",
        }
    return {
        (
            "convolution",
            4,
        ): f"`{called}` keeps the shape, so x needs no projection. Leave it as it is: it costs nothing.",
        ("convolution", 2): f"`{called}` defines 2 convolutions. A bottleneck has three: 1×1, 3×3, 1×1.",
        ("ReLU", 1): "The block defines 1 ReLU. Each of its three uses needs one of its own.",
    }


def find_projection(block: nn.Module, used: Sequence[str], channels: tuple[int, int]) -> str:
    """The convolution that leads from all the channels of the input to all those of the output.

    Raises:
        Wrong: there is none, or it is not used.
    """
    for part, module in block.named_modules():
        if isinstance(module, nn.Conv2d) and (module.in_channels, module.out_channels) == channels:
            if part not in used:
                raise Wrong(f"`{part}` is defined and not used in `forward`.")
            return part
    raise Wrong(f"No convolution leads from {channels[0]} to {channels[1]} channels, as the shortcut's must.")


def need_branch(block: nn.Module, rest: Sequence[str], in_channels: int, channels: int, stride: int) -> None:
    """Convolution, batch norm, ReLU, three times, with the right convolutions.

    Raises:
        Wrong: another order, or a convolution that differs.
    """
    order = letters(block, rest)
    if order != "cbrcbrcbr":
        raise Wrong(
            ORDERS.get(order, "On the branch: convolution, batch norm, ReLU, twice, then convolution, batch norm.")
        )
    conv1, conv2, conv3 = convolutions(block, rest)
    why = "The stride sits in the 3×3 convolution: a 1×1 with stride 2 would skip three pixels in four."
    need_convolution(block, conv1, Wanted((in_channels, channels), 1, 1), role="the first convolution", why=why)
    need_convolution(block, conv2, Wanted((channels, channels), 3, stride), role="the second convolution", why=why)
    need_convolution(block, conv3, Wanted((channels, 4 * channels), 1, 1), role="the third convolution", why=why)
