"""Files from the internet: whole, with the right hash, from the first source that has them; or one clear line."""

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rights import folder_of_somebody_else
from served import Served, serving

from resnet_edu import machine
from resnet_edu.data import download
from resnet_edu.data.download import File, fetch_file
from resnet_edu.errors import DatasetUnavailable

CONTENT = bytes(range(256)) * 1000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def server() -> Iterator[Served]:
    with serving(weights=CONTENT) as served:
        yield served


def weights(server: Served, digest: str | None = SHA256) -> File:
    return File("weights", (f"{server.url}/weights",), digest)


def names_in(folder: Path) -> set[str]:
    """Names of the files in a folder, without the lock."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.exists() else set()


@pytest.mark.parametrize("digest", [SHA256, SHA256[:15], MD5, None])
def test_a_file_arrives_whole_and_once(server: Served, tmp_path: Path, digest: str | None) -> None:
    file = weights(server, digest)
    assert [fetch_file(file, tmp_path / "new") for _ in range(2)] == [True, False]
    assert (tmp_path / "new" / "weights").read_bytes() == CONTENT
    assert names_in(tmp_path / "new") == {"weights"}
    assert server.requests == ["weights"]


def test_a_damaged_file_is_fetched_anew(server: Served, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT[:-1])
    assert fetch_file(weights(server), tmp_path)
    assert (tmp_path / "weights").read_bytes() == CONTENT


def test_the_next_source_is_asked_when_one_fails(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.1)
    with serving(weights=CONTENT[:-1]) as other, serving(weights=CONTENT) as slow, serving(weights=CONTENT) as cut:
        slow.pause, cut.cut = 0.5, 1000
        sources = [f"{each.url}/weights" for each in (other, slow, cut, server)]
        file = File("weights", ("http://127.0.0.1:9/weights", f"{server.url}/gone", *sources), SHA256)
        assert fetch_file(file, tmp_path)
        server.files.clear()
        with pytest.raises(DatasetUnavailable) as caught:
            fetch_file(file, tmp_path / "again")
    assert socket.getdefaulttimeout() is None  # the time limit ended with the download
    assert names_in(tmp_path) == {"weights", "again"}
    assert names_in(tmp_path / "again") == set()
    said = str(caught.value)
    for reason in ("cannot be reached (Connection refused)", "answers 404 Not Found", "cannot be reached (timed out)"):
        assert reason in said
    found = hashlib.sha256(CONTENT[:-1]).hexdigest()
    assert f"is another file than expected ({len(CONTENT) - 1:,} bytes, sha256:{found}, not {SHA256})" in said
    assert said.endswith("Are you online? Another server or a folder can be named with: resnet-edu fetch --mirror")


@pytest.mark.parametrize("scheme", ["http", "folder"])
def test_a_mirror_is_asked_and_nobody_else(server: Served, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "a stick").mkdir()
    (tmp_path / "a stick" / "weights").write_bytes(CONTENT)
    mirror = f"{server.url}/sets/" if scheme == "http" else str(tmp_path / "a stick")
    assert fetch_file(File("weights", ("http://127.0.0.1:9/weights",), SHA256), tmp_path, mirror=mirror)
    assert (tmp_path / "weights").read_bytes() == CONTENT
    with pytest.raises(DatasetUnavailable, match=r"absent (cannot be reached|answers 404)"):
        fetch_file(File("absent", (), SHA256), tmp_path, mirror=mirror)


@pytest.mark.parametrize(
    "mirror", ["ftp://mirror.example", "", "/no/such/folder", "~nobody-of-this-name", "file:///etc"]
)
def test_what_is_no_mirror_is_refused(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"or be a folder that exists, got '{mirror}'"):
        fetch_file(File("weights", (), None), tmp_path, mirror=mirror)


def test_a_full_disk(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/weights.part")

    monkeypatch.setattr(download, "download_url_to_file", full)
    with pytest.raises(DatasetUnavailable, match=r"weights cannot be stored: No space left on device \(/disk/weights"):
        fetch_file(weights(server), tmp_path)


def test_a_folder_that_cannot_be_written(server: Served, tmp_path: Path) -> None:
    with (
        folder_of_somebody_else() as folder,
        pytest.raises(DatasetUnavailable, match=r"Permission denied .* with --to"),
    ):
        fetch_file(weights(server), folder)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetUnavailable, match="cannot be stored: Not a directory"):
        fetch_file(weights(server), tmp_path / "file" / "cache")
    assert server.requests == []


def test_a_read_only_folder_that_has_it_will_do(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(__file__, tmp_path / "weights")
    monkeypatch.setattr(download, "locked", lambda *_: pytest.fail("a lock is written"))
    assert not fetch_file(weights(server, None), tmp_path)


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_one_line_where_somebody_looks(
    server: Served, tmp_path: Path, watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "show_progress", lambda: watched)
    fetch_file(weights(server), tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("100%" in err) == watched
    assert watched or err == ""
