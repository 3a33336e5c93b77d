"""Which pixels of the image one number deep in the network depends on: the receptive field.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks"
(https://distill.pub/2019/computing-receptive-fields). `receptive_field` computes it by the usual recurrence,
`measured_receptive_field` measures it with gradients.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .activations import one_tensor, watch
from .isolation import batch_shape, forward_on_meta, meta_input


class ReceptiveField(NamedTuple):
    """What one layer sees, in pixels of the input, along one axis.

    Attributes:
        name: the layer, as in `model.named_modules()`.
        kind: its class.
        size: pixels that one position of the output depends on; more than the image has, if it sees past the border.
        jump: pixels between the windows of two neighbouring positions; 0 where all see the same.
        start: centre of the first position's window; 0 is the centre of the first pixel, −0.5 its edge.
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


class MeasuredField(NamedTuple):
    """What the gradient says one position of a layer sees.

    Attributes:
        name: the layer.
        position: row and column in the layer's output.
        rows: first and last row of the image with a gradient.
        columns: first and last column with a gradient.
        seen: bool `(H, W)`, the pixels whose gradient is not zero.
    """

    name: str
    position: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    seen: Tensor


def receptive_field(model: nn.Module, input_shape: Sequence[int], *, axis: int = -1) -> list[ReceptiveField]:
    """Receptive field, jump and start of each layer, for sequential, residual and branching nets.

    A kernel of k taps, `dilation` d apart, with `stride` s and `padding` p gives

        size  ← size + d · (k − 1) · jump start ← start + (d · (k − 1) / 2 − p) · jump jump  ← jump · s

    beginning with size 1, jump 1, start 0. Where paths meet (addition, concatenation) the field is the smallest window
    that holds all of theirs; around a residual block that is the longer path's. Flattening and global pooling see all
    that the positions before them saw. The pass runs on torch's "meta" device, in eval mode: nothing is computed and
    the model does not change.

    Where windows are not regular, `size` is an upper bound: adaptive pooling to a side that does not divide, and a map
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
        window = mode.window(output)
        if window is not None:
            size, start = window.last - window.first + 1, (window.first + window.last) / 2
            rows.append(ReceptiveField(name, type(module).__name__, size, window.jump, start, window.side))

    with watch(model, None, record), mode:
        forward_on_meta(model, inputs)
    return rows


class MeanForMax(TorchFunctionMode):
    """Inside, max pooling takes the mean: the same window, but every pixel of it gets a share of the gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each function."""
        kwargs = kwargs or {}
        if func.__name__ == "adaptive_max_pool2d":
            return F.adaptive_avg_pool2d(*args[:2])
        if func.__name__ == "max_pool2d":
            x, kernel_size, stride, padding, dilation = (*args, *[None, 0, 1][len(args) - 2 :])[:5]
            stride, padding = kwargs.get("stride", stride), kwargs.get("padding", padding)
            if kwargs.get("dilation", dilation) not in (1, (1, 1)):
                raise ValueError("A max pooling with dilation cannot be measured; use dilation=1.")
            return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode=kwargs.get("ceil_mode", False))
        return func(*args, **kwargs)


def measured_receptive_field(
    model: nn.Module, input_shape: Sequence[int], *, layer: str | None = None, position: tuple[int, int] | None = None
) -> MeasuredField:
    """Which pixels change one position of a layer's output, by the gradient: an experiment, not a formula.

    The experiment needs a gradient that vanishes only where there is no connection. So it works on a copy in float64
    whose filters are positive and sum to 1, whose batch norms do nothing and whose max poolings take the mean; the
    input is positive. No ReLU is then closed and no two paths cancel.

    Args:
        model: any network on images; small images, since float64 convolutions are slow.
        input_shape: `(C, H, W)` or `(1, C, H, W)`.
        layer: whose output; None takes what the model returns. The output is an image, `(N, C, H, W)`, or flat.
        position: row and column in the output; None takes the centre.

    Raises:
        ValueError: an output without such a position.
    """
    shape = batch_shape(input_shape)
    generator = torch.Generator().manual_seed(0)
    copy = deepcopy(model).cpu().double().eval().requires_grad_(False)
    for name, value in (*copy.named_parameters(), *copy.named_buffers()):
        if value.ndim > 1:
            value.uniform_(0.5, 1.0, generator=generator)
            value /= value.flatten(1).sum(dim=1).view(-1, *[1] * (value.ndim - 1))
        elif value.is_floating_point():
            value.fill_(0.0 if name.endswith(("bias", "mean")) else 1.0)
    image = torch.rand(shape, generator=generator, dtype=torch.float64).add(0.5).mul(1e-3).requires_grad_()
    outputs: list[Tensor] = []

    def record(name: str, module: nn.Module, output: Any) -> Tensor:
        outputs.append(one_tensor(name, module, output))
        return output.clone()

    with torch.enable_grad(), watch(copy, [layer] if layer else [], record), MeanForMax():
        result = copy(image)
    output = outputs[0] if layer else one_tensor(type(model).__name__, model, result)
    if output.ndim != 4:
        output = output.flatten(1)[:, :, None, None]  # (N, D, 1, 1)
    height, width = output.shape[2:]
    row, column = position or (height // 2, width // 2)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"Got position {position}, but the output has {height} rows and {width} columns.")
    channels = torch.rand(output.shape[1], generator=generator, dtype=torch.float64) + 0.5
    gradient = torch.autograd.grad((output[0, :, row, column] * channels).sum(), image)[0]
    seen = gradient[0].abs().sum(dim=0) > 0  # (H, W)
    return MeasuredField(
        layer or type(model).__name__, (row, column), extent(seen.any(dim=1)), extent(seen.any(dim=0)), seen
    )


def extent(seen: Tensor) -> tuple[int, int]:
    """First and last index that is True; (0, -1) if none is."""
    indices = seen.nonzero().flatten().tolist()
    return (indices[0], indices[-1]) if indices else (0, -1)


class PixelRange(NamedTuple):
    """Along one axis, position i of a tensor depends on the pixels first + i · jump … last + i · jump.

    `side` is the number of positions: 1 for a flat tensor, which has no place left.
    """

    first: int
    last: int
    jump: int
    side: int

    def slide(self, *, kernel: int, stride: int, padding: int, dilation: int, side: int) -> "PixelRange":
        """A kernel's window over this one: convolution and pooling."""
        first = self.first - padding * self.jump
        last = self.last + (dilation * (kernel - 1) - padding) * self.jump
        return PixelRange(first, last, self.jump * stride, side)

    def whole(self, side: int = 1) -> "PixelRange":
        """All positions taken together, seen alike by each of `side` positions."""
        return PixelRange(self.first, self.last + (self.side - 1) * self.jump, 0, side)


def join(windows: Iterable[PixelRange]) -> PixelRange:
    """The smallest window that holds all: where paths meet.

    Raises:
        ValueError: the paths move over the image at different strides, so no regular window holds them.
    """
    windows = list(windows)
    side, jump = max(window.side for window in windows), max(window.jump for window in windows)
    if side == 1:
        return PixelRange(min(w.first for w in windows), max(w.last for w in windows), jump, 1)
    # What every position sees alike (jump 0, or a single number for the whole map) must be in the first and the last.
    fixed = [window for window in windows if window.side == 1 or window.jump == 0]
    moving = [window for window in windows if window not in fixed]
    if len({(window.jump, window.side) for window in moving}) > 1:
        raise ValueError(
            f"Paths with different strides meet: {', '.join(f'jump {w.jump}, side {w.side}' for w in moving)}. "
            "A receptive field is defined where they agree."
        )
    jump = moving[0].jump if moving else 0
    first = min([w.first for w in moving] + [w.first - (side - 1) * jump for w in fixed])
    return PixelRange(first, max(w.last for w in windows), jump, side)


#: Functions that use the whole map for each number they put out.
WHOLE_MAP = {"group_norm", "instance_norm", "layer_norm", "rms_norm"}

#: Functions after which a position no longer means the same place, though the side may be the same.
LOSES_PLACE = {
    "conv_transpose2d", "interpolate", "upsample", "grid_sample", "permute", "transpose", "swapaxes", "movedim", "flip",
    "roll", "rot90", "matmul", "bmm", "einsum", "scaled_dot_product_attention", "multi_head_attention_forward",
    "cumsum", "fold", "pixel_shuffle", "sort",
}  # fmt: skip


class PixelRangeMode(TorchFunctionMode):
    """While active, notes the window of every tensor that descends from the images.

    Args:
        images: `(N, C, H, W)`; their own window is the single pixel.
        axis: -1 for the width, -2 for the height.
    """

    def __init__(self, images: Tensor, *, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.noted: dict[int, tuple[Tensor, PixelRange]] = {}  # by id; the tensor is kept, so that no other gets its id
        self.note(images, PixelRange(0, 0, 1, images.shape[axis]))

    def note(self, tensor: Tensor, window: PixelRange) -> None:
        """Remember a tensor's window."""
        self.noted[id(tensor)] = (tensor, window)

    def window(self, value: object) -> PixelRange | None:
        """The window noted for a tensor, None for anything else."""
        return self.noted[id(value)][1] if id(value) in self.noted else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each function."""
        kwargs = kwargs or {}
        before = [window for window in map(self.window, flat((*args, *kwargs.values()))) if window is not None]
        result = func(*args, **kwargs)
        for tensor in flat([result]):
            if isinstance(tensor, Tensor) and before:
                self.note(tensor, self.after(func.__name__, before, args, kwargs, tensor))
        return result

    def after(self, name: str, before: list[PixelRange], args: Any, kwargs: Any, result: Tensor) -> PixelRange:
        """The window after one function."""
        side = result.shape[self.axis] if result.ndim == 4 else 1
        window = join(before)
        if name == "conv2d":
            stride, padding, dilation = options(args, kwargs, 3, stride=1, padding=0, dilation=1)
            kernel = (kwargs["weight"] if "weight" in kwargs else args[1]).shape[self.axis]
            return self.slide(window, kernel, stride, padding, dilation, side)
        if name in ("max_pool2d", "avg_pool2d"):
            kernel, stride, padding = options(args, kwargs, 1, kernel_size=1, stride=None, padding=0)
            dilation = options(args, kwargs, 4, dilation=1)[0] if name == "max_pool2d" else 1
            return self.slide(window, kernel, stride or kernel, padding, dilation, side)
        if name.startswith("adaptive_") and side > 1:
            if window.side % side:
                return window.whole(side)
            return self.slide(window, window.side // side, window.side // side, 0, 1, side)
        if name == "pad" and result.ndim == 4:
            before_first = (args[1] if len(args) > 1 else kwargs["pad"])[-2 * (self.axis + 1) :][:1]
            return self.slide(window, 1, 1, before_first[0] if before_first else 0, 1, side)
        if name == "__getitem__" and result.ndim == 4 and all(isinstance(i, slice) for i in args[1]):
            taken = (*args[1], *[slice(None)] * (4 - len(args[1])))[self.axis]
            start, _, step = taken.indices(window.side)
            return self.slide(window, 1, step, -start, 1, side)
        if name in WHOLE_MAP:
            return join([window, window.whole()])
        if result.ndim != 4 or (side == 1 and window.side > 1):  # flattened, or a mean over the whole axis
            return window.whole()
        if name in LOSES_PLACE or side != window.side or (name == "linear" and result.ndim == 4):
            raise ValueError(
                f"Cannot follow the receptive field through {name!r}, which puts out {tuple(result.shape)}."
            )
        return window

    def slide(self, window: PixelRange, kernel: Any, stride: Any, padding: Any, dilation: Any, side: int) -> PixelRange:
        """`PixelRange.slide` with options as torch takes them: a number, a pair, or padding by name."""
        kernel, stride, dilation = (self.along(value) for value in (kernel, stride, dilation))
        if isinstance(padding, str):
            padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
        return window.slide(kernel=kernel, stride=stride, padding=self.along(padding), dilation=dilation, side=side)

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
