"""Estimated minutes follow from the recorded rehearsal; and what they rest on is what the lessons ask for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_record import measured, training

from resnet_edu import files
from resnet_edu.tools import course
from resnet_edu.tools.bench import lessons as module
from resnet_edu.tools.bench.lessons import FULL, IMAGES, LARGE, SMALL, estimate_lessons, larger_nets, minutes, recorded

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
VERDICT = {"rate": measured("GFLOP/s", 50.0)}


def run(lesson: str, *cells: float, seconds: float = 60.0, gflops: float = 100.0) -> dict[str, Any]:
    rows = [{"number": number, "seconds": each, "first_line": ""} for number, each in enumerate(cells, start=1)]
    return {"lesson": lesson, "seconds": seconds, "gflops": gflops, "cells": rows}


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_the_lessons_that_ask_for_the_profile_are_those_that_grow(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert (path.stem in FULL) == (".choose(" in text)
    larger = re.search(r"^size, width = profile.choose\(quick=\(16, 8\), full=\(32, 16\)\)$", text, re.MULTILINE)
    assert FULL.get(path.stem, module.Full()).larger == bool(larger)
    fewer = "limit=profile.choose(quick=2000, full=None)" in text
    if fewer and path.stem != "05_vanishing_gradients":  # its longest cells draw random nets instead
        assert FULL[path.stem].times >= IMAGES


def test_the_nets_are_those_of_the_two_profiles() -> None:
    assert [(net.side, net.options) for net in SMALL.values()] == [(16, {"width": 8})] * 2
    assert [(net.side, net.options) for net in LARGE.values()] == [(32, {"width": 16})] * 2
    entries = [training("", "resnet20"), training("", "resnet56"), {**training("", "lenet5"), "gflop_per_image": 1e9}]
    rate = 3 * 1234.5 * 0.25  # GFLOP/s in the full profile's nets
    assert larger_nets(entries, VERDICT) == pytest.approx(16 * 50 / rate, rel=0.01)


def test_minutes_grow_with_the_work_and_fall_with_the_machine() -> None:
    same = {"lesson": "00_start_here", "quick": 1.0, "full": 1.0}
    assert minutes(run("00_start_here", 30.0, 1.0), 100.0, 5.0) == pytest.approx(same)
    seeds = minutes(run("09_resnet_family", 1.0, 12.0), 200.0, 5.0)  # five seeds for one, on a machine twice as fast
    assert seeds == pytest.approx({"lesson": "09_resnet_family", "quick": 0.5, "full": (60 + 4 * 12) / 120})
    nets = minutes(run("06_degradation", 12.0, 1.0), 100.0, 5.0)
    assert nets["full"] == pytest.approx(1 + 12 * (IMAGES * 5 - 1) / 60)


def test_every_lesson_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "matrix_product_rate", lambda: 100.0)
    found = estimate_lessons(3, training=[training("", "resnet20"), training("", "resnet56")], verdict=VERDICT)
    assert json.loads(json.dumps(found)) == found
    assert [each["lesson"] for each in found["lessons"]] == [lesson.name for lesson in course.lessons("worked")]
    assert len(found["matrix"]["values"]) == 3
    for each in found["lessons"]:
        assert 0 < each["quick"] <= each["full"]
    assert found["total"]["full"] == pytest.approx(sum(each["full"] for each in found["lessons"]))


def test_a_course_without_a_rehearsal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="make one with resnet-edu rehearse --jobs 1 --json"):
        recorded()


def test_the_wheel_carries_the_rehearsal() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"docs/rehearsal.json"' in text
    assert '"docs" = "resnet_edu/_course/docs"' in text
