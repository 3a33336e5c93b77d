"""The two ends of a network: what it accepts, with one clear error in place of a puzzling one, and its last layer.

The last layer is one linear classifier, or several on the same features: that is what the Bengali-grapheme networks of
lesson 08 need, one picture and three questions. A new head on an old backbone is transfer learning (lesson 10).
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import get_args

from torch import Tensor, nn

#: Where GoogLeNet has its two auxiliary classifiers, in torchvision too.
AUXILIARY = ("aux1.fc2", "aux2.fc2")


class Heads(nn.Module):
    """Several linear classifiers on the same features; `heads` is classes by name, `{"digit": 10, "parity": 2}`."""

    def __init__(self, in_features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.in_features = in_features
        for name, classes in heads.items():
            self.add_module(name, nn.Linear(in_features, classes))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Logits by head name: `(N, in_features)` to `{name: (N, classes)}`."""
        return {name: head(features) for name, head in self.named_children()}


def make_head(in_features: int, classes: int | Mapping[str, int]) -> nn.Linear | Heads:
    """One linear layer, or `Heads` where `classes` maps names to numbers; each is checked."""
    if not isinstance(classes, Mapping):
        check_count("num_classes", classes)
        return nn.Linear(in_features, classes)
    if not classes:
        raise ValueError("heads must map at least one name to its classes, as in {'digit': 10}, got {}.")
    for name, count in classes.items():
        if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.Linear(1, 1), name):
            raise ValueError(f"{name!r} cannot name a head. Take another plain word, for example 'digit'.")
        check_count(f"Number of classes of head {name!r}", count)
    return Heads(in_features, classes)


def head_of(model: nn.Module) -> tuple[str, nn.Linear | Heads]:
    """Name and module of a network's last layer; what comes before it is its backbone.

    That is the last linear layer, or all heads of a network that has several.

    Raises:
        ValueError: the network has no linear layer, or several side by side that are no `Heads`.
    """
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | Heads)]
    if not found:
        raise ValueError(f"{type(model).__name__} has no linear layer that could be its head.")
    name, module = found[-1]
    parent = model.get_submodule(name.rpartition(".")[0])
    if isinstance(parent, Heads):
        return name.rpartition(".")[0], parent
    if isinstance(parent, nn.ModuleDict | nn.ModuleList) and len(parent) > 1:
        raise ValueError(
            f"{name} is one of several layers side by side: which is the head? "
            "Put them into one models.Heads(in_features, {'name': classes, …})."
        )
    return name, module


def replace_head(model: nn.Module, num_classes: int | Mapping[str, int]) -> nn.Linear | Heads:
    """Put a new, untrained last layer in place of the old one, for other classes, and return it.

    Args:
        model: the network. All else in it stays as it is, but for the auxiliary classifiers of a GoogLeNet with them.
        num_classes: length of the logits, or numbers of classes by head name, `{"digit": 10, "parity": 2}`.

    Raises:
        ValueError: as `head_of`; or `num_classes` is no whole number of at least 1.
    """
    last, old = head_of(model)
    if not last:
        raise ValueError("The model is a single linear layer: there is nothing to put a new head on.")
    auxiliary = [(name, module) for name, module in model.named_modules() if name in AUXILIARY]
    for name, module in [*auxiliary, (last, old)]:
        new = make_head(module.in_features, num_classes)  # type: ignore[arg-type]
        model.set_submodule(name, new.to(next(module.parameters())))
    return head_of(model)[1]


def check_images(images: Tensor, *, channels: int, smallest_side: int, network: str, stem: str | None = None) -> None:
    """Raise `ValueError` for a batch that is not `(N, channels, H, W)`, or too small for a network's down-sampling."""
    got = f"{network} got images of shape {tuple(images.shape)}"
    if images.ndim != 4:
        raise ValueError(f"{got}, but expects (N, C, H, W). Add a batch dimension with images[None].")
    if images.shape[1] != channels:
        raise ValueError(
            f"{got}, but was built for {channels} channel(s). "
            f"Build it with in_channels={images.shape[1]} or load the data with channels={channels}."
        )
    if min(images.shape[2:]) < smallest_side:
        other = ", or build the net with stem='small'" if stem == "imagenet" else ""
        raise ValueError(
            f"{got}, but needs sides of at least {smallest_side} pixels. "
            f"Load the data with size={smallest_side} or more{other}."
        )


def check_count(option: str, got: object) -> None:
    """Raise `ValueError` for all but a whole number of at least 1; `True` and `10.0` are none."""
    if not isinstance(got, int) or isinstance(got, bool) or got < 1:
        raise ValueError(f"{option} must be a whole number of at least 1, got {got!r}.")


def check_options(network: Callable[..., object], options: Mapping[str, object]) -> None:
    """Raise `ValueError` unless each option fits the type that `network` declares for it.

    An int is a whole number of at least 1, a float a share from 0 to 1; else it is one of the words of a Literal, or
    True or False.
    """
    parameters = signature(network).parameters
    for option, got in options.items():
        kind = parameters[option].annotation
        if kind is int:
            check_count(option, got)
        elif kind is float:
            if not isinstance(got, int | float) or isinstance(got, bool) or not 0 <= got <= 1:
                raise ValueError(f"{option} must be a number from 0 to 1, got {got!r}.")
        else:
            words = [repr(word) for word in ((True, False) if kind is bool else get_args(kind))]
            if repr(got) not in words:
                raise ValueError(f"{option} must be {', '.join(words[:-1])} or {words[-1]}, got {got!r}.")
