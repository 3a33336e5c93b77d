"""The check of lesson 04 on the loss of a net with auxiliary heads."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models import AUXILIARY_WEIGHT, GoogLeNetOutputs
from .expect import Call, Mistake, alike, attempt, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

SIGNATURE = "total_loss(outputs, labels, weight=0.3)"


class LossCall(Call):
    """A call with outputs, written without all of their numbers."""

    def says(self, name: str) -> str:
        """The call as it would be written."""
        what = "logits" if isinstance(self.args[0], Tensor) else "outputs"
        weight = "".join(f", {key}={value}" for key, value in self.options.items())
        return f"`{name}({what}, labels{weight})`"


def losses(outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of the main head and of the two auxiliary ones."""
    return (
        F.cross_entropy(outputs.logits, labels),
        F.cross_entropy(outputs.aux_logits2, labels),
        F.cross_entropy(outputs.aux_logits1, labels),
    )


def variant(formula: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """A formula in the three losses and the weight; logits alone have one loss."""

    def loss(outputs: Any, labels: Tensor, weight: float = AUXILIARY_WEIGHT) -> Tensor:
        if isinstance(outputs, Tensor):
            return F.cross_entropy(outputs, labels)
        return formula(*losses(outputs, labels), weight)

    return loss


def on_each(criterion: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The right weights, and another loss of each head."""

    def loss(outputs: Any, labels: Tensor, weight: float = AUXILIARY_WEIGHT) -> Tensor:
        if isinstance(outputs, Tensor):
            return criterion(outputs, labels)
        main, *auxiliary = (criterion(logits, labels) for logits in outputs)
        return main + weight * torch.stack(auxiliary).sum()

    return loss


total = variant(lambda main, second, first, weight: main + weight * (second + first))

LOSS_MISTAKES = (
    Mistake(variant(lambda m, s, f, w: m + s + f), "`weight` has no effect: all three losses count in full."),
    Mistake(variant(lambda m, s, f, w: m), "The auxiliary losses are missing. Add `weight` times each of them."),
    Mistake(variant(lambda m, s, f, w: m + w * s), "The loss of `aux_logits1` is missing."),
    Mistake(variant(lambda m, s, f, w: m + w * f), "The loss of `aux_logits2` is missing."),
    Mistake(
        variant(lambda m, s, f, w: w * (m + s + f)), "`weight` is applied to the main loss too. It counts in full."
    ),
    Mistake(variant(lambda m, s, f, w: m + w * (s + f) / 2), "You average the two auxiliary losses. Add them up."),
    Mistake(
        variant(lambda m, s, f, w: (1 - 2 * w) * m + w * (s + f)),
        "The main loss is made smaller. The weights need not add up to 1: it counts in full.",
    ),
    Mistake(
        variant(lambda m, s, f, w: (m + w * (s + f)) / (1 + 2 * w)),
        "You divide by the sum of the weights. The paper adds the losses and leaves it at that.",
    ),
    Mistake(variant(lambda m, s, f, w: (m + w * (s + f)) / 3), "You divide by the number of heads. Add the losses up."),
    Mistake(
        variant(lambda m, s, f, w: m + AUXILIARY_WEIGHT * (s + f)),
        "You write 0.3 into the formula. Use `weight`, so that another one can be tried.",
    ),
    Mistake(
        variant(lambda m, s, f, w: m + w * s + w**2 * f),
        "The lower head gets the weight twice. Both heads have the same weight.",
    ),
    Mistake(
        on_each(lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
        "A softmax is applied before the cross-entropy, which applies its own. Hand over the logits.",
    ),
    Mistake(
        on_each(lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum")),
        "You add the loss up over the batch. Take the mean, which `F.cross_entropy` does by itself.",
    ),
    Mistake(
        on_each(lambda logits, labels: F.nll_loss(logits, labels)),
        "`nll_loss` expects logarithms of probabilities and gets logits. Use `F.cross_entropy`.",
    ),
)


@check("04.5 total loss")
def check_total_loss(total_loss: Any) -> str:
    """`total_loss(outputs, labels, weight=0.3)`: the main loss plus `weight` times each auxiliary loss.

    `outputs` is a `GoogLeNetOutputs` in train mode, and logits `(N, classes)` in eval mode.
    """
    calls = [outputs_and_labels(), outputs_and_labels(weight=0.5), outputs_and_labels(weight=0.0), logits_and_labels()]
    name = need_function(total_loss, SIGNATURE, *calls[0].args, weight=0.3)
    need_function(total_loss, SIGNATURE, *calls[0].args)

    def scalar(value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise Wrong(f"Expected a tensor with one number, the loss, got {kind_of(value)}.")
        return value.reshape(())

    def explained(outputs: Any, labels: Tensor, **options: float) -> Any:
        try:
            return total_loss(outputs, labels, **options)
        except AttributeError as error:
            if isinstance(outputs, Tensor) and "'Tensor' object has no attribute" in str(error):
                raise Wrong(
                    "In eval mode the net returns the logits alone, a tensor. Ask with `isinstance(outputs, Tensor)` "
                    "and return their cross-entropy."
                ) from None
            raise

    judge(explained, total, calls, LOSS_MISTAKES, name=name, clean=scalar)
    call = outputs_and_labels()
    call.args = (GoogLeNetOutputs(*(logits.requires_grad_() for logits in call.args[0])), call.args[1])
    if not all(map(alike, gradients(total_loss, call, name), gradients(total, call, name))):
        raise Wrong(
            "The value is right, but the gradient does not reach every head. Leave out `.item()`, `float()` and "
            "`.detach()`."
        )
    return "Right for three weights and in both modes, and the gradient reaches all three heads."


def gradients(loss: Callable[..., Any], call: Call, name: str) -> list[Tensor]:
    """Gradients at the three logits; empty where none arrives."""
    value = attempt(loss, call, name)
    if not value.requires_grad:
        return [torch.empty(0)] * 3
    found = torch.autograd.grad(value, list(call.args[0]), allow_unused=True)
    return [torch.empty(0) if gradient is None else gradient for gradient in found]


def outputs_and_labels(**options: float) -> Call:
    """Random logits of three heads for nine images and four classes."""
    return LossCall(GoogLeNetOutputs(*(2 * torch.randn(9, 4) for _ in range(3))), torch.randint(4, (9,)), **options)


def logits_and_labels() -> Call:
    """What the net returns in eval mode."""
    return LossCall(2 * torch.randn(9, 4), torch.randint(4, (9,)))
