"""Which pixels of the image one number deep in the network depends on: the receptive field.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks" (https://distill.pub/2019/computing-receptive-fields).
The recurrence is followed through every function that runs (`torch.cat`, `x + y`) as well as through modules.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .activations import forward_on_meta, meta_input, watch

#: Kernel, stride, padding and dilation of the functions that slide a window, from their arguments.
WINDOWS = {
    "conv2d": lambda input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1: (
        (weight.shape[-1], stride, padding, dilation)
    ),
    "max_pool2d": lambda input, kernel_size, stride=None, padding=0, dilation=1, **_: (
        (kernel_size, stride or kernel_size, padding, dilation)
    ),
    "avg_pool2d": lambda input, kernel_size, stride=None, padding=0, *_, **__: (
        (kernel_size, stride or kernel_size, padding, 1)
    ),
}

#: Functions after which a position no longer means the same place, or sees the whole map, though the side is the same.
LOSES_PLACE = {
    "conv_transpose2d", "interpolate", "grid_sample", "permute", "transpose", "flip", "roll", "rot90", "matmul",
    "einsum", "linear", "scaled_dot_product_attention", "group_norm", "instance_norm", "layer_norm"
}  # fmt: skip


class ReceptiveField(NamedTuple):
    """What one layer sees, in pixels of the input, along the width; `name` and `kind` are the layer's and its class's.

    Attributes:
        size: pixels that one position of the output depends on; more than the image has, if it sees past the border.
        jump: pixels between the fields of two neighbouring positions; 0 where all see the same.
        start: centre of the first position's field; 0 is the centre of the first pixel, −0.5 its edge.
        side: positions along the width; 1 for a flat tensor, which has no place left.
    """

    name: str
    kind: str
    size: int
    jump: int
    start: float
    side: int

    def pixels(self, position: int) -> tuple[int, int]:
        """First and last pixel that the output at `position` sees, padding included: may lie outside the image."""
        first = round(self.start + position * self.jump - (self.size - 1) / 2)
        return first, first + self.size - 1


def receptive_field(model: nn.Module, input_shape: Sequence[int]) -> list[ReceptiveField]:
    """Receptive field, jump and start of each layer, for sequential, residual and branching nets.

    A kernel of k taps, `dilation` d apart, with `stride` s and `padding` p gives

        size  ← size + d · (k − 1) · jump
        start ← start + (d · (k − 1) / 2 − p) · jump
        jump  ← jump · s

    beginning with size 1, jump 1, start 0. Where paths meet (addition, concatenation) the field is the smallest range
    that holds all of theirs; around a residual block that is the longer path's. Flattening and global pooling see all
    that the positions before them saw. Nothing is computed, and the model does not change.

    Args:
        input_shape: `(C, H, W)` or `(N, C, H, W)`.

    Returns:
        One row per module without children, in order of execution; a layer's second run is `name#2`.

    Raises:
        ValueError: no image shape, or an operation that does not keep track of place (transposed convolution,
            resizing, attention, a gate made from the whole map).
    """
    inputs = meta_input(model, input_shape)
    if inputs.ndim != 4:
        raise ValueError(f"Got input_shape={tuple(input_shape)}, expected (C, H, W), for example (3, 224, 224).")
    mode, rows = Follow(inputs), list[ReceptiveField]()

    def record(name: str, module: nn.Module, output: Any) -> None:
        if seen := mode.range_of(output):
            size, start = seen.last - seen.first + 1, (seen.first + seen.last) / 2
            rows.append(ReceptiveField(name, type(module).__name__, size, seen.jump, start, seen.side))

    with watch(model, None, record), mode:
        forward_on_meta(model, inputs)
    return rows


class Range(NamedTuple):
    """Position i of a tensor, of `side` positions, depends on the pixels first + i · jump … last + i · jump."""

    first: int
    last: int
    jump: int
    side: int


class Follow(TorchFunctionMode):
    """While active, notes the range of every tensor that descends from the images `(N, C, H, W)`."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.noted = {id(images): (images, Range(0, 0, 1, images.shape[-1]))}  # holds it: no other tensor gets its id

    def range_of(self, value: object) -> Range | None:
        """What was noted for a tensor, None for anything else."""
        return self.noted[id(value)][1] if id(value) in self.noted else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each function."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        values = [*args, *kwargs.values()]
        values += [each for value in values if isinstance(value, list | tuple) for each in value]
        met = [each for each in map(self.range_of, values) if each]
        if met and isinstance(result, Tensor):
            if len({(each.jump, each.side) for each in met}) > 1:
                strides = ", ".join(f"jump {each.jump}, side {each.side}" for each in met)
                raise ValueError(f"Paths with different strides meet: {strides}. There, no receptive field is defined.")
            seen = Range(min(each.first for each in met), max(each.last for each in met), met[0].jump, met[0].side)
            self.noted[id(result)] = result, after(func.__name__, seen, args, kwargs, result)
        return result


def after(name: str, seen: Range, args: Any, kwargs: Any, result: Tensor) -> Range:
    """The range after one function whose inputs have the range `seen` together."""
    side = result.shape[-1] if result.ndim == 4 else 1
    window: Any
    if name in WINDOWS:
        window = WINDOWS[name](*args, **kwargs)
    elif name.startswith("adaptive_") and side > 1 and seen.side % side == 0:
        window = seen.side // side, seen.side // side, 0, 1
    elif side == 1 or result.ndim != 4:  # flattened, or a mean over the whole map: all positions taken together
        return Range(seen.first, seen.last + (seen.side - 1) * seen.jump, 0, 1)
    elif name in LOSES_PLACE or side != seen.side:
        raise ValueError(f"Cannot follow the receptive field through {name!r}, which puts out {tuple(result.shape)}.")
    else:
        return seen
    window = [each if isinstance(each, int | str) else each[-1] for each in window]
    kernel, stride, padding, dilation = window
    reach = dilation * (kernel - 1)
    before = {"same": reach // 2, "valid": 0}[padding] if isinstance(padding, str) else padding
    return Range(seen.first - before * seen.jump, seen.last + (reach - before) * seen.jump, seen.jump * stride, side)
