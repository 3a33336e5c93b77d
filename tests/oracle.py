"""What the tests of the networks share: nets without memory, random weights, and a walk with hooks."""

from collections import Counter
from dataclasses import dataclass, field

import torch
import torchvision
from torch import Tensor, nn

from resnet_edu import models


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
