"""The check of lesson 04 on the arithmetic of the bottleneck: weights and multiply-adds of one branch."""

import random
from collections.abc import Callable
from typing import Any

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

Cost = tuple[int, int]


def weights_of(in_channels: int, channels: int, kernel: int, reduced: int | None) -> int:
    """Weights of one branch, without biases."""
    if reduced is None:
        return kernel**2 * in_channels * channels
    return in_channels * reduced + kernel**2 * reduced * channels


def by_formula(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> Cost:
    """The oracle: every weight is used once per pixel."""
    weights = weights_of(in_channels, channels, kernel, reduced)
    return weights, side**2 * weights


def variant(
    weights: Callable[[int, int, int, int | None], int] = weights_of,
    macs: Callable[[int, int], int] = lambda side, weights: side**2 * weights,
) -> Callable[..., Cost]:
    """Another way to count the weights, or to get from them to the multiply-adds."""

    def cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> Cost:
        count = weights(in_channels, channels, kernel, reduced)
        return count, macs(side, count)

    return cost


COST_MISTAKES = (
    Mistake(
        lambda *args, **options: by_formula(*args, **options)[::-1],
        "The two numbers have changed places. Return (parameters, multiply-adds).",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: weights_of(i, c, k, r) + c + (r or 0)),
        "You count the biases too. Leave them out, in both numbers: a convolution before batch norm has none.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: k * i * c if r is None else i * r + k * r * c),
        "The kernel's side is counted once. A k×k kernel has k · k weights for each pair of channels.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: weights_of(i, c, k, None)),
        "`reduced` has no effect: you count the naive branch in every case.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: k**2 * (r or i) * c),
        "The 1×1 convolution in front is free in your count. It has in_channels · reduced weights of its own.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: weights_of(i, c, k, None) + (r or 0) * i),
        "The large kernel still sees all of in_channels. Behind the 1×1 convolution it sees only `reduced` channels.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: k**2 * i * c if r is None else k**2 * (i * r + r * c)),
        "You give the reducing convolution the large kernel. Its kernel is 1×1.",
    ),
    Mistake(
        variant(weights=lambda i, c, k, r: k**2 * i * c if r is None else i * r + k**2 * r * r),
        "The large kernel leads from `reduced` to `channels`, not from `reduced` to `reduced`.",
    ),
    Mistake(
        variant(macs=lambda side, weights: 2 * side**2 * weights),
        "You count operations. One multiply-add is a product and a sum together, so leave the factor 2 off.",
    ),
    Mistake(
        variant(macs=lambda side, weights: side * weights),
        "The side is counted once. A map of side s has s · s pixels, and each needs all the weights.",
    ),
    Mistake(
        variant(macs=lambda side, weights: weights),
        "The multiply-adds equal the parameters in your count. Each weight is used once for every pixel of the map.",
    ),
    Mistake(
        lambda side, in_channels, channels, kernel, reduced=None: (
            weights_of(in_channels, channels, kernel, reduced),
            side**2 * (0 if reduced is None else in_channels * reduced)
            + (side - kernel + 1) ** 2 * kernel**2 * (reduced or in_channels) * channels,
        ),
        "Your map shrinks under the large kernel. In an inception block the convolutions are padded and keep the side.",
    ),
    Mistake(
        lambda side, i, c, k, reduced=None: (side**2 * weights_of(i, c, k, reduced),) * 2,
        "The parameters grow with the side in your count. A convolution uses the same weights at every pixel.",
    ),
)


@check("04.2 cost of a branch")
def check_branch_cost(branch_cost: Any) -> str:
    """`branch_cost(side, in_channels, channels, kernel, reduced=None)`: (parameters, multiply-adds), without biases.

    Without `reduced` the branch is one padded k×k convolution; with it, a 1×1 convolution to `reduced` channels
    stands in front.
    """
    calls = [
        Call(28, 192, 128, 3),
        Call(28, 192, 32, 5),
        Call(28, 192, 128, 3, reduced=96),
        Call(28, 192, 32, 5, reduced=16),
        Call(14, 480, 192, 1),
        *(random_call() for _ in range(4)),
    ]
    signature = "branch_cost(side, in_channels, channels, kernel, reduced=None)"
    name = need_function(branch_cost, signature, 28, 192, 32, 5, reduced=16)
    need_function(branch_cost, signature, 28, 192, 32, 5)

    def two_counts(value: Any) -> Cost:
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Wrong(f"Expected two numbers, (parameters, multiply-adds), got {kind_of(value)}.")
        if None in value or ... in value:
            raise NotYet
        for number in value:
            if isinstance(number, bool) or not isinstance(number, int):
                raise Wrong(f"Expected whole numbers; one of yours is {kind_of(number)}. Nothing needs to be divided.")
        return value[0], value[1]

    judge(branch_cost, by_formula, calls, COST_MISTAKES, name=name, clean=two_counts)
    return f"Right for {len(calls)} branches, naive and reduced."


def random_call() -> Call:
    """A branch of any size, reduced."""
    reduced = random.randint(5, 40)
    return Call(random.randint(9, 60), random.randint(50, 300), random.randint(41, 90), 3, reduced=reduced)
