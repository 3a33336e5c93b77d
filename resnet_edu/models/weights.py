"""Loading weights into a network, with an error that says what does not fit and what would."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import WrongCheckpoint
from .registry import available, build, options

#: Options that change which weights a network has, and their values.
VARIANTS: dict[str, tuple[object, ...]] = {
    "stem": ("imagenet", "small"),
    "shortcut": ("A", "B", "C"),
    "aux_heads": (False, True),
}


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Copy `state` into `model`: every key must be there, none may be left over, all shapes must agree.

    Nothing is copied unless everything fits. Batch norm's step counters may be missing, as they are in
    weights saved before PyTorch 0.4.1.

    Args:
        model: the network, on any device.
        state: weights by parameter name, as `state_dict()` gives them.
        name: what the message calls the network.

    Raises:
        WrongCheckpoint: some keys are missing or unexpected or have another shape, or `state` holds no weights.
    """
    refuse_what_is_no_state(state, name)
    own = model.state_dict()
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    missing = [key for key in own if key not in state and key not in counters]
    unexpected = [key for key in state if key not in own]
    misshapen = [
        f"{key}: got {tuple(state[key].shape)}, the net has {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    faults = [
        f"{len(keys)} {what} ({'; '.join(keys[:3])}{'; …' if len(keys) > 3 else ''})"
        for keys, what in ((missing, "missing"), (unexpected, "unexpected"), (misshapen, "of another shape"))
        if keys
    ]
    if faults:
        raise WrongCheckpoint(f"These weights do not fit {name}: {', '.join(faults)}. {advice(state)}")
    model.load_state_dict({**counters, **state})


def refuse_what_is_no_state(state: object, name: str) -> None:
    """Raise `WrongCheckpoint` unless `state` maps names to tensors; point to the weights where they are near."""
    if not isinstance(state, Mapping) or not state:
        raise WrongCheckpoint(
            f"Expected weights of {name} by parameter name, got {type(state).__name__} ({state!r:.40})."
        )
    others = [key for key, value in state.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if others:
        nested = next((key for key in others if isinstance(state[key], Mapping)), None)
        hint = "" if nested is None else f" Pass state[{nested!r}], which may hold the weights."
        raise WrongCheckpoint(
            f"Expected weights of {name} by parameter name, but {others[0]!r} is of type "
            f"{type(state[others[0]]).__name__}.{hint}"
        )


def advice(state: Mapping[str, Tensor]) -> str:
    """What to do with weights that do not fit: one sentence."""
    prefix = next(iter(state)).split(".")[0] + "."
    if prefix == "module." and all(key.startswith(prefix) for key in state):
        return "All names start with 'module.', as DistributedDataParallel saves them: cut it off."
    calls = fitting(state)
    if not calls:
        return "They fit no other network of the course either."
    return f"They fit {' and '.join(calls)}."


def fitting(state: Mapping[str, Tensor]) -> list[str]:
    """The calls of `build` whose network takes exactly these weights; a plain and a residual net can both do."""
    shapes = {key: value.shape for key, value in state.items() if not key.endswith("num_batches_tracked")}
    kernels = [shape for shape in shapes.values() if len(shape) == 4]
    matrices = [shape for shape in shapes.values() if len(shape) == 2]
    if not kernels or not matrices:
        return []
    sizes = {"num_classes": matrices[-1][0], "in_channels": kernels[0][1], "width": kernels[0][0]}
    layers = sum(len(shapes[key]) > 1 and "shortcut" not in key and "downsample" not in key for key in shapes)
    return [
        call(name, chosen)
        for name in available()
        if layers_in(name) in (layers, None)
        for chosen in variants(name, sizes)
        if shapes_of(name, chosen) == shapes
    ]


def call(name: str, chosen: Mapping[str, object]) -> str:
    """The call of `build` as it is typed, defaults left out."""
    defaults = options(name)
    typed = [f"{option}={value!r}" for option, value in chosen.items() if value != defaults[option]]
    return f"build({', '.join([repr(name), *typed])})"


def layers_in(name: str) -> int | None:
    """The depth a name speaks of: 34 for "resnet34", `None` for "alexnet"."""
    digits = "".join(character for character in name if character.isdigit())
    return int(digits) if digits else None


def variants(name: str, sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """The `sizes` the network has an option for, with every combination of its options that change its weights."""
    known = options(name)
    chosen = {option: value for option, value in sizes.items() if option in known}
    open_options = {option: values for option, values in VARIANTS.items() if option in known}
    return [{**chosen, **dict(zip(open_options, values, strict=True))} for values in product(*open_options.values())]


def shapes_of(name: str, chosen: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Shapes of a network's weights by name, found without memory for them; none if it cannot be built so."""
    try:
        with torch.device("meta"):
            model = build(name, **chosen)
    except ValueError:
        return {}
    return {key: value.shape for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
