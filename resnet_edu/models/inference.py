"""A copy of a network that predicts faster, and puts out the same.

Three things that only training needs are left out:

- In evaluation mode a batch norm is a fixed scale and shift of each channel, and a convolution's weights and bias can
  do both (https://docs.pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html).
- Nobody looks at what goes into a ReLU any more, so it overwrites that.
- A 3×3 convolution on an image of 2×2 pixels sees 5 zeros of its frame for 4 pixels. As a product with the matrix that
  it is, it multiplies less than half as much.
"""

import math
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLOSE = 1e-4  # of logits: rounding is ten times less


def for_inference(model: nn.Module, images: Tensor) -> nn.Module:
    """A faster copy of a network that is in evaluation mode, or the network itself where there is none.

    Each batch norm that is listed right after a convolution is taken to follow it. Whether it does is tried: the copy
    must put out what the network does.

    Args:
        model: the network; it stays as it is.
        images: a few to try, `(N, C, H, W)`. The copy is for images of this size.

    Returns:
        For prediction only: the copy has no batch norm to train.
    """
    copy = deepcopy(model)
    fold_batch_norms(copy)
    for module in copy.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    copy.to(memory_format=torch.channels_last)
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    with torch.autocast(images.device.type, enabled=False), exact:  # rounding would hide what differs
        use_matrices(copy, images)
        same = torch.allclose(copy(images), model(images), rtol=CLOSE, atol=CLOSE)
    return copy if same else model


def fold_batch_norms(model: nn.Module) -> None:
    """Give each convolution the scale and shift of the batch norm that is listed after it."""
    for parent in list(model.modules()):
        for (first, convolution), (second, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and can_fold(convolution, norm):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, second, nn.Identity())


def can_fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether the batch norm has statistics, and as many channels as the convolution puts out."""
    return norm.running_mean is not None and norm.num_features == convolution.out_channels


def use_matrices(model: nn.Module, images: Tensor) -> None:
    """Replace each convolution whose input has fewer pixels than its kernel; one pass of the images shows which."""
    shapes: dict[nn.Module, set[torch.Size]] = {}  # (C, H, W) of each one's inputs

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes.setdefault(module, set()).add(inputs[0].shape[1:])

    hooks = [each.register_forward_pre_hook(note) for each in model.modules() if isinstance(each, nn.Conv2d)]
    model(images)
    for hook in hooks:
        hook.remove()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and len(shapes.get(child, ())) == 1:
                (shape,) = shapes[child]
                if shape[1:].numel() * child.groups < math.prod(child.kernel_size) and child.padding_mode == "zeros":
                    setattr(parent, name, AsMatrix(child, shape))


class AsMatrix(nn.Module):
    """A convolution as a product with one matrix, for images of one size: `(N, C, H, W)` to `(N, C', H', W')`.

    Args:
        convolution: whose outputs to put out.
        shape: (C, H, W).
    """

    def __init__(self, convolution: nn.Conv2d, shape: torch.Size) -> None:
        super().__init__()
        weight, bias = convolution.weight, convolution.bias
        ones = torch.eye(shape.numel(), device=weight.device).unflatten(1, (*shape[1:], shape[0]))  # a pixel each
        how = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
        columns = F.conv2d(ones.permute(0, 3, 1, 2), weight, None, *how).permute(0, 2, 3, 1)  # (C·H·W, H', W', C')
        self.shape = columns.shape[1:]
        self.weight = nn.Parameter(columns.flatten(1).T.contiguous())
        self.bias = None if bias is None else nn.Parameter(bias.repeat(self.shape[:2].numel()))

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution puts out."""
        x = x.permute(0, 2, 3, 1).flatten(1)  # (N, H·W·C): in channels_last nothing is copied
        return F.linear(x, self.weight, self.bias).unflatten(1, self.shape).permute(0, 3, 1, 2)
