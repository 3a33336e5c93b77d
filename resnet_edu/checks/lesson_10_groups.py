"""The check of lesson 10 on two learning rates: which parameter is in which group."""

from collections.abc import Mapping
from typing import Any

from torch import nn, optim

from .expect import need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check
from .trained_net import trained_net


@check("10.3 parameter groups")
def check_parameter_groups(parameter_groups: Any) -> str:
    """`parameter_groups(model, head_lr, backbone_lr)`: a list of dicts as `torch.optim` takes them."""
    name = need_function(parameter_groups, "parameter_groups(model, head_lr, backbone_lr)", nn.Identity(), 0.1, 0.01)
    for head_lr, backbone_lr, frozen in ((0.01, 0.001, False), (0.03, 0.02, True)):
        model = trained_net()
        if frozen:
            model.conv1.weight.requires_grad = False
        rates = rates_of(parameter_groups(model, head_lr, backbone_lr), model, name)
        need_every_one(rates, model)
        need_right_rates(rates, model, head_lr, backbone_lr)
    return "Every parameter that may learn is in one group, the head at its own rate, and frozen ones are left out."


def rates_of(groups: Any, model: nn.Module, name: str) -> dict[str, float]:
    """The learning rate of every parameter that the groups name.

    Raises:
        NotYet: there is nothing.
        Wrong: they are no groups that an optimizer would take.
    """
    if groups is None or groups is ...:
        raise NotYet
    if isinstance(groups, optim.Optimizer):
        raise Wrong(f"Expected a list of groups from `{name}`, got an optimizer. Return what you hand over to it.")
    if not isinstance(groups, list | tuple) or not all(isinstance(group, Mapping) for group in groups):
        raise Wrong(f"Expected a list of dicts from `{name}`, got {kind_of(groups)}.")
    names = {id(parameter): each for each, parameter in model.named_parameters()}
    rates: dict[str, float] = {}
    for group in groups:
        if "params" not in group or "lr" not in group:
            keys = ", ".join(map(repr, group))
            raise Wrong(f"Each group needs the keys 'params' and 'lr'; yours has {keys}.")
        if not isinstance(group["lr"], float | int):
            raise Wrong(f"'lr' must be a number, got {kind_of(group['lr'])}.")
        members = group["params"]
        found = [members] if isinstance(members, nn.Parameter) else list(members)
        if any(isinstance(each, str | tuple) for each in found):
            raise Wrong("'params' holds names. The optimizer needs the parameters themselves.")
        for parameter in found:
            if id(parameter) not in names:
                raise Wrong(f"'params' holds {kind_of(parameter)} that is no parameter of the model.")
            each = names[id(parameter)]
            if each in rates:
                raise Wrong(
                    f"`{each}` is in two groups, which an optimizer refuses. `model.parameters()` has the head in it: "
                    "leave it out of the backbone."
                )
            rates[each] = float(group["lr"])
    return rates


def need_every_one(rates: dict[str, float], model: nn.Module) -> None:
    """All parameters that may learn are there, and no frozen one.

    Raises:
        Wrong: one is missing, or too many.
    """
    free = [each for each, parameter in model.named_parameters() if parameter.requires_grad]
    missing = [each for each in free if each not in rates]
    head = [each for each in free if each.startswith("fc.")]
    backbone = [each for each in free if each not in head]
    if set(missing) == set(head):
        raise Wrong("The head is in no group, so it would never learn.")
    if set(missing) == set(backbone):
        raise Wrong("The backbone is in no group. That freezes it; here it learns too, at its own rate.")
    if missing and all(each.endswith("bias") for each in missing):
        raise Wrong(f"`{missing[0]}` is in no group. Biases learn too.")
    if missing and all("bn" in each for each in missing):
        raise Wrong(f"`{missing[0]}` is in no group. Batch norms have parameters too.")
    if missing and all("fc1" in each for each in missing):
        raise Wrong(f"`{missing[0]}` is in no group. Its name has 'fc' in it, but it is no part of `model.fc`.")
    if missing:
        raise Wrong(f"`{missing[0]}` is in no group, so it would never learn.")
    frozen = [each for each in rates if each not in free]
    if frozen:
        raise Wrong(f"`{frozen[0]}` is frozen (`requires_grad` is False). Leave such parameters out.")


def need_right_rates(rates: dict[str, float], model: nn.Module, head_lr: float, backbone_lr: float) -> None:
    """The head has its rate, all else the other.

    Raises:
        Wrong: a parameter has another rate; the message says why that may be.
    """
    wanted = {each: head_lr if each.startswith("fc.") else backbone_lr for each in rates}
    wrong = [each for each in rates if abs(rates[each] - wanted[each]) > 1e-12]
    if not wrong:
        return
    if len({*rates.values()}) == 1:
        raise Wrong(
            f"Everything has the rate {rates[wrong[0]]:g}. The head gets {head_lr:g}, the rest {backbone_lr:g}."
        )
    if all(rates[each] in (head_lr, backbone_lr) for each in rates) and len(wrong) == len(rates):
        raise Wrong("The rates are swapped: the head is new and gets `head_lr`, the backbone gets `backbone_lr`.")
    if all("fc1" in each for each in wrong):
        raise Wrong(
            f"`{wrong[0]}` has the head's rate. Its name has 'fc' in it, but it is no part of the head: "
            "ask `model.fc` for its parameters, or test for names that start with 'fc.'."
        )
    raise Wrong(f"`{wrong[0]}` has the rate {rates[wrong[0]]:g}; expected {wanted[wrong[0]]:g}.")
