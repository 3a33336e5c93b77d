"""The check of lesson 04 on the head with global average pooling, and on the votes of the single pixels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .expect import Call, Mistake, attempt, judge, need_call, need_module_class
from .explain import kind_of
from .runner import Wrong, check

SIGNATURE = "AverageHead(channels, classes)"


def logits_of(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The oracle of `forward`."""
    return F.linear(x.mean((2, 3)), weight, bias)


def votes_of(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The oracle of `votes`."""
    return F.conv2d(x, weight[:, :, None, None], bias)


def pooled(formula: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """A head that makes something else than the mean of `(N, C, H, W)`."""
    return lambda x, weight, bias: F.linear(formula(x), weight, bias)


def after(oracle: Callable[..., Tensor], formula: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The right result with something done to it at the end."""
    return lambda x, weight, bias: formula(oracle(x, weight, bias))


FORWARD_MISTAKES = (
    Mistake(pooled(lambda x: x.sum((2, 3))), "`forward` adds the pixels up. Take their mean."),
    Mistake(pooled(lambda x: x.amax((2, 3))), "`forward` takes the largest pixel of each map. Take the mean."),
    Mistake(pooled(lambda x: x[:, :, 0, 0]), "`forward` looks at the first pixel only. Take the mean."),
    Mistake(
        pooled(lambda x: x[:, :, x.shape[2] // 2, x.shape[3] // 2]), "`forward` looks at the middle pixel only."
    ),
    Mistake(
        pooled(lambda x: x.mean((0, 2, 3))[None].expand(len(x), -1)),
        "`forward` averages over the batch too, so all images get the same logits.",
    ),
    Mistake(after(logits_of, torch.relu), "`forward` cuts off negative logits. Nothing follows the linear layer."),
    Mistake(
        after(logits_of, lambda out: out.softmax(1)),
        "`forward` returns probabilities. Return the logits: the cross-entropy applies the softmax itself.",
    ),
    Mistake(
        lambda x, weight, bias: logits_of(x, weight, 0 * bias), "`forward` leaves the bias of `fc` out."
    ),
)  # fmt: skip

VOTES_MISTAKES = (
    Mistake(
        lambda x, weight, bias: votes_of(x, weight, 0 * bias),
        "`votes` leaves the bias out. Give it to every pixel: the mean over the pixels then contains it once.",
    ),
    Mistake(
        after(votes_of, lambda out: out / out[0, 0].numel()),
        "`votes` divides by the number of pixels, so that the *sum* gives the logits. Let the mean give them.",
    ),
    Mistake(after(votes_of, lambda out: out.softmax(1)), "`votes` returns probabilities of each pixel. Return logits."),
    Mistake(after(votes_of, torch.relu), "`votes` cuts off what speaks against a class. Leave negative votes in."),
    Mistake(
        after(votes_of, lambda out: out.mT.reshape(out.shape)), "In `votes`, rows and columns have changed places."
    ),
    Mistake(
        lambda x, weight, bias: (x.permute(0, 2, 3, 1) @ weight.T + bias).reshape(len(x), -1, *x.shape[2:]),
        "In `votes` the classes are the last dimension after `fc`. Bring them forward with `permute`, not `reshape`.",
    ),
    Mistake(
        lambda x, weight, bias: logits_of(x, weight, bias)[:, :, None, None].expand(-1, -1, *x.shape[2:]),
        "`votes` gives every pixel the logits of the whole image. Send each pixel through `fc` on its own.",
    ),
)


@check("04.4 average head")
def check_average_head(AverageHead: Any) -> str:  # noqa: N803 – the learner's class
    """`AverageHead(channels, classes)` with `fc`; `forward(x)` is `(N, classes)`, `votes(x)` `(N, classes, H, W)`."""
    name = need_module_class(AverageHead, SIGNATURE, 5, 3)
    head = AverageHead(5, 3)
    calls = [Call(torch.randn(n, 5, h, w) + 1) for n, h, w in ((2, 7, 7), (3, 4, 6), (1, 3, 5), (3, 1, 1))]
    for call in calls:
        need_tensor(attempt_any_side(head, call, name), name)
    fc = getattr(head, "fc", None)
    if not isinstance(fc, nn.Linear) or (fc.in_features, fc.out_features) != (5, 3):
        raise Wrong("Expected the linear layer as `self.fc = nn.Linear(channels, classes)`.")
    if sum(p.numel() for p in head.parameters()) != 18:
        raise Wrong("The head has more parameters than those of `fc`. The average needs none, and the votes use `fc`.")
    nn.init.uniform_(fc.weight, -1, 1)
    nn.init.uniform_(fc.bias, -2, -1)
    weight, bias = fc.weight.detach(), fc.bias.detach()

    def with_fc(oracle: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: oracle(x, weight, bias)

    def known(mistakes: tuple[Mistake, ...]) -> list[Mistake]:
        return [Mistake(with_fc(mistake.variant), mistake.message) for mistake in mistakes]

    judge(head, with_fc(logits_of), calls, known(FORWARD_MISTAKES), name=f"{name}.forward",
          clean=lambda value: need_tensor(value, f"{name}.forward"))  # fmt: skip
    votes = getattr(head, "votes", None)
    if not callable(votes):
        raise Wrong("Expected a method `votes(x)` beside `forward`.")
    need_call(votes, "Expected a method `votes(self, x)`.", "votes", calls[0].args, {})
    judge(votes, with_fc(votes_of), calls, known(VOTES_MISTAKES), name=f"{name}.votes",
          clean=lambda value: need_tensor(value, f"{name}.votes"))  # fmt: skip
    return "Images of any side go in, and the votes of the pixels average to the logits."


def attempt_any_side(head: Any, call: Call, name: str) -> Any:
    """The head's value; a head that takes one side only is told so.

    Raises:
        Wrong: it cannot take this side.
    """
    try:
        return attempt(head, call, name)
    except RuntimeError as error:
        if "mat1 and mat2 shapes" not in str(error):
            raise
        if getattr(getattr(head, "fc", None), "in_features", 5) != 5:
            raise Wrong(
                f"`fc` takes {head.fc.in_features} numbers an image, so it fits maps of one side only. An average "
                "head has `channels` numbers whatever the side."
            ) from None
        raise Wrong(
            f"`fc` takes `channels` numbers an image and gets others, with {call.says(name)}. After the mean over "
            "height *and* width one number a channel is left: `x.mean((2, 3))`."
        ) from None


def need_tensor(value: Any, name: str) -> Tensor:
    """The value, which must be a tensor.

    Raises:
        Wrong: it is something else.
    """
    if not isinstance(value, Tensor):
        raise Wrong(f"Expected a tensor from `{name}`, got {kind_of(value)}.")
    return value
