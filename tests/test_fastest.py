"""The choice of number format and layout: the rule, what beats it, and where it is remembered."""

import json
from pathlib import Path

import pytest
import torch

from resnet_edu import fastest
from resnet_edu.fastest import FastPath, choose, fast_path, seconds_of_a_step, ways

RULE, FLOAT, CONTIGUOUS = ways(units=True)


def stopwatch(monkeypatch: pytest.MonkeyPatch, seconds: dict[FastPath, float]) -> list[FastPath]:
    """Make a step take so long, and list what is timed."""
    timed: list[FastPath] = []

    def step(way: FastPath) -> float:
        timed.append(way)
        return seconds[way]

    monkeypatch.setattr(fastest, "seconds_of_a_step", step)
    return timed


@pytest.fixture(autouse=True)
def nothing_remembered():
    fast_path.cache_clear()
    yield
    fast_path.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((1.0, 2.0, 2.0), RULE),
        ((1.0, 0.9, 2.0), RULE),  # not clearly faster
        ((1.0, 0.7, 2.0), FLOAT),
        ((1.0, 0.7, 0.5), CONTIGUOUS),
    ],
)
def test_the_rule_is_given_up_for_what_is_clearly_faster(seconds: tuple[float, ...], expected: FastPath) -> None:
    times = dict(zip((RULE, FLOAT, CONTIGUOUS), seconds, strict=True))
    assert choose(ways(units=True), times.__getitem__) == expected


def test_one_round_in_which_the_rule_was_faster_is_enough_to_keep_it() -> None:
    rounds = iter([1.0, 0.1] + [1.0, 0.1] * 4 + [0.1, 0.1])  # warm-up, then five rounds
    assert choose([RULE, FLOAT], lambda _: next(rounds)) == RULE
    rounds = iter([1.0, 0.1] * 6)
    assert choose([RULE, FLOAT], lambda _: next(rounds)) == FLOAT


def test_rounds_are_interleaved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed = stopwatch(monkeypatch, dict.fromkeys(ways(units=True), 1.0))
    assert fast_path(True, "here", tmp_path) == RULE
    assert timed == ways(units=True) * (fastest.ROUNDS + 1)


def test_without_units_bfloat16_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed = stopwatch(monkeypatch, {FLOAT: 1.0, CONTIGUOUS: 0.5})
    assert fast_path(False, "here", tmp_path) == CONTIGUOUS
    assert not any(way.bfloat16 for way in timed)


def test_the_answer_is_remembered_for_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed = stopwatch(monkeypatch, {RULE: 1.0, FLOAT: 0.5, CONTIGUOUS: 1.0})
    assert fast_path(True, "here", tmp_path) == FLOAT
    tried = len(timed)
    fast_path.cache_clear()  # another process
    assert fast_path(True, "here", tmp_path) == FLOAT
    assert len(timed) == tried
    fast_path(True, "with another torch", tmp_path)
    assert len(timed) == 2 * tried
    assert len(json.loads((tmp_path / "fast-path.json").read_text())) == 2


@pytest.mark.parametrize("damaged", ["", "[1, 2]", '{"here, with bfloat16 units": 3}', "\x00"])
def test_a_damaged_file_is_written_anew(damaged: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fast-path.json").write_text(damaged)
    stopwatch(monkeypatch, dict.fromkeys(ways(units=True), 1.0))
    assert fast_path(True, "here", tmp_path) == RULE
    assert json.loads((tmp_path / "fast-path.json").read_text()) == {"here, with bfloat16 units": [True, True]}


def test_a_folder_that_cannot_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stopwatch(monkeypatch, dict.fromkeys(ways(units=True), 1.0))
    (tmp_path / "file").touch()
    assert fast_path(True, "here", tmp_path / "file" / "folder") == RULE


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastest.platformdirs, "user_cache_path", nowhere)
    stopwatch(monkeypatch, dict.fromkeys(ways(units=True), 1.0))
    assert fast_path(True, "here") == RULE
    assert not [*tmp_path.iterdir()]


def test_a_step_is_timed_and_leaves_the_seed_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with torch.no_grad():
        assert all(seconds_of_a_step(way) > 0 for way in ways(units=False))
    assert torch.equal(torch.rand(3), expected)


def test_a_prediction_may_be_the_first_to_ask() -> None:
    with torch.inference_mode():
        assert all(seconds_of_a_step(way) > 0 for way in ways(units=True))
    with torch.no_grad():
        assert seconds_of_a_step(FastPath(False, True)) > 0
