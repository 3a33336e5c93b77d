"""The checks of lesson 04: what one branch of an inception block costs."""

import random

from .exercise import Call, exercise
from .values import several, whole

# --- 04.2 cost of a branch --------------------------------------------------------------------------------------


def weights_of(in_channels: int, channels: int, kernel: int, reduced: int | None) -> int:
    """Weights of one branch, without biases."""
    if reduced is None:
        return kernel**2 * in_channels * channels
    return in_channels * reduced + kernel**2 * reduced * channels


def cost(side: int, weights: int) -> tuple[int, int]:
    """Every weight is used once per pixel."""
    return weights, side**2 * weights


COST_MISTAKES = {
    "The two numbers have changed places. Return (parameters, multiply-adds).":
        lambda s, i, c, k, r: cost(s, weights_of(i, c, k, r))[::-1],
    "You count the biases too. Leave them out, in both numbers: a convolution before batch norm has none.":
        lambda s, i, c, k, r: cost(s, weights_of(i, c, k, r) + c + (r or 0)),
    "The kernel's side is counted once. A k×k kernel has k · k weights for each pair of channels.":
        lambda s, i, c, k, r: cost(s, k * i * c if r is None else i * r + k * r * c),
    "`reduced` has no effect: you count the naive branch in every case.":
        {"reduced": None},
    "The 1×1 convolution in front is free in your count. It has in_channels · reduced weights of its own.":
        lambda s, i, c, k, r: cost(s, k**2 * (r or i) * c),
    "The large kernel still sees all of in_channels. Behind the 1×1 convolution it sees only `reduced` channels.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c + (r or 0) * i),
    "You give the reducing convolution the large kernel. Its kernel is 1×1.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c if r is None else k**2 * (i * r + r * c)),
    "The large kernel leads from `reduced` to `channels`, not from `reduced` to `reduced`.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c if r is None else i * r + k**2 * r * r),
    "You count operations. One multiply-add is a product and a sum together, so leave the factor 2 off.":
        lambda s, i, c, k, r: ((w := weights_of(i, c, k, r)), 2 * s**2 * w),
    "The side is counted once. A map of side s has s · s pixels, and each needs all the weights.":
        lambda s, i, c, k, r: ((w := weights_of(i, c, k, r)), s * w),
    "The multiply-adds equal the parameters in your count. Each weight is used once for every pixel of the map.":
        lambda s, i, c, k, r: (weights_of(i, c, k, r),) * 2,
    "Your map shrinks under the large kernel. In an inception block the convolutions are padded and keep the side.":
        lambda s, i, c, k, r: (
            weights_of(i, c, k, r), s**2 * (i * r if r else 0) + (s - k + 1) ** 2 * k**2 * (r or i) * c),
    "The parameters grow with the side in your count. A convolution uses the same weights at every pixel.":
        lambda s, i, c, k, r: (s**2 * weights_of(i, c, k, r),) * 2,
}  # fmt: skip


def random_branch() -> Call:
    sizes = random.randint(9, 60), random.randint(50, 300), random.randint(41, 90), 3
    return Call(*sizes, reduced=random.randint(5, 40))


@exercise(
    "04.2 cost of a branch",
    calls=lambda: [
        Call(28, 192, 128, 3),
        Call(28, 192, 32, 5),
        Call(28, 192, 128, 3, reduced=96),
        Call(28, 192, 32, 5, reduced=16),
        Call(14, 480, 192, 1),
        *(random_branch() for _ in range(4)),
    ],
    returns=several(
        "two numbers, (parameters, multiply-adds)", *[whole("whole numbers", hint="Nothing needs to be divided.")] * 2
    ),
    mistakes=COST_MISTAKES,
)
def branch_cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> tuple[int, int]:
    """Right for 9 branches, naive and reduced."""
    return cost(side, weights_of(in_channels, channels, kernel, reduced))
