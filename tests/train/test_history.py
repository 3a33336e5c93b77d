"""What a run leaves behind survives CSV bit by bit."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from resnet_edu import Epoch, History

NAMES = [field.name for field in fields(Epoch)]
floats = st.floats(allow_nan=False)
histories = st.builds(History, st.lists(st.builds(Epoch, st.integers(1, 10**6), *[floats] * 7), max_size=5))

FIRST = Epoch(1, 2.25, 90.0, 2.0, 85.5, 0.1, 3.5, 571.25)
SECOND = Epoch(2, 1 / 3, 100 / 7, 0.1 + 0.2, 5e-324, 1e-17, 4.0, 500.0)


def values(history: History) -> list[dict[str, float]]:
    """Every number of a history, the times included, which do not count for equality."""
    return [asdict(epoch) for epoch in history.epochs]


def test_numpy_reads_the_file(tmp_path: Path) -> None:
    history = History([FIRST, SECOND])
    history.to_csv(tmp_path / "run.csv")
    theirs = np.genfromtxt(tmp_path / "run.csv", delimiter=",", names=True)
    assert [{name: row[name] for name in NAMES} for row in theirs] == values(history)


@given(history=histories)
def test_csv_gives_the_same_epochs(history: History, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "history.csv"
    history.to_csv(path)
    again = History.from_csv(str(path))
    assert values(again) == values(history)
    text = path.read_bytes()
    again.to_csv(str(path))
    assert path.read_bytes() == text
    assert b"\r" not in text


def test_equality_is_about_results_not_about_time() -> None:
    assert replace(FIRST, seconds=9.0, images_per_second=1.0) == FIRST
    for name in NAMES[:-2]:
        assert replace(FIRST, **{name: 77}) != FIRST


def test_last_seconds_and_length() -> None:
    history = History([FIRST, SECOND])
    assert (history.last, history.seconds, len(history)) == (SECOND, 7.5, 2)
    with pytest.raises(ValueError, match="before its first epoch ended"):
        _ = History().last


ROW = "1,2.25,90.0,2.0,85.5,0.1,3.5,571.25\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has the columns a, b; a history has epoch, train_loss"),
        (",".join(NAMES) + "\n" + ROW + "2,0.5,3", "damaged row"),
        (",".join(NAMES) + "\n" + ROW.replace("90.0", "many"), "damaged row.*many"),
        (",".join(NAMES) + "\n" + ROW.strip() + ",9\n", "has the columns"),
        (",".join(NAMES) + "\n" + ROW.replace("1,", "1.5,", 1), "damaged row"),
    ],
)
def test_a_damaged_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        History.from_csv(path)
    assert str(path) in str(caught.value)
