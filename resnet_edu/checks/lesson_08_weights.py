"""The check of lesson 08 on weights trained elsewhere: all of the trunk must fit, the head may differ."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .expect import need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

SIGNATURE = 'load_trunk(model, state, head="fc")'

State = dict[str, Tensor]


class Net(nn.Module):
    """A small net with a layer that is itself called `module`, and one whose name begins like the head's."""

    def __init__(self, classes: int, *, in_channels: int = 1, norm: int = 4, head: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.module, self.mode = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.fc_norm, self.fc = nn.LayerNorm(norm), head or nn.Linear(4, classes)
        for value in self.state_dict().values():
            value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.randint(1, 10**6, ()))

    def stored(self, prefix: str = "") -> State:
        """A copy of its state, as another program would have saved it."""
        return {prefix + key: value.clone() for key, value in self.state_dict().items()}


@check("08.4 weights trained elsewhere")
def check_load_trunk(load_trunk: Any) -> str:
    """`load_trunk(model, state, head="fc") -> list[str]`: names that do not fit, all of them the head's."""
    name = need_function(load_trunk, SIGNATURE, Net(5), Net(5).stored(), head="fc")
    need_function(load_trunk, SIGNATURE, Net(5), Net(5).stored())
    need_loaded(load_trunk, Net(5), Net(9).stored("module."), ["fc.bias", "fc.weight"], name, "module.")
    need_loaded(load_trunk, Net(5), Net(9).stored(), ["fc.bias", "fc.weight"], name)
    need_loaded(load_trunk, Net(5), Net(5).stored("module."), [], name, "module.")
    need_loaded(load_trunk, Net(5), Net(5).stored(), [], name)
    deeper = Net(5, head=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5)))
    names = ["fc.0.bias", "fc.0.weight", "fc.1.bias", "fc.1.weight", "fc.bias", "fc.weight"]
    need_loaded(load_trunk, Net(5), deeper.stored(), names, name)
    need_other_head(load_trunk, name)
    short = Net(5).stored("module.")
    del short["module.bn1.running_mean"]
    more = {**Net(5).stored(), "layer5.weight": torch.ones(1)}
    for state, key, what, kind in (
        (short, "bn1.running_mean", "lacks `bn1.running_mean`", "A trunk with a layer missing"),
        (more, "layer5.weight", "has `layer5.weight`, which the model lacks", "A trunk with a layer too many"),
        (Net(5, in_channels=3).stored(), "conv1.weight", "has `conv1.weight` for colour images",
         "A trunk with a layer of another shape"),
        (Net(5, norm=6).stored(), "fc_norm", "has another `fc_norm`, a layer of the trunk",
         "A layer that begins with the head's letters, but not with `fc.`,"),
    ):  # fmt: skip
        need_refused(load_trunk, state, key, what, kind, name)
    return "The trunk fits to the last buffer or nothing is loaded, and you are told what the head is missing."


def need_loaded(
    load: Callable[..., Any], model: Net, state: State, wanted: list[str], name: str, prefix: str = ""
) -> None:
    """All that fits is in the model, nothing else has changed, and the rest is reported.

    Raises:
        NotYet: the answer returns nothing, and has loaded nothing.
        Wrong: anything else.
    """
    before, given = copy.deepcopy(model.state_dict()), dict(state)
    where = f"weights {'with' if prefix else 'without'} the prefix" + (" and another head" if wanted else "")
    try:
        reported = load(model, state)
    except NotImplementedError:
        raise
    except Exception as error:
        if "size mismatch" in str(error):
            raise Wrong(
                "`load_state_dict` refuses a head of another shape, even with `strict=False`. Leave the head's entries "
                "that do not fit out of what you hand it."
            ) from None
        if isinstance(error, ValueError | RuntimeError | KeyError):
            error.add_note(f"It was given {where}, which it should load.")
        raise
    now = model.state_dict()
    if state.keys() != given.keys():
        raise Wrong(f"`{name}` changes the dictionary it is given, which others may still need. Make a new one.")
    if reported is None or reported is ...:
        if all(torch.equal(now[key], value) for key, value in before.items()):
            raise NotYet
        raise Wrong(f"`{name}` returns nothing. Return the names that do not fit, as a sorted list.")
    fitting = {
        key: state[prefix + key]
        for key in before
        if prefix + key in state and state[prefix + key].shape == before[key].shape
    }
    need_values(now, before, fitting, where)
    if any(now[key].data_ptr() == value.data_ptr() for key, value in fitting.items()):
        raise Wrong(
            "The model shares memory with the state, so training it would change the stored weights. Copy them."
        )
    if reported != wanted:
        raise Wrong(report(reported, wanted, where, list(fitting), prefix))


def need_other_head(load: Callable[..., Any], name: str) -> None:
    """The head is what `head` says.

    Raises:
        Wrong: it is not.
    """
    try:
        need_loaded(partial(load, head="fc_norm"), Net(5), Net(5, norm=6).stored(),
                    ["fc_norm.bias", "fc_norm.weight"], name)  # fmt: skip
    except ValueError:
        raise Wrong(
            '`head="fc_norm"` makes another layer the head, and one that differs there is refused. Take the name from '
            f"the argument `head` of `{name}`, not from the code."
        ) from None


def need_values(now: State, before: State, fitting: State, where: str) -> None:
    """What fits has been copied, and nothing else has changed.

    Raises:
        Wrong: it has not.
    """
    left = [key for key, value in fitting.items() if not torch.equal(now[key], value)]
    if len(left) == len(fitting):
        raise Wrong(
            f"Given {where}, nothing was loaded at all. With `strict=False`, names that do not match are passed over "
            "in silence: cut `module.` off first."
        )
    if left and all(key.startswith("fc.") for key in left):
        raise Wrong("The head is left out although it fits. Leave out only what has another shape or another name.")
    if left and all(key.startswith("bn1.") and key.split(".")[1].startswith(("running", "num")) for key in left):
        raise Wrong(
            f"`{left[0]}` is not loaded. Batch norm's statistics are buffers, not parameters; `state_dict()` has both."
        )
    if left:
        raise Wrong(
            f"Given {where}, `{left[0]}` is not loaded. Cut the first seven characters off, and only once: "
            "`lstrip` and `replace` take more."
        )
    touched = [key for key, value in before.items() if key not in fitting and not torch.equal(now[key], value)]
    if touched:
        raise Wrong(f"`{touched[0]}` has changed, although the weights have nothing that fits it.")


def report(reported: object, wanted: list[str], where: str, fitting: list[str], prefix: str) -> str:
    """What is wrong with the names that are returned."""
    if not isinstance(reported, list | tuple | set) or not all(isinstance(key, str) for key in reported):
        return f"Expected the names that do not fit, as a sorted list of strings, got {kind_of(reported)}."
    names = list(reported)
    if not isinstance(reported, list):
        return f"The names are returned as a {type(reported).__name__}. Return a list: `sorted(…)` makes one."
    if set(names) == set(fitting):
        return (
            "You return the names that were loaded. Return those that do not fit: they are what must still be trained."
        )
    if prefix and {key.removeprefix(prefix) for key in names} == set(wanted) != set(names):
        return "The names you return still have the prefix. Return them as the model calls them."
    if len(set(names)) == len(set(wanted)) and sorted(set(names)) == wanted:
        return f"The names are right, but not sorted, or one stands twice: {names}. Return `sorted(set(…))`."
    if not names:
        return f"You report that all is well, given {where}. But {wanted} did not fit: say so."
    if set(names) < set(wanted):
        return (
            f"Only a part is reported: {names}. Report the model's names that got nothing and the state's that had no "
            f"use; expected {wanted}."
        )
    return f"Given {where}, you report {names}; expected {wanted}."


def need_refused(load: Callable[..., Any], state: State, key: str, what: str, kind: str, name: str) -> None:
    """A `ValueError` that names what does not fit, and a model that is as it was.

    Raises:
        Wrong: no error, another one, or a model that is half loaded.
    """
    model = Net(5)
    before = copy.deepcopy(model.state_dict())
    try:
        load(model, state)
    except ValueError as error:
        if any(not torch.equal(value, before[entry]) for entry, value in model.state_dict().items()):
            raise Wrong(
                "The error comes too late: a part of the weights is loaded already, and the model is neither one nor "
                "the other. Look at all names first."
            ) from None
        if key not in str(error):
            raise Wrong(f"The error does not say which name does not fit. It should mention `{key}`.") from None
        return
    except NotImplementedError:
        raise
    except Exception as error:
        raise Wrong(
            f"`{name}` raises {type(error).__name__} for weights whose trunk does not fit ({what}). Raise a "
            "`ValueError` that says which names."
        ) from None
    raise Wrong(f"{kind} is accepted: the state {what}, and `{name}` says nothing. Raise a `ValueError`.")
