"""What the checks of blocks with a shortcut share: how many parts, which on the shortcut, in what order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .block import ONE_RELU_PER_USE, Parts, trace
from .runner import Wrong

KINDS: dict[str, type[nn.Module]] = {"convolution": nn.Conv2d, "batch norm": nn.BatchNorm2d, "ReLU": nn.ReLU}


@dataclass(frozen=True)
class Wanted:
    """What one convolution should be."""

    channels: tuple[int, int]
    kernel: int
    stride: int


@dataclass(frozen=True)
class ThreeParts(Parts):
    """The parts of a bottleneck: three convolutions and three batch norms."""

    conv3: nn.Module
    bn3: nn.Module


def trace_with_shortcut(block: nn.Module, x: Tensor, name: str, *, remedy: str) -> tuple[Tensor, list[str]]:
    """Like `trace`, and an addition of two shapes is answered with the remedy.

    Raises:
        Wrong: as `trace`, or x does not fit the branch's output.
    """
    try:
        return trace(block, x, name)
    except RuntimeError as error:
        if "must match the size" in str(error):
            raise Wrong(f"F(x) and what you add to it have different shapes: {error}. {remedy}") from None
        raise


def need_counts(block: nn.Module, messages: Mapping[tuple[str, int], str], **wanted: int) -> None:
    """As many convolutions, batch norms and ReLUs as wanted, no ReLU in place, and no other parameters.

    Args:
        block: the learner's.
        messages: what to say for a kind and a number that are likely mistakes.
        wanted: `convolution=3, batch_norm=3, ReLU=2`.

    Raises:
        Wrong: there are more, or fewer.
    """
    for kind, cls in KINDS.items():
        count, right = sum(isinstance(module, cls) for module in block.modules()), wanted[kind.replace(" ", "_")]
        if count == 0 and cls is nn.ReLU:
            raise Wrong(
                "There is no `nn.ReLU`. `F.relu` computes the same, but hooks and captum cannot see it: define "
                "each ReLU as a module."
            )
        if count != right:
            why = ONE_RELU_PER_USE if cls is nn.ReLU and count < right else ""
            raise Wrong(messages.get((kind, count), f"The block defines {count} × {kind}; it needs {right}.{why}"))
    if any(isinstance(module, nn.ReLU) and module.inplace for module in block.modules()):
        raise Wrong("A ReLU works in place, so it overwrites what the layer before put out. Leave `inplace` off.")
    known = sum(p.numel() for m in block.modules() if isinstance(m, tuple(KINDS.values())) for p in m.parameters())
    if more := sum(parameter.numel() for parameter in block.parameters()) - known:
        raise Wrong(
            f"The block has {more} parameters besides those of its convolutions and batch norms. It needs none."
        )


def letters(block: nn.Module, used: Sequence[str]) -> str:
    """One letter for each part in the order of use: `c`, `b`, `r`."""
    kinds = {nn.Conv2d: "c", nn.BatchNorm2d: "b", nn.ReLU: "r"}
    modules = [block.get_submodule(part) for part in used]
    return "".join(letter for module in modules for cls, letter in kinds.items() if isinstance(module, cls))


def convolutions(block: nn.Module, used: Sequence[str]) -> list[str]:
    """Names of the convolutions in the order of use."""
    return [part for part in used if isinstance(block.get_submodule(part), nn.Conv2d)]


def need_convolution(block: nn.Module, part: str, wanted: Wanted, *, role: str, why: str = "") -> None:
    """One convolution has the right channels, kernel, padding and stride, and no bias.

    Args:
        block: the learner's.
        part: the convolution's name in it.
        wanted: what it should be.
        role: what it does, for the message: "the first convolution".
        why: said where the stride is wrong.

    Raises:
        Wrong: one of these is different.
    """
    conv = block.get_submodule(part)
    assert isinstance(conv, nn.Conv2d)
    kernel = wanted.kernel
    if (conv.in_channels, conv.out_channels) != wanted.channels:
        raise Wrong(
            f"`{part}` leads from {conv.in_channels} to {conv.out_channels} channels; {role} leads from "
            f"{wanted.channels[0]} to {wanted.channels[1]}."
        )
    if conv.kernel_size != (kernel, kernel):
        raise Wrong(
            f"`{part}` has a kernel of {conv.kernel_size[0]}×{conv.kernel_size[1]}; {role} has {kernel}×{kernel}."
        )
    if conv.padding not in ((kernel // 2, kernel // 2), "same"):
        raise Wrong(f"`{part}` has padding {conv.padding}; a {kernel}×{kernel} kernel takes `padding={kernel // 2}`.")
    if conv.bias is not None:
        raise Wrong(f"`{part}` has a bias, which the batch norm behind it takes off again. Write `bias=False`.")
    if conv.stride != (wanted.stride, wanted.stride):
        raise Wrong(f"`{part}` has stride {conv.stride[0]} where {role} should have {wanted.stride}. {why}".rstrip())


def take_shortcut(block: nn.Module, used: Sequence[str], conv: str) -> tuple[str, list[str]]:
    """The batch norm behind the shortcut's convolution, and the parts of the branch, in the order of use.

    Raises:
        Wrong: another part follows the convolution.
    """
    at = list(used).index(conv)
    follower = used[at + 1] if at + 1 < len(used) else None
    if follower is None or not isinstance(block.get_submodule(follower), nn.BatchNorm2d):
        raise Wrong(f"The shortcut is a convolution followed by a batch norm. Behind `{conv}` there is no batch norm.")
    return follower, [part for part in used if part not in (conv, follower)]
