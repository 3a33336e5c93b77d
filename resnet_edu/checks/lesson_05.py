"""The checks of lesson 05: backpropagation by hand, He's variance, the depth where learning stops, clipping."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan, prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, exercise
from .values import listed, number, optional, several, tensor, whole

Shape = tuple[int, ...]

# --- 05.1 backpropagation by hand -------------------------------------------------------------------------------

Gradients = tuple[Tensor, Tensor, Tensor]


def slope(h: Tensor) -> Tensor:
    return h * (1 - h)


def back(
    *,
    scale: Callable[[int], float] = lambda n: 1 / n,
    slope1: Callable[[Tensor], Tensor | float] = slope,
    slope2: Callable[[Tensor], Tensor | float] = slope,
    on: Callable[[Tensor], Tensor | float] = slope,
    through: Callable[[Tensor], Tensor] = lambda w2: w2,
) -> Callable[..., Gradients]:
    """The three gradients with one part exchanged: the error's factor, a slope, or what is passed on to layer 1."""

    def backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Gradients:
        h1 = torch.sigmoid(x @ w1)
        h2 = torch.sigmoid(h1 @ w2)
        error = (h2 @ w3 - target) * scale(len(x))
        back2 = error @ w3.T
        back1 = (back2 * on(h2)) @ through(w2).T
        return x.T @ (back1 * slope1(h1)), h1.T @ (back2 * slope2(h2)), h2.T @ error

    return backward


def both(slope: Callable[[Tensor], Tensor | float]) -> Callable[..., Gradients]:
    return back(slope1=slope, slope2=slope, on=slope)


def one(_: Tensor) -> float:
    return 1.0


def layer_transposed(*which: int) -> Callable[..., Gradients]:
    return lambda *args: tuple(g.T if i in which else g for i, g in enumerate(back()(*args), start=1))  # type: ignore[return-value]


BACKPROP_MISTAKES = {
    "The sigmoids are missing on the way back. Multiply what comes back through a layer by the slope, h · (1 − h).":
        both(one),
    "g3 and g2 are right. In g1 the slope of the first sigmoid is missing: multiply by h1 · (1 − h1).":
        back(slope1=one),
    "g3 is right. The slope of the second sigmoid is missing: multiply by h2 · (1 − h2) before you go on.":
        back(slope2=one, on=one),
    "g3 and g2 are right. What you pass on to the first layer lacks the slope of the second sigmoid: every slope on "
    "the way stays in the product.":
        back(on=one),
    "You apply the sigmoid twice. h1 and h2 have been through it already: the slope is h · (1 − h), not "
    "σ(h) · (1 − σ(h)).":
        both(lambda h: slope(h.sigmoid())),
    "1 − h² is the slope of tanh. The sigmoid's is h · (1 − h).":
        both(lambda h: 1 - h * h),
    "The sigmoid's slope is h · (1 − h). You multiply by h alone.":
        both(lambda h: h),
    "The sigmoid's slope is h · (1 − h). You multiply by 1 − h alone.":
        both(lambda h: 1 - h),
    "Your gradients are N times too large: the loss is a mean over the N samples. `error` has the division in it.":
        back(scale=lambda n: 1.0),
    "Your gradients are N times too small. `error` has the division by N in it; do not divide again.":
        back(scale=lambda n: 1 / n**2),
    "All signs are flipped: the error is output − target.":
        back(scale=lambda n: -1 / n),
    "Everything is twice too large. The ½ in front of the square takes up the 2 of its derivative.":
        back(scale=lambda n: 2 / n),
    "g3 and g2 are right. On the way to the first layer you leave out w2: multiply by `w2.T`.":
        back(through=torch.ones_like),
    "`backward` returns the gradients from last to first. The order is g1, g2, g3.":
        lambda *args: back()(*args)[::-1],
    "Your gradients are those of the weights transposed: the layer's input stands left, `h.T @ delta`.":
        [layer_transposed(1, 2, 3), layer_transposed(1), layer_transposed(2), layer_transposed(3)],
}  # fmt: skip


def three_layers() -> Call:
    """Inputs, targets and weights of random sizes. Large targets keep the gradients well above the tolerance."""
    n, d, h1, h2, k = random.sample(range(2, 9), 5)
    x, target, *weights = [torch.randn(shape) for shape in ((n, d), (n, k), (d, h1), (h1, h2), (h2, k))]
    return Call(x, 20 * target, **dict(zip(("w1", "w2", "w3"), weights, strict=True)))


AUTOGRAD = "Autograd computes these gradients. Here you do its work: matrix products and slopes, nothing else."


@exercise(
    "05.1 backpropagation by hand",
    calls=lambda: [three_layers() for _ in range(5)],
    returns=several("three gradients, `return g1, g2, g3`", *[tensor("a tensor for each of g1, g2, g3")] * 3),
    forbids={"backward": AUTOGRAD, "grad": AUTOGRAD, "jac": AUTOGRAD, "vjp": AUTOGRAD},
    mistakes=BACKPROP_MISTAKES,
)
def backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Gradients:
    """Equal to autograd for 5 nets of random sizes. This is all that `loss.backward()` does."""
    weights = [w.detach().clone().requires_grad_() for w in (w1, w2, w3)]
    output = torch.sigmoid(torch.sigmoid(x @ weights[0]) @ weights[1]) @ weights[2]
    g1, g2, g3 = torch.autograd.grad((output - target).square().sum() / (2 * len(x)), weights)
    return g1, g2, g3


# --- 05.2 He's variance -----------------------------------------------------------------------------------------


def fan_in(shape: Shape) -> int:
    return prod(shape[1:])


def fan_out(shape: Shape) -> int:
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


# --- 05.3 where the first layer stops ---------------------------------------------------------------------------


class Dim(nn.Module):
    """Multiplies by a constant, forwards and therefore backwards: a layer that makes gradients shrink."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@dataclass
class Family:
    """Builds nets of any depth: a linear layer, `depth` − 2 that scale by `factor`, and a classifier, 4 to 3 numbers.

    The first weights lie around `middle`, where the steps of float32 are equal, so that the depth sought is sharp.
    """

    factor: float
    seed: int
    middle: float = 1.5

    def __call__(self, depth: int) -> nn.Module:
        """A fresh net; the same depth gives the same net."""
        generator = torch.Generator().manual_seed(self.seed)
        first, last = nn.Linear(4, 4, bias=False), nn.Linear(4, 3)
        with torch.no_grad():
            first.weight.copy_(self.middle * (0.75 + 0.5 * torch.rand(4, 4, generator=generator)))
            last.weight.copy_(torch.randn(3, 4, generator=generator))
            last.bias.copy_(torch.randn(3, generator=generator))
        return nn.Sequential(first, *[Dim(self.factor) for _ in range(depth - 2)], last)

    def __repr__(self) -> str:
        return "build"


Still = Callable[[Tensor, Tensor, Tensor], bool]  # of the weights before the step, their gradient, the weights after it


def smallest(
    still: Still = lambda before, _, after: torch.equal(before, after), *, layer: int = 0
) -> Callable[..., Any]:
    """The smallest depth at which one layer stands still."""

    def answer(build: Family, images: Tensor, labels: Tensor, depths: list[int], lr: float) -> int | None:
        for depth in sorted(depths):
            net = build(depth)
            weight = [parameter for parameter in net.parameters() if parameter.ndim > 1][layer]
            (gradient,) = torch.autograd.grad(F.cross_entropy(net(images), labels), weight)
            if still(weight.detach(), gradient, weight.detach() - lr * gradient):
                return depth
        return None

    return answer


def instead(change: Callable[[int, list[int]], Any]) -> Callable[..., Any]:
    """The right depth, turned into something else; None stays None."""
    return lambda build, images, labels, depths, lr: (
        None if (found := smallest()(build, images, labels, depths, lr)) is None else change(found, depths)
    )


def all_close(before: Tensor, _: Tensor, after: Tensor) -> bool:
    return torch.allclose(before, after)


def some_still(before: Tensor, _: Tensor, after: Tensor) -> bool:
    return bool((before == after).any())


STANDSTILL_MISTAKES = {
    "You always return the smallest depth. Did you keep a *copy* of the weights, `.detach().clone()`, before the step? "
    "Without it you compare a tensor with itself.":
        lambda build, images, labels, depths, lr: min(depths),
    "You always return the largest depth. Return as soon as the first layer stands still.":
        lambda build, images, labels, depths, lr: max(depths),
    "You watch the last layer, which moves at every depth. The first one is `next(net.parameters())`.":
        smallest(layer=-1),
    "You wait for a gradient of exactly 0. The layer stands still long before: a step that is too small is lost when "
    "it is added to the weight.":
        smallest(lambda _, gradient, after: not gradient.any()),
    "You return a depth at which the weights still move, if only a little. `torch.allclose` forgives small steps: "
    "compare with `torch.equal`.":
        smallest(all_close),
    "At that depth some weights stand still while others move. All of them have to stand still.":
        smallest(some_still),
    "That is the last depth at which the first layer still moves. Return the next one.":
        instead(lambda found, depths: max((depth for depth in depths if depth < found), default=None)),
    "That is the place in the list. Return the depth itself.":
        instead(lambda found, depths: depths.index(found)),
    "`depths` need not be sorted. Go through `sorted(depths)`.":
        instead(lambda found, depths: next(depth for depth in depths if depth >= found)),
    "The learning rate has no effect: `lr` decides how long the step is.":
        {"lr": 0.1},
    "You add the gradient itself. The step is lr times the gradient.":
        {"lr": 1.0},
}  # fmt: skip


def family(depths: list[int], lr: float, factor: float, middle: float = 1.5) -> Call:
    """A question with one answer however the step is rounded, and with other answers for the usual mistakes."""
    while True:
        build = Family(factor, random.randrange(2**31), middle)
        images, labels = torch.randn(6, 4) * torch.tensor([1.0, 0.5, 0.3, 0.1]), torch.arange(6) % 3
        asked = (build, images, labels, depths)
        found = {smallest()(*asked, lr * share) for share in (0.8, 1.0, 1.25)}
        others = {smallest(all_close)(*asked, lr), smallest(some_still)(*asked, lr)}
        others.add(max((depth for depth in depths if found != {None} and depth < min(found)), default=None))
        if len(found) == 1 and None not in found and (factor < 0.1 or len(found | others) == 4):
            return Call(*asked, lr=lr)


def standstill_calls() -> list[Call]:
    even = list(range(2, 40, 2))
    shuffled = [39, *random.sample(range(3, 39, 2), 18)]  # the deepest first: the first that stands still is too deep
    questions = [family(even, 0.1, 0.3), family(even, 0.001, 0.3), family(even, 10.0, 0.25)]
    questions += [family(list(range(2, 40)), 0.1, 0.02), family(shuffled, 0.1, 0.3), family(even, 0.1, 0.3, middle=0.1)]
    moving = Call(*questions[0].args[:3], [2, 3, 4], lr=0.1)  # the first layer moves at each of these depths
    return [*questions, moving]


@exercise(
    "05.3 where the first layer stops",
    calls=standstill_calls,
    returns=optional(whole("one of the depths, a whole number, or None", hint="")),
    mistakes=STANDSTILL_MISTAKES,
)
def standstill_depth(build: Family, images: Tensor, labels: Tensor, depths: list[int], lr: float = 0.1) -> int | None:
    """Right for 6 families of nets and three learning rates, and None where the first layer moves at every depth."""
    return smallest()(build, images, labels, depths, lr)


# --- 05.4 gradient clipping -------------------------------------------------------------------------------------


def norm(gradients: list[Tensor]) -> float:
    return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())


def scaled(factor: Callable[[list[Tensor], float], float]) -> Callable[[list[Tensor], float], list[Tensor]]:
    return lambda gradients, limit: [gradient * factor(gradients, limit) for gradient in gradients]


def shortened(length: Callable[[list[Tensor]], Tensor | float]) -> Callable[[list[Tensor], float], list[Tensor]]:
    return scaled(lambda gradients, limit: min(1.0, limit / max(float(length(gradients)), 1e-12)))


CLIP_MISTAKES = {
    "You clip each gradient on its own. That bends the direction of the step: compute one norm over all of them and "
    "scale all by the same factor.":
        lambda gs, limit: [g * min(1.0, limit / max(float(g.norm()), 1e-12)) for g in gs],
    "You cut every number at ± max_norm. That is clipping by value, and it bends the direction. Scale all gradients "
    "by one factor.":
        lambda gs, limit: [g.clamp(-limit, limit) for g in gs],
    "Gradients whose norm is below max_norm are made larger. Leave those as they are: the factor is at most 1.":
        scaled(lambda gs, limit: limit / max(norm(gs), 1e-12)),
    "You add up the norms of the tensors. The norm of all together is the root of the sum of squares.":
        shortened(lambda gs: sum(g.norm() for g in gs)),
    "You take the largest tensor's norm. The norm of all together is the root of the sum of squares.":
        shortened(lambda gs: max(g.norm() for g in gs)),
    "The square root is missing: a norm is the root of the sum of squares.":
        shortened(lambda gs: norm(gs) ** 2),
    "You divide by the largest number. The norm is the root of the sum of squares.":
        shortened(lambda gs: max(g.abs().max() for g in gs)),
    "Gradients that are too long are thrown away. Shorten them: their direction is worth keeping.":
        scaled(lambda gs, limit: 0.0 if norm(gs) > limit else 1.0),
    "You shorten long gradients to the norm 1. The limit is max_norm.":
        scaled(lambda gs, limit: 1 / norm(gs) if norm(gs) > limit else 1.0),
    "Your factor is at least 1, so that only short gradients change. It is at most 1: `min` in place of `max`.":
        scaled(lambda gs, limit: max(1.0, limit / max(norm(gs), 1e-12))),
    "The factor is upside down: max_norm divided by the norm.":
        scaled(lambda gs, limit: min(1.0, norm(gs) / limit)),
    "Nothing is clipped: the gradients come back as they were.":
        {"max_norm": inf},
    "Gradients that are all zero should stay zero. Do you divide by a norm of 0?":
        lambda gs, limit: [g * torch.tensor(limit / n if (n := norm(gs)) else nan).clamp(max=1) for g in gs],
}  # fmt: skip


def gradients(length: float, limit: float) -> Call:
    """Random gradients of three layers, of unequal sizes, with this common norm."""
    found = [torch.randn(4, 3), 0.3 * torch.randn(5), 2 * torch.randn(2, 1, 3, 3)]
    return Call([gradient * length / norm(found) for gradient in found], limit)


@exercise(
    "05.4 gradient clipping",
    calls=lambda: [
        *(gradients(*each) for each in ((40.0, 1.0), (3.0, 5.0), (1.5, 0.25), (0.02, 1.0))),
        *(gradients(random.uniform(8, 30), random.uniform(0.5, 4)) for _ in range(3)),
        Call([torch.zeros(3), torch.zeros(2, 2)], 1.0),
    ],
    returns=listed("a list of tensors, one for each gradient", tensor("a list of tensors, one for each gradient")),
    mistakes=CLIP_MISTAKES,
)
def clip(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """Equal to `nn.utils.clip_grad_norm_` for 7 lists of gradients, short ones and zeros among them."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, max_norm)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
