"""The checks of lesson 00, a warm-up that shows how checks work, and of its primer, 00b."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .exercise import Call, exercise
from .values import listed, number, tensor, whole

Loss = Callable[[Tensor], Tensor]  # of one weight

WORDS = "three whole numbers, as in `return a, b, c`"


@exercise(
    "00.1 first answer",
    calls=lambda: [Call(torch.rand(shape)) for shape in ((8, 3, 32, 48), (1, 4, 20, 16), (64, 1, 7, 9))],
    returns=listed(WORDS, whole(WORDS, hint="")),
    mistakes={
        "Height and width are swapped. The order is (N, C, H, W): height comes before width.":
            lambda x: (x.shape[0], x.shape[3], x.shape[2]),
        "You took the first three numbers. The second of (N, C, H, W) is the number of channels; leave it out.":
            lambda x: x.shape[:3],
        "You left out the number of images and kept the channels: of (N, C, H, W) return N, H and W.":
            lambda x: x.shape[1:],
        "You return the height twice. Images need not be square; the width is the last number of the shape.":
            lambda x: (x.shape[0], x.shape[2], x.shape[2]),
        "The right numbers in another order: the number of images comes first.":
            lambda x: (x.shape[2], x.shape[3], x.shape[0]),
        "You return all four numbers of the shape. Leave out the channels, the second of (N, C, H, W).":
            lambda x: x.shape,
        "The answer is the same for every batch. Ask the tensor itself: `images.shape`.":
            [lambda x, n=n, side=side: (n, side, side) for n in (8, 32, 64, 128) for side in (28, 32, 224)],
    },
)  # fmt: skip
def first_answer(images: Tensor) -> tuple[int, int, int]:
    """Right for three batches of different shapes. This is how every check of the course answers."""
    return images.size(0), images.size(2), images.size(3)


def per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]  # (C, 1, 1)


@exercise(
    "00b.1 normalise",
    calls=lambda: [
        Call(torch.rand(shape), torch.rand(shape[1]), torch.rand(shape[1]) + 0.5)
        for shape in ((3, 3, 3, 3), (2, 3, 4, 5), (1, 1, 2, 2), (5, 4, 1, 2))
    ],
    returns=tensor("a tensor of shape (N, C, H, W)"),
    mistakes={
        "You divide by the spread and do not subtract the mean.": lambda x, m, s: x / per_channel(s),
        "You subtract the mean and do not divide by the spread.": lambda x, m, s: x - per_channel(m),
        "You multiply by the spread. Divide by it, so that a wide channel gets narrower.":
            lambda x, m, s: (x - per_channel(m)) * per_channel(s),
        "You divide before you subtract: without brackets, `/` comes before `-`.":
            lambda x, m, s: x - per_channel(m) / per_channel(s),
        "You add the mean. Subtract it, so that the channel is centred on 0.":
            lambda x, m, s: (x + per_channel(m)) / per_channel(s),
        "The numbers run along another dimension than the channels. These are the second of (N, C, H, W), so they need "
        "two axes after them: `mean[:, None, None]` has the shape (C, 1, 1).":
            [lambda x, m, s, shape=shape: (x - m.view(shape)) / s.view(shape)
             for shape in ((-1,), (1, 1, 1, -1), (-1, 1), (-1, 1, 1, 1))],
        "You use the mean and the spread of the batch. Use those that you are given.":
            lambda x, m, s: (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True),
        "Every channel gets the first one's numbers.": lambda x, m, s: (x - m[0]) / s[0],
    },
)  # fmt: skip
def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Right for four batches. Every data set of the course is normalised like this."""
    return (images - per_channel(mean)) / per_channel(std)


@exercise(
    "00b.2 two layers",
    calls=lambda: [
        Call(torch.randn(n, i), torch.randn(h, i), torch.randn(h), torch.randn(o, h), torch.randn(o))
        for n, i, h, o in ((4, 3, 5, 2), (1, 2, 2, 2), (7, 6, 8, 10))
    ],
    returns=tensor("a tensor of shape (N, outputs)"),
    gradients=True,
    mistakes={
        "There is no activation between the layers, so the two are no more than one linear layer.":
            {"_between": torch.clone},
        "There is a ReLU after the second layer too. Its outputs may be negative: leave it off.": {"_end": torch.relu},
        "The ReLU is after the second layer. It belongs between the two.":
            {"_between": torch.clone, "_end": torch.relu},
        "You took another activation. The exercise asks for ReLU, the larger of 0 and x.":
            [{"_between": other} for other in (torch.abs, torch.tanh, torch.sigmoid)],
        "The ReLU acts on the input. It belongs after the first layer.":
            {"_start": torch.relu, "_between": torch.clone},
        "A bias is missing. Each layer adds its own, one number for each output: `x @ w1.T + b1`, then `… @ w2.T + "
        "b2`.": [{"b1": 0, "b2": 0}, {"b1": 0}, {"b2": 0}],
        "The first bias is added after the ReLU. It is part of the layer, so it comes before.":
            lambda x, w1, b1, w2, b2: ((x @ w1.T).relu() + b1) @ w2.T + b2,
        "That is the first layer only. Its outputs are the inputs of the second.":
            lambda x, w1, b1, w2, b2: (x @ w1.T + b1).relu(),
    },
)  # fmt: skip
def two_layers(
    x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, *, _start: Any = torch.clone,
    _between: Any = torch.relu, _end: Any = torch.clone,
) -> Tensor:  # fmt: skip
    """Right, gradients too: what two `nn.Linear` with an `nn.ReLU` between them compute."""
    return _end(_between(_start(x) @ w1.T + b1) @ w2.T + b2)


def gradient_at(loss: Loss, weight: Tensor) -> Tensor:
    leaf = weight.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf), leaf)[0]


@exercise(
    "00b.3 gradient descent",
    calls=lambda: [
        Call(lambda w: (w - 3) ** 2, -1.0, 0.1, 10),
        Call(lambda w: (w + 1) ** 2 / 4, 4.0, 0.3, 3),
        Call(lambda w: w**4 - 2 * w**2, 0.4, 0.05, 20),
        Call(lambda w: (torch.tanh(w) - 0.5) ** 2, 2.0, 0.8, 1),
    ],
    returns=number("one number, the weight after the last step", tolerance=1e-4),
    mistakes={
        "The gradients of all steps are added up, because `backward` adds to `w.grad`. Set `w.grad = None` in each "
        "step.": {"_step": sum},
        "You walk uphill. The gradient points to where the loss grows: subtract it.":
            {"_step": lambda gradients: -gradients[-1]},
        "You take another number of steps, one too many or too few, or just one. Repeat the step `steps` times.":
            [{"_extra": 1}, {"_extra": -1}, {"steps": 1}],
        "The learning rate has no effect. Multiply the gradient by it.": {"rate": 1.0},
        "Every step uses the gradient at the start. Compute loss and gradient anew after each step.":
            {"_step": lambda gradients: gradients[0]},
        "That is the loss at the end. Return the weight.": {"_result": lambda loss, weight: loss(weight)},
        "The weight does not move. Inside `torch.no_grad()`, write `w -= rate * w.grad`.": {"rate": 0.0},
        "You step by the sign of the gradient and leave out its size.":
            {"_step": lambda gradients: gradients[-1].sign()},
    },
)  # fmt: skip
def descend(
    loss: Loss, start: float, rate: float, steps: int, *, _extra: int = 0,
    _step: Any = lambda gradients: gradients[-1], _result: Any = lambda loss, weight: weight,
) -> Tensor:  # fmt: skip
    """Right on four losses. With 61,706 weights in place of one, this is how lesson 01 trains its network."""
    weight, gradients = torch.tensor(start), list[Tensor]()
    for _ in range(steps + _extra):
        gradients.append(gradient_at(loss, weight))
        weight = weight - rate * _step(gradients)
    return _result(loss, weight)
