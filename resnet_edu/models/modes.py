"""Which parts of a network learn, and which stay as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def freeze(module: nn.Module) -> nn.Module:
    """Keep a module as it is: its parameters get no gradient, and it is put into evaluation mode.

    Both are needed. In training mode a batch norm replaces its running mean and variance bit by bit by those of the
    new images, whether its parameters have a gradient or not. `training_mode`, and so `fit`, leaves what is frozen
    in evaluation mode.

    Returns:
        The same module.
    """
    for parameter in module.parameters():
        parameter.requires_grad = False
    return module.eval()


def training_mode(model: nn.Module) -> nn.Module:
    """`model.train()` for all but what is frozen: modules whose parameters all have `requires_grad=False`.

    Returns:
        The same model.
    """
    model.train()
    for module in model.modules():
        needs = [parameter.requires_grad for parameter in module.parameters()]
        if needs and not any(needs):
            module.eval()
    return model


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the `with` statement, every module's own mode again outside."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
