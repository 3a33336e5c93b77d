"""A copy of a network that predicts faster, and puts out the same.

Two things are done once, for all images, that training cannot spare:

- In evaluation mode a batch norm is a fixed scale and shift of each channel, and a convolution's weights and bias can
  do both (https://docs.pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html).
- A 3×3 convolution on an image of 2×2 pixels sees five zeros of the frame for four pixels. As a product with the
  matrix that it is, it multiplies less than half as much.
"""

import math
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

SAME = 1e-4  # two logits; rounding is ten times less


def for_inference(model: nn.Module, images: Tensor) -> nn.Module:
    """A faster copy of a network that is in evaluation mode, or the network itself where there is none.

    Each batch norm that is listed right after a convolution is taken to follow it. Whether it does is tried: the copy
    must put out what the network does. A network with hooks is left as it is, for they want to see all of it.

    Args:
        model: the network; it stays as it is.
        images: a few to try, `(N, C, H, W)`. The copy is fastest with images of this size.

    Returns:
        For prediction only: the copy has no batch norm to train.
    """
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return model
    trial = torch.cat([images, torch.randn_like(images)])  # pictures may be too much alike to show a difference
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    try:
        copy = deepcopy(model)
        fold_batch_norms(copy)
        with torch.autocast(images.device.type, enabled=False), exact:  # rounding would hide what differs
            use_matrices(copy, trial)
            copy.to(memory_format=torch.channels_last)
            same = torch.allclose(copy(trial), model(trial), rtol=SAME, atol=SAME)
    except Exception:  # a network of somebody's own may refuse anything; it is as good without
        return model
    return copy if same else model


def fold_batch_norms(model: nn.Module) -> None:
    """Give each convolution the scale and shift of the batch norm that is listed after it."""
    for parent in list(model.modules()):
        for (first, convolution), (second, norm) in pairwise(list(parent.named_children())):
            if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d and can_fold(convolution, norm):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, second, nn.Identity())


def can_fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether the batch norm has statistics, and as many channels as the convolution puts out."""
    return norm.running_mean is not None and norm.num_features == convolution.out_channels


def use_matrices(model: nn.Module, images: Tensor) -> None:
    """Replace the convolutions that are faster as a product with one matrix; one pass of the images shows which."""
    pairs: dict[nn.Module, set[tuple[torch.Size, torch.Size]]] = {}  # (C, H, W) of each one's inputs and outputs

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pairs.setdefault(module, set()).add((inputs[0].shape[1:], output.shape[1:]))

    hooks = [each.register_forward_hook(note) for each in model.modules() if type(each) is nn.Conv2d]
    model(images)
    for hook in hooks:
        hook.remove()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and len(pairs.get(child, ())) == 1:
                ((taken, made),) = pairs[child]
                if child.padding_mode == "zeros" and is_faster_as_matrix(child, taken, made):
                    setattr(parent, name, AsMatrix(child, taken))


def is_faster_as_matrix(convolution: nn.Conv2d, taken: torch.Size, made: torch.Size) -> bool:
    """Whether its matrix multiplies less, and is at most twice as large as its weights.

    With g groups, P pixels taken, Q made and a kernel of k numbers a channel, it multiplies P · g / k times as much as
    the convolution with its frame of zeros, and has P · Q · g / k times as many numbers.
    """
    kernel, pixels = math.prod(convolution.kernel_size), taken[1:].numel()
    return pixels * convolution.groups < kernel and pixels * made[1:].numel() * convolution.groups <= 2 * kernel


class AsMatrix(nn.Module):
    """A convolution as a product with one matrix where images have one size: `(N, C, H, W)` to `(N, C', H', W')`.

    Args:
        convolution: whose outputs to put out; it takes images of other sizes itself.
        shape: (C, H, W).
    """

    def __init__(self, convolution: nn.Conv2d, shape: torch.Size) -> None:
        super().__init__()
        self.convolution, self.shape = convolution, shape
        weight, bias = convolution.weight, convolution.bias
        pixels = torch.eye(shape.numel(), dtype=weight.dtype, device=weight.device)  # images with a single 1
        pixels = pixels.unflatten(1, (*shape[1:], shape[0])).permute(0, 3, 1, 2)  # (C·H·W, C, H, W)
        columns = convolution._conv_forward(pixels, weight, None).permute(0, 2, 3, 1)  # (C·H·W, H', W', C')
        self.made = columns.shape[1:]
        self.weight = nn.Parameter(columns.flatten(1).T.contiguous())
        self.bias = None if bias is None else nn.Parameter(bias.repeat(self.made[:2].numel()))

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution puts out."""
        if x.shape[1:] != self.shape:
            return self.convolution(x)
        x = x.permute(0, 2, 3, 1).flatten(1)  # (N, H·W·C): in channels_last nothing is copied
        return F.linear(x, self.weight, self.bias).unflatten(1, self.made).permute(0, 3, 1, 2)
