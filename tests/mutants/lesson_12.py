"""Answers to lesson 12: a folder without leaks, the confusion matrix."""

from typing import Any

from torch import Tensor

from resnet_edu import checks

from . import Exercise

# --- 12.1 prepare a folder --------------------------------------------------------------------------------------


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


def sessions_stub(names: list[str], every: int) -> dict[str, str]:
    raise NotImplementedError("not yet")


def sessions_counted(names: list[str], every: int) -> dict[str, str]:
    """Right: how many sessions of the class are not later than this one."""
    fields = [name.split("-") for name in names]
    plan = {}
    for kind, session, file in fields:
        place = len({number for other, number, _ in fields if other == kind and int(number) <= int(session)})
        part = "train" if place % every else "test"
        plan["-".join([kind, session, file])] = "/".join([part, kind, "-".join([kind, session, file])])
    return plan


def dealt(key: Any, *, first: int | None = None, path: str = "{part}/{kind}/{name}", swap: bool = False) -> Any:
    """An answer that numbers groups of files by `key(names, name)`, sorted, and takes every so many."""

    def answer(names: list[str], every: int) -> dict[str, str]:
        plan = {}
        for name in names:
            kind, _, file = name.split("-")
            place, groups = key(names, name)
            start = every - 1 if first is None else first
            chosen = place in groups[start::every]
            part = "test" if chosen != swap else "train"
            plan[name] = path.format(part=part, kind=kind, name=name, file=file)
        return plan

    return answer


def own_sessions(names: list[str], name: str) -> tuple[int, list[int]]:
    kind, session, _ = name.split("-")
    return int(session), sorted({int(other.split("-")[1]) for other in names if other.split("-")[0] == kind})


def own_files(names: list[str], name: str) -> tuple[str, list[str]]:
    return name, sorted(other for other in names if other.startswith(f"{name.split('-')[0]}-"))


def texts(names: list[str], name: str) -> tuple[str, list[str]]:
    kind, session, _ = name.split("-")
    return session, sorted({other.split("-")[1] for other in names if other.split("-")[0] == kind})


def met(names: list[str], name: str) -> tuple[str, list[str]]:
    kind, session, _ = name.split("-")
    return session, list(dict.fromkeys(other.split("-")[1] for other in names if other.split("-")[0] == kind))


def all_sessions(names: list[str], name: str) -> tuple[tuple[str, int], list[tuple[str, int]]]:
    keys = [(other.split("-")[0], int(other.split("-")[1])) for other in names]
    return (name.split("-")[0], int(name.split("-")[1])), sorted(set(keys))


def all_numbers(names: list[str], name: str) -> tuple[int, list[int]]:
    return int(name.split("-")[1]), sorted({int(other.split("-")[1]) for other in names})


def by_number(names: list[str], every: int) -> dict[str, str]:
    return {
        name: f"{'train' if int(name.split('-')[1]) % every else 'test'}/{name.split('-')[0]}/{name}" for name in names
    }


def a_list(names: list[str], every: int) -> list[str]:
    return list(split_sessions(names, every).values())


def without_jpg(names: list[str], every: int) -> dict[str, str]:
    return {name: path.removesuffix(".jpg") for name, path in split_sessions(names, every).items()}


# --- 12.2 the confusion matrix ----------------------------------------------------------------------------------

Reading = tuple[str, str, tuple[str, str]]


def read_confusion(confusion: Tensor, classes: list[str]) -> Reading:
    recall = confusion.diagonal() / confusion.sum(dim=1)  # 0 / 0 is nan
    precision = confusion.diagonal() / confusion.sum(dim=0)
    wrong = confusion.clone().fill_diagonal_(0)
    shown, said = divmod(int(wrong.argmax()), len(classes))
    return (
        classes[int(recall.nan_to_num(2).argmin())],
        classes[int(precision.nan_to_num(2).argmin())],
        (classes[shown], classes[said]),
    )


def confusion_stub(confusion: Tensor, classes: list[str]) -> Reading:
    raise NotImplementedError("not yet")


def by_loops(confusion: Tensor, classes: list[str]) -> list[Any]:
    """Right, in plain Python."""
    rows = confusion.tolist()
    columns = [list(column) for column in zip(*rows, strict=True)]
    numbers = range(len(rows))
    missed = min((i for i in numbers if sum(rows[i])), key=lambda i: rows[i][i] / sum(rows[i]))
    doubtful = min((i for i in numbers if sum(columns[i])), key=lambda i: columns[i][i] / sum(columns[i]))
    shown, said = max(((i, j) for i in numbers for j in numbers if i != j), key=lambda pair: rows[pair[0]][pair[1]])
    return [classes[missed], classes[doubtful], [classes[shown], classes[said]]]


def changed(number: int, pick: Any) -> Any:
    """The right reading with one of its parts exchanged."""

    def answer(confusion: Tensor, classes: list[str]) -> Reading:
        parts: list[Any] = list(read_confusion(confusion, classes))
        found = pick(confusion)
        parts[number] = (classes[found[0]], classes[found[1]]) if number == 2 else classes[found]
        return parts[0], parts[1], parts[2]

    return answer


def wrong_of(confusion: Tensor) -> Tensor:
    return confusion.clone().fill_diagonal_(0)


def at(values: Tensor) -> tuple[int, int]:
    return int(values.argmax()) // len(values), int(values.argmax()) % len(values)


def transposed(confusion: Tensor, classes: list[str]) -> Reading:
    return read_confusion(confusion.T, classes)


def exchanged(confusion: Tensor, classes: list[str]) -> Reading:
    missed, doubtful, pair = read_confusion(confusion, classes)
    return doubtful, missed, pair


def numbers(confusion: Tensor, classes: list[str]) -> tuple[int, int, tuple[int, int]]:
    missed, doubtful, (shown, said) = read_confusion(confusion, classes)
    return classes.index(missed), classes.index(doubtful), (classes.index(shown), classes.index(said))


def least_share(confusion: Tensor, dim: int) -> int:
    return int((confusion.diagonal() / confusion.sum(dim).clamp(min=1)).argmin())


EXERCISES = [
    Exercise(
        checks.check_split_sessions,
        split_sessions,
        sessions_stub,
        [
            (dealt(own_files), "You deal out single files"),
            (dealt(lambda names, name: (name, names)), "in the order they come"),
            (dealt(own_sessions, first=0), "Take the last"),
            (by_number, "Numbers can be missing"),
            (dealt(texts), "You sort the sessions as text"),
            (dealt(met), "in the order in which the files come"),
            (dealt(all_sessions), "Begin anew in each class"),
            (dealt(all_numbers), "in one row"),
            (dealt(own_sessions, swap=True), "exchanged train and test"),
            (dealt(own_sessions, path="{kind}/{part}/{name}"), "The part comes first"),
            (dealt(own_sessions, path="{part}/{name}"), "The folder of the class is missing"),
            (dealt(own_sessions, path="{part}/{kind}/{file}"), "You shorten the file's name"),
            (a_list, "Expected a dict from file name"),
            (without_jpg, "expected the dict"),
        ],
        others=(sessions_counted,),
    ),
    Exercise(
        checks.check_read_confusion,
        read_confusion,
        confusion_stub,
        [
            (transposed, "You have exchanged rows and columns"),
            (exchanged, "Recall and precision are exchanged"),
            (changed(0, lambda c: int(c.diagonal().argmin())), "divide by the sum of its row"),
            (changed(0, lambda c: int(wrong_of(c).sum(1).argmax())), "A large class has many"),
            (changed(1, lambda c: int(wrong_of(c).sum(0).argmax())), "most often wrong in number"),
            (changed(1, lambda c: int(c.diagonal().argmin())), "Divide by the sum of its column"),
            (changed(1, lambda c: least_share(c, 0)), "An answer that was never given"),
            (changed(0, lambda c: least_share(c, 1)), "A class without a photo"),
            (changed(2, at), "Leave the diagonal out"),
            (changed(2, lambda c: at(wrong_of(c))[::-1]), "The pair is turned around"),
            (changed(2, lambda c: at(wrong_of(c) / c.sum(1, keepdim=True).clamp(min=1))), "compare counts"),
            (changed(2, lambda c: at((wrong_of(c) + wrong_of(c).T).triu())), "are two mistakes"),
            (changed(0, lambda c: int((c.diagonal() / c.sum(1)).nan_to_num(-1).argmax())), "*highest* recall"),
            (numbers, "Expected two class names"),
            (lambda confusion, classes: (classes[0], classes[0], (classes[0], classes[1])), "expected the tuple"),
        ],
        others=(by_loops,),
    ),
]
