"""The bench's bookkeeping: numbers with their spread, turns, parts, and what it shows. Nothing here is timed."""

import json
from typing import Any

import pytest
import torch
from bench_record import measured, record, training
from hypothesis import given, strategies as st
from rich.console import Console

from resnet_edu import machine
from resnet_edu.errors import DatasetUnavailable, UnknownName
from resnet_edu.tools.bench import parts
from resnet_edu.tools.bench.limits import copy_rate, matrix_product_rate, measure_limits, threads
from resnet_edu.tools.bench.measured import Measured, digits, ratio, take_turns, turns
from resnet_edu.tools.bench.screen import advice, screen
from resnet_edu.tools.bench.workloads import WORKLOADS, Workload

numbers = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=9)


@given(values=numbers)
def test_a_number_comes_with_its_spread_and_survives_json(values: list[float]) -> None:
    number = Measured("s", tuple(values))
    plain = json.loads(json.dumps(number.to_dict()))
    assert plain["low"] <= plain["median"] <= plain["high"]
    assert Measured.from_dict(plain) == number


def test_three_digits_are_enough() -> None:
    assert [digits(value) for value in (12345.6, 123.4, 56.78, 1.234, 0.1234)] == [
        "12,346",
        "123",
        "56.8",
        "1.23",
        "0.123",
    ]
    assert str(Measured("s", (2.0, 1.0, 4.0))) == "2.00 (1.00–4.00)"
    assert Measured("s", (2.0, 1.9, 2.3)).short() == "2.00 ±15 %"


def test_quotients_are_those_of_a_round() -> None:
    assert ratio("", (2.0, 9.0), (1.0, 3.0)).values == (2.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratio("", (1.0,), (1.0, 2.0))


def test_sides_take_turns_and_nobody_is_always_first() -> None:
    assert list(turns("abc", 3)) == [*"abc", *"cba", *"abc"]
    calls: list[str] = []

    def side(name: str) -> Any:
        return lambda: calls.append(name) or float(len(calls))

    values = take_turns({"a": side("a"), "b": side("b")}, 4)
    assert "".join(calls) == "abbaabba"
    assert values == {"a": (1.0, 4.0, 5.0, 8.0), "b": (2.0, 3.0, 6.0, 7.0)}


@pytest.mark.parametrize(
    ("workload", "megamacs"),
    [
        (WORKLOADS[0], 0.416520),  # LeNet-5: 117,600 + 240,000 + 48,000 + 10,080 + 840
        (WORKLOADS[1], 40.55),  # He et al. 2015, section 4.2, counted by many: 40.6 M and 125.5 M
        (WORKLOADS[2], 125.49),
        (Workload("", "resnet18", side=224), 1814 - 0.51),  # torchvision's meta says 1.814 G, with 1,000 classes
    ],
)
def test_operations_of_a_step_are_six_for_each_multiply_add(workload: Workload, megamacs: float) -> None:
    assert workload.operations() == pytest.approx(6 * megamacs * 1e6, rel=1e-3)


def test_a_workload_begins_with_the_same_weights_each_time() -> None:
    first, second = (WORKLOADS[0].build().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_limits_are_rates() -> None:
    assert 0.01 < matrix_product_rate(side=64, repeats=1, dtype=torch.bfloat16) < 1e5
    assert 0.01 < copy_rate(megabytes=1, repeats=1) < 1e5


def test_limits_are_measured_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def pretend(*, dtype: torch.dtype = torch.float32, **_: object) -> float:
        asked.append((str(dtype), torch.get_num_threads()))
        return float(len(asked))

    monkeypatch.setattr("resnet_edu.tools.bench.limits.matrix_product_rate", pretend)
    monkeypatch.setattr("resnet_edu.tools.bench.limits.copy_rate", lambda: 1.0)
    before = torch.get_num_threads()
    with threads(3):
        found = measure_limits(2)
    assert torch.get_num_threads() == before
    assert asked == [
        *(("torch.float32", 3), ("torch.bfloat16", 3), ("torch.float32", 1)),
        *(("torch.float32", 1), ("torch.bfloat16", 3), ("torch.float32", 3)),
    ]
    assert {name: (each["unit"], len(each["values"])) for name, each in found.items()} == {
        **dict.fromkeys(("float32", "bfloat16", "one_thread"), ("GFLOP/s", 2)),
        "copy": ("GB/s", 2),
    }


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that were measured; nothing is."""
    known, called = record(), []
    functions = {
        "measure_limits": "limits",
        "measure_training": "training",
        "measure_verdict": "verdict",
        "measure_prediction": "prediction",
        "measure_imports": "imports",
        "estimate_lessons": "lessons",
        "measure_folder_prediction": "naming",
        "measure_accuracy": "accuracy",
        "measure_growth": "growth",
    }
    for function, name in functions.items():
        monkeypatch.setattr(parts, function, lambda *_, _name=name, **__: called.append(_name) or known[_name])
    monkeypatch.setattr(parts.machine, "use_own_cores", lambda: 1)
    return called


def test_all_parts_but_the_long_ones_run_in_their_order(pretended: list[str]) -> None:
    said: list[str] = []
    found = parts.measure(rounds=3, quick=True, say=said.append)
    assert pretended == [name for name in parts.PARTS if name not in ("naming", "accuracy", "growth")]
    assert [text.partition(":")[0] for text in said] == pretended
    assert found["settings"] == {"parts": pretended, "repeats": 3, "quick": True}
    assert set(found) == {"date", "machine", "settings", *pretended}
    assert {"cpu", "cores", "memory_gb", "torch", "threads", "precision"} <= set(found["machine"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("asked", "run"),
    [
        (["imports"], ["imports"]),
        (["growth"], ["growth"]),
        (["growth", "accuracy"], ["accuracy", "growth"]),
        (["verdict", "limits"], ["limits", "verdict"]),
        (["lessons"], ["limits", "training", "verdict", "lessons"]),
        (["training", "training"], ["limits", "training"]),
    ],
)
def test_a_part_brings_what_it_needs(pretended: list[str], asked: list[str], run: list[str]) -> None:
    parts.measure(asked)
    assert pretended == run


def test_what_cannot_be_measured_is_refused_at_once(pretended: list[str], tmp_path: Any) -> None:
    with pytest.raises(UnknownName, match=r"part of the bench 'trainings'\. Did you mean 'training'"):
        parts.measure(["limits", "trainings"])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        parts.measure(rounds=0)
    with pytest.raises(ValueError, match="resnet-edu bench growth --folder DIR"):
        parts.measure(["limits"], folder=tmp_path)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        parts.measure(["imports", "accuracy"], rounds=1)
    with pytest.raises(DatasetUnavailable, match="does not hold train/CLASS/FILE"):
        parts.measure(["imports", "growth"], folder=tmp_path)
    assert pretended == []


def printed(found: dict[str, Any]) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(screen(found))
    return capture.get()


def test_everything_fits_on_one_screen() -> None:
    text = printed(record())
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    for title in ("LeNet-5", "ResNet-20", "ResNet-56", "ResNet-18 at 64"):
        assert title in text
    assert "1,234 ±10 %" in text  # plain loop, images a second
    assert "3.00 (2.70–3.30)" in text  # times as fast
    assert " 36.6 %" in text  # share of the limit
    assert "1.25  1.10" in text  # GB
    assert "9.50 (8.55–10.5) s" in text  # verdict
    assert " 172" in text  # minutes of all lessons in full
    assert "…" not in text  # nothing was cut


@pytest.mark.parametrize("name", list(parts.PARTS))
def test_a_part_is_shown_alone(name: str) -> None:
    whole = record()
    needed = {key: whole[key] for key in ("machine", "settings", *parts.with_needs([name]))}
    assert len(printed(needed).splitlines()) > 2


def test_advice_follows_from_the_numbers() -> None:
    found = record()
    text = advice(found)
    assert text.startswith("Advice: ")
    assert text.endswith(".")
    assert ". " not in text  # one sentence
    assert "leave the threads at 2 (2.0 times as fast as one)" in text
    assert "precision auto takes bfloat16, whose products run 3.3 times as fast as float32's" in text
    assert "with 1.1 GB for the largest of these runs, memory holds 21 at a time" in text
    found["machine"] |= {"threads": 1, "cores": 8, "precision": "float32", "omp_num_threads": "1"}
    found["limits"]["bfloat16"] = measured("GFLOP/s", 90.0)
    found["training"] = [training("LeNet-5", "lenet5", faster=0.9)]
    text = advice(found)
    assert "torch uses 1 of 8 cores: unset OMP_NUM_THREADS" in text
    assert "precision auto takes float32, since bfloat16 has 0.50 times its rate here" in text
    assert "fit is slower than the plain loop for LeNet-5" in text
    found["machine"] |= {"threads": 4, "omp_num_threads": None}  # torch counts physical cores: nobody has set it
    assert "4 threads are only 2.0 times as fast as one" in advice(found)
    found["machine"] |= {"threads": 8, "precision": "float32"}
    found["limits"]["bfloat16"] = measured("GFLOP/s", 360.0)
    text = advice(found)
    assert "8 threads are only 2.0 times as fast as one" in text
    assert "try precision bfloat16, whose products run 2.0 times" in text


def test_the_machine_is_the_one_that_records_name() -> None:
    assert set(machine.description()) <= set(record()["machine"])
