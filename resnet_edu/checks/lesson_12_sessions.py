"""The check of lesson 12 on preparing a folder: no session of photos in two parts."""

import random
from collections.abc import Callable
from typing import Any

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Plan = dict[str, str]


def parts_of(name: str) -> tuple[str, int]:
    """Class and session of a name like `cat-12-0003.jpg`."""
    kind, session, _ = name.split("-")
    return kind, int(session)


def planned(
    chosen: Callable[[list[str], str, int], bool], path: Callable[[str, str, str], str] | None = None
) -> Callable[[list[str], int], Plan]:
    """A plan from the rule that sends a file to the test part, and how its path is written."""
    write = path or (lambda part, kind, name: f"{part}/{kind}/{name}")

    def plan(names: list[str], every: int) -> Plan:
        return {
            name: write("test" if chosen(names, name, every) else "train", parts_of(name)[0], name) for name in names
        }

    return plan


def sessions(names: list[str], name: str) -> list[int]:
    """The sessions of the file's class, in the order of their numbers."""
    kind = parts_of(name)[0]
    return sorted({number for other, number in map(parts_of, names) if other == kind})


def last_of_each(names: list[str], name: str, every: int) -> bool:
    """The rule asked for: of each `every` sessions of a class the last."""
    return (sessions(names, name).index(parts_of(name)[1]) + 1) % every == 0


def first_of_each(names: list[str], name: str, every: int) -> bool:
    """Of each `every` sessions of a class the first."""
    return sessions(names, name).index(parts_of(name)[1]) % every == 0


def by_file(names: list[str], name: str, every: int) -> bool:
    """Of each `every` files of a class the last."""
    kind = parts_of(name)[0]
    return (sorted(other for other in names if parts_of(other)[0] == kind).index(name) + 1) % every == 0


def by_file_of_all(names: list[str], name: str, every: int) -> bool:
    """Of each `every` files in the order given the last."""
    return (names.index(name) + 1) % every == 0


def by_number(names: list[str], name: str, every: int) -> bool:
    """Sessions whose own number can be divided."""
    return parts_of(name)[1] % every == 0


def as_text(names: list[str], name: str, every: int) -> bool:
    """Sessions sorted as text, "10" before "9"."""
    kind, session, _ = name.split("-")
    texts = sorted({other.split("-")[1] for other in names if other.split("-")[0] == kind})
    return (texts.index(session) + 1) % every == 0


def as_met(names: list[str], name: str, every: int) -> bool:
    """Sessions in the order in which the files come."""
    kind, session = parts_of(name)
    met = list(dict.fromkeys(number for other, number in map(parts_of, names) if other == kind))
    return (met.index(session) + 1) % every == 0


def over_classes(names: list[str], name: str, every: int) -> bool:
    """Sessions numbered through all classes."""
    return (sorted(set(map(parts_of, names))).index(parts_of(name)) + 1) % every == 0


def same_for_all(names: list[str], name: str, every: int) -> bool:
    """Session numbers of all classes in one row, without their class."""
    return (sorted({number for _, number in map(parts_of, names)}).index(parts_of(name)[1]) + 1) % every == 0


right = planned(last_of_each)

MISTAKES = (
    Mistake(planned(by_file), "You deal out single files, so a session stands in both parts. Deal out whole sessions."),
    Mistake(
        planned(by_file_of_all),
        "You deal out files in the order they come, whatever their session. Deal out whole sessions.",
    ),
    Mistake(planned(first_of_each), "You take the first of each `every` sessions for the test. Take the last."),
    Mistake(
        planned(by_number),
        "You divide the session's own number. Numbers can be missing: count the sessions that are there.",
    ),
    Mistake(planned(as_text), 'You sort the sessions as text, where "10" comes before "9". Sort them as numbers.'),
    Mistake(
        planned(as_met),
        "You number the sessions in the order in which the files come. Sort the sessions first.",
    ),
    Mistake(
        planned(over_classes),
        "You count on from one class to the next. Begin anew in each class, or one may get no test photos.",
    ),
    Mistake(
        planned(same_for_all),
        "You put the sessions of all classes in one row. Session 3 of one class is not session 3 of another.",
    ),
    Mistake(
        planned(lambda names, name, every: not last_of_each(names, name, every)), "You have exchanged train and test."
    ),
    Mistake(
        planned(last_of_each, lambda part, kind, name: f"{kind}/{part}/{name}"),
        "The part comes first and then the class: `train/cat/…`, not `cat/train/…`.",
    ),
    Mistake(
        planned(last_of_each, lambda part, kind, name: f"{part}/{name}"),
        "The folder of the class is missing: `train/cat/cat-1-1.jpg`.",
    ),
    Mistake(
        planned(last_of_each, lambda part, kind, name: f"{part}/{kind}/{name.rpartition('-')[2]}"),
        "You shorten the file's name. Two sessions would overwrite each other: keep the whole name.",
    ),
)


def album(counts: dict[str, list[int]], files: int) -> list[str]:
    """File names of some sessions a class, `files` of each, in random order."""
    names = [f"{kind}-{number}-{file}.jpg" for kind, numbers in counts.items() for number in numbers
             for file in range(1, files + 1)]  # fmt: skip
    return random.sample(names, len(names))


@check("12.1 prepare a folder")
def check_split_sessions(split_sessions: Any) -> str:
    """`split_sessions(names, every)`: for each file name its place, the last of each `every` sessions as test."""
    calls = [
        Call(album({"cat": [1, 2, 3, 4, 5], "dog": [1, 2, 3, 4]}, 3), 2),
        Call(album({"cat": [8, 9, 10, 11, 12, 100], "owl": [3, 4, 7, 9, 20, 21]}, 4), 3),
        Call(sorted(album({"a": [2, 4, 6, 9, 30], "b": [1, 2, 5, 10, 11, 12, 13], "c": [7, 8]}, 2)), 2),
        Call(album({"bus": [5, 12, 40, 7], "car": [1, 3, 2, 4, 11], "van": [6, 8, 9, 10]}, 3), 4),
        Call(album({"cat": [1, 2]}, 5), 5),
    ]
    name = need_function(split_sessions, "split_sessions(names, every)", *calls[0].args)
    judge(split_sessions, right, calls, MISTAKES, name=name, clean=lambda value: need_plan(value, name))
    return "No session stands in two parts, and every class is divided for itself."


def need_plan(value: Any, name: str) -> Plan:
    """The value, if it is a dict of texts.

    Raises:
        Wrong: it is something else.
    """
    fine = isinstance(value, dict) and all(isinstance(each, str) for pair in value.items() for each in pair)
    if not fine:
        raise Wrong(f"Expected a dict from file name to path from `{name}`, both texts, got {kind_of(value)}.")
    return dict(value)
