"""`resnet-edu fetch`: what it gets, what it says, and one line for whatever goes wrong."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rights import folder_of_somebody_else
from served import Served, serving
from tiny_sets import publish

from resnet_edu import data, files
from resnet_edu.models.pretrained import imagenet_weights
from resnet_edu.tools import cli, fetch

WEIGHTS = b"weights" * 1000
FILE = f"resnet18-{hashlib.sha256(WEIGHTS).hexdigest()[:8]}.pth"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The home of tiny data sets and of some weights; both caches are empty."""
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "sets"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving(**{FILE: WEIGHTS}) as served:
        publish(served, monkeypatch)
        monkeypatch.setattr(imagenet_weights("resnet18").value, "url", f"{served.url}/{FILE}")
        yield served


def test_sets_and_weights_each_go_to_their_cache(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "torch" / "hub" / "checkpoints" / FILE
    for state, terms in (("now", "  Terms: MIT licence, Zalando SE\n"), ("already", "")):
        assert cli.run(["fetch", "fashion_mnist", "resnet18"]) == 0
        out, err = capsys.readouterr()
        assert out == f"fashion_mnist: {state} in {tmp_path / 'sets'}\n{terms}resnet18: {state} in {file}\n"
        assert err == ""
    assert file.read_bytes() == WEIGHTS
    assert len(data.load("fashion_mnist").test) == 20
    assert len(server.requests) == 5


def test_to_another_folder_it_says_how_to_use_it(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stick = tmp_path / "a stick"
    assert cli.run(["fetch", "clothing", "resnet18", "--to", "a stick"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"To use them there, set RESNET_EDU_DATA={stick} and TORCH_HOME={stick}."
    monkeypatch.setenv("RESNET_EDU_DATA", str(stick))
    assert len(data.load("clothing").test) == 6
    assert (stick / "hub" / "checkpoints" / FILE).is_file()
    assert not (tmp_path / "sets").exists()


def line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that fails says: one line on stderr, exit code 2. (What can go wrong: test_data_download.)"""
    assert cli.run(["fetch", "resnet18", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:12], err.count("\n"), err[-1]) == ("", "resnet-edu: ", 1, "\n")
    return err[12:-1]


def test_what_cannot_be_stored_or_had(server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be reached (Connection refused)" in line(capsys, "--mirror", "http://127.0.0.1:9")
    assert cli.run(["fetch", "resnet18"]) == 0  # imports what nobody may not
    capsys.readouterr()
    with folder_of_somebody_else() as folder:
        assert "resnet18" in (said := line(capsys, "--to", str(folder)))
        assert "cannot be stored: Permission denied (" in said


def test_reveal_js_goes_where_export_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in fetch.REVEAL_FILES:
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    digest = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    monkeypatch.setattr(fetch, "REVEAL_PACKAGE", replace(fetch.REVEAL_PACKAGE, digest=digest))
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "home")
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    place, package = tmp_path / "home" / "assets" / "reveal.js", tmp_path / fetch.REVEAL_PACKAGE.name
    package.write_bytes(b"<html>log in</html>")
    assert cli.run(["fetch", "reveal.js", "--mirror", str(tmp_path)]) == 2
    assert "is another file than expected" in capsys.readouterr().err
    assert not place.exists()
    with pytest.raises(ValueError, match=r"not here\. While online, run: resnet-edu fetch reveal\.js$"):
        fetch.find_reveal()
    package.write_bytes(buffer.getvalue())
    for state in ("now", "already"):
        assert cli.run(["fetch", "reveal.js", "--mirror", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"reveal.js: {state} in {place}\n"
    assert fetch.find_reveal() == place
    assert (place / "reveal.js").read_bytes() == b"dist/reveal.js"
    (place / "VERSION").write_text("5.0.0")
    assert fetch.fetch_reveal(mirror=str(tmp_path)) == (place, True), "another version is fetched anew"
    monkeypatch.setattr(files, "checkout", lambda: None)  # an installed course keeps it in the cache
    assert fetch.fetch_reveal(mirror=str(tmp_path))[0] == tmp_path / "cache" / "reveal.js"
