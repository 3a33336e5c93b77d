"""What the checks of blocks share: which parts a block uses and in which order, and does it compute what it should?"""

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .expect import Mistake, alike, difference
from .explain import kind_of
from .runner import NotYet, Wrong


@dataclass(frozen=True)
class Parts:
    """The modules a block of two convolutions is made of, taken from the learner's own block."""

    conv1: nn.Module
    bn1: nn.Module
    conv2: nn.Module
    bn2: nn.Module
    shortcut: nn.Module


#: Added where a block has too few ReLUs, since what it computes may be right.
ONE_RELU_PER_USE = (
    " `torch.relu`, and one module used twice, compute the same, but hooks cannot tell where: make an `nn.ReLU()` for "
    "each use."
)

#: A way through the parts: the oracle, or a wrong variant of it.
Forward = Callable[[Parts, Tensor], Tensor]


def trace(block: nn.Module, x: Tensor, name: str) -> tuple[Tensor, list[str]]:
    """The block's output, and the names of its innermost modules in the order in which they are called.

    Raises:
        NotYet: `forward` returns nothing.
        Wrong: it returns something else than a tensor, or changes its input.
    """
    used: list[str] = []

    def note(part: str, *_: Any) -> None:
        used.append(part)

    given = x.clone()
    with ExitStack() as hooks:
        for part, module in block.named_modules():
            if part and not list(module.children()):
                hooks.callback(module.register_forward_pre_hook(partial(note, part)).remove)
        try:
            out = block(given)
        except Exception as error:
            error.add_note(f"It was given a tensor of shape {tuple(x.shape)}.")
            raise
    if out is None or out is ...:
        raise NotYet
    if not isinstance(out, Tensor):
        raise Wrong(f"Expected a tensor from `{name}`, got {kind_of(out)}.")
    if not torch.equal(given, x):
        raise Wrong(f"`{name}` changes the tensor it is given, which others may still need. Write `out = out + x`.")
    return out, used


def need_once(used: Sequence[str]) -> None:
    """No part is called twice.

    Raises:
        Wrong: one is.
    """
    for part in used:
        if used.count(part) > 1:
            raise Wrong(
                f"`{part}` is used {used.count(part)} times. Each step needs a module of its own: convolutions would "
                "share their weights, batch norms their statistics, and hooks would mix up the ReLUs."
            )


def need_shape(out: Tensor, wanted: tuple[int, ...], x: Tensor, called: str) -> None:
    """The output's shape is as wanted.

    Raises:
        Wrong: it is not.
    """
    if tuple(out.shape) != wanted:
        raise Wrong(f"`{called}` makes {tuple(x.shape)} into {tuple(out.shape)}; expected {wanted}.")


@torch.no_grad()
def randomise(block: nn.Module) -> None:
    """Give batch norms weights, biases and statistics that show: at the start all of them are 1 or 0."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
            if module.running_mean is not None and module.running_var is not None:
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)


def need_same(
    block: nn.Module, parts: Callable[[nn.Module], Parts], oracle: Forward, mistakes: Sequence[Mistake], x: Tensor
) -> None:
    """The block computes what the oracle computes with the same parts, in eval and train mode, gradients too.

    Args:
        block: the learner's, with random weights; it is not changed.
        parts: finds the parts of a copy of it.
        oracle: the right way through the parts.
        mistakes: wrong ways.
        x: input, `(N, C, H, W)`.

    Raises:
        Wrong: it computes something else.
    """
    for training in (False, True):
        mode = "train" if training else "eval"
        out, gradient = run(copy.deepcopy(block).train(training), x)

        def through(forward: Callable[..., Any], training: bool = training) -> tuple[Tensor, Tensor | None]:
            return run(partial(forward, parts(copy.deepcopy(block).train(training))), x)

        wanted, wanted_gradient = through(oracle)
        if not alike(out, wanted):
            for mistake in mistakes:
                if alike(out, through(mistake.variant)[0]):
                    raise Wrong(mistake.message)
            raise Wrong(
                f"The parts are right, what happens between them is not. In {mode} mode: {difference(out, wanted)}"
            )
        if gradient is None or not alike(gradient, wanted_gradient):
            raise Wrong(
                "The output is right, the gradient that reaches the input is not. Is a part of `forward` done with "
                "`.detach()`, `.data` or under `no_grad`?"
            )


def run(forward: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Output, and the gradient at the input under a fixed weighting of the output; None where there is none."""
    given = x.clone().requires_grad_()
    try:
        out = forward(given)
    except RuntimeError:  # a wrong variant that cannot take this shape
        return torch.empty(0), None
    if out.requires_grad:
        out.backward(torch.linspace(-1, 1, out.numel()).reshape(out.shape))
    return out.detach(), given.grad
