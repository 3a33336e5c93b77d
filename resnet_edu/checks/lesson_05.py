"""The checks of lesson 05: backpropagation by hand, He's variance, layers that stand still, clipping."""

import random
from collections.abc import Callable
from math import inf, prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, exercise
from .values import listed, number, several, tensor, text

Gradients = tuple[Tensor, Tensor, Tensor]
Slope = Callable[[Tensor], Tensor]  # of a sigmoid, from what it put out


def slope(h: Tensor) -> Tensor:
    return h * (1 - h)


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
    mistakes={
        "The sigmoids are missing on the way back. Multiply what comes back through a layer by the slope, h · (1 − h).":
            {"_slope1": torch.ones_like, "_slope2": torch.ones_like, "_on": torch.ones_like},
        "g3 and g2 are right. In g1 the slope of the first sigmoid is missing: multiply by h1 · (1 − h1).":
            {"_slope1": torch.ones_like},
        "g3 is right. The slope of the second sigmoid is missing: multiply by h2 · (1 − h2) before you go on.":
            {"_slope2": torch.ones_like, "_on": torch.ones_like},
        "g3 and g2 are right. What you pass on to the first layer lacks the slope of the second sigmoid: every slope "
        "on the way stays in the product.": {"_on": torch.ones_like},
        "1 − h² is the slope of tanh. The sigmoid's is h · (1 − h).":
            dict.fromkeys(("_slope1", "_slope2", "_on"), lambda h: 1 - h * h),
        "Your gradients are N times too large: the loss is a mean over the N samples. `error` has the division in it.":
            {"_scale": lambda n: 1.0},
        "`backward` returns the gradients from last to first. The order is g1, g2, g3.":
            {"_result": lambda g1, g2, g3: (g3, g2, g1)},
        "Your gradients are those of the weights transposed: the layer's input stands left, `h.T @ delta`.":
            {"_result": lambda g1, g2, g3: (g1.T, g2.T, g3.T)},
    },
)  # fmt: skip
def backward(
    x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor, *, _slope1: Slope = slope, _slope2: Slope = slope,
    _on: Slope = slope, _scale: Callable[[int], float] = lambda n: 1 / n,
    _result: Callable[[Tensor, Tensor, Tensor], Gradients] = lambda g1, g2, g3: (g1, g2, g3),
) -> Gradients:  # fmt: skip
    """Equal to autograd for 5 nets of random sizes. This is all that `loss.backward()` does."""
    h1 = torch.sigmoid(x @ w1)
    h2 = torch.sigmoid(h1 @ w2)
    error = (h2 @ w3 - target) * _scale(len(x))
    back2 = error @ w3.T
    back1 = (back2 * _on(h2)) @ w2.T
    return _result(x.T @ (back1 * _slope1(h1)), h1.T @ (back2 * _slope2(h2)), h2.T @ error)


def fan_in(shape: tuple[int, ...]) -> int:
    return prod(shape[1:])


def fan_out(shape: tuple[int, ...]) -> int:
    return shape[0] * prod(shape[2:])


def he_calls() -> list[Call]:
    out, width, k = random.randint(5, 60), random.randint(70, 300), random.choice((3, 5, 7))
    with_relu = [(10, 128), (64, 3, 7, 7), (32, 16, 1, 1), (out, width, k, k)]
    leaky = {(10, 128): 0.25, (128, 256, 3, 3): 0.5, (7, width): 1.0, (out, 12, k, k): random.uniform(0.2, 0.9)}
    return [*map(Call, with_relu), *(Call(shape, negative_slope=slope) for shape, slope in leaky.items())]


@exercise(
    "05.2 He's variance",
    calls=he_calls,
    returns=number("one number, the standard deviation"),
    mistakes={
        "That is the variance. The standard deviation is its square root.": lambda s, a: 2 / ((1 + a * a) * fan_in(s)),
        "You count the outputs. One unit adds up its *inputs*, and their number decides how large the sum gets. A "
        "weight's shape begins with the outputs.": lambda s, a: sqrt(2 / ((1 + a * a) * fan_out(s))),
        "That is Xavier's (Glorot's) formula, with inputs and outputs. He's has the inputs alone.":
            lambda s, a: sqrt(2 / (fan_in(s) + fan_out(s))),
        "The 2 is missing. ReLU throws half of the second moment away, and the 2 makes up for it.":
            lambda s, a: sqrt(1 / fan_in(s)),
        "The kernel is not counted. A convolution adds up in_channels · k · k products.":
            lambda s, a: sqrt(2 / ((1 + a * a) * s[1])),
        "Right for ReLU. The negative slope has no effect yet: with slope a, the share of the second moment that is "
        "kept is (1 + a²) / 2.": {"negative_slope": 0.0},
        "The slope enters squared: negative values are multiplied by a, their squares by a².":
            lambda s, a: sqrt(2 / ((1 + a) * fan_in(s))),
    },
)  # fmt: skip
def he_std(shape: tuple[int, ...], negative_slope: float = 0.0) -> float:
    """Equal to PyTorch's for 8 layers, linear and convolutional, with ReLU and with leaky ReLU."""
    return nn.init.calculate_gain("leaky_relu", negative_slope) / sqrt(fan_in(shape))


Question = Callable[[Tensor, Tensor, Tensor], Any]  # about weights before the step, the step, the weights after it


def where(question: Question) -> Callable[..., list[str]]:
    """An answer that names the parameters for which the answer to a question is yes."""

    def answer(net: nn.Module, images: Tensor, labels: Tensor, lr: float) -> list[str]:
        named = dict(net.named_parameters())
        gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), list(named.values()))
        pairs = zip(named.items(), gradients, strict=True)
        return [name for (name, w), g in pairs if question(w.detach(), lr * g, w.detach() - lr * g)]

    return answer


exactly = where(lambda before, step, after: torch.equal(before, after))


def sigmoid_net(layers: int, lr: float, *, scale: float = 1.0, apart: bool = False) -> Call:
    """A net with one answer however the step is rounded; with `apart`, each mistake has an answer of its own for it.

    The weights of every second layer are multiplied by `scale`: a small one moves in smaller steps.
    """
    while True:
        net = nn.Sequential(*[part for _ in range(layers) for part in (nn.Linear(4, 4, False), nn.Sigmoid())])
        net.append(nn.Linear(4, 3))
        for place, parameter in enumerate(net.parameters()):
            parameter.data = (torch.rand(parameter.shape) + 0.5) * torch.randn(parameter.shape).sign()
            parameter.data *= scale if place % 2 else 1.0
        asked = net, torch.randn(6, 4), torch.arange(6) % 3
        found = [exactly(*asked, lr * share) for share in (1.0, 0.8, 1.25)]
        mistaken = [answer(*asked, lr) for _, answer in still_layers.wrong_answers()]
        others = len({tuple(names) for names in mistaken if names != found[0]})
        if found[0] == found[1] == found[2] and others >= (len(mistaken) if apart else 2):
            return Call(*asked, lr=lr)


@exercise(
    "05.3 layers that stand still",
    calls=lambda: [
        *(sigmoid_net(18, 0.1), sigmoid_net(18, 0.001, scale=0.3, apart=True)),
        *(sigmoid_net(20, 10.0), sigmoid_net(16, 0.1)),
    ],
    returns=listed("a list of names, as `named_parameters` gives them", text("the name of a parameter")),
    may_change=("net",),
    mistakes={
        "Nothing stands still in your answer. Did you keep a *copy* of the weights, `.detach().clone()`? And a "
        "gradient need not be exactly 0: a step that is too small is lost when it is added to the weight.":
            where(lambda before, step, after: not step.any()),
        "You name layers whose weights move, if only a little. `torch.allclose` forgives small steps: use "
        "`torch.equal`.": where(lambda before, step, after: torch.allclose(before, after)),
        "In one of these layers some weights stand still while others move. All of them have to stand still.":
            where(lambda before, step, after: (before == after).any()),
        "A step isn't lost just because it is small. That depends on the weight it is added to: compare the weights "
        "before and after.": where(lambda before, step, after: step.abs().max() < 2**-24),
        "The learning rate has no effect: `lr` decides how long the step is.": {"lr": 0.1},
    },
)  # fmt: skip
def still_layers(net: nn.Module, images: Tensor, labels: Tensor, lr: float = 0.1) -> list[str]:
    """Right for 4 nets and three learning rates."""
    return exactly(net, images, labels, lr)


def norm(gradients: list[Tensor]) -> float:
    return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())


def scaled(factor: Callable[[list[Tensor], float], float]) -> Callable[[list[Tensor], float], list[Tensor]]:
    return lambda gradients, limit: [gradient * factor(gradients, limit) for gradient in gradients]


def shortened(length: Callable[[list[Tensor]], Tensor | float]) -> Callable[[list[Tensor], float], list[Tensor]]:
    return scaled(lambda gradients, limit: min(1.0, limit / max(float(length(gradients)), 1e-12)))


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
    mistakes={
        "You clip each gradient on its own. That bends the direction of the step: compute one norm over all of them "
        "and scale all by the same factor.":
            lambda gs, limit: [g * min(1.0, limit / max(float(g.norm()), 1e-12)) for g in gs],
        "You cut every number at ± max_norm. That is clipping by value, and it bends the direction. Scale all "
        "gradients by one factor.": lambda gs, limit: [g.clamp(-limit, limit) for g in gs],
        "Gradients whose norm is below max_norm are made larger. Leave those as they are: the factor is at most 1.":
            scaled(lambda gs, limit: limit / max(norm(gs), 1e-12)),
        "You add up the norms of the tensors. The norm of all together is the root of the sum of squares.":
            shortened(lambda gs: sum(g.norm() for g in gs)),
        "The square root is missing: a norm is the root of the sum of squares.": shortened(lambda gs: norm(gs) ** 2),
        "Nothing is clipped: the gradients come back as they were.": {"max_norm": inf},
    },
)  # fmt: skip
def clip(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """Equal to `nn.utils.clip_grad_norm_` for 8 lists of gradients, short ones and zeros among them."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, max_norm)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
