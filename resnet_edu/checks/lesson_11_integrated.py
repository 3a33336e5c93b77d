"""The check of lesson 11 on Integrated Gradients and their completeness."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .expect import alike, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

Score = Callable[[Tensor], Tensor]


def gradient_at(f: Score, point: Tensor) -> Tensor:
    """∂f / ∂point for a batch of one."""
    point = point.detach().requires_grad_()
    return torch.autograd.grad(f(point).sum(), point)[0]


def along(places: Callable[[int], Tensor]) -> Callable[..., Tensor]:
    """The mean gradient at other places of the way, times the way."""

    def attribution(f: Score, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
        way = x - baseline
        gradients = [gradient_at(f, baseline + float(place) * way) for place in places(steps)]
        return way * torch.stack(gradients).mean(0)

    return attribution


def middles(steps: int) -> Tensor:
    """The middles of equal pieces of 0 to 1."""
    return (torch.arange(steps, dtype=torch.float64) + 0.5) / steps


right = along(middles)


def mean_gradient(f: Score, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Without the factor."""
    return right(f, x, baseline, steps) / (x - baseline)


#: Wrong attributions and what to say of each.
ATTRIBUTIONS: tuple[tuple[Callable[..., Tensor], str], ...] = (
    (mean_gradient, "The factor is missing: the mean gradient is multiplied by `x - baseline`, entry by entry."),
    (
        lambda f, x, b, n: mean_gradient(f, x, b, n) * x,
        "You multiply by `x`. The way that was gone is `x - baseline`.",
    ),
    (
        lambda f, x, b, n: -right(f, x, b, n),
        "The sign is turned: the way leads from the baseline to the image, `x - baseline`.",
    ),
    (
        lambda f, x, b, n: right(f, x, b, n) * n,
        "You add up the gradients. Divide by the number of steps: the mean is asked for.",
    ),
    (
        lambda f, x, b, n: (x - b) * gradient_at(f, x),
        "You take the gradient at the image alone. That is gradient × input; an integral needs the whole way.",
    ),
    (
        lambda f, x, b, n: (x - b) * gradient_at(f, (x + b) / 2),
        "You average the points and take one gradient there. Take a gradient at each point and average those.",
    ),
    (
        along(lambda n: torch.arange(n, dtype=torch.float64) / n),
        "Each piece is represented by its beginning. Take its middle: (k + 0.5) / steps.",
    ),
    (
        along(lambda n: torch.arange(1, n + 1, dtype=torch.float64) / n),
        "Each piece is represented by its end. Take the middle of it: (k + 0.5) / steps.",
    ),
    (
        along(lambda n: torch.linspace(0, 1, n, dtype=torch.float64)),
        "You spread the points from 0 to 1, ends included. Take the middles of equal pieces: (k + 0.5) / steps.",
    ),
    (
        lambda f, x, b, n: right(f, x, torch.zeros_like(b), n),
        "Your way begins at zero. It begins at `baseline`.",
    ),
    (
        lambda f, x, b, n: (x - b) * torch.stack([gradient_at(f, float(p) * (x - b)) for p in middles(n)]).mean(0),
        "The points lie between zero and the difference. Add the baseline: `baseline + t * (x - baseline)`.",
    ),
    (
        lambda f, x, b, n: right(f, x, b, n).abs(),
        "You drop the sign. With it goes completeness: evidence against the class must count as negative.",
    ),
)

#: Wrong errors, from the sum of the right attribution and the scores of image and baseline.
ERRORS: tuple[tuple[Callable[[float, float, float], float], str], ...] = (
    (lambda s, fx, fb: (fx - fb) - s, "turned round: it is the sum of the attribution *minus* the difference."),
    (lambda s, fx, fb: abs(s - (fx - fb)), "without its sign. Too much and too little are two things."),
    (lambda s, fx, fb: s - fx, "measured from f(x) alone. The sum accounts for f(x) − f(baseline)."),
    (lambda s, fx, fb: s, "the sum itself. Take f(x) − f(baseline) off it."),
    (lambda s, fx, fb: fx - fb, "the difference of the scores. Take it off the attribution's sum."),
    (lambda s, fx, fb: s - (fb - fx), "made with f(baseline) − f(x). It is f(x) − f(baseline)."),
    (lambda s, fx, fb: (s - (fx - fb)) / (fx - fb), "a share of the difference. It is asked for in the score's units."),
    (lambda s, fx, fb: (s - (fx - fb)) ** 2, "squared. It is asked for as it is."),
)


@check("11.3 Integrated Gradients")
def check_integrated_gradients(integrated: Any) -> str:
    """`integrated(f, x, baseline, steps) -> (attribution, error)` by the midpoint rule."""
    cases: list[Any] = [(random_net(24), *torch.randn(2, 1, 2, 3, 4), steps) for steps in (1, 2, 3, 8)]
    cases += [(random_net(6), torch.randn(1, 6), torch.randn(1, 6), 5)]
    cases += [(f, baseline, x, steps) for f, x, baseline, steps in cases[-2:]]  # the way back: the error's sign turns
    name = need_function(integrated, "integrated_gradients(f, x, baseline, steps)", *list(cases[0]))
    got = [answer_of(integrated, name, *case) for case in cases]
    judge_attributions([attribution for attribution, _ in got], cases)
    judge_errors([error for _, error in got], [attribution for attribution, _ in got], cases)
    return f"The attribution by the midpoint rule and its error, for {len(cases)} nets, baselines and numbers of steps."


def random_net(inputs: int) -> nn.Module:
    """A small function with curves: a batch to one number for each of its items."""
    first, second = nn.Linear(inputs, 8), nn.Linear(8, 1)
    model = nn.Sequential(nn.Flatten(), first, nn.Tanh(), second, nn.Flatten(0))
    nn.init.normal_(second.weight)
    return model


def judge_attributions(got: list[Tensor], cases: list[Any]) -> None:
    """Compare with the midpoint rule.

    Raises:
        Wrong: an attribution differs; a mistake that explains all of them is named.
    """
    wanted = [right(*case) for case in cases]
    differing = [i for i in range(len(cases)) if not alike(got[i], wanted[i])]
    if not differing:
        return
    for wrong, message in ATTRIBUTIONS:
        if all(alike(mine, wrong(*case)) for mine, case in zip(got, cases, strict=True)):
            raise Wrong(message)
    i = differing[0]
    largest = float((got[i] - wanted[i]).abs().max())
    raise Wrong(f"With steps={cases[i][3]} the attribution is not right; the largest difference is {largest:.2g}.")


def judge_errors(got: list[float], attributions: list[Tensor], cases: list[Any]) -> None:
    """Compare the errors, once the attributions are right.

    Raises:
        Wrong: an error differs; a mistake that explains all of them is named.
    """
    parts = [
        (float(attribution.sum()), float(f(x).detach()), float(f(baseline).detach()))
        for attribution, (f, x, baseline, _) in zip(attributions, cases, strict=True)
    ]

    def explains(formula: Callable[[float, float, float], float]) -> bool:
        return all(abs(mine - formula(*part)) < 1e-4 for mine, part in zip(got, parts, strict=True))

    if explains(lambda s, fx, fb: s - (fx - fb)):
        return
    for wrong, message in ERRORS:
        if explains(wrong):
            raise Wrong(f"The attribution is right. The error is {message}")
    raise Wrong(
        f"The attribution is right. The error for steps={cases[0][3]} should be "
        f"{parts[0][0] - parts[0][1] + parts[0][2]:.4f}, got {got[0]:.4f}."
    )


def answer_of(answer: Any, name: str, net: nn.Module, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
    """Attribution and error that the answer returns.

    Raises:
        NotYet: it returns nothing.
        Wrong: it returns something else, changes what it is given, or leaves gradients behind.
    """
    mine, start = x.clone(), baseline.clone()
    try:
        value = answer(net, mine, start, steps)
    except Exception as error:
        error.add_note(f"It was called with x and baseline of shape {tuple(x.shape)} and steps={steps}.")
        raise
    if value is None or value is ...:
        raise NotYet
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Wrong(f"Expected two things from `{name}`, `(attribution, error)`, got {kind_of(value)}.")
    attribution, error = value
    if not isinstance(attribution, Tensor) or attribution.shape != x.shape:
        raise Wrong(f"Expected an attribution of the image's shape {tuple(x.shape)}, got {kind_of(attribution)}.")
    if not isinstance(error, int | float | Tensor) or torch.as_tensor(error).numel() != 1:
        raise Wrong(f"Expected the error as one number, got {kind_of(error)}.")
    if not torch.equal(mine, x) or not torch.equal(start, baseline):
        raise Wrong(f"`{name}` changes the tensors it is given. Work on new ones.")
    if any(parameter.grad is not None for parameter in net.parameters()):
        raise Wrong(
            "The parameters of `f` keep gradients, which a training step would add to its own. Use "
            "`torch.autograd.grad(…, point)` in place of `backward()`."
        )
    return attribution.detach(), float(torch.as_tensor(error).detach())
