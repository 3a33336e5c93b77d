"""Answers to the exercises of lesson 10."""

from typing import Any

from torch import nn

from resnet_edu import models

# --- 10.2 freeze properly ---------------------------------------------------------------------------------------


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


RIGHT = {"10.2": [freeze_backbone, freeze_by_name, freeze_as_the_package]}

WRONG = {
    "10.2": [
        (values_reset, "freezing changes no value"),
        (lambda model: freeze_backbone(model).fc, "Return the whole network"),
        (lambda model: model.state_dict(), "Expected the network, got"),
    ],
}
