"""Batch norm folded into the convolution before it: the same outputs, with fewer passes through the memory.

In evaluation mode a batch norm is a fixed scale and shift of each channel, and a convolution's weights and bias can do
both (https://docs.pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html).
"""

from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLOSE = 1e-4  # of logits: rounding is ten times less


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """A faster copy of a network that is in evaluation mode, or the network itself where there is none.

    Each batch norm that is listed right after a convolution is taken to follow it. Whether it does is tried: the copy
    must put out what the network does.

    Args:
        model: the network; it stays as it is.
        images: a few to try, `(N, C, H, W)`.

    Returns:
        For prediction only: the copy has no batch norm to train.
    """
    copy = deepcopy(model)
    for parent in list(copy.modules()):
        for (first, convolution), (second, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and can_fold(convolution, norm):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, second, nn.Identity())
    copy.to(memory_format=torch.channels_last)
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    with torch.autocast(images.device.type, enabled=False), exact:  # rounding would hide what differs
        same = torch.allclose(copy(images), model(images), rtol=CLOSE, atol=CLOSE)
    return copy if same else model


def can_fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether the batch norm has statistics, and as many channels as the convolution puts out."""
    return norm.running_mean is not None and norm.num_features == convolution.out_channels
