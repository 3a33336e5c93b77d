"""The check of lesson 09 on counting layers: what the number in a ResNet's name says."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check


def layers(blocks: Sequence[int], bottleneck: bool = False) -> int:
    """The oracle: convolutions on the main path and the linear layer."""
    return 2 + (3 if bottleneck else 2) * sum(blocks)


def counted(formula: Callable[[Sequence[int], int], int]) -> Callable[..., int]:
    """A formula in the stage list and the convolutions of a block, with the default of the exercise."""
    return lambda blocks, bottleneck=False: formula(blocks, 3 if bottleneck else 2)


#: Wrong number of layers besides the blocks, and what to say.
ADDED = {
    0: "The first convolution and the linear layer at the end are missing: they have weights and count.",
    1: "One layer is missing. The first convolution and the linear layer at the end count both.",
    3: "One too many. Did you count a pooling? Only layers with weights count, without batch norm.",
    4: "Two too many. Did you count the poolings? Only layers with weights count, without batch norm.",
}
PROJECTIONS = "You count the projections as well. The name counts the main path; what lies on a shortcut is left out."

MISTAKES = (
    *[Mistake(counted(lambda b, k, n=n: n + k * sum(b)), message) for n, message in ADDED.items()],
    Mistake(counted(lambda b, k: 2 + 2 * sum(b)), "You count two convolutions in every block. A bottleneck has three."),
    Mistake(
        counted(lambda b, k: 2 + 3 * sum(b)), "You count three convolutions in every block. A basic block has two."
    ),
    Mistake(
        counted(lambda b, k: 2 + (5 - k) * sum(b)),
        "Basic block and bottleneck are swapped: the basic block has two convolutions, the bottleneck three.",
    ),
    Mistake(counted(lambda b, k: 2 + sum(b)), "Each block counts as one layer. Count the convolutions in it."),
    Mistake(
        counted(lambda b, k: 2 + k * len(b)), "You count the stages. The list says how many blocks are in each: add up."
    ),
    Mistake(
        counted(lambda b, k: 2 + k * math.prod(b)), "You multiply the stages. Their blocks follow one another: add."
    ),
    Mistake(counted(lambda b, k: 2 + k * sum(b) + len(b) - (k == 2)), PROJECTIONS),
    Mistake(counted(lambda b, k: 2 + k * sum(b) + len(b)), PROJECTIONS),
    Mistake(counted(lambda b, k: 2 + k * sum(b) + len(b) - 1), PROJECTIONS),
    Mistake(
        counted(lambda b, k: 3 + 2 * k * sum(b)),
        "Batch norms are in your count. A layer here is a convolution or a linear layer.",
    ),
    Mistake(
        counted(lambda b, k: 2 + 2 * k * sum(b)),
        "Each convolution is in your count twice. Is it with its batch norm? A batch norm is no layer here.",
    ),
    Mistake(
        counted(lambda b, k: 2 + k * sum(b[:4])),
        "You stop after four stages. Add up all of them, however many there are.",
    ),
    Mistake(
        counted(lambda b, k: 2 + k * len(b) * b[0]), "You take every stage to be as long as the first. Add up the list."
    ),
)


@check("09.1 count the layers")
def check_count_layers(count_layers: Any) -> str:
    """`count_layers(blocks, bottleneck=False) -> int`: layers with weights of a ResNet with `blocks` in its stages."""
    n = random.randint(4, 20)
    calls = [
        Call((2, 2, 2, 2)),
        Call((3, 4, 6, 3)),
        Call((3, 4, 6, 3), bottleneck=True),
        Call((3, 8, 36, 3), bottleneck=True),
        Call((n, n, n)),
        Call((n, n, n), bottleneck=True),
        Call(tuple(random.choices(range(2, 30), k=5)), bottleneck=False),
        Call(tuple(random.choices(range(2, 30), k=6)), bottleneck=True),
    ]
    signature = "count_layers(blocks, bottleneck=False)"
    name = need_function(count_layers, signature, (2, 2, 2, 2), bottleneck=True)
    need_function(count_layers, signature, (2, 2, 2, 2))

    def whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"Expected a whole number of layers, got {kind_of(value)}.")
        return value

    judge(count_layers, layers, calls, MISTAKES, name=name, clean=whole)
    return f"Right for {len(calls)} nets of three to six stages, with both kinds of block."
