"""Whatever the network does, a file arrives as it was sent, or not at all."""

import errno
import hashlib
import io
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO
from urllib.request import urlopen

import pytest
from hypothesis import given, settings, strategies as st
from served import Served, serving

from resnet_edu import files, machine
from resnet_edu.data import fetch
from resnet_edu.data.fetch import download, mirrored
from resnet_edu.errors import DatasetUnavailable

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server() -> Iterator[Served]:
    with serving(weights=CONTENT) as served:
        yield served


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which are skipped."""
    asked: list[float] = []
    monkeypatch.setattr(fetch, "time", SimpleNamespace(sleep=asked.append))
    return asked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes: into a folder that does not exist yet."""
    return tmp_path / "new" / "weights"


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


# Oracle: the file, as the standard library gets it


def test_a_file_arrives_as_it_is(server: Served, path: Path) -> None:
    with urlopen(f"{server.url}/weights") as response:
        theirs = response.read()
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == theirs == CONTENT
    assert names_in(path.parent) == {"weights"}


@pytest.mark.parametrize("digest", [SHA256[:15], f"md5:{hashlib.md5(CONTENT).hexdigest()}"])
def test_the_beginning_of_a_hash_will_do_and_so_will_md5(server: Served, path: Path, digest: str) -> None:
    download(f"{server.url}/weights", path, digest=digest)
    assert path.read_bytes() == CONTENT


def test_what_is_there_is_not_fetched_again(server: Served, path: Path) -> None:
    for _ in range(2):
        download(f"{server.url}/weights", path, digest=SHA256)
    assert len(server.requests) == 1
    path.write_bytes(b"damaged")
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT


@settings(max_examples=30, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=2000),
    begun=st.binary(max_size=2500) | st.integers(0, 2000),
    cuts=st.lists(st.integers(0, 1500), max_size=4),
    ranges=st.booleans(),
    reset=st.booleans(),
)
def test_any_cuts_and_any_beginning_end_in_the_same_file(
    content: bytes, begun: bytes | int, cuts: list[int], ranges: bool, reset: bool
) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(weights=content) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        patch.setattr(fetch, "time", SimpleNamespace(sleep=lambda _: None))
        served.cuts, served.ranges, served.reset = list(cuts), ranges, reset
        path = Path(folder) / "weights"
        path.with_name("weights.part").write_bytes(content[:begun] if isinstance(begun, int) else begun)
        download(f"{served.url}/weights", path, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
        assert path.read_bytes() == content
        assert names_in(Path(folder)) == {"weights"}


# Cut connections


@pytest.mark.parametrize("reset", [False, True])
def test_after_a_cut_it_goes_on_where_it_stopped(server: Served, path: Path, waits: list[float], reset: bool) -> None:
    server.cuts, server.reset = [100_000, 50_000], reset
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    starts = [int((span or "bytes=0-")[6:-1]) for _, span in server.requests]
    assert len(starts) == 3
    assert starts == sorted(starts)
    assert reset or starts == [0, 100_000, 150_000]  # a reset may swallow what was on its way


def test_a_server_that_cannot_resume_is_asked_for_everything(server: Served, path: Path, waits: list[float]) -> None:
    server.cuts, server.ranges = [100_000], False
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("weights", None), ("weights", "bytes=100000-")]


def test_a_server_that_does_not_say_how_long_the_file_is(server: Served, path: Path) -> None:
    server.lengths = False
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_redirection_keeps_the_place(server: Served, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("weights.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/moved/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("weights", "bytes=1000-")] * 2


def test_what_was_whole_but_not_moved_needs_no_network(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("weights.part").write_bytes(CONTENT)
    download("http://127.0.0.1:9/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("begun", [b"x" * 1000, b"x" * 300_000, CONTENT + b"more"])
def test_the_beginning_of_another_file_is_thrown_away(server: Served, path: Path, begun: bytes) -> None:
    path.parent.mkdir()
    path.with_name("weights.part").write_bytes(begun)
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT


def test_it_gives_up_after_four_more_attempts_and_keeps_what_it_has(
    server: Served, path: Path, waits: list[float]
) -> None:
    server.cuts = [100_000, 0, 0, 0, 0]
    with pytest.raises(DatasetUnavailable, match=r"stopped at 0\.1 MB, and 4 more .* The same command goes on"):
        download(f"{server.url}/weights", path, digest=SHA256)
    assert waits == [1, 2, 4, 8]
    assert names_in(path.parent) == {"weights.part"}
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == ("weights", "bytes=100000-")


def test_an_attempt_that_brought_something_does_not_count(server: Served, path: Path, waits: list[float]) -> None:
    server.cuts = [0, 0, 1000, 0, 0, 1000, 0, 0, 1000]
    download(f"{server.url}/weights", path, digest=SHA256)
    assert waits == [1, 2, 1, 2, 4, 1, 2, 4, 1]


# Busy, slow, silent, absent


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Served, path: Path, waits: list[float], status: int) -> None:
    server.statuses = [status] * 3
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    assert waits == [1, 2, 4]
    server.statuses = [status] * 9
    with pytest.raises(DatasetUnavailable, match=str(status)):
        download(f"{server.url}/weights", path.with_name("other"), digest=SHA256)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416])
def test_a_refusal_is_final(server: Served, path: Path, waits: list[float], status: int) -> None:
    server.statuses = [status]
    with pytest.raises(DatasetUnavailable, match=f"/weights answers {status} .* another server .* --mirror"):
        download(f"{server.url}/weights", path, digest=SHA256)
    assert len(server.requests) == 1
    assert waits == []
    assert names_in(path.parent) == set()


@pytest.mark.parametrize("name", ["EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET"])
def test_a_network_that_goes_away_is_waited_for(
    server: Served, path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code = getattr(errno, name)
    pieces = [1000, 0, 500]  # bytes that arrive before it is gone, at the first attempts

    def copy(read: Callable[[int], bytes], file: BinaryIO, advance: Callable[[int], object]) -> None:
        left = [pieces.pop(0)] if pieces else None

        def lost(size: int) -> bytes:
            if left is None:
                return read(size)
            if left and (begun := left.pop()):
                return read(begun)
            raise OSError(code, os.strerror(code))

        files.copy(lost, file, advance)

    monkeypatch.setattr(fetch, "copy", copy)
    download(f"{server.url}/weights", path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    assert waits == [1, 2, 1]
    assert [span for _, span in server.requests] == [None, "bytes=1000-", "bytes=1000-", "bytes=1500-"]
    pieces += [2000, 0, 0, 0, 0]
    with pytest.raises(
        DatasetUnavailable, match=rf"stopped at 0\.0 MB, and 4 more .*{os.strerror(code)}.* goes on from"
    ):
        download(f"{server.url}/weights", path.with_name("other"), digest=SHA256)
    assert names_in(path.parent) == {"weights", "other.part"}


def test_a_slow_server_is_waited_for(server: Served, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 0.5)
    server.piece, server.pause = 20_000, 0.05  # 0.75 s in all: longer than the patience for one byte
    started = time.monotonic()
    download(f"{server.url}/weights", path, digest=SHA256)
    assert time.monotonic() - started > 0.7
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_silent_server_is_given_up(
    server: Served, path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 0.05)
    server.stall = 0.5
    with pytest.raises(DatasetUnavailable, match=r"stopped at 0\.0 MB, .* \(timed out\)"):
        download(f"{server.url}/weights", path, digest=SHA256)
    assert waits == [1, 2, 4, 8]


def test_without_a_network_it_says_so_at_once(path: Path, waits: list[float]) -> None:
    with pytest.raises(DatasetUnavailable, match=r"cannot be reached \(Connection refused\)\. Are you online\?"):
        download("http://127.0.0.1:9/weights", path, digest=SHA256)
    assert waits == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/weights", "http://127.0.0.1/a b", "http:///weights"])
def test_what_is_no_address_is_not_tried_again(path: Path, waits: list[float], url: str) -> None:
    with pytest.raises(DatasetUnavailable, match=r"is no address|cannot be reached"):
        download(url, path, digest=SHA256)
    assert waits == []


# Another file, a full disk


def test_another_file_is_not_kept(server: Served, path: Path) -> None:
    server.files["weights"] = b"<html>Please log in</html>"
    with pytest.raises(DatasetUnavailable) as caught:
        download(f"{server.url}/weights", path, digest=SHA256[:15])
    found = hashlib.sha256(server.files["weights"]).hexdigest()[:8]
    assert f"(26 bytes, sha256:{found}, not {SHA256[:15]}); nothing was kept. A login page" in str(caught.value)
    assert names_in(path.parent) == set()


def test_a_file_that_will_not_fit_is_refused_before_it_begins(
    server: Served, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 200_000})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"No space left .* 0\.3 MB are needed and 0\.2 MB are free") as caught:
        download(f"{server.url}/weights", path, digest=SHA256)
    assert caught.value.errno == errno.ENOSPC
    assert names_in(path.parent) == set()


def test_a_disk_that_fills_up_meanwhile_is_left_empty(
    server: Served, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetch, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space left on device"):
        download(f"{server.url}/weights", path, digest=SHA256)
    assert names_in(path.parent) == set()
    assert len(server.requests) == 1


# Mirrors and progress


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        (None, "https://home.example/a/file.gz"),
        ("https://mirror.example/b", "https://mirror.example/b/file.gz"),
        ("http://mirror.example/b/", "http://mirror.example/b/file.gz"),
    ],
)
def test_a_mirror_replaces_all_but_the_name(mirror: str | None, expected: str) -> None:
    assert mirrored("https://home.example/a/file.gz", mirror) == expected


def test_a_folder_is_a_mirror_too(tmp_path: Path, path: Path) -> None:
    (tmp_path / "a stick").mkdir()
    (tmp_path / "a stick" / "weights").write_bytes(CONTENT)
    download(mirrored("https://home.example/weights", str(tmp_path / "a stick")), path, digest=SHA256)
    assert path.read_bytes() == CONTENT
    with pytest.raises(DatasetUnavailable, match="absent cannot be reached"):
        download(mirrored("https://home.example/absent", str(tmp_path)), path.with_name("absent"), digest=SHA256)


@pytest.mark.parametrize(
    "mirror", ["ftp://mirror.example", "mirror.example", "", "/no/such/folder", "~nobody-of-this-name", "file:///etc"]
)
def test_what_is_no_mirror_is_refused(mirror: str) -> None:
    with pytest.raises(ValueError, match=f"or be a folder that exists, got '{mirror}'"):
        mirrored("https://home.example/a/file.gz", mirror)


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_shown_where_somebody_looks(
    server: Served, path: Path, watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "show_progress", lambda: watched)
    download(f"{server.url}/weights", path, digest=SHA256)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("weights: 100%" in err, "300k/300k" in err) == (watched, watched)
    assert watched or err == ""
