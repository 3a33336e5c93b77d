"""The check of lesson 05 on the depth where the first layer stops learning."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .expect import need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check


class Dim(nn.Module):
    """Multiplies by a constant, forwards and therefore backwards: a layer that makes gradients shrink."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return self.factor * x


@dataclass
class Question:
    """One family of nets, with the arguments of one call.

    A net is a linear layer, `depth` − 2 layers that scale by `factor`, and a classifier: `(N, 4)` to `(N, 3)`.
    The first weights lie between 1 and 2, where float32 has equal steps, so that the depth sought is sharp.
    """

    depths: list[int]
    lr: float
    factor: float
    seed: int
    built: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.images = torch.randn(6, 4, generator=generator) * torch.tensor([1.0, 0.5, 0.3, 0.1])
        self.labels = torch.arange(6) % 3

    def build(self, depth: int) -> nn.Module:
        """A fresh net; the same depth gives the same net."""
        self.built.append(depth)
        generator = torch.Generator().manual_seed(self.seed)
        first, last = nn.Linear(4, 4, bias=False), nn.Linear(4, 3)
        with torch.no_grad():
            first.weight.copy_(1.1 + 0.8 * torch.rand(4, 4, generator=generator))
            last.weight.copy_(torch.randn(3, 4, generator=generator))
            last.bias.copy_(torch.randn(3, generator=generator))
        return nn.Sequential(first, *[Dim(self.factor) for _ in range(depth - 2)], last)

    @cached_property
    def layers(self) -> dict[int, list[tuple[Tensor, Tensor]]]:
        """By depth, smallest first: weight and gradient of the first and the last layer."""
        found = {}
        for depth in sorted(self.depths):
            net = self.build(depth)
            weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
            gradients = torch.autograd.grad(F.cross_entropy(net(self.images), self.labels), weights)
            found[depth] = [(weight.detach(), gradient) for weight, gradient in zip(weights, gradients, strict=True)]
        return found

    def first(self, still: Callable[[Tensor, Tensor, Tensor], bool], *, layer: int = 0) -> int | None:
        """The smallest depth at which `still(weight before the step, gradient, weight after it)`."""
        for depth, layers in self.layers.items():
            weight, gradient = layers[layer]
            if still(weight, gradient, weight - self.lr * gradient):
                return depth
        return None

    def oracle(self, *, lr: float | None = None) -> int | None:
        """The smallest depth at which every weight of the first layer is the same to the last bit."""
        rate = self.lr if lr is None else lr
        return self.first(lambda weight, gradient, _: torch.equal(weight - rate * gradient, weight))


def one_before(question: Question) -> int | None:
    """The largest depth at which the first layer still moves."""
    found, depths = question.oracle(), sorted(question.depths)
    return None if found is None or found == depths[0] else depths[depths.index(found) - 1]


def first_in_list(question: Question) -> int | None:
    """The first depth in the list, in the order given, at which the layer stands still."""
    found = question.oracle()
    return None if found is None else next(depth for depth in question.depths if depth >= found)


def all_close(before: Tensor, _: Tensor, after: Tensor) -> bool:
    """A verdict that forgives small steps."""
    return torch.allclose(before, after)


def some_still(before: Tensor, _: Tensor, after: Tensor) -> bool:
    """A verdict that one weight is enough for."""
    return bool((before == after).any())


MISTAKES: tuple[tuple[Callable[[Question], int | None], str], ...] = (
    (
        lambda q: min(q.depths),
        "You always return the smallest depth. Did you keep a *copy* of the weights, `.detach().clone()`, before the "
        "step? Without it you compare a tensor with itself.",
    ),
    (lambda q: max(q.depths), "You always return the largest depth. Return as soon as the first layer stands still."),
    (
        lambda q: q.first(lambda before, _, after: torch.equal(before, after), layer=-1),
        "You watch the last layer, which moves at every depth. The first one is `next(net.parameters())`.",
    ),
    (
        lambda q: q.first(lambda _, gradient, after: not gradient.any()),
        "You wait for a gradient of exactly 0. The layer stands still long before: a step that is too small is lost "
        "when it is added to the weight.",
    ),
    (
        lambda q: q.first(all_close),
        "You return a depth at which the weights still move, if only a little. `torch.allclose` forgives small steps: "
        "compare with `torch.equal`.",
    ),
    (
        lambda q: q.first(some_still),
        "At that depth some weights stand still while others move. All of them have to stand still.",
    ),
    (one_before, "That is the last depth at which the first layer still moves. Return the next one."),
    (
        lambda q: None if (found := q.oracle()) is None else q.depths.index(found),
        "That is the place in the list. Return the depth itself.",
    ),
    (first_in_list, "`depths` need not be sorted. Go through `sorted(depths)`."),
    (lambda q: q.oracle(lr=0.1), "The learning rate has no effect: `lr` decides how long the step is."),
    (lambda q: q.oracle(lr=1.0), "You add the gradient itself. The step is lr times the gradient."),
)


@check("05.3 where the first layer stops")
def check_standstill(standstill_depth: Any) -> str:
    """`standstill_depth(build, images, labels, depths, lr=0.1) -> int | None`.

    `build(depth)` returns a fresh net, images `(N, …)` to logits `(N, classes)`; labels are int64 `(N,)`. The answer
    is the smallest of `depths` at which one step of plain SGD, w − lr · gradient of the cross-entropy, leaves the
    weights of the first layer, `next(net.parameters())`, as they were: every one, to the last bit. None if some
    move at every depth.
    """
    shuffled = [39, *random.sample(range(3, 39, 2), 18)]  # the deepest first: the first that stands still is too deep
    questions = [
        sharp(list(range(2, 40, 2)), 0.1, 0.3),
        sharp(list(range(2, 40, 2)), 0.001, 0.3),
        sharp(list(range(2, 40, 2)), 10.0, 0.25),
        sharp(list(range(2, 40)), 0.1, 0.02),
        sharp(shuffled, 0.1, 0.3),
    ]
    q = questions[0]
    signature = "standstill_depth(build, images, labels, depths, lr=0.1)"
    name = need_function(standstill_depth, signature, q.build, q.images, q.labels, q.depths, lr=q.lr)
    need_function(standstill_depth, signature, q.build, q.images, q.labels, q.depths)
    got = [depth_of(standstill_depth, name, question) for question in questions]
    wanted = [question.oracle() for question in questions]
    if got != wanted:
        for variant, message in MISTAKES:
            if got == [variant(question) for question in questions]:
                raise Wrong(message)
        i = next(i for i in range(len(got)) if got[i] != wanted[i])
        raise Wrong(
            f"With lr={questions[i].lr:g} and depths {questions[i].depths}: expected {wanted[i]}, got {got[i]}. At "
            f"{wanted[i]} layers no weight of the first layer changes; with fewer, some do."
        )
    moving = Question([2, 3, 4], 0.1, 0.3, q.seed)
    if (never := depth_of(standstill_depth, name, moving)) is not None:
        raise Wrong(f"With depths 2, 3 and 4 the first layer moves at each, and you return {never}. Expected None.")
    return (
        f"Right for {len(questions)} families of nets and three learning rates: {', '.join(map(str, wanted))} layers."
    )


def sharp(depths: list[int], lr: float, factor: float) -> Question:
    """A question with one answer however the step is rounded, and with other answers for the usual mistakes."""
    while True:
        question = Question(depths, lr, factor, random.randrange(2**31))
        found = {question.oracle(lr=lr * share) for share in (0.8, 1.0, 1.25)}
        others = {question.first(all_close), question.first(some_still), one_before(question)}
        if len(found) == 1 and None not in found and (factor < 0.1 or len(found | others) == 4):
            question.built.clear()
            return question


def depth_of(answer: Callable[..., Any], name: str, question: Question) -> int | None:
    """The answer to one question.

    Raises:
        NotYet: it returns nothing and has not built any net.
        Wrong: it is no depth.
    """
    depths = list(question.depths)
    try:
        value = answer(question.build, question.images.clone(), question.labels.clone(), depths, lr=question.lr)
    except Exception as error:
        error.add_note(f"It was called as `{name}(build, images, labels, {question.depths}, lr={question.lr:g})`.")
        raise
    if value is ... or (value is None and not question.built):
        raise NotYet
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Wrong(f"Expected one of the depths, a whole number, or None; got {kind_of(value)}.")
    return value
