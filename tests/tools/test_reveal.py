"""reveal.js comes through npm or from a mirror, checked, and is found where a wheel or a cache has it."""

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from resnet_edu import files
from resnet_edu.tools import cli, reveal

CONTENT = {"package/dist/reveal.js": b"// js", "package/dist/reveal.css": b"/* css */", "package/LICENSE": b"MIT"}
PACKAGE = f"reveal.js-{reveal.VERSION}.tgz"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny package that is taken for the real one; nothing is anywhere else, and there is no npm."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in CONTENT.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(reveal, "DIGEST", f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "home")
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(reveal.shutil, "which", lambda *_, **__: None)
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / PACKAGE).write_bytes(buffer.getvalue())
    return folder


def test_fetch_puts_it_where_export_finds_it(mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "home" / "assets" / "reveal.js"
    for state in ("now", "already"):
        assert cli.run(["fetch", "reveal.js", "--mirror", str(mirror)]) == 0
        assert capsys.readouterr().out == f"reveal.js: {state} in {place}\n"
    assert reveal.find_reveal() == place
    assert (place / "reveal.js").read_bytes() == b"// js"
    assert (place / "LICENSE").read_bytes() == b"MIT"


def test_an_installed_course_keeps_it_in_the_cache(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "checkout", lambda: None)
    assert reveal.fetch_reveal(mirror=str(mirror))
    assert reveal.find_reveal() == tmp_path / "cache" / "reveal.js"


def test_another_version_is_fetched_anew(mirror: Path) -> None:
    reveal.fetch_reveal(mirror=str(mirror))
    (reveal.find_reveal() / "VERSION").write_text("5.0.0")
    assert reveal.fetch_reveal(mirror=str(mirror))


def line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.run(["fetch", "reveal.js", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("resnet-edu: ").rstrip("\n")


def test_without_it_the_command_that_gets_it_is_named(mirror: Path) -> None:
    with pytest.raises(ValueError, match=r"not on this machine\. While online, run: resnet-edu fetch reveal\.js$"):
        reveal.find_reveal()


def test_no_npm(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert line(capsys).startswith("reveal.js is fetched with npm, and there is no npm here. Install Node.js")


def test_another_package(mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mirror / PACKAGE).write_bytes(b"<html>log in</html>")
    assert "is another file than expected (19 bytes" in line(capsys, "--mirror", str(mirror))
    assert not (tmp_path / "home" / "assets" / "reveal.js" / "reveal.js").exists()


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for npm is a shell script")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f'cp "$PACKED/{PACKAGE}" "$4"', ""),
        (
            "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network offline' >&2; exit 1",
            "(npm error network offline)",
        ),
        ("exit 1", "(it said nothing)"),
    ],
)
def test_npm_is_asked_and_what_it_says_is_told(
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str,
    told: str,
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{body}\n")
    npm.chmod(0o755)
    assert subprocess.run(["sh", "-n", str(npm)]).returncode == 0
    monkeypatch.setattr(reveal.shutil, "which", lambda *_, **__: str(npm))
    monkeypatch.setenv("PACKED", str(mirror))
    if told:
        assert told in line(capsys)
    else:
        assert reveal.fetch_reveal()
