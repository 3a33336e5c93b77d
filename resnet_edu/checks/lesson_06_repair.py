"""The check of lesson 06 on the repair of plain-56: the one line that makes a plain block a residual one."""

from typing import Any

import torch
from torch import Tensor, nn

from ..models.cifar import ResidualBlock, make_shortcut
from .block import Parts, need_once, need_same, need_shape, randomise, trace
from .expect import Mistake, need_module_class
from .runner import Wrong, check

R = torch.relu


def branch(p: Parts, x: Tensor) -> Tensor:
    """F(x): the block up to its last batch norm."""
    return p.bn2(p.conv2(R(p.bn1(p.conv1(x)))))


REPAIR_MISTAKES = (
    Mistake(
        lambda p, x: R(branch(p, x)),
        "Nothing is added: the block is still plain. One line before the last ReLU is missing.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x)) + p.shortcut(x),
        "You added x after the ReLU. In the paper the ReLU comes after the addition.",
    ),
    Mistake(
        lambda p, x: R(p.bn2(p.conv2(R(p.bn1(p.conv1(x)))) + p.shortcut(x))),
        "You add x before the second batch norm, which then rescales the identity. Add it after.",
    ),
    Mistake(
        lambda p, x: branch(p, x) + p.shortcut(x),
        "The last ReLU is missing: it comes after the addition.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) - p.shortcut(x)),
        "You subtract x. The block is F(x) + x.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) * p.shortcut(x)),
        "You multiply by x. The block is F(x) + x.",
    ),
    Mistake(
        lambda p, x: R(2 * branch(p, x)),
        "You add `out` to itself. What is added is the block's input, x.",
    ),
    Mistake(
        lambda p, x: R((branch(p, x) + p.shortcut(x)) / 2),
        "You take the mean of F(x) and x. The identity passes whole: F(x) + x.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) + p.shortcut(R(x))),
        "You add ReLU(x). The identity passes as it is.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) + R(p.bn1(p.conv1(x)))) if p.conv1(x).shape == x.shape else x,
        "You add the output of the first half. What is added is the block's input, x.",
    ),
    Mistake(
        lambda p, x: R(p.bn2(p.conv2(R(p.bn1(p.conv1(x)) + p.shortcut(x))))),
        "You add x in the middle, before the first ReLU. The shortcut goes around both convolutions.",
    ),
    Mistake(
        lambda p, x: R(p.bn2(p.conv2(R(p.bn1(p.conv1(x))) + p.shortcut(x)))),
        "You add x in the middle, after the first ReLU. The shortcut goes around both convolutions.",
    ),
    Mistake(
        lambda p, x: R(branch(p, x) + 2 * p.shortcut(x)),
        "x is added twice. Once is enough.",
    ),
)


@check("06.2 repair plain-56")
def check_repair(RepairedBlock: Any) -> str:  # noqa: N803 – the learner's class
    """`RepairedBlock(in_channels, channels, stride=1)`: a plain block with x added before its last ReLU.

    Meant as a subclass of `ResidualBlock` with a `forward` of its own; `self.shortcut(x)` is x, fitted to the
    output where the block changes the shape (option A: no parameters).
    """
    signature = "RepairedBlock(in_channels, channels, stride=1)"
    name = need_module_class(RepairedBlock, signature, 4, 8, 2)
    need_module_class(RepairedBlock, signature, 4, 8)
    remark = ""
    for sizes in ((4, 4, 1), (4, 8, 2)):
        block, oracle = RepairedBlock(*sizes), ResidualBlock(*sizes)
        x = torch.randn(3, sizes[0], 8, 6)
        try:
            out, used = trace(block, x, name)
        except RuntimeError as error:
            if sizes[2] == 2 and "must match the size" in str(error):
                raise Wrong(
                    "Right where the shape stays. Where the block halves the side and doubles the channels, x does "
                    "not fit: add `self.shortcut(x)` in place of x."
                ) from None
            raise
        need_names(block, oracle)
        need_once(used)
        need_shape(out, (3, sizes[1], 8 // sizes[2], 6 // sizes[2]), x, f"{name}{sizes}")
        randomise(block)

        def parts(copied: nn.Module, sizes: tuple[int, int, int] = sizes) -> Parts:
            modules = {part: copied.get_submodule(part) for part in ("conv1", "bn1", "conv2", "bn2")}
            return Parts(**modules, shortcut=make_shortcut("A", *sizes))

        need_same(block, parts, lambda p, x: R(branch(p, x) + p.shortcut(x)), REPAIR_MISTAKES, x)
        if overwrites_norm(block, x):
            remark = " One remark: `+=` overwrites the output of `bn2`, which a hook may want. Write `out = out + …`."
    return f"F(x) + x, then the ReLU: with this one line plain-56 becomes ResNet-56, with as many parameters.{remark}"


def need_names(block: nn.Module, oracle: nn.Module) -> None:
    """The parts of the package's block under their names, and nothing else with parameters.

    Raises:
        Wrong: one is missing, or the shortcut has parameters.
    """
    mine, theirs = dict(block.named_parameters()), dict(oracle.named_parameters())
    missing = [name for name in theirs if name not in mine or mine[name].shape != theirs[name].shape]
    if missing:
        raise Wrong(f"Keep the parts of the package's block as they are. Missing or of another size: {missing[0]}.")
    more = [name for name in mine if name not in theirs]
    if more:
        raise Wrong(
            f"The repair brings new parameters ({more[0]}). Then one could say that the net is better because it is "
            "larger. The shortcut of option A has none."
        )


def overwrites_norm(block: nn.Module, x: Tensor) -> bool:
    """Whether the addition is done in place, on the second batch norm's own output."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, args: Any, out: Tensor) -> None:
        seen.append((out, out.clone()))

    hook = block.get_submodule("bn2").register_forward_hook(note)
    try:
        block(x)
    finally:
        hook.remove()
    return any(not torch.equal(now, then) for now, then in seen)
