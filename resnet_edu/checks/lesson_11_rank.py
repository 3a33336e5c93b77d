"""The check of lesson 11 on comparing two maps by their ranks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import probe
from ..probe.attribution import ranks
from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's."""
    return float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1])


def by_ranks(rank: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], float]:
    """The correlation of ranks made in another way."""
    return lambda a, b: correlation(rank(a.flatten()), rank(b.flatten()))


def order(values: Tensor) -> Tensor:
    """Ranks without regard to ties: whichever comes first gets the lower one."""
    return values.argsort(stable=True).argsort()


def unstable(values: Tensor) -> Tensor:
    """The same as most would write it: ties in whatever order the sort leaves them."""
    return values.argsort().argsort()


def by_differences(a: Tensor, b: Tensor) -> float:
    """The textbook's short formula, which holds without ties only."""
    n, difference = a.numel(), ranks(a) - ranks(b)
    return float(1 - 6 * difference.square().sum() / (n * (n * n - 1)))


def not_centred(a: Tensor, b: Tensor) -> float:
    """The cosine between the ranks."""
    return float(torch.cosine_similarity(ranks(a), ranks(b), dim=0))


def kendall(a: Tensor, b: Tensor) -> float:
    """Agreement of all pairs, Kendall's tau-b."""
    pairs = [(values.flatten()[:, None] - values.flatten()).sign().flatten().double() for values in (a, b)]
    return float(torch.cosine_similarity(*pairs, dim=0))


def distinct(values: Tensor) -> Tensor:
    """The number of the distinct value, so that ties count once."""
    return values.unique(return_inverse=True)[1]


def highest(values: Tensor) -> Tensor:
    """Equal values share the highest of their ranks."""
    return (values[:, None] >= values).sum(dim=1)


MISTAKES = (
    Mistake(
        correlation,
        "You correlate the values themselves. Replace each value by its rank first: one bright spot must not decide.",
    ),
    Mistake(
        by_ranks(order),
        "Equal values get different ranks, by the accident of their place. They share the mean of their ranks: a "
        "Grad-CAM map is full of equal zeros.",
    ),
    Mistake(
        by_ranks(unstable),
        "Two times `argsort` breaks ties in whatever order the sort leaves them. Equal values share the mean of their "
        "ranks: a Grad-CAM map is full of equal zeros.",
    ),
    Mistake(
        by_ranks(lambda v: v.argsort(stable=True)),
        "`argsort` gives the places of the sorted values, not the ranks. The ranks are the `argsort` of that.",
    ),
    Mistake(
        by_ranks(lambda v: v.argsort()),
        "`argsort` says where the smallest value stands, where the next, and so on. Asked is the rank of each value.",
    ),
    Mistake(by_ranks(distinct), "You number the distinct values, so that a tie of a hundred counts as one rank."),
    Mistake(by_ranks(highest), "Equal values share their highest rank. They should share the mean of their ranks."),
    Mistake(
        by_ranks(lambda v: (v[:, None] > v).sum(dim=1)),
        "Equal values share their lowest rank. They should share their mean rank.",
    ),
    Mistake(
        by_differences,
        "The formula 1 − 6 Σd² / (n (n² − 1)) holds without ties only. Correlate the ranks instead.",
    ),
    Mistake(not_centred, "Take the mean off the ranks before you multiply them: that is what makes it a correlation."),
    Mistake(
        kendall, "You compare all pairs, which is Kendall's tau. Asked is the correlation of the ranks, Spearman's."
    ),
    Mistake(
        lambda a, b: -probe.rank_correlation(a, b),
        "The sign is turned: one of the two is ranked from the largest down.",
    ),
    Mistake(
        lambda a, b: abs(probe.rank_correlation(a, b)),
        "You drop the sign. A map that is reversed has the correlation −1.",
    ),
    Mistake(
        lambda a, b: probe.rank_correlation(a, b) ** 2,
        "You square the correlation, and with that lose its sign.",
    ),
    Mistake(
        lambda a, b: probe.rank_correlation(a.abs(), b.abs()),
        "You rank absolute values. Evidence for and against a class are two ends of the scale, not the same end.",
    ),
)


@check("11.4 rank correlation")
def check_rank_correlation(rank_correlation: Any) -> str:
    """`rank_correlation(a, b) -> float` for two maps of one shape; equal values share the mean of their ranks."""
    a, b = torch.randn(2, 6, 5)
    calls = [
        Call(a, b),
        Call(a, (a - 0.5) ** 3 - 0.3 * b),
        Call(a, b - a),
        Call(a.clamp(min=0), (a + b).clamp(min=0)),  # ties, as a ReLU makes them
        *[Call((2 * u).round() / 2, -(2 * u + v).round()) for u, v in torch.randn(4, 2, 6, 5)],  # ties at every value
        Call(torch.randn(40), torch.randn(40).exp()),
    ]
    name = need_function(rank_correlation, "rank_correlation(a, b)", *calls[0].args)
    judge(rank_correlation, rounded, calls, MISTAKES_ROUNDED, name=name, clean=lambda value: need_number(value, name))
    return "Spearman's rank correlation, ties included: the same as scipy's `spearmanr`."


def rounded(a: Tensor, b: Tensor) -> Tensor:
    """The oracle as a tensor, which `judge` compares within its tolerance."""
    return torch.tensor(probe.rank_correlation(a, b))


def as_tensor(variant: Callable[..., Any]) -> Callable[..., Any]:
    """A variant's number as a tensor."""
    return lambda a, b: torch.tensor(variant(a, b))


MISTAKES_ROUNDED = [Mistake(as_tensor(mistake.variant), mistake.message) for mistake in MISTAKES]


def need_number(value: Any, name: str) -> Tensor:
    """The value as a tensor without dimensions, if it is a number.

    Raises:
        Wrong: it is something else, or no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Tensor) or torch.as_tensor(value).numel() != 1:
        raise Wrong(f"Expected one number from `{name}`, got {kind_of(value)}.")
    number = torch.as_tensor(value).detach().float().reshape(())
    if not bool(number.isfinite()):
        raise Wrong(f"`{name}` returned {number.item()}. Is something divided by zero?")
    return number
