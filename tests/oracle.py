"""What the tests of the networks share: nets without memory, random weights, and a walk with hooks."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from resnet_edu import models
from resnet_edu.probe.activations import watch


def on_meta(name: str, **options: object) -> nn.Module:
    """A network of ours that has shapes but no memory."""
    with torch.device("meta"):
        return models.build(name, **options)  # type: ignore[arg-type]


def theirs_on_meta(name: str, **options: object) -> nn.Module:
    """torchvision's network of that name, without memory."""
    if name == "googlenet":
        options = {"aux_logits": False, "init_weights": False, **options}
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None, **options)


def randomised(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """The model in memory, every weight and every batch-norm statistic random: the defaults would hide mistakes.

    Weights keep the signal's variance from layer to layer; a batch norm gets scales and variances about 1.
    """
    generator = torch.Generator().manual_seed(seed)
    if any(parameter.is_meta for parameter in model.parameters()):
        model.to_empty(device="cpu")
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("num_batches_tracked"):
                value.fill_(3)
            elif value.ndim > 1:
                bound = (6 / value[0].numel()) ** 0.5  # He et al. 2015: variance 2 / fan_in
                value.uniform_(-bound, bound, generator=generator)
            elif key.endswith(("running_var", "weight")):
                value.uniform_(0.5, 1.5, generator=generator)
            else:  # biases and running means
                value.uniform_(-0.2, 0.2, generator=generator)
    return model


def images(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random images, reproducible."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parameters(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


@dataclass
class Walk:
    """What hooks saw in one forward pass."""

    calls: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    layers: int = 0  # convolutions and linear layers, projections of the shortcut left out


def walk(model: nn.Module, x: Tensor) -> Walk:
    """Run `model` once: how often each module was called, and whose output or input changed afterwards."""
    seen = Walk()
    kept: list[tuple[str, Tensor, int]] = []

    def hook(name: str, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        seen.calls[name] += 1
        if isinstance(output, Tensor):
            seen.shapes[name] = tuple(output.shape)
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name and "downsample" not in name:
            seen.layers += 1
        kept.extend((name, value, value._version) for value in (*args, output) if isinstance(value, Tensor))

    handles = [
        module.register_forward_hook(lambda module, args, output, name=name: hook(name, module, args, output))
        for name, module in model.named_modules()
    ]
    model(x)
    for handle in handles:
        handle.remove()
    seen.changed = [name for name, value, version in kept if value._version != version]
    return seen


class MeanForMax(TorchFunctionMode):
    """Inside, max pooling takes the mean: the same field, but every pixel of it gets a share of the gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.__name__ == "adaptive_max_pool2d":
            return F.adaptive_avg_pool2d(*args[:2])
        if func.__name__ == "max_pool2d":
            names = ("input", "kernel_size", "stride", "padding")
            given: Any = {**dict(zip(names, args, strict=False)), **kwargs}
            return F.avg_pool2d(**{name: given[name] for name in (*names, "ceil_mode") if name in given})
        return func(*args, **kwargs)


class MeasuredField(NamedTuple):
    """First and last row and column of the image with a gradient, and all its pixels `(H, W)` with one."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    seen: Tensor


def measured_receptive_field(
    model: nn.Module, input_shape: tuple[int, int, int], *, layer: str | None = None, position: Any = None
) -> MeasuredField:
    """Which pixels change one position of a layer's output, by the gradient: an experiment, not a formula.

    The experiment needs a gradient that vanishes only where there is no connection. So it works on a copy in float64
    whose filters are positive and sum to 1, whose batch norms do nothing and whose max poolings take the mean; the
    input is positive. No ReLU is then closed and no two paths cancel. Without a position it is the centre's.
    """
    generator = torch.Generator().manual_seed(0)
    copy = deepcopy(model).cpu().double().eval().requires_grad_(False)
    for name, value in (*copy.named_parameters(), *copy.named_buffers()):
        if value.ndim > 1:
            value.uniform_(0.5, 1.0, generator=generator)
            value /= value.flatten(1).sum(dim=1).view(-1, *[1] * (value.ndim - 1))
        elif value.is_floating_point():
            value.fill_(0.0 if name.endswith(("bias", "mean")) else 1.0)
    image = torch.rand(1, *input_shape, generator=generator, dtype=torch.float64).add(0.5).mul(1e-3).requires_grad_()
    outputs: list[Tensor] = []

    def record(name: str, module: nn.Module, output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()

    with watch(copy, [layer] if layer else [], record), MeanForMax():
        result = copy(image)
    output = outputs[0] if layer else result
    if output.ndim != 4:
        output = output.flatten(1)[:, :, None, None]  # (N, D, 1, 1)
    row, column = position or (output.shape[2] // 2, output.shape[3] // 2)
    channels = torch.rand(output.shape[1], generator=generator, dtype=torch.float64) + 0.5
    gradient = torch.autograd.grad((output[0, :, row, column] * channels).sum(), image)[0]
    seen = gradient[0].abs().sum(dim=0) > 0  # (H, W)
    rows, columns = (seen.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    return MeasuredField((rows[0], rows[-1]), (columns[0], columns[-1]), seen)
