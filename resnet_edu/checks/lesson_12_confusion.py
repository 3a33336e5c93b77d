"""The check of lesson 12 on reading a confusion matrix: what is overlooked, what is not to be believed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Reading = tuple[str, str, tuple[str, str]]


def shares(confusion: Tensor, dim: int) -> Tensor:
    """The diagonal's share of each row (dim 1) or column (dim 0); 2 where there is nothing."""
    total = confusion.sum(dim=dim)
    return torch.where(total > 0, confusion.diagonal() / total.clamp(min=1), 2.0)


def least_recalled(confusion: Tensor) -> int:
    """Row with the lowest recall."""
    return int(shares(confusion, 1).argmin())


def least_precise(confusion: Tensor) -> int:
    """Column with the lowest precision."""
    return int(shares(confusion, 0).argmin())


def off_diagonal(confusion: Tensor) -> Tensor:
    """The matrix with 0 for what is right."""
    return confusion - confusion.diagonal().diag()


def place(values: Tensor) -> tuple[int, int]:
    """Row and column of the largest value."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    return row, column


def reading(
    missed: Callable[[Tensor], int] = least_recalled,
    doubtful: Callable[[Tensor], int] = least_precise,
    mixed: Callable[[Tensor], tuple[int, int]] = lambda confusion: place(off_diagonal(confusion)),
) -> Callable[[Tensor, list[str]], Reading]:
    """The oracle with some of its three parts exchanged."""

    def read(confusion: Tensor, classes: list[str]) -> Reading:
        row, column = mixed(confusion)
        return classes[missed(confusion)], classes[doubtful(confusion)], (classes[row], classes[column])

    return read


def empty_is_zero(dim: int) -> Callable[[Tensor], int]:
    """Lowest share, with 0 for what has no images at all."""
    return lambda confusion: int((confusion.diagonal() / confusion.sum(dim=dim).clamp(min=1)).argmin())


def of_rows(confusion: Tensor) -> tuple[int, int]:
    """The mistake with the largest share of its row."""
    return place(off_diagonal(confusion) / confusion.sum(dim=1, keepdim=True).clamp(min=1))


def both_ways(confusion: Tensor) -> tuple[int, int]:
    """The pair that is most often mixed up, both ways added."""
    wrong = off_diagonal(confusion)
    return place((wrong + wrong.T).triu())


right = reading()

MISTAKES = (
    Mistake(
        lambda confusion, classes: right(confusion.T, classes),
        "You have exchanged rows and columns: a row is what the photos show, a column what the net said.",
    ),
    Mistake(
        reading(lambda confusion: least_precise(confusion), least_recalled),
        "Recall and precision are exchanged: recall divides by the row's sum, precision by the column's.",
    ),
    Mistake(
        reading(lambda confusion: int(confusion.diagonal().argmin())),
        "For the class most often missed you look at the count on the diagonal. A small class has a small count: "
        "divide by the sum of its row.",
    ),
    Mistake(
        reading(lambda confusion: int(off_diagonal(confusion).sum(dim=1).argmax())),
        "You take the class with the most missed photos. A large class has many: take the share of its row.",
    ),
    Mistake(
        reading(doubtful=lambda confusion: int(off_diagonal(confusion).sum(dim=0).argmax())),
        "You take the answer that was most often wrong in number. Take its share of all such answers: the column's.",
    ),
    Mistake(
        reading(doubtful=lambda confusion: int(confusion.diagonal().argmin())),
        "For the answer to believe least you look at the count on the diagonal. Divide by the sum of its column.",
    ),
    Mistake(
        reading(doubtful=empty_is_zero(0)),
        "An answer that was never given is neither right nor wrong: leave out the columns that are all 0.",
    ),
    Mistake(reading(empty_is_zero(1)), "A class without a photo cannot be missed: leave out the rows that are all 0."),
    Mistake(
        reading(mixed=place),
        "The largest number stands on the diagonal, and that is no mistake. Leave the diagonal out of the search.",
    ),
    Mistake(
        reading(mixed=lambda confusion: place(off_diagonal(confusion).T)),
        "The pair is turned around: first what the photos show, then what the net said.",
    ),
    Mistake(
        reading(mixed=of_rows),
        "For the pair you compare shares of the row. Asked is for the mistake made on the most photos: compare counts.",
    ),
    Mistake(
        reading(mixed=both_ways),
        "You add up both ways of a pair. Cat called dog and dog called cat are two mistakes.",
    ),
    Mistake(
        reading(lambda confusion: int(shares(confusion, 1).where(shares(confusion, 1) <= 1, -1).argmax())),
        "You return the class with the *highest* recall. It is the one that is missed least.",
    ),
)


@check("12.2 read the confusion matrix")
def check_read_confusion(read_confusion: Any) -> str:
    """`read_confusion(confusion, classes)`: class of least recall, class of least precision, most frequent mistake."""
    four, five = ["cat", "dog", "owl", "bus"], ["a", "b", "c", "d", "e"]
    calls = [
        Call(torch.tensor([[30, 9, 1, 0], [2, 90, 10, 8], [0, 5, 4, 1], [0, 1, 7, 12]]), four),
        Call(torch.tensor([[3, 1, 0, 4], [1, 20, 0, 4], [5, 11, 40, 12], [0, 2, 0, 6]]), four),
        Call(torch.tensor([[8, 0, 2, 0], [3, 5, 0, 0], [1, 0, 9, 0], [6, 4, 2, 0]]), four),  # never said: bus
        Call(torch.tensor([[7, 3, 0, 0], [0, 9, 4, 0], [2, 8, 20, 1], [0, 0, 0, 0]]), four),  # no photo of a bus
        Call(
            torch.tensor([[9, 6, 0, 0, 1], [5, 30, 7, 0, 0], [0, 4, 11, 2, 0], [3, 0, 0, 50, 8], [0, 0, 1, 7, 2]]), five
        ),
        Call(torch.tensor([[2, 0, 0], [20, 30, 15], [1, 3, 8]]), five[:3]),
    ]
    name = need_function(read_confusion, "read_confusion(confusion, classes)", *calls[0].args)
    judge(read_confusion, right, calls, MISTAKES, name=name, clean=lambda value: need_reading(value, name))
    return "Rows, columns and single squares are read right, with empty ones among them."


def need_reading(value: Any, name: str) -> Reading:
    """The value as `(class, class, (class, class))`.

    Raises:
        Wrong: it is something else.
    """
    fine = isinstance(value, tuple | list) and len(value) == 3 and isinstance(value[2], tuple | list)
    if not fine or len(value[2]) != 2 or not all(isinstance(each, str) for each in (*value[:2], *value[2])):
        raise Wrong(
            f"Expected two class names and a pair of names, `(missed, doubtful, (shown, said))`, from `{name}`, "
            f"got {kind_of(value)}."
        )
    return value[0], value[1], (value[2][0], value[2][1])
