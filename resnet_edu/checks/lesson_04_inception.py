"""The check of lesson 04 on the inception block: torchvision's names, four branches of x, stacked."""

import copy
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import Inception
from .block import randomise, run, trace
from .expect import alike, difference, need_module_class
from .runner import Wrong, check

SIGNATURE = "Inception(in_channels, one, three_reduced, three, five_reduced, five, pool)"
SIZES = ((6, 2, 3, 4, 2, 5, 3), (7, 3, 2, 5, 1, 2, 4))
BRANCHES = ("branch1", "branch2", "branch3", "branch4")


@check("04.3 inception block")
def check_inception(Inception: Any) -> str:  # noqa: N803 – the learner's class
    """`Inception(in_channels, one, three_reduced, three, five_reduced, five, pool)` with torchvision's names."""
    name = need_module_class(Inception, SIGNATURE, *SIZES[0])
    for sizes in SIZES:
        block, oracle = Inception(*sizes), right(*sizes)
        x = torch.randn(3, sizes[0], 7, 9)
        out = output(block, x, name)
        need_poolings(block)
        need_channels(out, sizes)
        need_names(block, oracle)
        randomise(oracle)
        block.load_state_dict(oracle.state_dict(), strict=True)
        need_same(block, oracle, x)
    return "Four branches, torchvision's names, the same numbers as the block of the package, in train and eval mode."


def right(*sizes: int) -> Inception:
    """The package's block; its name is taken inside the check."""
    return Inception(*sizes)


def output(block: nn.Module, x: Tensor, name: str) -> Tensor:
    """What the block puts out, with the errors that this exercise provokes explained.

    Raises:
        Wrong: the branches do not fit each other, or x.
    """
    try:
        return trace(block, x, name)[0]
    except RuntimeError as error:
        text = str(error)
        if "Sizes of tensors must match except in dimension 1" in text:
            need_poolings(block)
            raise Wrong(
                "The branches differ in height or width. Every convolution and pooling has to keep both."
            ) from None
        if "Sizes of tensors must match" in text:
            raise Wrong("The branches are stacked along another dimension. The channels are `dim=1`.") from None
        if "must match the size of tensor" in text:
            raise Wrong(
                "You add the branches up. They have different channels and are stacked, with `torch.cat`."
            ) from None
        if "channels, but got" in text:
            raise Wrong(
                "A convolution gets another number of channels than it was built for. All four branches begin with "
                f"x itself, and none gets what another has made. PyTorch says: {text.splitlines()[0]}"
            ) from None
        raise


def need_poolings(block: nn.Module) -> None:
    """One max pooling, 3×3, which keeps the side.

    Raises:
        Wrong: there is another one, or none.
    """
    if any(isinstance(module, nn.AvgPool2d) for module in block.modules()):
        raise Wrong("The fourth branch takes averages. In the paper it is max pooling.")
    for module in block.modules():
        if isinstance(module, nn.MaxPool2d):
            if module.stride not in (1, (1, 1)):
                raise Wrong(
                    f"The max pooling has stride {module.stride}, and PyTorch's default is the kernel's side. Here it "
                    "only looks for the largest neighbour: `stride=1`."
                )
            if module.padding not in (1, (1, 1)):
                raise Wrong(
                    f"The max pooling has padding {module.padding}; a 3×3 window needs `padding=1` to keep the side."
                )


def need_channels(out: Tensor, sizes: tuple[int, ...]) -> None:
    """As many channels as the four branches have together.

    Raises:
        Wrong: more or fewer.
    """
    in_channels, one, _, three, _, five, pool = sizes
    got, wanted = out.shape[1], one + three + five + pool
    if got == wanted - pool + in_channels:
        raise Wrong(
            f"The pooling branch passes on all {in_channels} channels of x. A 1×1 convolution behind the pooling takes "
            "them to `pool` channels; without it each block would be wider than the one before."
        )
    for count, what in ((one, "1×1"), (three, "3×3"), (five, "`five`"), (pool, "pooling")):
        if got == wanted - count:
            raise Wrong(f"{got} channels come out, {count} too few: the {what} branch is not in the stack.")
    if got != wanted:
        raise Wrong(f"{got} channels come out; expected one + three + five + pool = {wanted}.")


def need_names(block: nn.Module, oracle: nn.Module) -> None:
    """The same parameters under the same names, in the same shapes.

    Raises:
        Wrong: a name is missing or has another shape.
    """
    mine, wanted = block.state_dict(), oracle.state_dict()
    for branch in BRANCHES:
        if not any(key.startswith(f"{branch}.") for key in mine):
            raise Wrong(
                f"There is no `{branch}`. Call the branches branch1 to branch4, as torchvision does, or its weights "
                "will not find their place."
            )
    for branch in ("branch2", "branch3"):
        if f"{branch}.conv.weight" in mine:
            raise Wrong(f"`{branch}` is one convolution. A 1×1 convolution that reduces the channels comes before it.")
    if "branch4.0.conv.weight" in mine:
        raise Wrong("`branch4` convolves first and pools then. Pool first: the maximum is taken over x.")
    for key, value in wanted.items():
        if key not in mine:
            raise Wrong(
                f"`{key}` is missing. Your parameters are called {', '.join(list(mine)[:4])} …; build each branch from "
                "`ConvBlock`, two of them in an `nn.Sequential`."
            )
        if mine[key].shape == value.shape:
            continue
        if mine[key].ndim == 4 and mine[key].shape[:2] == value.shape[:2]:
            if key.startswith("branch3") and mine[key].shape[2] == 5:
                raise Wrong(
                    "`branch3` has the 5×5 kernel of the paper. This exercise follows torchvision, whose weights were "
                    "trained with 3×3 in its place."
                )
            raise Wrong(f"The kernel of `{key}` is {mine[key].shape[2]}×{mine[key].shape[3]}; expected "
                        f"{value.shape[2]}×{value.shape[3]}.")  # fmt: skip
        raise Wrong(f"`{key}` has shape {tuple(mine[key].shape)}; expected {tuple(value.shape)}.")
    if more := [key for key in mine if key not in wanted]:
        raise Wrong(f"`{more[0]}` is one too many: the block needs six convolutions, each in a `ConvBlock`.")


def need_same(block: nn.Module, oracle: nn.Module, x: Tensor) -> None:
    """The same values and gradients, in eval and train mode.

    Raises:
        Wrong: they differ.
    """
    for training in (False, True):
        out, gradient = run(copy.deepcopy(block).train(training), x)
        wanted, wanted_gradient = run(copy.deepcopy(oracle).train(training), x)
        if not alike(out, wanted):
            for variant, message in VARIANTS:
                if alike(out, run(partial(variant, copy.deepcopy(oracle).train(training)), x)[0]):
                    raise Wrong(message)
            raise Wrong(f"The parts are right, what happens between them is not: {difference(out, wanted)}")
        if gradient is None or not alike(gradient, wanted_gradient):
            raise Wrong(
                "The output is right, the gradient that reaches the input is not. Is a part of `forward` done with "
                "`.detach()`, `.data` or under `no_grad`?"
            )


def branches(block: Any, x: Tensor) -> list[Tensor]:
    """The four outputs, in the paper's order."""
    return [block.branch1(x), block.branch2(x), block.branch3(x), block.branch4(x)]


def reordered(order: tuple[int, ...]) -> Callable[[Any, Tensor], Tensor]:
    """The branches stacked in another order."""
    return lambda block, x: torch.cat([branches(block, x)[i] for i in order], 1)


def without_pooling(block: Any, x: Tensor) -> Tensor:
    """The fourth branch without its pooling."""
    return torch.cat([*branches(block, x)[:3], block.branch4[1](x)], 1)


VARIANTS = (
    *(
        (reordered(order), "The branches are stacked in another order. It is 1×1, 3×3, the one called 5×5, pooling.")
        for order in itertools.permutations(range(4))
        if order != (0, 1, 2, 3)
    ),
    (without_pooling, "The fourth branch does not use its pooling."),
    (
        lambda block, x: torch.cat([F.softmax(part, 1) for part in branches(block, x)], 1),
        "The branches are made into shares by a softmax. They are stacked as they are.",
    ),
    (
        lambda block, x: torch.cat(branches(block, x), 1) / 4,
        "You divide by the number of branches. Nothing is averaged: the outputs stand side by side.",
    ),
)
