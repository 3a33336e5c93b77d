"""What a network is about to do: learn, all of it or a part; be measured; or only predict, and that fast."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .cifar import CifarNet
from .googlenet import GoogLeNet
from .resnet import ResNet
from .vgg import VGG


def freeze(module: nn.Module) -> nn.Module:
    """Keep a module as it is: its parameters get no gradient, and it is put into evaluation mode.

    Both are needed. In training mode a batch norm replaces its running mean and variance bit by bit by those of the new
    images, whether its parameters have a gradient or not. `training_mode`, and so `fit`, leaves what is frozen in
    evaluation mode.
    """
    return module.requires_grad_(False).eval()


def training_mode(model: nn.Module) -> nn.Module:
    """`model.train()` for all but what is frozen: modules whose parameters all have `requires_grad=False`."""
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


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy of a network of the course that only predicts: the same outputs in evaluation mode, in less time.

    In evaluation mode a batch norm is a fixed scale and shift of each channel, and the convolution before it can do
    both (https://docs.pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html). Which batch norm follows which
    convolution is known of the course's own classes; another network is handed back as it is.
    """
    if type(model) not in (CifarNet, GoogLeNet, ResNet, VGG):
        return model
    model = deepcopy(model).eval()
    for parent in list(model.modules()):
        for (first, convolution), (second, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, second, nn.Identity())
    return model.to(memory_format=torch.channels_last)
