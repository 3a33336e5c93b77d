"""Errors with a name. Each says what was got, what is allowed and what to do next."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UnknownName(ValueError):
    """A model, data set or option that does not exist."""

    def __init__(self, kind: str, got: object, known: Iterable[str]) -> None:
        names = sorted(known)
        nearest = get_close_matches(str(got), names, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        super().__init__(f"Unknown {kind} {got!r}.{hint} Known: {', '.join(names)}.")


def check_known(kind: str, known: Iterable[str], *got: object) -> None:
    """Raise `UnknownName` for the first name that does not exist."""
    names = list(known)
    for name in got:
        if name not in names:
            raise UnknownName(kind, name, names)


class DatasetUnavailable(ValueError):
    """A data set or a set of weights that is neither in the package nor in the cache."""


class WrongCheckpoint(ValueError):
    """Weights that belong to another network, or a file that holds none."""


class LossNotFinite(ValueError):
    """A loss, or what it is computed from, that is infinite or not a number."""


class UnreadablePicture(ValueError):
    """A file that is no picture, or none that can be used."""

    def __init__(self, path: object, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path} cannot be read: {reason}.")


class StopTraining(Exception):
    """Raised by a callback of `fit` to end the run after this epoch. No error: the run counts as finished."""


@contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """Inside, say which batch size to try where torch's allocators say how many bytes they lack."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        lacking = ("out of memory", "not enough memory", "can't allocate memory")  # on GPUs, on Windows, on Linux
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in lacking):
            raise
        fix = f"batch_size={batch_size // 2}, or smaller images" if batch_size > 1 else "smaller images or fewer layers"
        raise ValueError(f"A batch of {batch_size} images does not fit in memory: try {fix}.") from error
