"""The check of lesson 08 on one stage of a ResNet: basic blocks in a row, the first may change the shape."""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..models import BasicBlock
from ..models.resnet import make_stage
from .expect import alike, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

SIGNATURE = "stage(in_channels, channels, blocks, stride)"

#: Arguments to try: (in_channels, channels, blocks, stride).
CALLS = ((4, 8, 3, 2), (6, 6, 4, 1), (3, 6, 2, 2), (4, 8, 1, 2))


@check("08.1 stage")
def check_stage(stage: Any) -> str:
    """`stage(in_channels, channels, blocks, stride) -> nn.Sequential` of `BasicBlock`."""
    name = need_function(stage, SIGNATURE, *CALLS[0])
    for call in CALLS:
        called = f"{name}({', '.join(map(str, call))})"
        try:
            built = stage(*call)
        except Exception as error:
            error.add_note(f"It was called as `{called}`.")
            raise
        if built is None or built is ...:
            raise NotYet
        blocks = blocks_of(built, called)
        need_number(blocks, call[2], called)
        need_channels(blocks, call[0], call[1], called)
        need_strides(blocks, call[3], called)
        need_own_weights(blocks)
        x, reference = torch.randn(2, call[0], 8, 8), make_stage(BasicBlock, *call[:3], stride=call[3])
        reference.load_state_dict(built.state_dict())
        if not alike(built.train()(x), reference(x)):
            raise Wrong(f"`{called}` has the right blocks, but puts out something else than they do one after another.")
    return "The first block changes the shape, the others keep it, and each block has weights of its own."


def blocks_of(built: object, called: str) -> list[BasicBlock]:
    """The blocks of the stage.

    Raises:
        Wrong: it is no `nn.Sequential` of basic blocks.
    """
    if isinstance(built, nn.ModuleList):
        raise Wrong("An `nn.ModuleList` only keeps its modules; it cannot be called. `nn.Sequential(*layers)` can.")
    if isinstance(built, list | tuple):
        raise Wrong(
            f"`{called}` returns a {type(built).__name__}, whose parameters no optimizer would find. Wrap it: "
            "`nn.Sequential(*layers)`."
        )
    if not isinstance(built, nn.Sequential):
        raise Wrong(f"Expected an `nn.Sequential` of `BasicBlock`s from `{called}`, got {kind_of(built)}.")
    blocks = [module for module in built if isinstance(module, BasicBlock)]
    others = {type(module).__name__ for module in built if not isinstance(module, BasicBlock)}
    if others and blocks:
        raise Wrong(
            f"Besides the blocks the stage has {', '.join(sorted(others))}. A block ends in its own ReLU and needs "
            "nothing behind it."
        )
    if others:
        raise Wrong(f"The stage is made of {', '.join(sorted(others))}. Use the `BasicBlock` of the set-up cell.")
    return blocks


def need_number(blocks: list[BasicBlock], wanted: int, called: str) -> None:
    """As many blocks as asked for.

    Raises:
        Wrong: more, or fewer.
    """
    if len(blocks) < wanted:
        raise Wrong(f"`{called}` has {len(blocks)} block(s), {wanted} were asked for: one is missing or more.")
    if len(blocks) > wanted:
        raise Wrong(
            f"`{called}` has {len(blocks)} blocks, {wanted} were asked for. The first block, which may change the "
            "shape, is one of them."
        )


def need_channels(blocks: list[BasicBlock], in_channels: int, channels: int, called: str) -> None:
    """The first block leads from `in_channels` to `channels`, the others from `channels` to `channels`.

    Raises:
        Wrong: one does not.
    """
    for index, block in enumerate(blocks):
        got, takes = (block.conv1.in_channels, block.conv2.out_channels), channels if index else in_channels
        if got[1] != channels:
            raise Wrong(
                f"Block {index} of `{called}` puts out {got[1]} channels. All blocks of a stage put out {channels}."
            )
        if index and got[0] == in_channels != channels:
            raise Wrong(
                f"Block {index} of `{called}` takes {got[0]} channels, but the block before it puts out {channels}. "
                "Only the first block takes `in_channels`."
            )
        if got[0] != takes:
            raise Wrong(f"Block {index} of `{called}` takes {got[0]} channels; it should take {takes}.")


def need_strides(blocks: list[BasicBlock], stride: int, called: str) -> None:
    """The stride belongs to the first block.

    Raises:
        Wrong: it belongs to others, or to none.
    """
    got = [block.conv1.stride[0] for block in blocks]
    if got == [stride] + [1] * (len(got) - 1):
        return
    if set(got) == {1}:
        raise Wrong(
            f"No block of `{called}` has the stride {stride}, so the side stays as it is. Give it to the first."
        )
    if got == [stride] * len(got):
        raise Wrong(
            f"Every block of `{called}` has stride {stride}: it halves the side {len(got)} times. Only the first does."
        )
    if got[-1] == stride != got[0]:
        raise Wrong(
            f"The last block of `{called}` has the stride. The first has it, so that the others work on the small maps."
        )
    raise Wrong(f"The strides of `{called}` are {got}; expected {[stride] + [1] * (len(got) - 1)}.")


def need_own_weights(blocks: list[BasicBlock]) -> None:
    """No two blocks share weights, or start with the same.

    Raises:
        Wrong: two do.
    """
    if len({id(block) for block in blocks}) < len(blocks):
        raise Wrong(
            "One block stands in several places, so these places share their weights. `[block] * n` repeats one: "
            "build each block by itself."
        )
    for first, second in pairwise(blocks[1:]):
        if torch.equal(first.conv1.weight, second.conv1.weight):
            raise Wrong("Two blocks start with the same weights: they are copies of one. Build each block by itself.")
