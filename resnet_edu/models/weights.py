"""Loading weights into a network, with an error that says what does not fit."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from ..errors import WrongCheckpoint

#: What programs put before every name: DistributedDataParallel, torch.compile, Lightning, models made of two parts.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Copy `state` into `model`: every key must be there, none may be left over, all shapes must agree.

    Nothing is copied unless everything fits. A prefix that all names share, as in "module.conv1.weight", is taken off.
    Batch norm's step counters may be missing, as they are in weights saved before PyTorch 0.4.1. An error calls the
    network by its `name`.

    Raises:
        WrongCheckpoint: some keys are missing or unexpected or have another shape, or `state` holds no weights.
    """
    check_state(state, name)
    own = model.state_dict()
    state = without_prefixes(state, own)
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
        raise WrongCheckpoint(
            f"These weights do not fit {name}: {', '.join(faults)}. "
            "Build the network with the name, num_classes and other options with which it was trained."
        )
    model.load_state_dict({**counters, **state})


def check_state(state: object, name: str) -> None:
    """Raise `WrongCheckpoint` unless `state` maps names to tensors; point to the weights where they are near."""
    expected = f"Expected weights of {name} by parameter name"
    if not isinstance(state, Mapping) or not state:
        raise WrongCheckpoint(f"{expected}, got {type(state).__name__} ({state!r:.40}).")
    others = [key for key, value in state.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if others:
        nested = next((key for key in others if isinstance(state[key], Mapping)), None)
        hint = "" if nested is None else f" Pass state[{nested!r}], which may hold the weights."
        raise WrongCheckpoint(f"{expected}, but {others[0]!r} is of type {type(state[others[0]]).__name__}.{hint}")


def without_prefixes(state: Mapping[str, Tensor], own: Iterable[str]) -> Mapping[str, Tensor]:
    """The state without those of `PREFIXES` that all its names begin with, unless the network's own names do."""
    for prefix in PREFIXES * len(PREFIXES):  # they can be nested, in any order
        if all(key.startswith(prefix) for key in state) and not all(key.startswith(prefix) for key in own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
