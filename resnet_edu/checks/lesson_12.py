"""The checks of lesson 12: photos divided by session, a confusion matrix read, a threshold for answering."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .exercise import Call, exercise
from .values import mapping, number, several, text


def class_of(name: str) -> str:
    """The class in a name like `cat-12-3.jpg`: class, session, number."""
    return name.split("-")[0]


def session_of(name: str) -> int:
    return int(name.split("-")[1])


def of_class(names: Sequence[str], name: str) -> list[str]:
    return [other for other in names if class_of(other) == class_of(name)]


def album(counts: dict[str, list[int]], files: int, every: int, *, in_order: bool = False) -> Call:
    """File names of some sessions of each class, `files` of each, in random order."""
    names = [
        f"{kind}-{session}-{file}.jpg"
        for kind, numbers in counts.items()
        for session in numbers
        for file in range(1, files + 1)
    ]
    return Call(sorted(names) if in_order else random.sample(names, len(names)), every)


@exercise(
    "12.1 split by session",
    calls=lambda: [
        album({"cat": [1, 2, 3, 4, 5], "dog": [1, 2, 3, 4]}, 3, 2),
        album({"cat": [8, 9, 10, 11, 12, 100], "owl": [3, 4, 7, 9, 20, 21]}, 4, 3),
        album({"a": [2, 4, 6, 9, 30], "b": [1, 2, 5, 10, 11, 12, 13], "c": [7, 8]}, 2, 2, in_order=True),
        album({"bus": [5, 12, 40, 7], "car": [1, 3, 2, 4, 11], "van": [6, 8, 9, 10]}, 3, 4),
        album({"cat": [1, 2]}, 5, 5),
    ],
    returns=mapping("a dict from file name to path, both texts", text("a dict from file name to path, both texts")),
    mistakes={
        "You deal out single files, so a session stands in both parts. Deal out whole sessions.":
            {"_order": lambda names, name: sorted(of_class(names, name)), "_place": lambda name: name},
        "You take the first of each `every` sessions for the test. Take the last.":
            {"_tested": lambda place, every: place % every == 1},
        "You go by the session's own number. Numbers can be missing: count the sessions that are there.":
            {"_order": lambda names, name: range(1, 1000)},
        'You sort the sessions as text, where "10" comes before "9". Sort them as numbers.':
            {"_order": lambda names, name: sorted({session_of(each) for each in of_class(names, name)}, key=str)},
        "You number the sessions in the order in which the files come. Sort the sessions first.":
            {"_order": lambda names, name: list(dict.fromkeys(map(session_of, of_class(names, name))))},
        "You count on from one class to the next. Begin anew in each class, or one may get no test photos.":
            {"_order": lambda names, name: sorted({(class_of(each), session_of(each)) for each in names}),
             "_place": lambda name: (class_of(name), session_of(name))},
        "You have exchanged train and test.": {"_tested": lambda place, every: place % every != 0},
    },
)  # fmt: skip
def split_sessions(
    names: Sequence[str], every: int, *, _place: Callable[[str], Any] = session_of,
    _order: Callable[..., Any] = lambda names, name: sorted(set(map(session_of, of_class(names, name)))),
    _tested: Callable[[int, int], bool] = lambda place, every: place % every == 0,
) -> dict[str, str]:  # fmt: skip
    """No session is in two parts, and each class is split on its own."""
    places = {name: _order(names, name).index(_place(name)) + 1 for name in names}
    parts = {name: "test" if _tested(place, every) else "train" for name, place in places.items()}
    return {name: f"{part}/{class_of(name)}/{name}" for name, part in parts.items()}


def least(confusion: Tensor, dim: int, *, empty: float = 2.0) -> int:
    """Row (dim 1) or column (dim 0) with the lowest share on the diagonal; `empty` where there is no image."""
    total = confusion.sum(dim=dim)
    return int(torch.where(total > 0, confusion.diagonal() / total.clamp(min=1), empty).argmin())


def wrong(confusion: Tensor) -> Tensor:
    return confusion - confusion.diagonal().diag()


def place(values: Tensor) -> tuple[int, ...]:
    return divmod(int(values.argmax()), values.shape[1])


#: What the photos show, by row, and what the net said, by column. The third net never says bus; the fourth saw none.
CONFUSIONS = (
    [[30, 9, 1, 0], [2, 90, 10, 8], [0, 5, 4, 1], [0, 1, 7, 12]],
    [[3, 1, 0, 4], [1, 20, 0, 4], [5, 11, 40, 12], [0, 2, 0, 6]],
    [[8, 0, 2, 0], [3, 5, 0, 0], [1, 0, 9, 0], [6, 4, 2, 0]],
    [[7, 3, 0, 0], [0, 9, 4, 0], [2, 8, 20, 1], [0, 0, 0, 0]],
    [[9, 6, 0, 0, 1], [5, 30, 7, 0, 0], [0, 4, 11, 2, 0], [3, 0, 0, 50, 8], [0, 0, 1, 7, 2]],
    [[2, 0, 0], [20, 30, 15], [1, 3, 8]],
)
READING = "two class names and a pair of names, `(missed, doubtful, (shown, said))`"


@exercise(
    "12.2 read the confusion matrix",
    calls=lambda: [Call(torch.tensor(rows), ["cat", "dog", "owl", "bus", "eel"][: len(rows)]) for rows in CONFUSIONS],
    returns=several(READING, text(READING), text(READING), several(READING, text(READING), text(READING))),
    mistakes={
        "You have exchanged rows and columns: a row is what the photos show, a column what the net said.":
            {"_seen": lambda c: c.T},
        "Recall and precision are exchanged: recall divides by the row's sum, precision by the column's.":
            {"_missed": lambda c: least(c, 0), "_doubtful": lambda c: least(c, 1)},
        "For the class most often missed you compare counts, which depend on how many photos a class has: take the "
        "share of its row.":
            [{"_missed": lambda c: int(c.diagonal().argmin())}, {"_missed": lambda c: int(wrong(c).sum(1).argmax())}],
        "An answer that was never given, or a class without a photo, is neither right nor wrong: leave out the columns "
        "and the rows that are all 0.":
            [{"_doubtful": lambda c: least(c, 0, empty=0.0)}, {"_missed": lambda c: least(c, 1, empty=0.0)}],
        "The largest number stands on the diagonal, and that is no mistake. Leave the diagonal out of the search.":
            {"_mixed": place},
        "The pair is turned around: first what the photos show, then what the net said.":
            {"_mixed": lambda c: place(wrong(c).T)},
        "For the pair you compare shares of the row. You want the mistake made on the most photos: compare counts.":
            {"_mixed": lambda c: place(wrong(c) / c.sum(dim=1, keepdim=True).clamp(min=1))},
    },
)  # fmt: skip
def read_confusion(
    confusion: Tensor, classes: list[str], *, _seen: Callable[[Tensor], Tensor] = torch.clone,
    _missed: Callable[[Tensor], int] = lambda c: least(c, 1),
    _doubtful: Callable[[Tensor], int] = lambda c: least(c, 0),
    _mixed: Callable[[Tensor], tuple[int, ...]] = lambda c: place(wrong(c)),
) -> tuple[str, str, tuple[str, str]]:  # fmt: skip
    """Rows, columns and single squares are read right, with empty ones among them."""
    confusion = _seen(confusion)
    shown, said = _mixed(confusion)
    return classes[_missed(confusion)], classes[_doubtful(confusion)], (classes[shown], classes[said])


def precision_at(confidence: Tensor, right: Tensor, threshold: float) -> float:
    return 100 * float(right[confidence >= threshold].float().mean())


def from_above(confidence: Tensor, right: Tensor, precision: float) -> float:
    found = math.inf
    for threshold in confidence.unique().flip(0).tolist():
        if precision_at(confidence, right, threshold) < precision:
            break
        found = threshold
    return found


SURE = torch.tensor([0.95, 0.9, 0.8, 0.7, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
EQUAL = torch.tensor([0.9, 0.8, 0.8, 0.8, 0.5, 0.4])


def answers(confidence: Tensor, right: str, precision: float) -> Call:
    return Call(confidence, torch.tensor([each == "1" for each in right]), precision)


def threshold_calls() -> list[Call]:
    many = torch.rand(60).clamp(0.05, 0.95)
    return [
        answers(SURE, "1101111000", 80.0),
        answers(SURE, "1110101000", 75.0),
        answers(SURE[[3, 7, 0, 9, 2, 5, 1, 8, 4, 6]], "0011111001", 66.0),
        answers(SURE, "1110111111", 95.0),  # 9 of 10, so a threshold with 90 % is just not good enough
        answers(EQUAL, "110011", 70.0),
        answers(EQUAL, "111000", 80.0),
        answers(SURE, "0110110000", 90.0),  # the surest is wrong: no threshold
        answers(SURE[:4], "1111", 100.0),
        Call(many, torch.rand(60) < many, 85.0),
    ]


@exercise(
    "12.3 pick a threshold",
    calls=threshold_calls,
    returns=number("a threshold, or `float('inf')`"),
    mistakes={
        "You go down from the surest answers and stop at the first threshold that is not good enough. A lower one can "
        "be good enough again: look at all of them.": from_above,
        "Exactly `precision` percent is enough: compare with `>=`.": {"_enough": lambda got, asked: got > asked + 1e-4},
        "A photo exactly at the threshold is answered too. Measure `confidence >= threshold`.":
            {"_measure": lambda c, right, t: 100 * float(right[c > t].float().mean())},
        "You divide by the number of all photos. Divide by the number that get an answer.":
            {"_measure": lambda c, right, t: 100 * int(right[c >= t].sum()) / len(c)},
        "You return the highest such threshold, which answers the fewest photos. Return the lowest.": {"_pick": max},
        "You compare a share from 0 to 1 with a percentage, or the other way round. `precision` is in percent.":
            {"_enough": lambda got, asked: got >= (asked - 1e-4) / 100},
        "When no threshold is good enough, you return the highest confidence, or 0. Return `float('inf')`.":
            [{"_none": lambda confidence: float(confidence.max())}, {"_none": lambda confidence: 0.0}],
    },
)  # fmt: skip
def pick_threshold(
    confidence: Tensor, right: Tensor, precision: float, *,
    _measure: Callable[[Tensor, Tensor, float], float] = precision_at,
    _enough: Callable[[float, float], bool] = lambda got, asked: got >= asked - 1e-4,
    _pick: Callable[[list[float]], float] = min, _none: Callable[[Tensor], float] = lambda confidence: math.inf,
) -> float:  # fmt: skip
    """As many photos as possible get an answer, and enough of the answers are right."""
    measured = {each: _measure(confidence, right, each) for each in confidence.unique().tolist()}
    good = [each for each, got in measured.items() if _enough(got, precision)]
    return _pick(good) if good else _none(confidence)
