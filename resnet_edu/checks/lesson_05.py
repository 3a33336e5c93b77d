"""The checks of lesson 05: He's variance."""

import random
from math import prod, sqrt

from torch import nn

from .exercise import Call, exercise
from .values import number

Shape = tuple[int, ...]

# --- 05.2 He's variance -----------------------------------------------------------------------------------------


def fan_in(shape: Shape) -> int:
    """Numbers that one unit adds up."""
    return prod(shape[1:])


def fan_out(shape: Shape) -> int:
    """Units that one number goes to."""
    return shape[0] * prod(shape[2:])


def he_calls() -> list[Call]:
    out, width, k = random.randint(5, 60), random.randint(70, 300), random.choice((3, 5, 7))
    with_relu = [(10, 128), (64, 3, 7, 7), (32, 16, 1, 1), (out, width, k, k)]
    leaky = {(10, 128): 0.25, (128, 256, 3, 3): 0.5, (7, width): 1.0, (out, 12, k, k): random.uniform(0.2, 0.9)}
    return [*map(Call, with_relu), *(Call(shape, negative_slope=slope) for shape, slope in leaky.items())]


HE_MISTAKES = {
    "That is the variance. The standard deviation is its square root.":
        lambda s, a: 2 / ((1 + a * a) * fan_in(s)),
    "You count the outputs. One unit adds up its *inputs*, and their number decides how large the sum gets. A weight's "
    "shape begins with the outputs.":
        lambda s, a: sqrt(2 / ((1 + a * a) * fan_out(s))),
    "That is Xavier's (Glorot's) formula, with inputs and outputs. He's has the inputs alone.":
        lambda s, a: sqrt(2 / (fan_in(s) + fan_out(s))),
    "The 2 is missing. ReLU throws half of the second moment away, and the 2 makes up for it.":
        lambda s, a: sqrt(1 / fan_in(s)),
    "The kernel is not counted. A convolution adds up in_channels · k · k products.":
        lambda s, a: sqrt(2 / ((1 + a * a) * s[1])),
    "The kernel's side is counted once. It has k · k weights for each input channel.":
        lambda s, a: sqrt(2 / ((1 + a * a) * prod(s[1:3]))),
    "Right for ReLU. The negative slope has no effect yet: with slope a, the share of the second moment that is kept "
    "is (1 + a²) / 2.":
        {"negative_slope": 0.0},
    "The slope enters squared: negative values are multiplied by a, their squares by a².":
        lambda s, a: sqrt(2 / ((1 + a) * fan_in(s))),
    "The factor 1 + a² stands on the wrong side: the more the activation keeps, the smaller the weights may be.":
        lambda s, a: sqrt(2 * (1 + a * a) / fan_in(s)),
    "That is the bound of the uniform distribution. Its standard deviation is the bound divided by √3.":
        lambda s, a: sqrt(6 / ((1 + a * a) * fan_in(s))),
    "The root goes over the number of inputs as well: √(2 / n), not √2 / n.":
        lambda s, a: sqrt(2 / (1 + a * a)) / fan_in(s),
    "You count all weights of the layer. Count those of one unit: the shape without its first number.":
        lambda s, a: sqrt(2 / ((1 + a * a) * prod(s))),
}  # fmt: skip


@exercise(
    "05.2 He's variance",
    calls=he_calls,
    returns=number("one number, the standard deviation"),
    mistakes=HE_MISTAKES,
)
def he_std(shape: Shape, negative_slope: float = 0.0) -> float:
    """Equal to PyTorch's for 8 layers, linear and convolutional, with ReLU and with leaky ReLU."""
    return nn.init.calculate_gain("leaky_relu", negative_slope) / sqrt(fan_in(shape))
