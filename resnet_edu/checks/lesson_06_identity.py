"""The check of lesson 06 on the construction: a deeper plain net that has the outputs of a shallow one."""

import copy
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ..models.cifar import CifarNet, ResidualBlock
from .expect import alike, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

SIGNATURE = "extend_with_identity(shallow, depth)"

#: Allowed difference between the two nets' logits.
TOLERANCE = 1e-5


@check("06.3 identity extension")
def check_identity_extension(extend_with_identity: Any) -> str:
    """`extend_with_identity(shallow, depth) -> deep`: a deeper plain net, equal to `shallow` in eval mode."""
    need_function(extend_with_identity, SIGNATURE, plain_net(8, channels=1), 14)
    largest = 0.0
    for depth, deeper, channels in ((8, 14, 1), (14, 26, 3), (8, 56, 1)):
        shallow, images = plain_net(depth, channels=channels), torch.randn(4, channels, 12, 8)
        before, mode = copy.deepcopy(shallow.state_dict()), shallow.training
        deep = extend_with_identity(shallow, deeper)
        if deep is None or deep is ...:
            raise NotYet
        if not isinstance(deep, nn.Module):
            raise Wrong(f"Expected the deep net, an `nn.Module`; got {kind_of(deep)}.")
        need_untouched(shallow, before, mode, deep)
        shallow.eval()
        deep.eval()
        logits, layers = run(deep, images)
        need_real_net(deep, layers, shallow, deeper)
        wanted = shallow(images).detach()
        if not alike(logits, wanted, tolerance=TOLERANCE):
            raise Wrong(likely_mistake(deep, before, (logits - wanted).abs().max().item()))
        if deeper == 14:
            need_plain(deep, layers, images)
            need_trainable(deep, images)
        largest = max(largest, (logits - wanted).abs().max().item())
    return (
        f"Same outputs at 14, 26 and 56 layers (largest difference {largest:.1g}), and every weight can be trained. So "
        "a deep net at least as good exists; the question is whether SGD finds it."
    )


@torch.no_grad()
def plain_net(depth: int, *, channels: int) -> CifarNet:
    """A small plain net whose batch norms have seen data, with logits that are not small."""
    net = CifarNet(depth, residual=False, width=4, in_channels=channels)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.7, 1.4)
            module.bias.uniform_(-0.2, 0.6)
    nn.init.normal_(net.linear.weight if isinstance(net.linear, nn.Linear) else torch.empty(0), std=1.0)
    for _ in range(10):
        net(torch.randn(8, channels, 12, 8))
    return net


def need_untouched(shallow: CifarNet, before: dict[str, Tensor], mode: bool, deep: nn.Module) -> None:
    """The shallow net is as it was, and the deep one is another.

    Raises:
        Wrong: it has changed, or the two share something.
    """
    now = shallow.state_dict()
    if deep is shallow and now.keys() == before.keys():
        raise Wrong("You return the shallow net itself. Build a new net of the asked depth.")
    if now.keys() != before.keys():
        raise Wrong("The shallow net itself has grown. Build a new net and leave the shallow one as it is.")
    if shallow.training != mode or any(not torch.equal(now[name], value) for name, value in before.items()):
        raise Wrong("The shallow net has changed: its weights, its statistics or its mode. Leave it as it is.")
    if {p.data_ptr() for p in shallow.parameters()} & {p.data_ptr() for p in deep.parameters()}:
        raise Wrong("The two nets share weights, so training one would change the other. Copy the values.")


@torch.no_grad()
def run(deep: nn.Module, images: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """Logits, and the layers with weights (convolutions and linear layers) in the order they are used.

    Raises:
        Wrong: the net returns something else than a tensor.
    """
    layers: list[nn.Module] = []
    with ExitStack() as hooks:
        for module in deep.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hooks.callback(module.register_forward_pre_hook(lambda module, _: layers.append(module)).remove)
        logits = deep(images)
    if not isinstance(logits, Tensor):
        raise Wrong(f"The deep net returns {kind_of(logits)}. Expected logits, as from the shallow net.")
    return logits, layers


def need_real_net(deep: nn.Module, layers: list[nn.Module], shallow: CifarNet, depth: int) -> None:
    """As many layers in use as the depth says, in a plain net with the usual number of parameters.

    Raises:
        Wrong: it is another net.
    """
    if any(isinstance(module, ResidualBlock) for module in deep.modules()):
        raise Wrong("The deep net is residual. The argument is about plain nets: `CifarNet(depth, residual=False, …)`.")
    if len(layers) != depth and any(isinstance(module, nn.Identity) for module in deep.modules()):
        raise Wrong(
            f"An `nn.Identity` has no weights, so nothing of it could be trained: {len(layers)} layers have weights, "
            f"not {depth}. Use real blocks whose weights make them act as identities."
        )
    if len(layers) == 6 * len(shallow.layer1) + 2 != depth:
        raise Wrong(f"The net you return still has the depth of the shallow net: {len(layers)} layers, not {depth}.")
    if len(layers) != depth:
        raise Wrong(f"The deep net uses {len(layers)} layers with weights; it should have {depth}.")
    if len(set(map(id, layers))) != len(layers):
        raise Wrong("A layer is used more than once. Every layer of a deeper net has weights of its own.")
    channels = shallow.conv1.in_channels
    usual = count(CifarNet(depth, residual=False, width=shallow.conv1.out_channels, in_channels=channels).parameters())
    if count(deep.parameters()) != usual:
        raise Wrong(
            f"The deep net has {count(deep.parameters()):,} parameters, a plain net of {depth} layers and this width "
            f"has {usual:,}: the new blocks are spread evenly over the three stages."
        )


def likely_mistake(deep: nn.Module, before: dict[str, Tensor], difference: float) -> str:
    """Why the outputs differ by as much as `difference`, as far as the new net's weights tell."""
    values = list(deep.state_dict().values())
    for name, value in before.items():
        counted = name.endswith("num_batches_tracked")
        if not counted and not any(v.shape == value.shape and torch.equal(v, value) for v in values):
            if "running" in name:
                return (
                    f"The running statistics of the shallow net are not copied ({name}). They are buffers, not "
                    "parameters: `state_dict()` has both."
                )
            return f"The outputs differ: `{name}` of the shallow net is not in the deep one. Copy all of its weights."
    old = [value for value in before.values() if value.ndim]
    new = [m for m in deep.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d) and not is_in(m.weight, old)]
    for module in new:
        if isinstance(module, nn.Conv2d) and not torch.equal(module.weight, nn.init.dirac_(module.weight.clone())):
            if not module.weight.any():
                return "The new convolutions are all zeros, so nothing passes. In a plain net they must pass x on."
            return (
                "The outputs differ: a new convolution is no identity. Its kernel is 1 at the centre of the filter's "
                "own channel and 0 elsewhere, for both convolutions of a block; see `nn.init.dirac_`."
            )
    for norm in (module for module in new if isinstance(module, nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        if (scale - 1).abs().max() > 1e-3 or shift.abs().max() > 1e-3:
            return (
                "The outputs differ: a new batch norm is no identity. It needs weight 1, bias 0, mean 0 and variance 1."
            )
    if difference > 0.01:
        return "The weights are all there and the new blocks are identities, but the old ones are in another order."
    return (
        f"Nearly: the outputs agree, but not to {TOLERANCE:.0e}. Batch norm divides by the root of running_var + eps, "
        "so each of the new ones shrinks its input a little. Choose running_var or weight so that it cancels."
    )


def is_in(value: Tensor, known: list[Tensor]) -> bool:
    """Whether a tensor is one of those known."""
    return any(value.shape == other.shape and torch.equal(value, other) for other in known)


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in parameters)


@torch.no_grad()
def need_plain(deep: nn.Module, layers: list[nn.Module], images: Tensor) -> None:
    """No way around a convolution: with one of them set to zero, all images get the same logits.

    Raises:
        Wrong: the image still gets through.
    """
    for layer in layers[:-1]:
        assert isinstance(layer, nn.Conv2d)
        weight = layer.weight.clone()
        layer.weight.zero_()
        logits = deep(images)
        layer.weight.copy_(weight)
        if not alike(logits, logits[:1].expand_as(logits)):
            raise Wrong(
                "There is a shortcut in the deep net: with one convolution set to zero, the image still gets through. "
                "A plain net has none."
            )


def need_trainable(deep: nn.Module, images: Tensor) -> None:
    """Every parameter gets a gradient, in train mode.

    Raises:
        Wrong: one does not.
    """
    deep.train()
    if not all(parameter.requires_grad for parameter in deep.parameters()):
        raise Wrong("Some weights are frozen (`requires_grad` is False). All of the deep net must be free to learn.")
    deep(images).square().sum().backward()
    without = [name for name, p in deep.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    if without:
        raise Wrong(f"`{without[0]}` gets no gradient. All of the deep net must be free to learn.")
