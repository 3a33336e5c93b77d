"""A trained network for other classes: a new head on an old backbone, which may be frozen (lesson 10)."""

from collections.abc import Callable

from PIL import Image
from torch import Tensor, nn

from .inputs import check_count


def head_of(model: nn.Module) -> tuple[str, nn.Linear]:
    """Name and module of a network's last linear layer; what comes before it is its backbone.

    Raises:
        ValueError: the network has no linear layer.
    """
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(f"{type(model).__name__} has no linear layer that could be its head.")
    return linear[-1]


def replace_head(model: nn.Module, num_classes: int) -> nn.Linear:
    """Put a new, untrained linear layer in place of the last one, for `num_classes` other classes.

    The model is changed; everything else in it stays as it is.

    Returns:
        The new head.

    Raises:
        ValueError: the network has no linear layer, or `num_classes` is no whole number of at least 1.
    """
    check_count("num_classes", num_classes)
    name, old = head_of(model)
    if not name:
        raise ValueError("The model is a single linear layer: there is nothing to put a new head on.")
    parent, _, last = name.rpartition(".")
    new = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
    setattr(model.get_submodule(parent), last, new)
    return new


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


def normalisation(transforms: Callable[[Image.Image], Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, on a scale of 0 to 1, by which `transforms` normalises.

    Found from what a black and a white picture become, (0 - mean) / std and (1 - mean) / std.

    Args:
        transforms: of `pretrained`; maps a picture to a tensor `(3, H, W)`.
    """
    black, white = (middle(transforms(Image.new("RGB", (64, 64), colour))) for colour in ("black", "white"))
    std = 1 / (white - black)
    return tuple((-black * std).tolist()), tuple(std.tolist())


def middle(image: Tensor) -> Tensor:
    """The channels `(C,)` of the pixel in the middle of an image `(C, H, W)`; there may be a border around it."""
    return image[:, image.shape[1] // 2, image.shape[2] // 2]
