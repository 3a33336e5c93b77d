"""A file is there whole or not at all, and has one writer at a time; names are printed on one line."""

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from resnet_edu import files
from resnet_edu.errors import DatasetUnavailable
from resnet_edu.files import data_folder, hash_of, is_there, locked, printable, tilde, write_atomically

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, steps = tmp_path / "new" / "file", []
    for name in ("fsync", "replace"):
        whole = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, whole=whole: (steps.append(name), whole(*given)))
    write_atomically(target, b"content")
    assert target.read_bytes() == b"content"
    assert (steps, target.stat().st_mode & 0o777) == (["fsync", "replace", "fsync"], 0o644)  # the file, the folder


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_names_it(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FULL

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match=r"No space left on device: '.*file'"):
        write_atomically(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_hashes_are_hashlibs(tmp_path: Path) -> None:
    path, content = tmp_path / "file", b"content" * 100_000
    path.write_bytes(content)
    for algorithm in ("md5", "sha256"):
        expected = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        assert hash_of(path, f"{algorithm}:") == expected
        assert is_there(path, expected[:14])
        assert not is_there(path, expected[:-1] + ("1" if expected[-1] == "0" else "0"))
        assert not is_there(tmp_path / "absent", expected)


def test_one_writer_at_a_time_for_each_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inside, most = [0], [0]

    def write() -> None:
        with locked(tmp_path, "set"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.02)
            inside[0] -= 1

    with locked(tmp_path, "other"):  # sets do not wait for each other
        threads = [threading.Thread(target=write) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1]
    assert {*caplog.messages} <= {"Another process is fetching set: waiting for it."}


def test_the_lock_is_free_again_after_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), locked(tmp_path, "set"):
        raise KeyError
    message = r"^set cannot be stored: No space left on device \(/disk/file\)\. Make room"
    with pytest.raises(DatasetUnavailable, match=message), locked(tmp_path, "set"):
        raise OSError(*FULL.args, "/disk/file")
    with locked(tmp_path, "set"):
        pass
    assert caplog.messages == []


def test_the_data_folder_is_named_by_the_environment_or_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_EDU_DATA", "~/sets")
    assert data_folder() == Path.home() / "sets"
    assert (tilde(data_folder() / "x"), tilde(Path("/srv/sets"))) == ("~/sets/x", "/srv/sets")
    monkeypatch.delenv("RESNET_EDU_DATA")
    assert data_folder() == files.platformdirs.user_cache_path("resnet-edu")

    def nowhere(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(files.platformdirs, "user_cache_path", nowhere)
    with pytest.raises(DatasetUnavailable, match="no home folder to keep data in: set RESNET_EDU_DATA to a folder"):
        data_folder()
    assert tilde(Path("/srv/x")) == "/srv/x"


def test_names_are_printed_on_one_line() -> None:
    assert printable("고양이 🐈 café.jpg") == "고양이 🐈 café.jpg"
    assert printable("a\nb\r\x1b[2J\u202e\u2028") == r"a\nb\r\x1b[2J\u202e\u2028"
    assert printable("caf\udce9") == "caf\udce9"  # no UTF-8: escaped where it is written
    assert tilde(Path("/srv/two\nlines")) == r"/srv/two\nlines"
