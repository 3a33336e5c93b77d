"""A forward pass that leaves no trace in the model: a probe that changes what it measures is no probe.

A forward pass in train mode moves the running statistics of batch norm and draws random numbers for dropout. Here the
pass works on copies, so parameters, `.grad`, buffers and random numbers stay as they were.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..models.modes import eval_mode


def isolated_forward(model: nn.Module, inputs: Tensor, *, parameters: Mapping[str, Tensor] | None = None) -> Any:
    """`model(inputs)`, in the mode the model is in, without side effects; hooks of the model run as usual.

    Args:
        model: any module that takes one tensor.
        inputs: its input, `(N, …)`.
        parameters: tensors to use in place of the model's own, by name; names left out keep theirs.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with preserved_rng(inputs.device):
        return functional_call(model, {**(parameters or {}), **buffers}, (inputs,))


def forward_on_meta(model: nn.Module, inputs: Tensor) -> None:
    """Send what `meta_input` returns through the model, in eval mode, for what its hooks make of the shapes.

    On torch's "meta" device a tensor has a shape and a type but no values, so the pass costs next to nothing, whatever
    the size of the model. The model itself stays where it is.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    with torch.no_grad(), eval_mode(model):
        functional_call(model, on_meta, (inputs,))


def meta_input(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """A tensor on the "meta" device, of the model's type: `(C, H, W)` and `(D,)` get a batch of one in front.

    Raises:
        ValueError: no numbers, more than four, or one below 1.
    """
    shape = tuple(input_shape)
    if not 1 <= len(shape) <= 4 or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(f"Got input_shape={input_shape!r}, expected whole numbers (C, H, W), such as (3, 224, 224).")
    shape = (1, *shape) if len(shape) in (1, 3) else shape
    dtype = next((tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()), torch.float32)
    return torch.empty(shape, dtype=dtype, device="meta")


def preserved_rng(device: torch.device) -> Any:
    """Context manager: the random numbers drawn inside are not missed outside.

    Deviation: on Apple's mps only the CPU's generator is preserved, since torch cannot fork the other.
    """
    if device.type == "meta":
        return nullcontext()
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def check_batch(images: Tensor, labels: Tensor) -> None:
    """Raise `ValueError` for an empty batch, or labels that are not int64 of shape `(N,)`."""
    if len(images) == 0:
        raise ValueError("Got an empty batch of images. Hand over at least one image and its label.")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"Got labels of shape {tuple(labels.shape)} and type {labels.dtype} for {len(images)} images; "
            f"expected class numbers, int64 of shape ({len(images)},)."
        )


def check_logits(output: object, labels: Tensor) -> None:
    """Raise `ValueError` for what is not one tensor `(N, classes)`, or a label outside the classes."""
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(labels):
        got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(f"The model returned {got}, expected logits as one tensor ({len(labels)}, classes).")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= output.shape[1]:
        raise ValueError(
            f"Labels run from {lowest} to {highest}, but the model has {output.shape[1]} classes (0 to "
            f"{output.shape[1] - 1}). Build it with num_classes={highest + 1} or check the labels."
        )
