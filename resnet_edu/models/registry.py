"""Every network of the course by name: `available()` lists them, `build(name, …)` makes one."""

import inspect
from collections.abc import Mapping
from functools import partial

from torch import nn

from ..errors import check_known
from .alexnet import AlexNet
from .cifar import CifarNet
from .googlenet import GoogLeNet
from .heads import check_options
from .lenet import LeNet5
from .resnet import DEPTHS, ResNet
from .vgg import CONFIGURATIONS, VGG

#: The class behind each name and what the name settles, oldest net first. The rest is open to options.
NETWORKS: dict[str, "partial[nn.Module]"] = {
    "lenet5": partial(LeNet5),
    "alexnet": partial(AlexNet),
    **{f"vgg{depth}": partial(VGG, depth, batch_norm=False) for depth in CONFIGURATIONS},
    **{f"vgg{depth}_bn": partial(VGG, depth, batch_norm=True) for depth in CONFIGURATIONS},
    "googlenet": partial(GoogLeNet),
    **{f"resnet{depth}": partial(ResNet, *DEPTHS[depth]) for depth in DEPTHS},
    # A plain net has no shortcut: the option is settled so that nobody sets it in vain.
    **{f"plain{depth}": partial(CifarNet, depth, residual=False, shortcut="A") for depth in (20, 32, 44, 56, 110)},
    **{f"resnet{depth}": partial(CifarNet, depth, residual=True) for depth in (20, 32, 44, 56, 110, 1202)},
}


def available() -> list[str]:
    """Names that `build` knows, in the order of the course."""
    return list(NETWORKS)


def options(name: str) -> dict[str, object]:
    """Options `build` takes for the network called `name`, and their defaults: `{"stem": "imagenet", …}`."""
    check_known("model", NETWORKS, name)
    network = NETWORKS[name]
    parameters = inspect.signature(network).parameters.values()
    own = {parameter.name: parameter.default for parameter in parameters if parameter.name not in network.keywords}
    return {**own, "in_channels": 3, "heads": None}  # `build` asks every net for colour; LeNet5 by itself is for grey


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int = 3,
    heads: Mapping[str, int] | None = None,
    **more: object,
) -> nn.Module:
    """The network called `name`, freshly initialised.

    Args:
        name: one of `available()`.
        num_classes: length of the logits; `None` is 1000 for the ImageNet nets, 10 for LeNet-5 and the CIFAR nets.
        in_channels: 3 for colour, 1 for grey images.
        heads: classes by head name, for example `{"digit": 10, "parity": 2}`; the net then returns a dict.
        more: the network's own options, as `options(name)` lists them: `stem` for the ImageNet nets, `shortcut` and
            `width` for the CIFAR nets, `version` for LeNet-5, and so on. Each is checked.

    Raises:
        UnknownName: there is no such network, or it has no such option.
        ValueError: an option has a value that is not allowed, or both `num_classes` and `heads` are given.
    """
    known = options(name)
    check_known(f"option of {name}", known, *more)
    check_options(NETWORKS[name], {"in_channels": in_channels, **more})
    if num_classes is not None and heads is not None:
        raise ValueError(f"Give either num_classes={num_classes!r} or heads={heads!r}, not both.")
    if heads is not None and not isinstance(heads, Mapping):
        raise ValueError(f"heads must map names to numbers of classes, as in {{'digit': 10}}, got {heads!r}.")
    classes = num_classes if heads is None else heads
    return NETWORKS[name](in_channels=in_channels, **({} if classes is None else {"num_classes": classes}), **more)
