"""The check of lesson 05 on He's initialisation: the standard deviation that keeps the signal's size."""

import math
import random
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .expect import Call, Mistake, attempt, need_function, tried
from .explain import kind_of
from .runner import Wrong, check

Shape = tuple[int, ...]


def of_torch(shape: Shape, negative_slope: float = 0.0) -> float:
    """The oracle: PyTorch's gain over the root of the number of inputs."""
    return nn.init.calculate_gain("leaky_relu", negative_slope) / math.sqrt(math.prod(shape[1:]))


def variant(formula: Callable[[Shape, float], float]) -> Callable[..., float]:
    """A formula in shape and slope, with the default of the exercise."""
    return lambda shape, negative_slope=0.0: formula(shape, negative_slope)


def fan_in(shape: Shape) -> int:
    """Numbers that one unit adds up."""
    return math.prod(shape[1:])


def fan_out(shape: Shape) -> int:
    """Units that one number goes to."""
    return shape[0] * math.prod(shape[2:])


HE_MISTAKES = (
    Mistake(
        variant(lambda s, a: 2 / ((1 + a * a) * fan_in(s))),
        "That is the variance. The standard deviation is its square root.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / ((1 + a * a) * fan_out(s)))),
        "You count the outputs. One unit adds up its *inputs*, and their number decides how large the sum gets. A "
        "weight's shape begins with the outputs.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / (fan_in(s) + fan_out(s)))),
        "That is Xavier's (Glorot's) formula, with inputs and outputs. He's has the inputs alone.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(1 / fan_in(s))),
        "The 2 is missing. ReLU throws half of the second moment away, and the 2 makes up for it.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / ((1 + a * a) * s[1]))),
        "The kernel is not counted. A convolution adds up in_channels · k · k products.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / ((1 + a * a) * s[1] * (s[2] if len(s) > 2 else 1)))),
        "The kernel's side is counted once. It has k · k weights for each input channel.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / fan_in(s))),
        "Right for ReLU. The negative slope has no effect yet: with slope a, the share of the second moment that is "
        "kept is (1 + a²) / 2.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / ((1 + a) * fan_in(s)))),
        "The slope enters squared: negative values are multiplied by a, their squares by a².",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 * (1 + a * a) / fan_in(s))),
        "The factor 1 + a² stands on the wrong side: the more the activation keeps, the smaller the weights may be.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(6 / ((1 + a * a) * fan_in(s)))),
        "That is the bound of the uniform distribution. Its standard deviation is the bound divided by √3.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / (1 + a * a)) / fan_in(s)),
        "The root goes over the number of inputs as well: √(2 / n), not √2 / n.",
    ),
    Mistake(
        variant(lambda s, a: math.sqrt(2 / ((1 + a * a) * math.prod(s)))),
        "You count all weights of the layer. Count those of one unit: the shape without its first number.",
    ),
)


@check("05.2 He's variance")
def check_he_std(he_std: Any) -> str:
    """`he_std(shape, negative_slope=0.0) -> float`: standard deviation of the initial weights after He et al. 2015.

    `shape` is that of the weight, (out, in) for a linear layer, (out, in, k, k) for a convolution. In front of the
    layer stands max(x, negative_slope · x): 0 is ReLU, 1 no activation at all.
    """
    out, width, k = random.randint(5, 60), random.randint(70, 300), random.choice((3, 5, 7))
    calls = [
        Call((10, 128)),
        Call((64, 3, 7, 7)),
        Call((32, 16, 1, 1)),
        Call((out, width, k, k)),
        Call((10, 128), negative_slope=0.25),
        Call((128, 256, 3, 3), negative_slope=0.5),
        Call((7, width), negative_slope=1.0),
        Call((out, 12, k, k), negative_slope=round(random.uniform(0.2, 0.9), 2)),
    ]
    signature = "he_std(shape, negative_slope=0.0)"
    name = need_function(he_std, signature, (10, 128), negative_slope=0.0)
    need_function(he_std, signature, (10, 128))
    got = [number(attempt(he_std, call, name)) for call in calls]
    wanted = [call.of(of_torch) for call in calls]
    differing = [i for i in range(len(calls)) if not close(got[i], wanted[i])]
    if differing:
        for mistake in HE_MISTAKES:
            if all(close(value, tried(mistake.variant, call)) for call, value in zip(calls, got, strict=True)):
                raise Wrong(mistake.message)
        i = differing[0]
        raise Wrong(f"{calls[i].says(name)}: expected {wanted[i]:.4g}, got {got[i]:.4g}.")
    return f"Equal to PyTorch's for {len(calls)} layers, linear and convolutional, with ReLU and with leaky ReLU."


def close(got: float, wanted: float | None) -> bool:
    """Equal but for rounding in float32."""
    return wanted is not None and math.isclose(got, wanted, rel_tol=1e-5)


def number(value: Any) -> float:
    """The answer as a float.

    Raises:
        Wrong: it is not one number.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"Expected one number, the standard deviation, got {kind_of(value)}.")
    return float(value)
