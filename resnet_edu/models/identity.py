"""A deep plain net that equals a shallow one: the construction in He et al. 2015, section 1.

Take a trained net, add layers that do nothing. The deep net then has the training error of the shallow one, so
a solution at least as good exists. That SGD from scratch does not find it is what the paper calls degradation.
"""

import copy

import torch
from torch import nn

from .cifar import CifarNet, PlainBlock, ResidualBlock


def extend_with_identity(shallow: CifarNet, depth: int) -> CifarNet:
    """A plain net of `depth` layers with the outputs of `shallow`, in eval mode.

    The blocks of `shallow` are copied to the beginning of each stage; the new ones behind them are identities
    (`make_identity`). Nothing is shared with `shallow`, everything can be trained. The new net is in the mode,
    on the device and of the dtype that `shallow` is.

    In train mode the two differ: there a batch norm uses the batch's own mean and variance, so the new ones
    normalise what they should let pass. The first training step therefore moves the net away from the
    construction.

    Args:
        shallow: a plain net, best a trained one; it is left as it is.
        depth: 6n + 2 and more than the depth of `shallow`.

    Raises:
        ValueError: `shallow` is not a plain `CifarNet`, or `depth` is not 6n + 2 or not deeper.
    """
    if not isinstance(shallow, CifarNet) or isinstance(shallow.layer1[0], ResidualBlock):
        raise ValueError(
            f"extend_with_identity needs a plain CifarNet, got {type(shallow).__name__}"
            f"{' with residual blocks' if isinstance(shallow, CifarNet) else ''}. "
            "Build one with models.build('plain20')."
        )
    blocks = len(shallow.layer1)  # in each of the three stages
    if depth <= 6 * blocks + 2:
        raise ValueError(f"depth must be more than the {6 * blocks + 2} layers of the shallow net, got {depth}.")
    weight = shallow.conv1.weight
    deep = CifarNet(depth, residual=False, width=weight.shape[0], in_channels=weight.shape[1])
    deep.linear = copy.deepcopy(shallow.linear)  # one classifier or several heads, with any number of classes
    deep.to(weight.device, weight.dtype)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for block in stage[blocks:]:
            assert isinstance(block, PlainBlock)
            make_identity(block)
    return deep.train(shallow.training)


@torch.no_grad()
def make_identity(block: PlainBlock) -> None:
    """Turn a block into one that returns its input, in eval mode and for inputs ≥ 0, as every ReLU delivers.

    Each convolution becomes a Dirac delta: 1 at the centre of a filter's own channel, 0 elsewhere. A batch norm
    computes `weight · (x - mean) / sqrt(var + eps) + bias`; with weight 1, mean 0 and bias 0 it does nothing if
    `var = 1 - eps`. With var = 1 each would shrink its input by 5 parts in a million, which adds up.

    Raises:
        ValueError: the block changes the shape, so it cannot be an identity.
    """
    if block.conv1.stride != (1, 1) or block.conv1.in_channels != block.conv1.out_channels:
        raise ValueError(
            f"A block from {block.conv1.in_channels} to {block.conv1.out_channels} channels with stride "
            f"{block.conv1.stride[0]} changes the shape and cannot be an identity. Take one that keeps it."
        )
    for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        norm.reset_parameters()  # weight 1, bias 0, running mean 0
        assert norm.running_var is not None
        norm.running_var.fill_(1 - norm.eps)
