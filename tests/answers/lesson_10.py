"""Answers to the exercises of lesson 10."""

import copy
from math import inf
from statistics import mean
from typing import Any

import torch
from torch import nn, optim

from resnet_edu import models

# --- 10.1 a new head --------------------------------------------------------------------------------------------


def new_head(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model


def head_on_a_copy(model: Any, num_classes: int) -> nn.Module:
    """Right, and the net handed over stays as it was."""
    return new_head(copy.deepcopy(model), num_classes).train()


def lazy_head(model: Any, num_classes: int) -> nn.Module:
    """Right: the layer finds out by itself how many features there are."""
    model.fc = nn.LazyLinear(num_classes)
    return model


def head_as_the_package(model: Any, num_classes: int) -> nn.Module:
    """Right."""
    models.replace_head(model, num_classes)
    return model


def statistics_disturbed(model: Any, num_classes: int) -> nn.Module:
    model.train()(torch.randn(4, 3, 8, 8))
    return new_head(model, num_classes)


def everything_new(model: Any, num_classes: int) -> nn.Module:
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.reset_parameters()
    return new_head(model, num_classes)


# --- 10.2 how many labels ---------------------------------------------------------------------------------------


def labels_needed(curve: dict[int, list[float]], error: float) -> float:
    needed = inf
    for labels in sorted(curve, reverse=True):
        if sum(curve[labels]) / len(curve[labels]) > error:
            break
        needed = labels
    return needed


def labels_by_suffix(curve: dict[int, list[float]], error: float) -> float:
    """Right: tries each number, the smallest first."""
    for least in sorted(curve):
        if all(mean(errors) <= error for labels, errors in curve.items() if labels >= least):
            return least
    return float("inf")


def labels_by_torch(curve: dict[int, list[float]], error: float) -> torch.Tensor:
    """Right."""
    numbers = torch.tensor(sorted(curve))
    high = torch.stack([torch.tensor(curve[int(n)], dtype=torch.float64).mean() > error for n in numbers])
    last = int(high.nonzero().max()) + 1 if high.any() else 0
    return numbers[last] if last < len(numbers) else torch.tensor(inf)


# --- 10.3 freeze properly ---------------------------------------------------------------------------------------


def freeze_backbone(model: Any) -> nn.Module:
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in model.fc.parameters():
        parameter.requires_grad = True
    return model.eval()


def freeze_by_name(model: Any) -> nn.Module:
    """Right, with the head in train mode."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("fc."))
    model.train()
    for name, module in model.named_children():
        module.train(name == "fc")
    return model


def freeze_as_the_package(model: Any) -> nn.Module:
    """Right."""
    models.freeze(model).get_submodule("fc").requires_grad_(True)
    return models.training_mode(model)


def values_reset(model: Any) -> nn.Module:
    model.bn1.reset_running_stats()
    return freeze_backbone(model)


# --- 10.4 parameter groups --------------------------------------------------------------------------------------


def groups(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    head = [p for name, p in model.named_parameters() if name.startswith("fc.") and p.requires_grad]
    backbone = [p for name, p in model.named_parameters() if not name.startswith("fc.") and p.requires_grad]
    return [{"params": backbone, "lr": backbone_lr}, {"params": head, "lr": head_lr}]


def one_group_each(model: Any, head_lr: float, backbone_lr: float) -> tuple[dict[str, Any], ...]:
    """Right: as many groups as parameters."""
    head = {id(p) for p in model.fc.parameters()}
    return tuple(
        {"params": p, "lr": head_lr if id(p) in head else backbone_lr} for p in model.parameters() if p.requires_grad
    )


def lazy_groups(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    """Right: generators, and a rate of PyTorch."""
    first, second = groups(model, head_lr, backbone_lr)
    return [{"params": iter(second["params"]), "lr": torch.tensor(head_lr)}, first]


def copied_groups(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return groups(copy.deepcopy(model), head_lr, backbone_lr)


def names_only(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": [name for name, _ in model.named_parameters()], "lr": head_lr}]


def other_key(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": group["params"], "learning_rate": group["lr"]} for group in groups(model, head_lr, backbone_lr)]


RIGHT = {
    "10.1": [new_head, head_on_a_copy, lazy_head, head_as_the_package],
    "10.3": [freeze_backbone, freeze_by_name, freeze_as_the_package],
    "10.4": [groups, one_group_each, lazy_groups],
    "10.2": [labels_needed, labels_by_suffix, labels_by_torch],
}

WRONG = {
    "10.1": [
        (lambda model, n: new_head(model, n + 1), "size: fc.weight: expected '(4, 16)', got '(5, 16)'"),
        (statistics_disturbed, "send no images through the net"),
        (everything_new, "before the head, where nothing changes: conv1.weight"),
        (lambda model, n: new_head(model, n).state_dict(), "Expected the network, got"),
    ],
    "10.3": [
        (values_reset, "freezing changes no value"),
        (lambda model: freeze_backbone(model).fc, "Return the whole network"),
        (lambda model: model.state_dict(), "Expected the network, got"),
    ],
    "10.4": [
        (lambda model, head, backbone: groups(model, head, head * backbone), "expected 'at the rate 0.001', got"),
        (copied_groups, "'params' holds copies"),
        (names_only, "'params' holds the str `'conv1.weight'`"),
        (other_key, "yours has 'params', 'learning_rate'"),
        (lambda *call: optim.SGD(groups(*call)), "is handed over to the optimizer, got something of type `SGD`"),
        (lambda *call: [group["params"] for group in groups(*call)], "Expected a list of dicts"),
    ],
    "10.2": [
        (lambda curve, error: f"{labels_needed(curve, error)} labels", "Expected a number of labels"),
        (lambda curve, error: inf, "got inf"),
        (lambda curve, error: None if (n := labels_needed(curve, error)) == inf else n, "got None"),
    ],
}
