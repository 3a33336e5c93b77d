"""Which pixels of the image one number deep in the network depends on: the receptive field.

Araujo et al. 2019, "Computing receptive fields of convolutional neural networks" (https://distill.pub/2019/computing-receptive-fields).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from .activations import forward_on_meta, meta_input, watch

#: Layers after which a position still means the same place.
POINTWISE = (
    nn.BatchNorm2d, nn.LocalResponseNorm, nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Dropout, nn.Identity
)  # fmt: skip


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


def receptive_field(model: nn.Module, input_shape: Sequence[int]) -> list[ReceptiveField]:
    """Receptive field, jump and start of each layer in a chain: an `nn.Sequential`, which may hold others.

    A kernel of k taps, `dilation` d apart, with `stride` s and `padding` p gives

        size  ← size + d · (k − 1) · jump
        start ← start + (d · (k − 1) / 2 − p) · jump
        jump  ← jump · s

    beginning with size 1, jump 1, start 0. Flattening and global pooling see all that the positions before them saw.
    Nothing is computed, and the model does not change.

    Args:
        input_shape: `(C, H, W)` or `(N, C, H, W)`.

    Returns:
        One row per module without children, in order of execution; a layer's second run is `name#2`.

    Raises:
        ValueError: no image shape, a network that is no chain, or a layer that does not keep track of place (transposed
            convolution, resizing, group norm).
    """
    inputs = meta_input(model, input_shape)
    if inputs.ndim != 4:
        raise ValueError(f"Got input_shape={tuple(input_shape)}, expected (C, H, W), for example (3, 224, 224).")
    for name, module in model.named_modules():
        if list(module.children()) and not isinstance(module, nn.Sequential):
            raise ValueError(
                f"{name or 'The model'} is a {type(module).__name__}, and its layers need not follow each other. Pass "
                "an nn.Sequential of the layers on one path, for example model.features."
            )
    rows = [ReceptiveField("", "", 1, 1, 0.0, inputs.shape[-1])]  # the image itself

    def record(name: str, layer: nn.Module, output: Tensor) -> None:
        rows.append(ReceptiveField(name, type(layer).__name__, *after(layer, rows[-1], output)))

    with watch(model, None, record):
        forward_on_meta(model, inputs)
    return rows[1:]


def after(layer: Any, seen: ReceptiveField, output: Tensor) -> tuple[int, int, float, int]:
    """Size, jump, start and side after one layer, from those before it."""
    side = output.shape[-1] if output.ndim == 4 else 1
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        window = [layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)]
        kernel, stride, padding, dilation = (each[-1] if isinstance(each, tuple) else each for each in window)
        reach = dilation * (kernel - 1)
        if isinstance(layer.padding, str):
            padding = reach // 2 if layer.padding == "same" else 0
    elif isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and side > 1 and seen.side % side == 0:
        stride = seen.side // side
        reach, padding = stride - 1, 0
    elif side == 1 or output.ndim != 4:  # flattened, or a mean over the whole map: all positions taken together
        between = (seen.side - 1) * seen.jump
        return seen.size + between, 0, seen.start + between / 2, 1
    elif isinstance(layer, POINTWISE):
        return seen.size, seen.jump, seen.start, side
    else:
        shape = tuple(output.shape)
        raise ValueError(f"Cannot follow the receptive field through {type(layer).__name__}, which puts out {shape}.")
    return seen.size + reach * seen.jump, seen.jump * stride, seen.start + (reach / 2 - padding) * seen.jump, side
