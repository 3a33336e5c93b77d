"""The check of lesson 08 on a loss for several heads: one cross-entropy a head, weighted, added up."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .expect import Call, Mistake, alike, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

SIGNATURE = "multi_head_loss(outputs, labels, weights=None)"

Tensors = Mapping[str, Tensor]
Weights = Mapping[str, float] | None


def right(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """The oracle: the sum over the heads of weight times mean cross-entropy."""
    return torch.stack(parts(outputs, labels, weights)).sum()


def parts(
    outputs: Tensors,
    labels: Tensors,
    weights: Weights = None,
    *,
    of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    otherwise: float = 1.0,
) -> list[Tensor]:
    """The weighted loss of each head. The options make wrong variants of it."""
    return [
        (weights or {}).get(head, otherwise if weights else 1.0) * of(out, labels[head])
        for head, out in outputs.items()
    ]


def by_position(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """The outputs paired with the labels in the order in which they stand."""
    aligned = dict(zip(outputs, labels.values(), strict=True))
    return right(outputs, aligned, weights)


def normalised(outputs: Tensors, labels: Tensors, weights: Weights = None) -> Tensor:
    """Divided by the sum of the weights."""
    return right(outputs, labels, weights) / sum((weights or {}).get(head, 1.0) for head in outputs)


def probabilities(out: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of what is a softmax already."""
    return F.cross_entropy(out.softmax(dim=1), labels)


def added_up(out: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy summed over the batch."""
    return F.cross_entropy(out, labels, reduction="sum")


def squared(out: Tensor, labels: Tensor) -> Tensor:
    """The squared error of a regression."""
    return F.mse_loss(out, F.one_hot(labels, out.shape[1]).float())


MISTAKES = (
    Mistake(
        lambda o, y, w=None: right(o, y),
        "The weights are ignored. Each head's loss is multiplied by its weight before the sum.",
    ),
    Mistake(
        lambda o, y, w=None: right(o, y, w) / len(o),
        "You take the mean over the heads. The sum is asked for: a head's gradient must not shrink as others join.",
    ),
    Mistake(normalised, "You divide by the sum of the weights. A weight of 2 means twice the gradient."),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w, otherwise=0.0)).sum(),
        "A head without a weight falls out of the sum. It counts once: `weights.get(head, 1.0)`.",
    ),
    Mistake(lambda o, y, w=None: parts(o, y, w)[0], "Only the first head is in the loss, so the others learn nothing."),
    Mistake(lambda o, y, w=None: parts(o, y, w)[-1], "Only the last head is in the loss. Add up, do not overwrite."),
    Mistake(
        by_position,
        "Outputs and labels are paired by position. Their order may differ: look the labels up by the head's name.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w, of=probabilities)).sum(),
        "You apply a softmax before the cross-entropy, which applies one itself. Hand it the logits.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w, of=F.nll_loss)).sum(),
        "`nll_loss` expects log-probabilities, and these are logits. `F.cross_entropy` takes logits.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w, of=added_up)).sum(),
        "You add up over the images. Take the mean over the batch, as `F.cross_entropy` does by default.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w)).prod(),
        "You multiply the losses. A product lets one head that is nearly right silence all others: add them.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w)).max(),
        "You keep only the largest loss. Then one head learns at a time: add them.",
    ),
    Mistake(
        lambda o, y, w=None: torch.stack(parts(o, y, w, of=squared)).sum(),
        "That is the squared error. The heads are classifiers: take the cross-entropy.",
    ),
)  # fmt: skip


class HeadsCall(Call):
    """A call whose dictionaries are told by their heads."""

    def says(self, name: str) -> str:
        """The call in words."""
        outputs, _, *weights = self.args
        heads = ", ".join(f"{head}: {tuple(out.shape)}" for head, out in outputs.items())
        return f"`{name}` with outputs {{{heads}}}" + (f" and weights {weights[0]}" if weights else "")


def example(**classes: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Logits and labels of five images by head; the labels stand in the opposite order."""
    outputs = {head: 2 * torch.randn(5, count) for head, count in classes.items()}
    labels = {head: torch.randint(count, (5,)) for head, count in classes.items()}
    return outputs, dict(reversed(labels.items()))


@check("08.3 multi-head loss")
def check_multi_head_loss(multi_head_loss: Any) -> str:
    """`multi_head_loss(outputs, labels, weights=None) -> scalar`, outputs and labels by the head's name."""
    two, three = example(digit=6, parity=6), example(root=8, vowel=8, consonant=8)
    three[0]["vowel"] *= 4  # neither the first nor the last head has the largest loss
    calls = [
        HeadsCall(*three),
        HeadsCall(*two),
        HeadsCall(*three, {"root": 2.0, "vowel": 0.5, "consonant": 1.5}),
        HeadsCall(*three, {"vowel": 3.0}),
        HeadsCall(*example(only=4)),
    ]
    name = need_function(multi_head_loss, SIGNATURE, *calls[2].args)
    need_function(multi_head_loss, SIGNATURE, *calls[0].args)
    judge(multi_head_loss, right, calls, MISTAKES, name=name, clean=lambda value: need_scalar(value, name))
    outputs, labels = three
    leaves = [{head: out.clone().requires_grad_() for head, out in outputs.items()} for _ in range(2)]
    weights = {"root": 2.0}
    loss = multi_head_loss(leaves[0], labels, weights)
    if loss.requires_grad:
        loss.backward()
    right(leaves[1], labels, weights).backward()
    for head in outputs:
        if leaves[0][head].grad is None or not alike(leaves[0][head].grad, leaves[1][head].grad):
            raise Wrong(
                f"The value is right, but the gradient at head {head!r} is not. Leave out `.item()`, `float()`, "
                "`.detach()` and `.data`: the loss must stay connected to the outputs."
            )
    return "One number that every head has a part in: its gradient reaches all of them, each with its own weight."


def need_scalar(value: Any, name: str) -> Tensor:
    """The value, if it is a scalar tensor.

    Raises:
        Wrong: it is something else.
    """
    if isinstance(value, dict | list | tuple):
        raise Wrong(f"`{name}` returns a {type(value).__name__}. An optimizer needs one number: add the losses up.")
    if not isinstance(value, Tensor):
        raise Wrong(
            f"Expected a scalar tensor from `{name}`, got {kind_of(value)}. A plain number has no gradient: leave out "
            "`.item()` and `float()`."
        )
    if value.ndim:
        raise Wrong(
            f"`{name}` returns a tensor of shape {tuple(value.shape)}, expected a scalar: is something "
            "not averaged over the images, or not added up over the heads?"
        )
    return value
