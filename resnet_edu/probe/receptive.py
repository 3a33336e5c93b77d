"""Which pixels of the image one number deep in the network depends on: the receptive field.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks" (https://distill.pub/2019/computing-receptive-fields).
`receptive_field` computes it by the usual recurrence, `measured_receptive_field` measures it with gradients.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .activations import one_tensor, watch
from .untouched import batch_shape, empty_input, run_shapes
from .window import WindowMode


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

        size  ← size + d · (k − 1) · jump
        start ← start + (d · (k − 1) / 2 − p) · jump
        jump  ← jump · s

    beginning with size 1, jump 1, start 0. Where paths meet (addition, concatenation) the field is the smallest
    window that holds all of theirs; around a residual block that is the longer path's. Flattening and global
    pooling see all that the positions before them saw. The pass runs on torch's "meta" device, in eval mode:
    nothing is computed and the model does not change.

    Where windows are not regular, `size` is an upper bound: adaptive pooling to a side that does not divide, and a
    map multiplied by numbers that come from the whole image.

    Args:
        model: any network on images.
        input_shape: `(C, H, W)` or `(N, C, H, W)`.
        axis: -1 looks along the width, -2 along the height.

    Returns:
        One row per module without children, in order of execution; a layer's second run is `name#2`.

    Raises:
        ValueError: no image shape, another axis, or an operation that does not keep track of place
            (transposed convolution, resizing, attention).
    """
    inputs = empty_input(model, input_shape)
    if inputs.ndim != 4:
        raise ValueError(f"Got input_shape={tuple(input_shape)}, expected (C, H, W), for example (3, 224, 224).")
    if axis not in (-1, -2):
        raise ValueError(f"axis must be -1 (width) or -2 (height), got {axis}.")
    mode = WindowMode(inputs, axis=axis)
    rows: list[ReceptiveField] = []

    def record(name: str, module: nn.Module, output: Any) -> None:
        window = mode.window(output)
        if window is not None:
            size, start = window.last - window.first + 1, (window.first + window.last) / 2
            rows.append(ReceptiveField(name, type(module).__name__, size, window.jump, start, window.side))

    with watch(model, None, record), mode:
        run_shapes(model, inputs)
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

    The experiment needs a gradient that vanishes only where there is no connection. So it works on a copy in
    float64 whose filters are positive and sum to 1, whose batch norms do nothing and whose max poolings take
    the mean; the input is positive. No ReLU is then closed and no two paths cancel.

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
