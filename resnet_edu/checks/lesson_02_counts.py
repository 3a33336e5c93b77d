"""The checks of lesson 02 on two numbers: the parameters of the linear layers, and the top-k error."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

# --- parameters of the linear layers -----------------------------------------------------------------------


def parameters_of_torch(channels: int, side: int, hidden: int, num_classes: int) -> int:
    """The oracle: build the three layers, without memory, and count."""
    sizes = (channels * side * side, hidden, hidden, num_classes)
    with torch.device("meta"):
        layers = [nn.Linear(sizes[i], sizes[i + 1]) for i in range(3)]
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


LINEAR_MISTAKES = (
    Mistake(
        lambda c, s, h, k: c * s * s * h + h * h + h * k,
        "The biases are missing. Each output has a weight for every input, and one bias.",
    ),
    Mistake(
        lambda c, s, h, k: c * s * h + h + h * h + h + h * k + k,
        "`side` is counted once. A map has side · side pixels, and flattening keeps them all.",
    ),
    Mistake(
        lambda c, s, h, k: c * h + h + h * h + h + h * k + k,
        "`side` has no effect. The first layer sees every pixel of every map, not one number a map.",
    ),
    Mistake(
        lambda c, s, h, k: s * s * h + h + h * h + h + h * k + k,
        "`channels` has no effect. The first layer sees the pixels of all maps.",
    ),
    Mistake(
        lambda c, s, h, k: h * (c * s * s + 1) + k * (h + 1),
        "There are two layers in your sum. The one in the middle, from `hidden` to `hidden`, is missing.",
    ),
    Mistake(
        lambda c, s, h, k: h * (c * s * s + 1) + h * (h + 1),
        "The last layer, from `hidden` to `num_classes`, is missing.",
    ),
    Mistake(lambda c, s, h, k: h * (c * s * s + 1), "This is the first layer alone. Add the two others."),
    Mistake(
        lambda c, s, h, k: (c * s * s + 1) * h + 2 * (h + 1) * h + (h + 1) * k,
        "There are four layers in your sum: `hidden` to `hidden` is counted twice.",
    ),
    Mistake(
        lambda c, s, h, k: c * s * s * (h + 1) + h * (h + 1) + h * (k + 1),
        "You count a bias for each input. A bias belongs to an output: it is added to what the output has summed up.",
    ),
    Mistake(
        lambda c, s, h, k: c * s * s * h + h * h + h * k + 3,
        "You count one bias a layer. There is one for each output.",
    ),
    Mistake(
        lambda c, s, h, k: c * s * s + h + h + k,
        "You add the numbers of units. Between two layers there is a weight for every *pair* of units: multiply.",
    ),
)


@check("02.2 linear parameters")
def check_linear_parameters(linear_parameters: Any) -> str:
    """`linear_parameters(channels, side, hidden, num_classes) -> int`: of the three linear layers of an AlexNet."""
    calls = [Call(256, 6, 4096, 1000), Call(32, 6, 512, 10)]
    calls += [Call(*(random.randint(low, 60) for low in (2, 3, 4, 5))) for _ in range(4)]
    signature = "linear_parameters(channels, side, hidden, num_classes)"
    name = need_function(linear_parameters, signature, *calls[0].args)

    def whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"Expected a whole number of type int, got {kind_of(value)}.")
        return value

    judge(linear_parameters, parameters_of_torch, calls, LINEAR_MISTAKES, name=name, clean=whole)
    count = parameters_of_torch(256, 6, 4096, 1000)
    return f"What PyTorch's layers have, for {len(calls)} sizes. For AlexNet itself: {count:,}."


# --- top-k error -------------------------------------------------------------------------------------------


def percent(share: Tensor) -> float:
    """A share as percent, rounded so that two ways of computing it agree."""
    return round(100 * share.double().item(), 3)


def places(logits: Tensor, labels: Tensor) -> Tensor:
    """The oracle's heart: how many logits are higher than that of the label, `(N,)`. Nothing is sorted."""
    return (logits > logits.gather(1, labels[:, None])).sum(dim=1)


def error_by_counting(logits: Tensor, labels: Tensor, k: int) -> float:
    """The oracle: an image is wrong if at least k classes are rated higher than its label."""
    return percent((places(logits, labels) >= k).float().mean())


def share(formula: Callable[[Tensor, int], Tensor]) -> Callable[..., float]:
    """A formula in the labels' places and k, as an answer in percent."""
    return lambda logits, labels, k: percent(formula(places(logits, labels), k).float().mean())


TOP_K_MISTAKES = (
    Mistake(
        share(lambda place, k: place < k),
        "This is the top-k accuracy. The error is the other part: 100 − accuracy. Texts mix them up too.",
    ),
    Mistake(
        lambda logits, labels, k: round(error_by_counting(logits, labels, k) / 100, 3),
        "This is a share between 0 and 1. The course gives errors in percent: times 100.",
    ),
    Mistake(share(lambda place, k: place >= 1), "`k` has no effect: this is the top-1 error."),
    Mistake(
        share(lambda place, k: place > k),
        "One guess too many: with k = 1 only the highest logit may be the label.",
    ),
    Mistake(
        share(lambda place, k: place >= k - 1),
        "One guess too few: with k = 1 the highest logit counts, and with k = 2 the two highest.",
    ),
    Mistake(
        share(lambda place, k: place != k - 1),
        "You ask whether the label is exactly the k-th guess. It may be any of the first k.",
    ),
    Mistake(
        lambda logits, labels, k: error_by_counting(-logits, labels, k),
        "You take the k lowest logits. The guesses are the highest ones.",
    ),
    Mistake(
        lambda logits, labels, k: float((places(logits, labels) >= k).sum()),
        "This is the number of wrong images. Divide by the number of images, times 100.",
    ),
    Mistake(
        lambda logits, labels, k: percent(1 - (places(logits, labels) < k).float().sum() / (len(labels) * k)),
        "You divide by images times k. One hit among the k guesses is all that an image can have: `.any(dim=1)`.",
    ),
    Mistake(
        lambda logits, labels, k: percent(~torch.isin(labels, logits.topk(k, dim=1).indices).all()),
        "You judge the batch as a whole. Judge each image by itself, then take the mean.",
    ),
    Mistake(
        lambda logits, labels, k: percent((~torch.isin(labels, logits.topk(k, dim=1).indices)).float().mean()),
        "A label counts as found when it is among the guesses for *any* image. Compare row n with label n: "
        "`labels[:, None]`.",
    ),
)


@check("02.1 top-k error")
def check_top_k_error(top_k_error: Any) -> str:
    """`top_k_error(logits, labels, k) -> float`: in percent; logits `(N, classes)`, labels `(N,)`."""
    calls = [scores(images, classes, k) for images, classes, k in ((40, 10, 5), (25, 7, 1), (30, 6, 2), (16, 5, 4))]
    calls += [scores(3, 30, 1), scores(5, 40, 2), scores(random.randint(20, 50), random.randint(8, 12), 3)]
    name = need_function(top_k_error, "top_k_error(logits, labels, k)", *calls[0].args)

    def number(value: Any) -> float:
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"Expected one number, the error of all images in percent, got {kind_of(value)}.")
        return round(float(value), 3)

    def answer(*args: Any) -> Any:
        return top_k_error(*args)

    judge(answer, error_by_counting, calls, TOP_K_MISTAKES, name=name, clean=number)
    return "Equal to a definition that sorts nothing: wrong if k or more classes are rated higher than the label."


def scores(images: int, classes: int, k: int) -> Call:
    """Random logits without ties, and labels that are right now and then at every place."""
    logits = torch.rand(images, classes).argsort(dim=1).float() + torch.rand(images, 1)
    logits = 0.1 * logits - 0.5  # below and above 0
    labels = logits.argsort(dim=1, descending=True)[torch.arange(images), torch.arange(images) % classes]
    return Call(logits, labels, k)
