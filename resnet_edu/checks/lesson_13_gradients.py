"""The check of lesson 13 on gradients of several processes: weighted by the images, not by the process."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

#: Gradients by process and by parameter, and the images of each process.
Combine = Callable[[Sequence[Sequence[Tensor]], Sequence[int]], list[Tensor]]


def weighted(gradients: Sequence[Sequence[Tensor]], weights: Sequence[float]) -> list[Tensor]:
    """By parameter, the sum of the gradients times the weights of their processes."""
    terms = [[weight * each for each in of] for of, weight in zip(gradients, weights, strict=True)]
    return [torch.stack(same).sum(dim=0) for same in zip(*terms, strict=True)]


def by_images(gradients: Sequence[Sequence[Tensor]], sizes: Sequence[int]) -> list[Tensor]:
    """The oracle: each process counts as much as it has images."""
    return weighted(gradients, [size / sum(sizes) for size in sizes])


def swapped(gradients: Sequence[Sequence[Tensor]], sizes: Sequence[int]) -> list[Tensor]:
    """The fewer images, the more weight."""
    inverse = [1 / size for size in sizes]
    return weighted(gradients, [each / sum(inverse) for each in inverse])


def with_the_last(gradients: Sequence[Sequence[Tensor]], sizes: Sequence[int]) -> list[Tensor]:
    """Takes the processes one after the other and halves each time."""
    running = list(gradients[0])
    for of in gradients[1:]:
        running = [(mine + theirs) / 2 for mine, theirs in zip(running, of, strict=True)]
    return running


MISTAKES = (
    Mistake(
        lambda gradients, sizes: weighted(gradients, [1 / len(sizes)] * len(sizes)),
        "You take the plain mean over the processes. It is right for equal shares only: here a process with few images "
        "counts as much as one with many. Weight each by its number of images.",
    ),
    Mistake(
        lambda gradients, sizes: weighted(gradients, [1.0] * len(sizes)),
        "You add the gradients up. Each is the gradient of a mean, so the result has to be a mean as well.",
    ),
    Mistake(
        lambda gradients, sizes: weighted(gradients, list(sizes)),
        "You weight by the number of images and do not divide by the number of all images.",
    ),
    Mistake(
        lambda gradients, sizes: weighted(gradients, [size / len(sizes) for size in sizes]),
        "You weight by the number of images and divide by the number of processes. Divide by the number of all images.",
    ),
    Mistake(
        lambda gradients, sizes: weighted(gradients, [1 / sum(sizes)] * len(sizes)),
        "You divide the sum of the gradients by the number of all images. The gradients are means already: multiply "
        "each by its number of images first.",
    ),
    Mistake(
        lambda gradients, sizes: weighted(gradients, [1 / size for size in sizes]),
        "You divide each gradient by its number of images. It is a mean already: multiply it by its share of them.",
    ),
    Mistake(swapped, "Your weights are upside down: the process with the fewest images counts most."),
    Mistake(
        with_the_last,
        "You halve after each process, so that the last one counts half. Give all of them their weight at once.",
    ),
    Mistake(lambda gradients, sizes: list(gradients[0]), "You return the gradients of the first process alone."),
    Mistake(
        lambda gradients, sizes: list(gradients[max(range(len(sizes)), key=lambda i: sizes[i])]),
        "You return the gradients of the largest share alone. All images have a part in the gradient of the batch.",
    ),
)


def flat(combine: Combine) -> Callable[[Sequence[Sequence[Tensor]], Sequence[int]], Tensor]:
    """The same, all gradients in one row."""
    return lambda gradients, sizes: torch.cat([each.flatten() for each in combine(gradients, sizes)])


FLAT = [Mistake(flat(mistake.variant), mistake.message) for mistake in MISTAKES]


@check("13.1 average the gradients")
def check_average_gradients(average_gradients: Any) -> str:
    """`average_gradients(gradients, sizes)`: the gradient of the whole batch's mean loss, parameter by parameter.

    `gradients[process][parameter]` is the gradient of the mean loss over that process's `sizes[process]` images.
    """
    calls = [Call(random_gradients(len(sizes)), sizes) for sizes in ([48, 16], [5, 20, 7], [8, 8], [1, 2, 3, 10], [9])]
    signature = "average_gradients(gradients, sizes)"
    name = need_function(average_gradients, signature, *calls[0].args)
    before = [[each.clone() for of in call.args[0] for each in of] for call in calls]

    def clean(value: Any) -> Tensor:
        now = [[each for of in call.args[0] for each in of] for call in calls]
        if not all(torch.equal(a, b) for x, y in zip(now, before, strict=True) for a, b in zip(x, y, strict=True)):
            raise Wrong(f"`{name}` changes the gradients it is given. Write `a = a + b` instead of `a += b`.")
        return one_of_each(value, name)

    judge(average_gradients, flat(by_images), calls, FLAT, name=name, clean=clean)
    for value, wanted in zip(average_gradients(*calls[1].args), by_images(*calls[1].args), strict=True):
        if value.shape != wanted.shape:
            raise Wrong(f"Expected a gradient of shape {tuple(wanted.shape)}, got {tuple(value.shape)}.")
    return "Right for equal and unequal shares, from one process to four."


def random_gradients(processes: int) -> list[list[Tensor]]:
    """Of a layer's weight and bias and a single number, for each process."""
    return [[torch.randn(shape) for shape in ((3, 2), (3,), ())] for _ in range(processes)]


def one_of_each(value: Any, name: str) -> Tensor:
    """All gradients in one row, for the comparison.

    Raises:
        Wrong: it is no list with one tensor for each parameter.
    """
    if not isinstance(value, list | tuple):
        raise Wrong(f"Expected a list of tensors from `{name}`, one for each parameter, got {kind_of(value)}.")
    for each in value:
        if not isinstance(each, Tensor):
            raise Wrong(f"Expected a list of tensors from `{name}`, and {kind_of(each)} is among them.")
    if len(value) != 3:
        raise Wrong(f"Expected 3 tensors from `{name}`, one for each parameter, got {len(value)}. "
                    "The first index of `gradients` is the process, the second the parameter.")  # fmt: skip
    return torch.cat([each.flatten() for each in value])
