"""Answers to the exercises of lesson 12."""

from math import inf
from typing import Any

import torch
from torch import Tensor


def split_sessions(names: list[str], every: int) -> dict[str, str]:
    plan = {}
    for kind in {name.split("-")[0] for name in names}:
        own = [name for name in names if name.split("-")[0] == kind]
        order = sorted({int(name.split("-")[1]) for name in own})
        held_out = set(order[every - 1 :: every])
        for name in own:
            part = "test" if int(name.split("-")[1]) in held_out else "train"
            plan[name] = f"{part}/{kind}/{name}"
    return plan


def sessions_counted(names: list[str], every: int) -> dict[str, str]:
    """Right: how many sessions of the class are not later than this one."""
    fields = [name.split("-") for name in names]
    plan = {}
    for kind, session, file in fields:
        place = len({number for other, number, _ in fields if other == kind and int(number) <= int(session)})
        plan["-".join([kind, session, file])] = "/".join(
            ["train" if place % every else "test", kind, "-".join([kind, session, file])]
        )
    return plan


def sorts_in_place(names: list[str], every: int) -> dict[str, str]:
    names.sort()
    return split_sessions(names, every)


def without_jpg(names: list[str], every: int) -> dict[str, str]:
    return {name: path.removesuffix(".jpg") for name, path in split_sessions(names, every).items()}


def read_confusion(confusion: Tensor, classes: list[str]) -> Any:
    recall = confusion.diagonal() / confusion.sum(dim=1)  # 0 / 0 is nan
    precision = confusion.diagonal() / confusion.sum(dim=0)
    wrong = confusion.clone().fill_diagonal_(0)
    shown, said = divmod(int(wrong.argmax()), len(classes))
    missed, doubtful = int(recall.nan_to_num(2).argmin()), int(precision.nan_to_num(2).argmin())
    return classes[missed], classes[doubtful], (classes[shown], classes[said])


def by_loops(confusion: Tensor, classes: list[str]) -> list[Any]:
    """Right, in plain Python."""
    rows = confusion.tolist()
    columns = [list(column) for column in zip(*rows, strict=True)]
    numbers = range(len(rows))
    missed = min((i for i in numbers if sum(rows[i])), key=lambda i: rows[i][i] / sum(rows[i]))
    doubtful = min((i for i in numbers if sum(columns[i])), key=lambda i: columns[i][i] / sum(columns[i]))
    shown, said = max(((i, j) for i in numbers for j in numbers if i != j), key=lambda pair: rows[pair[0]][pair[1]])
    return [classes[missed], classes[doubtful], [classes[shown], classes[said]]]


def filled_in_place(confusion: Tensor, classes: list[str]) -> Any:
    found = read_confusion(confusion, classes)
    confusion.fill_diagonal_(0)
    return found


def as_numbers(confusion: Tensor, classes: list[str]) -> Any:
    missed, doubtful, (shown, said) = read_confusion(confusion, classes)
    return classes.index(missed), classes.index(doubtful), (classes.index(shown), classes.index(said))


def pick_threshold(confidence: Tensor, right: Tensor, precision: float) -> float:
    best = inf
    for threshold in confidence.tolist():
        answered = confidence >= threshold
        if 100 * right[answered].float().mean() >= precision:
            best = min(best, threshold)
    return best


def by_sorting(confidence: Tensor, right: Tensor, precision: float) -> Tensor:
    """Right, in one pass over the sorted answers."""
    values, order = confidence.sort(descending=True, stable=True)
    running = 100 * right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    last = torch.cat([values[1:] < values[:-1], torch.tensor([True])])  # the last of its equals
    return torch.cat([values[last & (running >= precision - 1e-9)], torch.tensor([inf])]).min()


RIGHT = {
    "12.1": [split_sessions, sessions_counted],
    "12.2": [read_confusion, by_loops],
    "12.3": [pick_threshold, by_sorting],
}

WRONG = {
    "12.1": [
        (sorts_in_place, "changes the list it is given as `names`"),
        (without_jpg, "expected "),
        (lambda names, every: list(split_sessions(names, every).values()), "Expected a dict from file name"),
    ],
    "12.2": [
        (filled_in_place, "changes the tensor it is given as `confusion`"),
        (as_numbers, "Expected two class names"),
        (lambda confusion, classes: (classes[0], classes[0], (classes[0], classes[1])), "expected 'owl', got 'cat'"),
    ],
    "12.3": [
        (lambda c, right, precision: pick_threshold(c, right, precision) - 0.01, "expected 0.5, got 0.49"),
        (lambda c, right, precision: pick_threshold(c, right, precision - 4), "expected "),
        (lambda confidence, right, precision: confidence, "Expected a threshold"),
    ],
}
