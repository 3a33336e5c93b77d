"""What flows through a network, seen without a trace: the output of any layer, its mean, spread and share of zeros.

Hooks are callables that a module runs after its forward pass; here a `with` statement removes them, even when the pass
fails. In train mode a pass also moves the running statistics of batch norm and draws random numbers for dropout:
`isolated_forward` works on copies, so that parameters, `.grad`, buffers and random numbers stay as they were.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import check_known
from ..models.modes import eval_mode


class LayerStatistics(NamedTuple):
    """One layer's output: mean and standard deviation over the batch and all positions; share of zeros, 0 to 1."""

    name: str
    kind: str
    mean: float
    std: float
    zeros: float


def leaf_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules without children, by name, in the order they were defined. A lone layer goes by its class's name."""
    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    return {name or type(model).__name__: module for name, module in leaves.items()}


@contextmanager
def watch(
    model: nn.Module, layers: Iterable[str] | None, record: Callable[[str, nn.Module, Any], Any]
) -> Iterator[None]:
    """Call `record(name, module, output)` after each layer; what it returns, if not None, replaces the output.

    A layer that runs twice in one forward pass is reported as `name`, then `name#2`, and so on. Layers are named as for
    `activations`.
    """
    known = {**leaf_layers(model), **{name: module for name, module in model.named_modules() if name}}
    if isinstance(layers, str):
        raise ValueError(f"layers must be a list of names, got the string {layers!r}. Write [{layers!r}].")
    names = list(leaf_layers(model)) if layers is None else list(layers)
    check_known("layer", known, *names)
    calls = dict.fromkeys(names, 0)

    def hook(name: str, module: nn.Module, _: Any, output: Any) -> Any:
        calls[name] += 1
        return record(name if calls[name] == 1 else f"{name}#{calls[name]}", module, output)

    with ExitStack() as handles:
        for name in calls:
            handles.enter_context(known[name].register_forward_hook(partial(hook, name)))
        yield


@contextmanager
def activations(model: nn.Module, layers: Iterable[str] | None = None) -> Iterator[dict[str, Tensor]]:
    """Collect what the layers put out during the forward passes inside the `with` statement.

    In use::

        with probe.activations(model, ["layer1.0.relu2"]) as seen:
            model(images)
        seen["layer1.0.relu2"]  # (N, C, H, W)

    Each tensor is a detached copy, taken the moment the layer is done: an in-place ReLU (torchvision's) overwrites a
    batch norm's output an instant later.

    Args:
        layers: names as in `model.named_modules()`, or None for every module without children.

    Yields:
        A dict that is filled in order of execution. A layer that runs again is stored as `name#2`.

    Raises:
        UnknownName: a layer the model does not have.
        ValueError: a chosen layer puts out something that is not one tensor.
    """
    seen: dict[str, Tensor] = {}

    def record(name: str, module: nn.Module, output: Any) -> None:
        seen[name] = one_tensor(name, module, output).detach().clone()

    with watch(model, layers, record):
        yield seen


def forward_statistics(
    model: nn.Module, images: Tensor, *, layers: Iterable[str] | None = None
) -> list[LayerStatistics]:
    """Mean, standard deviation and share of zeros of each layer's output for one batch, in order of execution.

    The layers are named as for `activations`. The model stays in the mode it is in, and nothing in it changes: in train
    mode batch norm uses this batch's statistics, but does not keep them.
    """
    rows: list[LayerStatistics] = []

    def record(name: str, module: nn.Module, output: Any) -> None:
        values = one_tensor(name, module, output).float()
        mean, std, zeros = values.mean(), values.std(correction=0), (values == 0).float().mean()
        rows.append(LayerStatistics(name, type(module).__name__, mean.item(), std.item(), zeros.item()))

    with watch(model, layers, record), torch.no_grad():
        isolated_forward(model, images)
    return rows


def one_tensor(name: str, module: nn.Module, output: Any) -> Tensor:
    """The output as it is if it is a tensor; a `ValueError` if it is a tuple, a dict or something else."""
    if isinstance(output, Tensor):
        return output
    children = [child for child, _ in module.named_children()]
    raise ValueError(
        f"Layer {name!r} ({type(module).__name__}) puts out a {type(output).__name__}, not one tensor. "
        f"Choose one of its children: {', '.join(children) or 'it has none'}."
    )


def copies(model: nn.Module, copy: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """A copy of each parameter and buffer by its name, or its names where modules share it.

    A module that stands in two places has one name, for torch's `functional_call` would not put back what it replaces
    there twice.
    """
    made: dict[int, Tensor] = {}
    return {
        f"{place}.{name}".removeprefix("."): made.setdefault(id(value), copy(value))
        for place, module in model.named_modules()
        for name, value in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    }


def isolated_forward(model: nn.Module, inputs: Tensor, *, replaced: dict[str, Tensor] | None = None) -> Any:
    """`model(inputs)`, in the mode the model is in, without side effects; hooks of the model run as usual.

    It computes with what `copies` returned, if that is given.
    """
    used = replaced or copies(model, lambda value: value if isinstance(value, nn.Parameter) else value.clone())
    with preserved_rng(inputs.device):
        return functional_call(model, used, (inputs,), tie_weights=False)


def forward_on_meta(model: nn.Module, inputs: Tensor) -> None:
    """Send what `meta_input` returns through the model, in eval mode, for what its hooks make of the shapes.

    On torch's "meta" device a tensor has a shape but no values, so this costs next to nothing. The model is not moved.
    """
    on_meta = copies(model, lambda tensor: tensor.detach().to("meta"))
    with torch.no_grad(), eval_mode(model):
        functional_call(model, on_meta, (inputs,), tie_weights=False)


def meta_input(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """A tensor on the "meta" device, of the model's type: `(C, H, W)` and `(D,)` get a batch of one in front."""
    shape = tuple(input_shape)
    if not 1 <= len(shape) <= 4 or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(f"Got input_shape={input_shape!r}, expected whole numbers (C, H, W), such as (3, 224, 224).")
    shape = (1, *shape) if len(shape) in (1, 3) else shape
    dtype = next((tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()), torch.float32)
    return torch.empty(shape, dtype=dtype, device="meta")


def preserved_rng(device: torch.device) -> Any:
    """Context manager: the random numbers drawn inside are not missed outside, but for those of Apple's mps."""
    if device.type == "meta":
        return nullcontext()
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
