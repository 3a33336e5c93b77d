"""The check of lesson 06 on the plain block: convolution, batch norm, ReLU, twice."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .block import ONE_RELU_PER_USE, Parts, need_once, need_same, need_shape, randomise, trace
from .expect import Mistake, need_module_class
from .runner import Wrong, check

R = torch.relu
KINDS: dict[str, type[nn.Module]] = {"conv": nn.Conv2d, "batch norm": nn.BatchNorm2d, "ReLU": nn.ReLU}


def plain(p: Parts, x: Tensor) -> Tensor:
    """The oracle."""
    return R(p.bn2(p.conv2(R(p.bn1(p.conv1(x))))))


PLAIN_MISTAKES = (
    Mistake(
        lambda p, x: R(p.bn2(p.conv2(R(p.bn1(p.conv1(x))))) + x),
        "You add x: this is a residual block already. The plain block has no shortcut.",
    ),
    Mistake(
        lambda p, x: plain(p, x) + x,
        "You add x after the last ReLU. The plain block has no shortcut at all.",
    ),
)

#: Orders of conv (c), batch norm (b) and ReLU (r) that are not c b r c b r.
ORDERS = {
    "crbcrb": "The ReLU comes before the batch norm. The paper's order is convolution, batch norm, ReLU.",
    "brcbrc": "Batch norm and ReLU come before the convolutions. That is the pre-activation of 2016; here they follow.",
    "bcrbcr": "The batch norms come before the convolutions. Each follows its convolution.",
    "cbrcb": "The last ReLU is missing.",
    "cbcbr": "The ReLU between the two halves is missing: without it, two convolutions are no more than one.",
    "cbcb": "Neither ReLU is used.",
    "crcr": "Neither batch norm is used.",
    "cbrcr": "The second batch norm is not used.",
    "crcbr": "The first batch norm is not used.",
    "cbr": "Only the first half is used: convolution, batch norm, ReLU come twice.",
}


@check("06.1 plain block")
def check_plain_block(PlainBlock: Any) -> str:  # noqa: N803 – the learner's class
    """`PlainBlock(in_channels, channels, stride=1)`: convolution, batch norm, ReLU, twice."""
    signature = "PlainBlock(in_channels, channels, stride=1)"
    name = need_module_class(PlainBlock, signature, 4, 8, 2)
    need_module_class(PlainBlock, signature, 4, 8)
    for in_channels, channels, stride in ((4, 4, 1), (4, 8, 2), (3, 5, 1)):
        block = PlainBlock(in_channels, channels, stride)
        x = torch.randn(3, in_channels, 8, 6)
        out, used = trace(block, x, name)
        need_two_of_each(block)
        need_once(used)
        need_order(block, used)
        convs = [part for part in used if isinstance(block.get_submodule(part), nn.Conv2d)]
        norms = [part for part in used if isinstance(block.get_submodule(part), nn.BatchNorm2d)]
        need_paper_convolutions(block, convs, stride)
        called = f"{name}({in_channels}, {channels}, stride={stride})"
        need_shape(out, (3, channels, 8 // stride, 6 // stride), x, called)
        randomise(block)

        def parts(copied: nn.Module, convs: list[str] = convs, norms: list[str] = norms) -> Parts:
            conv1, conv2 = map(copied.get_submodule, convs)
            bn1, bn2 = map(copied.get_submodule, norms)
            return Parts(conv1, bn1, conv2, bn2, nn.Identity())

        need_same(block, parts, plain, PLAIN_MISTAKES, x)
    return "Convolution, batch norm, ReLU, twice; shapes, values and gradients are right, in train and in eval mode."


def need_two_of_each(block: nn.Module) -> None:
    """Two convolutions, two batch norms, two ReLUs that are modules and not in place, and no other parameters.

    Raises:
        Wrong: there are more, or fewer.
    """
    for kind, cls in KINDS.items():
        count = sum(isinstance(module, cls) for module in block.modules())
        if count == 0 and cls is nn.ReLU:
            raise Wrong(
                "There is no `nn.ReLU`. `F.relu` computes the same, but hooks and captum cannot see it: define "
                "`relu1` and `relu2` as modules."
            )
        if count != 2:
            why = ONE_RELU_PER_USE if cls is nn.ReLU and count < 2 else ""
            raise Wrong(f"The block defines {count} × {kind}; it needs 2, one for each half.{why}")
    if any(isinstance(module, nn.ReLU) and module.inplace for module in block.modules()):
        raise Wrong("A ReLU works in place, so it overwrites what the batch norm put out. Leave `inplace` off.")
    known = sum(p.numel() for m in block.modules() if isinstance(m, tuple(KINDS.values())) for p in m.parameters())
    more = sum(parameter.numel() for parameter in block.parameters()) - known
    if more:
        raise Wrong(
            f"The block has {more} parameters besides those of its convolutions and batch norms. It needs none."
        )


def need_order(block: nn.Module, used: Sequence[str]) -> None:
    """Convolution, batch norm, ReLU, convolution, batch norm, ReLU.

    Raises:
        Wrong: another order; names it.
    """
    modules = [block.get_submodule(part) for part in used]
    kinds = [kind for module in modules for kind, cls in KINDS.items() if isinstance(module, cls)]
    letters = "".join(kind[0].lower() for kind in kinds)
    if letters != "cbrcbr":
        otherwise = f"Your order is {', '.join(kinds) or 'empty'}. It should be conv, batch norm, ReLU, twice."
        raise Wrong(ORDERS.get(letters, otherwise))


def need_paper_convolutions(block: nn.Module, convs: Sequence[str], stride: int) -> None:
    """3×3 with padding 1 and without bias; the stride in the first.

    Raises:
        Wrong: one is different.
    """
    for part, wanted in zip(convs, (stride, 1), strict=True):
        conv = block.get_submodule(part)
        assert isinstance(conv, nn.Conv2d)
        if conv.kernel_size != (3, 3):
            raise Wrong(f"`{part}` has a kernel of {conv.kernel_size[0]}×{conv.kernel_size[1]}. The paper's are 3×3.")
        if conv.padding not in ((1, 1), "same"):
            raise Wrong(f"`{part}` has padding {conv.padding}. A 3×3 kernel keeps the side with `padding=1`.")
        if conv.bias is not None:
            raise Wrong(f"`{part}` has a bias, which the batch norm behind it takes off again. Write `bias=False`.")
        if conv.stride != (wanted, wanted):
            raise Wrong(
                f"With stride={stride}, `{part}` has stride {conv.stride[0]}. The first convolution takes the stride, "
                "the second keeps the side."
            )
