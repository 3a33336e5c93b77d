"""A seat in a class: what it starts, with how many threads and how much memory, whatever state the folder is in."""

import sys
from pathlib import Path

import pytest
from tiny_course import lesson

from resnet_edu import files
from resnet_edu.tools import lab, seat

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="JupyterHub does not run on Windows")

HUBS = ["--ServerApp.shutdown_no_activity_timeout=3600"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's home, and a course of one lesson in place of the real one."""
    lesson(tmp_path / "course" / "notebooks")
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "course")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "ada")
    (tmp_path / "ada").mkdir()
    return tmp_path / "ada"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands and environments that would have become the process."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(seat.os, "execve", lambda _, command, environment: calls.append((command, environment)))
    monkeypatch.setattr(seat, "limit_memory", lambda: None)
    return calls


def test_the_server_has_the_settings_of_lab_and_the_hub_has_the_last_word(tmp_path: Path) -> None:
    lesson(tmp_path)
    command = seat.seat_command(tmp_path, HUBS)
    assert command[:3] == [sys.executable, "-m", "jupyterhub.singleuser"]
    assert command[-1:] == HUBS
    settings = command[3:-1]
    assert settings, "nothing of lab's settings arrived: has lab_command changed?"
    assert f"--LabApp.app_settings_dir={lab.SETTINGS}" in settings
    assert [option for option in settings if option not in lab.lab_command(tmp_path)] == []
    assert not any("default_url" in option or "ServerApp" in option for option in settings)


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({"CPU_LIMIT": "2.0"}, "2"),
        ({"CPU_LIMIT": "0.5"}, "1"),
        ({"CPU_LIMIT": "3.9"}, "3"),
        ({"CPU_LIMIT": "2", "OMP_NUM_THREADS": "7"}, "7"),
        ({}, None),
        ({"CPU_LIMIT": ""}, None),
        ({"CPU_LIMIT": "many"}, None),
        ({"CPU_LIMIT": "-1"}, None),
    ],
)
def test_threads_follow_the_cores_that_the_hub_grants(given: dict[str, str], threads: str | None) -> None:
    environment = seat.seat_environment(given)
    assert environment.get("OMP_NUM_THREADS") == threads
    assert environment["JUPYTER_PREFER_ENV_PATH"] == "1", "or kernels of the learner's own come before the course's"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
@pytest.mark.parametrize(
    ("granted", "hard", "limit"),
    [
        ("3221225472", -1, 3 << 30),
        ("3221225472", 1 << 30, 1 << 30),
        ("1e9", -1, 10**9),
        ("0", -1, None),
        ("", -1, None),
    ],
)
def test_memory_follows_what_the_hub_grants(
    granted: str, hard: int, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    calls: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: calls.append((what, limits)))
    assert resource.RLIM_INFINITY == -1
    assert seat.limit_memory({"MEM_LIMIT": granted}) == limit
    assert calls == ([(resource.RLIMIT_DATA, (limit, limit))] if limit else [])


def test_it_brings_the_lessons_and_becomes_the_server(home: Path, started: list, capsys: pytest.CaptureFixture) -> None:
    seat.main(HUBS)
    assert (home / "my-course" / "00_start_here.ipynb").is_file()
    assert "1 lessons added" in capsys.readouterr().out
    [(command, environment)] = started
    assert command == seat.seat_command(home / "my-course", HUBS)
    assert environment == seat.seat_environment()


def test_answers_stay(home: Path, started: list) -> None:
    seat.main(HUBS)
    mine = home / "my-course" / "00_start_here.ipynb"
    mine.write_text(mine.read_text().replace("# Start", "# My answer"))
    seat.main(HUBS)
    assert "# My answer" in mine.read_text()
    assert len(started) == 2


def test_lessons_that_cannot_be_brought_do_not_keep_the_learner_out(
    home: Path, started: list, capsys: pytest.CaptureFixture
) -> None:
    (home / "my-course").write_text("a file in the way")
    seat.main(HUBS)
    [(command, _)] = started
    assert command == [sys.executable, "-m", "jupyterhub.singleuser", *HUBS]
    assert "could not be brought" in capsys.readouterr().err
    assert (home / "my-course").read_text() == "a file in the way"
