"""A course of two lessons in place of the real one, and a `lab` that starts nothing."""

from pathlib import Path

import pytest
from tiny_course import save

from resnet_edu import files
from resnet_edu.tools import lab


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course in both editions; the current folder is beside it."""
    for name in ("01_lenet", "06_degradation"):
        save(tmp_path / "home" / "notebooks" / f"{name}.ipynb", "raise NotImplementedError", f"Lesson {name[:2]}")
        save(tmp_path / "home" / "notebooks" / "solutions" / f"{name}.ipynb", title=f"Lesson {name[:2]}")
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that `lab` would have started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "serve", lambda command: commands.append(command) or 0)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return commands
