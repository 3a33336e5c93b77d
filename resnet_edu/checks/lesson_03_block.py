"""The check of lesson 03 on the VGG block: a stack of 3×3 convolutions with ReLU, ended by max pooling."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .block import need_once, need_shape, run, trace
from .expect import alike, difference, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check
from .shortcut_parts import convolutions, letters, need_counts

SIGNATURE = "vgg_block(in_channels, channels, convolutions)"

R = torch.relu

Pool = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    """Nothing."""
    return x


def max_pool(x: Tensor) -> Tensor:
    """Largest of 2×2."""
    return F.max_pool2d(x, 2)


def through(
    convs: Sequence[nn.Module],
    x: Tensor,
    *,
    pool: Pool = max_pool,
    first: Pool = same,
    last_relu: bool = True,
    relus: bool = True,
    relu_first: bool = False,
    relu_at_end: bool = False,
) -> Tensor:
    """The oracle, with the learner's own convolutions. The options make wrong variants."""
    x = first(x)
    for index, conv in enumerate(convs):
        last = index + 1 == len(convs)
        x = conv(R(x) if relu_first else x)
        if relus and not relu_first and (last_relu or not last) and (last or not relu_at_end):
            x = R(x)
    return pool(x)


#: Options of `through` that make a wrong block, and what to say about it.
MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"pool": lambda x: F.avg_pool2d(x, 2)}, "You pool by the average. VGG takes the maximum: `nn.MaxPool2d(2)`."),
    ({"pool": same, "first": max_pool}, "You pool before the convolutions. The pooling ends the block."),
    ({"pool": lambda x: F.max_pool2d(x, 3, 2, 1)}, "You pool windows of 3×3. VGG's are 2×2 and do not overlap."),
    ({"last_relu": False}, "The ReLU behind the last convolution is not used."),
    ({"relu_first": True}, "The ReLUs come before the convolutions. The order is convolution, ReLU."),
    ({"relus": False}, "No ReLU is used, so the whole stack is one linear function."),
    (
        {"relu_at_end": True},
        "The ReLUs all stand behind the last convolution. Without one between them the convolutions are one linear "
        "function.",
    ),
)


@check("03.2 VGG block")
def check_vgg_block(vgg_block: Any) -> str:
    """`vgg_block(in_channels, channels, convolutions)`: 3×3 convolution and ReLU, so many times, then max pooling."""
    name = need_function(vgg_block, SIGNATURE, 3, 8, 2)
    for in_channels, channels, count in ((3, 8, 3), (6, 4, 2), (4, 4, 1), (5, 6, 4)):
        block = vgg_block(in_channels, channels, count)
        if block is None or block is ...:
            raise NotYet
        if not isinstance(block, nn.Module):
            raise Wrong(f"Expected a module from `{name}`, got {kind_of(block)}. Put the layers into `nn.Sequential`.")
        x = torch.randn(2, in_channels, 12, 10)
        called = f"{name}({in_channels}, {channels}, {count})"
        need_counts(block, messages(called, count), convolution=count, batch_norm=0, ReLU=count)
        need_channels(block, in_channels, channels)
        out, used = trace(block, x, name)
        need_once(used)
        need_convolutions(block, used, count)
        need_pooled(block, out, x, channels, called)
        need_values(block, used, x)
    return "3×3 convolution and ReLU as often as asked, then max pooling: shapes, values and gradients are right."


def messages(called: str, count: int) -> dict[tuple[str, int], str]:
    """What to say to likely numbers of parts."""
    said = {
        ("batch norm", count): "There is batch norm in the block. It was published in 2015; the VGG of 2014 has none.",
        ("ReLU", 1): f"`{called}` defines a single ReLU. Make one `nn.ReLU()` for each convolution: hooks of later "
        "lessons look at each of them.",
        ("ReLU", count - 1): f"`{called}` defines {count - 1} ReLUs. One follows each convolution, the last as well.",
        ("convolution", 0): f"`{called}` defines no convolution.",
        ("convolution", 1): f"`{called}` defines a single convolution where {count} are asked for. Each needs weights "
        "of its own.",
        ("convolution", 2): f"`{called}` defines 2 convolutions whatever is asked for. Loop over "
        "`range(convolutions)`.",
        ("convolution", count + 1): f"`{called}` defines {count + 1} convolutions: one too many. The one that changes "
        "the channels counts too.",
    }
    if count == 1:
        del said["convolution", 1], said["ReLU", 1]
    return said


def need_channels(block: nn.Module, in_channels: int, channels: int) -> None:
    """The first convolution changes the channels, the others keep them.

    Raises:
        Wrong: they do not.
    """
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    got = [(conv.in_channels, conv.out_channels) for conv in convs]
    wanted = [(in_channels, channels)] + [(channels, channels)] * (len(convs) - 1)
    if got == wanted:
        return
    if got == [(in_channels, in_channels)] * (len(convs) - 1) + [(in_channels, channels)]:
        raise Wrong("The last convolution changes the channels. It is the first that does, in VGG.")
    if len(got) > 1 and got[1][0] == in_channels:
        raise Wrong(
            f"Every convolution takes {in_channels} channels. The first leads from {in_channels} to {channels}, the "
            f"others get its {channels}."
        )
    raise Wrong(f"The convolutions lead {arrows(got)}; expected {arrows(wanted)}.")


def arrows(channels: Sequence[tuple[int, int]]) -> str:
    """Channels before and after, in words."""
    return ", ".join(f"{before} → {after}" for before, after in channels)


def need_convolutions(block: nn.Module, used: Sequence[str], count: int) -> None:
    """Each is used, 3×3, with padding 1, stride 1 and a bias.

    Raises:
        Wrong: one is not.
    """
    convs = convolutions(block, used)
    if len(convs) < count:
        raise Wrong(f"Of the {count} convolutions that the block defines, {len(convs)} are used.")
    for part in convs:
        conv = block.get_submodule(part)
        assert isinstance(conv, nn.Conv2d)
        if conv.kernel_size != (3, 3):
            raise Wrong(f"`{part}` has a kernel of {conv.kernel_size[0]}×{conv.kernel_size[1]}; all of VGG's are 3×3.")
        if conv.stride != (1, 1):
            raise Wrong(f"`{part}` has stride {conv.stride[0]}. The pooling halves the side, the convolutions do not.")
        if conv.padding not in ((1, 1), "same"):
            raise Wrong(
                f"`{part}` has padding {conv.padding}. With `padding=1` a 3×3 convolution leaves the side as it is."
            )
        if conv.bias is None:
            raise Wrong(f"`{part}` has no bias. No batch norm follows that would take it off again: keep it.")


def need_pooled(block: nn.Module, out: Tensor, x: Tensor, channels: int, called: str) -> None:
    """Both sides are halved, once.

    Raises:
        Wrong: they are not.
    """
    height, width = x.shape[2:]
    if out.ndim == 4 and out.shape[2:] == x.shape[2:]:
        raise Wrong(f"`{called}` keeps the side of {height}×{width}. The block ends with a pooling that halves it.")
    pools = [m for m in block.modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)]
    if len(pools) > 1:
        raise Wrong(f"`{called}` pools {len(pools)} times. One pooling is enough, at the end of the block.")
    need_shape(out, (len(x), channels, height // 2, width // 2), x, called)


def need_values(block: nn.Module, used: Sequence[str], x: Tensor) -> None:
    """The block computes what the oracle computes with the same convolutions, gradients too.

    Raises:
        Wrong: it computes something else.
    """
    convs = [copy.deepcopy(block.get_submodule(part)) for part in convolutions(block, used)]
    out, gradient = run(copy.deepcopy(block), x)
    wanted, wanted_gradient = run(lambda x: through(convs, x), x)
    if not alike(out, wanted):
        for options, message in MISTAKES:
            if alike(out, run(lambda x, options=options: through(convs, x, **options), x)[0]):
                raise Wrong(message)
        raise Wrong(
            f"The parts are right, their order is not: {letters(block, used)} with c for convolution and r for ReLU. "
            f"Expected convolution, ReLU, and so on, then pooling; {difference(out, wanted)}"
        )
    if gradient is None or not alike(gradient, wanted_gradient):
        raise Wrong("The output is right, the gradient that reaches the input is not. Is a part detached?")
