"""The check of lesson 05 on clipping gradients by their norm."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .expect import Mistake, alike, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

Clip = Callable[[list[Tensor], float], Sequence[Tensor]]


def of_torch(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """The oracle: PyTorch's own, on parameters that have these gradients."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, max_norm)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def total(gradients: list[Tensor]) -> Tensor:
    """Length of all gradients as one vector."""
    return torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()


def scaled(factor: Callable[[list[Tensor], float], Any]) -> Clip:
    """Every gradient times one factor."""
    return lambda gradients, max_norm: [gradient * factor(gradients, max_norm) for gradient in gradients]


CLIP_MISTAKES = (
    Mistake(
        lambda gs, m: [g * min(1.0, m / max(float(g.norm()), 1e-12)) for g in gs],
        "You clip each gradient on its own. That bends the direction of the step: compute one norm over all of them "
        "and scale all by the same factor.",
    ),
    Mistake(
        lambda gs, m: [g.clamp(-m, m) for g in gs],
        "You cut every number at ± max_norm. That is clipping by value, and it bends the direction. Scale all "
        "gradients by one factor.",
    ),
    Mistake(
        scaled(lambda gs, m: m / max(float(total(gs)), 1e-12)),
        "Gradients whose norm is below max_norm are made larger. Leave those as they are: the factor is at most 1.",
    ),
    Mistake(
        scaled(lambda gs, m: min(1.0, m / max(float(sum(g.norm() for g in gs)), 1e-12))),
        "You add up the norms of the tensors. The norm of all together is the root of the sum of squares.",
    ),
    Mistake(
        scaled(lambda gs, m: min(1.0, m / max(float(max(g.norm() for g in gs)), 1e-12))),
        "You take the largest tensor's norm. The norm of all together is the root of the sum of squares.",
    ),
    Mistake(
        scaled(lambda gs, m: min(1.0, m / max(float(total(gs)) ** 2, 1e-12))),
        "The square root is missing: a norm is the root of the sum of squares.",
    ),
    Mistake(
        scaled(lambda gs, m: min(1.0, m / max(float(max(g.abs().max() for g in gs)), 1e-12))),
        "You divide by the largest number. The norm is the root of the sum of squares.",
    ),
    Mistake(
        scaled(lambda gs, m: 0.0 if float(total(gs)) > m else 1.0),
        "Gradients that are too long are thrown away. Shorten them: their direction is worth keeping.",
    ),
    Mistake(
        scaled(lambda gs, m: 1 / max(float(total(gs)), 1e-12) if float(total(gs)) > m else 1.0),
        "You shorten long gradients to the norm 1. The limit is max_norm.",
    ),
    Mistake(
        scaled(lambda gs, m: max(1.0, m / max(float(total(gs)), 1e-12))),
        "Your factor is at least 1, so that only short gradients change. It is at most 1: `min` in place of `max`.",
    ),
    Mistake(
        scaled(lambda gs, m: min(1.0, float(total(gs)) / m)),
        "The factor is upside down: max_norm divided by the norm.",
    ),
    Mistake(scaled(lambda gs, m: 1.0), "Nothing is clipped: the gradients come back as they were."),
)


@check("05.4 gradient clipping")
def check_clip(clip: Any) -> str:
    """`clip(gradients, max_norm) -> list of tensors`: gradients scaled so that their common norm is at most max_norm.

    `gradients` is a list of tensors of any shapes. All of them are multiplied by the same factor, at most 1. The
    tensors handed over stay as they are. Gradients that are all zero stay zero.
    """
    signature = "clip(gradients, max_norm)"
    name = need_function(clip, signature, [torch.ones(2)], 1.0)
    cases = [(gradients(long), limit) for long, limit in ((40.0, 1.0), (3.0, 5.0), (1.5, 0.25), (0.02, 1.0))]
    cases += [(gradients(random.uniform(8, 30)), random.uniform(0.5, 4)) for _ in range(3)]
    got = [answer_of(clip, name, *case) for case in cases]
    wanted = [torch.cat([g.flatten() for g in of_torch(*case)]) for case in cases]
    differing = [i for i in range(len(cases)) if not alike(got[i], wanted[i])]
    if differing:
        for mistake in CLIP_MISTAKES:
            variants = [torch.cat([g.flatten() for g in mistake.variant(*case)]) for case in cases]
            if all(alike(mine, theirs) for mine, theirs in zip(got, variants, strict=True)):
                raise Wrong(mistake.message)
        i = differing[0]
        raise Wrong(
            f"Gradients with the norm {float(total(cases[i][0])):.3g} and max_norm {cases[i][1]:.3g} come back with "
            f"the norm {float(got[i].norm()):.3g}; expected {float(wanted[i].norm()):.3g} and the same direction."
        )
    if not torch.equal(answer_of(clip, name, [torch.zeros(3), torch.zeros(2, 2)], 1.0), torch.zeros(7)):
        raise Wrong("Gradients that are all zero should stay zero. Do you divide by a norm of 0?")
    return f"Equal to `nn.utils.clip_grad_norm_` for {len(cases)} lists of gradients, short ones and zeros among them."


def gradients(norm: float) -> list[Tensor]:
    """Random gradients of three layers, of unequal sizes, whose common norm is `norm`."""
    found = [torch.randn(4, 3), 0.3 * torch.randn(5), 2 * torch.randn(2, 1, 3, 3)]
    factor = norm / float(total(found))
    return [gradient * factor for gradient in found]


def answer_of(clip: Any, name: str, given: list[Tensor], max_norm: float) -> Tensor:
    """All that the answer returns, as one vector.

    Raises:
        NotYet: it returns nothing.
        Wrong: it returns something else than a list of tensors shaped like the ones given, or changes those.
    """
    mine = [gradient.clone() for gradient in given]
    try:
        value = clip(mine, max_norm)
    except Exception as error:
        shapes = ", ".join(str(tuple(gradient.shape)) for gradient in given)
        error.add_note(f"It was called with gradients of shapes {shapes} and max_norm={max_norm:.3g}.")
        raise
    if len(mine) != len(given) or any(not torch.equal(now, then) for now, then in zip(mine, given, strict=True)):
        raise Wrong(f"`{name}` changes the gradients it is given. Return new tensors: `gradient * factor`, not `*=`.")
    if value is None or value is ...:
        raise NotYet
    if not isinstance(value, list | tuple) or any(not isinstance(gradient, Tensor) for gradient in value):
        raise Wrong(f"Expected a list of tensors, one for each gradient, got {kind_of(value)}.")
    if [gradient.shape for gradient in value] != [gradient.shape for gradient in given]:
        shapes = ", ".join(str(tuple(gradient.shape)) for gradient in value)
        raise Wrong(f"Expected as many tensors as there are gradients, in the same shapes; got shapes {shapes}.")
    return torch.cat([gradient.flatten() for gradient in value])
