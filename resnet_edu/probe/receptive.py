"""Which pixels of the image one number deep in the network depends on: the receptive field.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks" (https://distill.pub/2019/computing-receptive-fields).
The recurrence is followed through every function that runs (`torch.cat`, `x + y`, `F.pad`) as well as through modules.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .activations import watch
from .isolation import forward_on_meta, meta_input

#: Functions that use the whole map for each number they put out.
WHOLE_MAP = {"group_norm", "instance_norm", "layer_norm", "rms_norm"}

#: Functions after which a position no longer means the same place, though the side may be the same.
LOSES_PLACE = {
    "conv_transpose2d", "interpolate", "upsample", "grid_sample", "permute", "transpose", "swapaxes", "movedim", "flip",
    "roll", "rot90", "matmul", "bmm", "einsum", "scaled_dot_product_attention", "multi_head_attention_forward",
    "cumsum", "fold", "pixel_shuffle", "sort"
}  # fmt: skip


class ReceptiveField(NamedTuple):
    """What one layer sees, in pixels of the input, along one axis.

    Attributes:
        name: the layer, as in `model.named_modules()`.
        kind: its class.
        size: pixels that one position of the output depends on; more than the image has, if it sees past the border.
        jump: pixels between the fields of two neighbouring positions; 0 where all see the same.
        start: centre of the first position's field; 0 is the centre of the first pixel, −0.5 its edge.
        side: positions along the axis.
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


def receptive_field(model: nn.Module, input_shape: Sequence[int], *, axis: int = -1) -> list[ReceptiveField]:
    """Receptive field, jump and start of each layer, for sequential, residual and branching nets.

    A kernel of k taps, `dilation` d apart, with `stride` s and `padding` p gives

        size  ← size + d · (k − 1) · jump
        start ← start + (d · (k − 1) / 2 − p) · jump
        jump  ← jump · s

    beginning with size 1, jump 1, start 0. Where paths meet (addition, concatenation) the field is the smallest range
    that holds all of theirs; around a residual block that is the longer path's. Flattening and global pooling see all
    that the positions before them saw. The pass runs on torch's "meta" device, in eval mode: nothing is computed and
    the model does not change.

    Where fields are not regular, `size` is an upper bound: adaptive pooling to a side that does not divide, and a map
    multiplied by numbers that come from the whole image.

    Args:
        model: any network on images.
        input_shape: `(C, H, W)` or `(N, C, H, W)`.
        axis: -1 looks along the width, -2 along the height.

    Returns:
        One row per module without children, in order of execution; a layer's second run is `name#2`.

    Raises:
        ValueError: no image shape, another axis, or an operation that does not keep track of place (transposed
            convolution, resizing, attention).
    """
    inputs = meta_input(model, input_shape)
    if inputs.ndim != 4:
        raise ValueError(f"Got input_shape={tuple(input_shape)}, expected (C, H, W), for example (3, 224, 224).")
    if axis not in (-1, -2):
        raise ValueError(f"axis must be -1 (width) or -2 (height), got {axis}.")
    mode = PixelRangeMode(inputs, axis=axis)
    rows: list[ReceptiveField] = []

    def record(name: str, module: nn.Module, output: Any) -> None:
        seen = mode.range_of(output)
        if seen is not None:
            size, start = seen.last - seen.first + 1, (seen.first + seen.last) / 2
            rows.append(ReceptiveField(name, type(module).__name__, size, seen.jump, start, seen.side))

    with watch(model, None, record), mode:
        forward_on_meta(model, inputs)
    return rows


class PixelRange(NamedTuple):
    """Along one axis, position i of a tensor depends on the pixels first + i · jump … last + i · jump.

    `side` is the number of positions: 1 for a flat tensor, which has no place left.
    """

    first: int
    last: int
    jump: int
    side: int

    def whole(self, side: int = 1) -> "PixelRange":
        """All positions taken together, seen alike by each of `side` positions."""
        return PixelRange(self.first, self.last + (self.side - 1) * self.jump, 0, side)


def join(ranges: Sequence[PixelRange]) -> PixelRange:
    """The smallest range that holds all: where paths meet.

    Raises:
        ValueError: the paths move over the image at different strides, so no regular range holds them.
    """
    side, last = max(each.side for each in ranges), max(each.last for each in ranges)
    if side == 1:
        return PixelRange(min(each.first for each in ranges), last, max(each.jump for each in ranges), 1)
    # What every position sees alike (jump 0, or a single number for the whole map) must be in the first and the last.
    fixed = [each for each in ranges if each.side == 1 or each.jump == 0]
    moving = [each for each in ranges if each not in fixed]
    if len({(each.jump, each.side) for each in moving}) > 1:
        strides = ", ".join(f"jump {each.jump}, side {each.side}" for each in moving)
        raise ValueError(f"Paths with different strides meet: {strides}. There, no receptive field is defined.")
    jump = moving[0].jump if moving else 0
    first = min([each.first for each in moving] + [each.first - (side - 1) * jump for each in fixed])
    return PixelRange(first, last, jump, side)


class PixelRangeMode(TorchFunctionMode):
    """While active, notes the pixel range of every tensor that descends from the images.

    Args:
        images: `(N, C, H, W)`; their own range is the single pixel.
        axis: -1 for the width, -2 for the height.
    """

    def __init__(self, images: Tensor, *, axis: int) -> None:
        super().__init__()
        self.axis = axis
        first = PixelRange(0, 0, 1, images.shape[axis])
        self.noted = {id(images): (images, first)}  # by id; the tensor is held, so that no other gets its id

    def range_of(self, value: object) -> PixelRange | None:
        """What was noted for a tensor, None for anything else."""
        return self.noted[id(value)][1] if id(value) in self.noted else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each function."""
        kwargs = kwargs or {}
        inputs = [each for each in map(self.range_of, flat((*args, *kwargs.values()))) if each is not None]
        result = func(*args, **kwargs)
        for tensor in flat([result]):
            if isinstance(tensor, Tensor) and inputs:
                self.noted[id(tensor)] = (tensor, self.after(func.__name__, join(inputs), args, kwargs, tensor))
        return result

    def after(self, name: str, seen: PixelRange, args: Any, kwargs: Any, result: Tensor) -> PixelRange:
        """The range after one function whose inputs have the range `seen` together."""
        side = result.shape[self.axis] if result.ndim == 4 else 1

        def slide(kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> PixelRange:
            kernel, stride, dilation = (self.along(value) for value in (kernel, stride, dilation))
            reach = dilation * (kernel - 1)
            before = {"same": reach // 2, "valid": 0}[padding] if isinstance(padding, str) else self.along(padding)
            first, last = seen.first - before * seen.jump, seen.last + (reach - before) * seen.jump
            return PixelRange(first, last, seen.jump * stride, side)

        if name == "conv2d":
            weight = kwargs["weight"] if "weight" in kwargs else args[1]
            return slide(weight.shape[self.axis], *options(args, kwargs, 3, stride=1, padding=0, dilation=1))
        if name in ("max_pool2d", "avg_pool2d"):
            kernel, stride, padding = options(args, kwargs, 1, kernel_size=1, stride=None, padding=0)
            dilation = options(args, kwargs, 4, dilation=1)[0] if name == "max_pool2d" else 1
            return slide(kernel, stride or kernel, padding, dilation)
        if name.startswith("adaptive_") and side > 1:
            return seen.whole(side) if seen.side % side else slide(seen.side // side, seen.side // side)
        if name == "pad" and result.ndim == 4:
            padding = (args[1] if len(args) > 1 else kwargs["pad"])[-2 * (self.axis + 1) :][:1]
            return slide(1, padding=padding[0] if padding else 0)
        if name == "__getitem__" and result.ndim == 4 and all(isinstance(i, slice) for i in args[1]):
            taken = (*args[1], *[slice(None)] * (4 - len(args[1])))[self.axis]
            start, _, step = taken.indices(seen.side)
            return slide(1, stride=step, padding=-start)
        if name in WHOLE_MAP:
            return join([seen, seen.whole()])
        if result.ndim != 4 or (side == 1 and seen.side > 1):  # flattened, or a mean over the whole axis
            return seen.whole()
        if name in LOSES_PLACE or side != seen.side or (name == "linear" and result.ndim == 4):
            raise ValueError(
                f"Cannot follow the receptive field through {name!r}, which puts out {tuple(result.shape)}."
            )
        return seen

    def along(self, value: Any) -> int:
        """An option for this axis: of a pair (height, width) the one that belongs to it."""
        if isinstance(value, int):
            return value
        return value[self.axis] if len(value) > 1 else value[0]


def flat(values: Iterable[Any]) -> Iterable[Any]:
    """The values themselves, and those inside lists and tuples."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from flat(value)
        else:
            yield value


def options(args: Any, kwargs: Any, first: int, **defaults: Any) -> list[Any]:
    """Values of consecutive arguments, from position `first`, whether given by place, by name or not at all."""
    return [
        args[first + i] if len(args) > first + i else kwargs.get(name, default)
        for i, (name, default) in enumerate(defaults.items())
    ]
