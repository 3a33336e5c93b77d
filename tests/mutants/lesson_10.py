"""Answers to the exercises of lesson 10 on the head, on freezing and on parameter groups."""

import copy
from typing import Any

import torch
from torch import nn, optim

from resnet_edu import checks, models
from resnet_edu.checks.trained_net import TrainedNet

from . import Exercise

# --- 10.1 a new head --------------------------------------------------------------------------------------------


def new_head(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model


def head_stub(model: Any, num_classes: int) -> nn.Module:
    raise NotImplementedError("not yet")


def on_a_copy(model: Any, num_classes: int) -> nn.Module:
    """Right, and the net handed over stays as it was."""
    return new_head(copy.deepcopy(model), num_classes)


def as_the_package_does(model: Any, num_classes: int) -> nn.Module:
    """Right."""
    models.replace_head(model, num_classes)
    return model


def on_old_logits(model: Any, num_classes: int) -> nn.Module:
    return nn.Sequential(model, nn.Linear(model.fc.out_features, num_classes))


def old_head_kept_inside(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Sequential(model.fc, nn.Linear(model.fc.out_features, num_classes))
    return model


def with_softmax(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, num_classes), nn.Softmax(dim=1))
    return model


def deep_head(model: Any, num_classes: int) -> nn.Module:
    features = model.fc.in_features
    model.fc = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, num_classes))
    return model


def other_name(model: Any, num_classes: int) -> nn.Module:
    model.head = nn.Linear(model.fc.in_features, num_classes)
    return model


def features_by_heart(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Linear(512, num_classes)
    return model


def old_classes(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Linear(model.fc.in_features, model.fc.out_features)
    return model


def one_more_class(model: Any, num_classes: int) -> nn.Module:
    return new_head(model, num_classes + 1)


def no_bias(model: Any, num_classes: int) -> nn.Module:
    model.fc = nn.Linear(model.fc.in_features, num_classes, bias=False)
    return model


def everything_new(model: Any, num_classes: int) -> nn.Module:
    return TrainedNet(model.fc.in_features, num_classes)


def frozen_as_well(model: Any, num_classes: int) -> nn.Module:
    model.requires_grad_(False)
    return new_head(model, num_classes)


def statistics_disturbed(model: Any, num_classes: int) -> nn.Module:
    model.train()(torch.randn(4, 3, 8, 8))
    return new_head(model, num_classes)


def rows_of_the_old(model: Any, num_classes: int) -> nn.Module:
    old = model.fc
    model.fc = nn.Linear(old.in_features, num_classes)
    shared = min(num_classes, old.out_features)
    model.fc.weight.data[:shared] = old.weight.data[:shared]
    return model


def head_alone(model: Any, num_classes: int) -> nn.Module:
    return nn.Linear(model.fc.in_features, num_classes)


def attributes_only(model: Any, num_classes: int) -> nn.Module:
    model.fc.out_features = num_classes
    return model


HEAD = Exercise(
    checks.check_new_head,
    new_head,
    head_stub,
    [
        (on_old_logits, "behind the old net"),
        (old_head_kept_inside, "old head is still inside"),
        (with_softmax, "a softmax in the head"),
        (deep_head, "several linear layers"),
        (other_name, "`forward` never uses it"),
        (features_by_heart, "takes 512 features"),
        (old_classes, "`fc` still has 10 outputs"),
        (one_more_class, "`fc` has 5 outputs"),
        (no_bias, "has no bias"),
        (everything_new, "is not what it was"),
        (frozen_as_well, "Freezing is the next exercise"),
        (statistics_disturbed, "The running statistics have changed"),
        (rows_of_the_old, "the weights of the old classes"),
        (head_alone, "returns the head alone"),
    ],
    others=(on_a_copy, as_the_package_does),
)

# --- 10.3 parameter groups --------------------------------------------------------------------------------------


def parameter_groups(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    head = [p for name, p in model.named_parameters() if name.startswith("fc.") and p.requires_grad]
    backbone = [p for name, p in model.named_parameters() if not name.startswith("fc.") and p.requires_grad]
    return [{"params": backbone, "lr": backbone_lr}, {"params": head, "lr": head_lr}]


def groups_stub(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    raise NotImplementedError("not yet")


def one_group_each(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    """Right: as many groups as parameters."""
    head = {id(p) for p in model.fc.parameters()}
    return [
        {"params": p, "lr": head_lr if id(p) in head else backbone_lr} for p in model.parameters() if p.requires_grad
    ]


def pair(head: Any, backbone: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": list(head), "lr": head_lr}, {"params": list(backbone), "lr": backbone_lr}]


def free(model: Any, *, head: bool) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if name.startswith("fc.") is head and p.requires_grad]


def head_twice(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return pair(model.fc.parameters(), model.parameters(), head_lr, backbone_lr)


def frozen_too(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    backbone = [p for name, p in model.named_parameters() if not name.startswith("fc.")]
    return pair(model.fc.parameters(), backbone, head_lr, backbone_lr)


def rates_swapped(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return parameter_groups(model, backbone_lr, head_lr)


def one_rate(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return parameter_groups(model, head_lr, head_lr)


def rates_multiplied(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return parameter_groups(model, head_lr, head_lr * backbone_lr)


def head_only(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": free(model, head=True), "lr": head_lr}]


def backbone_only(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": free(model, head=False), "lr": backbone_lr}]


def without_biases(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    named = [(name, p) for name, p in model.named_parameters() if name.endswith("weight")]
    head = [p for name, p in named if name.startswith("fc.")]
    return pair(head, [p for name, p in named if not name.startswith("fc.")], head_lr, backbone_lr)


def without_norms(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    backbone = [p for name, p in model.named_parameters() if "fc." not in name and "bn" not in name]
    return pair(model.fc.parameters(), backbone, head_lr, backbone_lr)


def sounds_like_a_head(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    head = [p for name, p in model.named_parameters() if "fc" in name]
    backbone = [p for name, p in model.named_parameters() if "fc" not in name]
    return pair(head, backbone, head_lr, backbone_lr)


def left_out_by_its_name(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    backbone = [p for name, p in model.named_parameters() if "fc" not in name]
    return pair(model.fc.parameters(), backbone, head_lr, backbone_lr)


def stage_only(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return pair(model.fc.parameters(), model.layer1.parameters(), head_lr, backbone_lr)


def other_key(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    groups = parameter_groups(model, head_lr, backbone_lr)
    return [{"params": group["params"], "learning_rate": group["lr"]} for group in groups]


def names_only(model: Any, head_lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    return [{"params": [name for name, _ in model.named_parameters()], "lr": head_lr}]


def whole_optimizer(model: Any, head_lr: float, backbone_lr: float) -> Any:
    return optim.SGD(parameter_groups(model, head_lr, backbone_lr))


def lists_only(model: Any, head_lr: float, backbone_lr: float) -> list[Any]:
    return [free(model, head=True), free(model, head=False)]


GROUPS = Exercise(
    checks.check_parameter_groups,
    parameter_groups,
    groups_stub,
    [
        (head_twice, "`fc.weight` is in two groups"),
        (frozen_too, "is frozen (`requires_grad` is False)"),
        (rates_swapped, "The rates are swapped"),
        (one_rate, "Everything has the rate"),
        (rates_multiplied, "has the rate 1e-05"),
        (head_only, "That freezes it"),
        (backbone_only, "The head is in no group"),
        (without_biases, "Biases learn too"),
        (without_norms, "Batch norms have parameters too"),
        (sounds_like_a_head, "has the head's rate"),
        (left_out_by_its_name, "is no part of `model.fc`"),
        (stage_only, "`conv1.weight` is in no group"),
        (other_key, "'params' and 'lr'"),
        (names_only, "'params' holds names"),
        (whole_optimizer, "got an optimizer"),
        (lists_only, "Expected a list of dicts"),
    ],
    others=(one_group_each,),
)

EXERCISES = [HEAD, GROUPS]
