"""Take one block out of a trained network and see what is left (Veit et al. 2016, https://arxiv.org/abs/1605.06431).

What remains of a residual block is its shortcut. What remains of a plain block is nothing: its input goes straight on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from ..errors import check_known
from ..models import BasicBlock, Bottleneck, PadShortcut, PlainBlock, ResidualBlock


def removable_blocks(model: nn.Module) -> dict[str, PlainBlock | BasicBlock | Bottleneck]:
    """The plain and residual blocks of a network by name, from the image to the logits."""
    kinds = (PlainBlock, BasicBlock, Bottleneck)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def remains(block: PlainBlock | BasicBlock | Bottleneck) -> nn.Module:
    """What stands where the block was: its shortcut and last ReLU, or for a plain block the identity.

    A plain block that changes the shape leaves option A of He et al. 2015 behind (every second row and column, new
    channels filled with zeros): as near to nothing as the next block can take.
    """
    if isinstance(block, ResidualBlock):
        return nn.Sequential(block.shortcut, nn.ReLU())
    if isinstance(block, PlainBlock):
        in_channels, channels = block.conv1.in_channels, block.conv1.out_channels
        return nn.Identity() if in_channels == channels else PadShortcut(in_channels, channels)
    return nn.Sequential(block.downsample or nn.Identity(), nn.ReLU())


@contextmanager
def without_blocks(model: nn.Module, *names: str) -> Iterator[nn.Module]:
    """The same network without those of its `removable_blocks`, inside the `with` statement; whole again after it."""
    blocks = removable_blocks(model)
    check_known("block", blocks, *names)
    try:
        for name in names:
            model.set_submodule(name, remains(blocks[name]))
        yield model
    finally:
        for name in names:
            model.set_submodule(name, blocks[name])


def block_removal(model: nn.Module, measure: Callable[[nn.Module], float]) -> dict[str, float]:
    """What `measure` says of the network without one block, for each block in turn.

    The network is a trained one, in eval mode, and stays as it is; a measure is for example the test error in percent.
    """
    measured = {}
    for name in removable_blocks(model):
        with without_blocks(model, name) as rest:
            measured[name] = measure(rest)
    return measured
