"""CIFAR-10 and Fashion-MNIST: downloaded whole, read only if undamaged, the same as torchvision reads them."""

import gzip
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rights import folder_of_somebody_else
from served import Served, serving
from tiny_sets import (
    cifar_archive,
    cifar_batch,
    cifar_files,
    cifar_settings,
    fashion_archives,
    fashion_files,
    fashion_settings,
    some_images,
    tar_gz,
)
from torchvision.datasets import CIFAR10, FashionMNIST

from resnet_edu import data
from resnet_edu.data import downloaded, fetch
from resnet_edu.data.downloaded import fetch_downloaded
from resnet_edu.errors import DatasetUnavailable

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["cifar10", "fashion_mnist"]
every_set = pytest.mark.parametrize("name", NAMES)
CIFAR_FILES = {*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch", "batches.meta"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, empty."""
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The home of both sets, tiny ones; torchvision's tables of hashes fit them."""
    archive, archives = cifar_archive(), fashion_archives()
    with serving() as served:
        served.files = {CIFAR10.filename: archive, **archives}
        for attribute, value in cifar_settings(served.url, archive, cifar_files()).items():
            monkeypatch.setattr(CIFAR10, attribute, value)
        for attribute, value in fashion_settings(served.url, archives).items():
            monkeypatch.setattr(FashionMNIST, attribute, value)
        yield served


def files_in(folder: Path) -> set[str]:
    """The names of all files below a folder, without the locks."""
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


# Oracle: torchvision


@every_set
def test_torchvision_finds_what_was_fetched(server: Served, folder: Path, name: str) -> None:
    assert fetch_downloaded(name, folder)
    loaded = data.load(name)
    theirs = {"cifar10": CIFAR10, "fashion_mnist": FashionMNIST}[name](folder, train=False)
    images = torch.from_numpy(np.stack([np.asarray(image) for image, _ in theirs]))
    assert torch.equal(loaded.test.images.permute(0, 2, 3, 1).squeeze(), images)
    assert loaded.test.labels.tolist() == [label for _, label in theirs]
    assert loaded.classes == tuple(theirs.classes)


def test_the_images_are_those_of_the_files(server: Served, folder: Path) -> None:
    fetch_downloaded("cifar10", folder)
    cifar = data.load("cifar10")
    written = np.concatenate([some_images(20, 3, 32, 32, seed=batch)[0] for batch in range(5)])
    read = torch.cat([cifar.train.images, cifar.val.images]).numpy()
    assert sorted(image.tobytes() for image in read) == sorted(image.tobytes() for image in written)
    assert np.array_equal(cifar.test.images.numpy(), some_images(20, 3, 32, 32, seed=5)[0])
    labels = {image.tobytes(): index % 10 for index, image in enumerate(written)}
    assert [labels[image.numpy().tobytes()] for image in cifar.train.images] == cifar.train.labels.tolist()


@every_set
def test_a_cache_that_torchvision_made_is_used_as_it_is(
    server: Served, folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    {"cifar10": CIFAR10, "fashion_mnist": FashionMNIST}[name](folder, download=True)
    before = files_in(folder)
    count = len(server.requests)
    assert len(data.load(name).train) == 90
    assert not fetch_downloaded(name, folder)
    assert len(server.requests) == count
    assert files_in(folder) == before


# What load makes of it


@every_set
def test_val_is_cut_from_train_and_test_stays(server: Served, folder: Path, name: str) -> None:
    fetch_downloaded(name, folder)
    first, again, other = (data.load(name, seed=seed) for seed in (0, 0, 1))
    for loaded in (first, other):
        assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [90, 10, 20]
        assert Counter(loaded.val.labels.tolist()) == dict.fromkeys(range(10), 1)
    assert torch.equal(first.val.images, again.val.images)
    assert not torch.equal(first.val.images, other.val.images)
    assert torch.equal(first.test.images, other.test.images)


@pytest.mark.parametrize(
    ("name", "own", "words"),
    [
        ("cifar10", (3, 32, 32), "CIFAR-10, small photos, from {}; 90 train · 10 val · 20 test, 32×32, colour, seed 0"),
        ("fashion_mnist", (1, 28, 28), "Fashion-MNIST, pictures of clothes, from {}; 90 train · 10 val · 20 test, "),
    ],
)
def test_size_and_channels_are_the_sets_own_unless_asked_for(
    server: Served, folder: Path, name: str, own: tuple[int, ...], words: str
) -> None:
    fetch_downloaded(name, folder)
    assert data.load(name).train.images.shape[1:] == own
    assert words.format(folder) in data.load(name).source
    for channels, size in ((1, 16), (3, 32), (1, 40)):
        loaded = data.load(name, size=size, channels=channels, limit=20)
        assert loaded.train.images.shape == (20, channels, size, size)
        assert loaded.test.images.shape == (20, channels, size, size)
        assert len(loaded.test.mean) == channels
    with pytest.raises(ValueError, match=f"limit must be .* to 90, all training images of {name}, got 91"):
        data.load(name, limit=91)


def test_grey_is_pillows_grey(server: Served, folder: Path) -> None:
    fetch_downloaded("cifar10", folder)
    colour, grey = data.load("cifar10").test, data.load("cifar10", channels=1).test
    for ours, image in zip(grey.images, colour.images, strict=True):
        theirs = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(ours[0].numpy(), theirs)


# Fetching


def test_only_what_is_read_is_kept(server: Served, folder: Path) -> None:
    fetch_downloaded("cifar10", folder)
    fetch_downloaded("fashion_mnist", folder)
    assert files_in(folder / "cifar-10-batches-py") == CIFAR_FILES
    assert files_in(folder / "FashionMNIST") == set(fashion_files())
    assert files_in(folder) == CIFAR_FILES | set(fashion_files())


@every_set
def test_fetching_twice_downloads_once(server: Served, folder: Path, name: str) -> None:
    assert [fetch_downloaded(name, folder) for _ in range(2)] == [True, False]
    assert len(server.requests) == {"cifar10": 1, "fashion_mnist": 4}[name]


@every_set
def test_a_cut_connection_and_a_second_try(
    server: Served, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "time", SimpleNamespace(sleep=lambda _: None))
    server.cuts = [60, 0, 0, 0, 0]
    with pytest.raises(DatasetUnavailable, match="The same command goes on from there"):
        fetch_downloaded(name, folder)
    with pytest.raises(DatasetUnavailable, match=f"While online, run: resnet-edu fetch {name}"):
        data.load(name)
    fetch_downloaded(name, folder)
    assert ("bytes=60-") in [span for _, span in server.requests[5:]]
    assert len(data.load(name).train) == 90


@every_set
def test_a_mirror_is_asked_and_nobody_else(server: Served, folder: Path, name: str) -> None:
    with serving(**server.files) as mirror:
        fetch_downloaded(name, folder, mirror=f"{mirror.url}/sets/")
        assert mirror.requests
    assert server.requests == []
    assert len(data.load(name).test) == 20


@every_set
def test_archives_that_somebody_put_there_are_unpacked_and_kept(server: Served, folder: Path, name: str) -> None:
    raw = folder if name == "cifar10" else folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    archives = [CIFAR10.filename] if name == "cifar10" else list(fashion_archives())
    for archive in archives:
        (raw / archive).write_bytes(server.files[archive])
    assert fetch_downloaded(name, folder)
    assert server.requests == []
    assert set(archives) <= files_in(folder)


@every_set
def test_a_wrong_hash_is_refused(server: Served, folder: Path, name: str) -> None:
    wrong = {"cifar10": CIFAR10.filename, "fashion_mnist": "t10k-images-idx3-ubyte.gz"}[name]
    server.files[wrong] = server.files[wrong][:-1] + b"!"
    with pytest.raises(DatasetUnavailable, match=f"/{wrong} is another file than expected"):
        fetch_downloaded(name, folder)
    assert not files_in(folder) & {wrong, f"{wrong}.part", "data_batch_1", wrong.removesuffix(".gz")}


def test_each_batch_of_an_archive_must_have_its_own_hash(
    server: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = cifar_files() | {"data_batch_3": cifar_batch("other", *some_images(20, 3, 32, 32, seed=9))}
    archive = tar_gz({f"cifar-10-batches-py/{name}": content for name, content in files.items()})
    server.files[CIFAR10.filename] = archive
    monkeypatch.setattr(CIFAR10, "tgz_md5", cifar_settings("", archive, files)["tgz_md5"])
    with pytest.raises(DatasetUnavailable, match="data_batch_3 in the archive is another file than expected"):
        fetch_downloaded("cifar10", folder)
    assert not files_in(folder) & {"data_batch_3", "data_batch_3.part"}


def test_an_archive_cannot_write_beside_the_cache(
    server: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = cifar_files()
    strange = {"../escaped": b"x", "/tmp/escaped": b"x", "cifar-10-batches-py/../../escaped": b"x", "more": b"x"}
    archive = tar_gz(strange | {f"cifar-10-batches-py/{name}": content for name, content in files.items()})
    server.files[CIFAR10.filename] = archive
    monkeypatch.setattr(CIFAR10, "tgz_md5", cifar_settings("", archive, files)["tgz_md5"])
    fetch_downloaded("cifar10", folder)
    assert files_in(folder.parent) == CIFAR_FILES


# Damage


def test_a_damaged_batch_is_not_unpickled(server: Served, folder: Path, tmp_path: Path) -> None:
    fetch_downloaded("cifar10", folder)
    for name in ("data_batch_2", "test_batch", "batches.meta"):
        path = folder / "cifar-10-batches-py" / name
        good = path.read_bytes()
        path.write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % str(tmp_path / "owned").encode())
        with pytest.raises(DatasetUnavailable, match=f"{name} is damaged and was not read.* resnet-edu fetch cifar10"):
            data.load("cifar10")
        path.write_bytes(good)
    assert not (tmp_path / "owned").exists()
    path = folder / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(b"")
    assert fetch_downloaded("cifar10", folder)
    assert len(data.load("cifar10").train) == 90


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\x03\0\0", b"cut", "short", "long", "text"])
def test_a_damaged_idx_file_is_not_read(server: Served, folder: Path, content: bytes | str) -> None:
    fetch_downloaded("fashion_mnist", folder)
    path = folder / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    good = path.read_bytes()
    made = {"short": good[:-1], "long": good + b"\0", "text": b"<html>" + good}
    path.write_bytes(content if isinstance(content, bytes) else made[content])
    with pytest.raises(DatasetUnavailable, match="train-images-idx3-ubyte is damaged and was not read"):
        data.load("fashion_mnist")
    assert fetch_downloaded("fashion_mnist", folder)
    assert path.read_bytes() == good
    assert len(server.requests) == 5  # only the one file again


def test_a_gz_of_the_right_hash_unpacks_to_what_it_holds(server: Served, folder: Path) -> None:
    fetch_downloaded("fashion_mnist", folder)
    for name, content in fashion_archives().items():
        path = folder / "FashionMNIST" / "raw" / name.removesuffix(".gz")
        assert path.read_bytes() == gzip.decompress(content)


# Nothing there, nothing allowed


@every_set
def test_what_is_not_there_is_said_with_the_command(server: Served, folder: Path, name: str) -> None:
    message = f"{name} is not on this machine: there is no .* While online, run: resnet-edu fetch {name}$"
    with pytest.raises(DatasetUnavailable, match=message):
        data.load(name)
    assert server.requests == []
    assert not folder.exists()


@every_set
def test_load_downloads_where_it_is_allowed(
    server: Served, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_EDU_DOWNLOAD", "1")
    assert len(data.load(name).train) == 90
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD")
    assert len(data.load(name).train) == 90


@every_set
def test_a_read_only_cache(server: Served, name: str) -> None:
    with (
        folder_of_somebody_else() as folder,
        pytest.raises(DatasetUnavailable, match=f"{name} cannot be stored: Permission denied .* with --to"),
    ):
        fetch_downloaded(name, folder)
    assert server.requests == []


def test_a_cache_that_may_not_even_be_read(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with folder_of_somebody_else(mode=0) as folder:
        monkeypatch.setenv("RESNET_EDU_DATA", str(folder))
        with pytest.raises(DatasetUnavailable, match=r"cifar10 cannot be read: Permission denied"):
            data.load("cifar10")


@every_set
def test_a_read_only_cache_that_has_everything_will_do(
    server: Served, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_downloaded(name, folder)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a lock is written")

    monkeypatch.setattr(downloaded, "locked", refuse)
    assert not fetch_downloaded(name, folder)
    assert len(data.load(name).train) == 90


def test_a_file_where_the_folder_should_be(server: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetUnavailable, match="cannot be stored: Not a directory"):
        fetch_downloaded("cifar10", tmp_path / "file" / "cache")


# Several at once


@every_set
def test_four_at_once_download_once(server: Served, folder: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    server.piece, server.pause = 50_000, 0.05
    fetched: list[bool] = []
    threads = [threading.Thread(target=lambda: fetched.append(fetch_downloaded(name, folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == [False, False, False, True]
    assert len(server.requests) == {"cifar10": 1, "fashion_mnist": 4}[name]
    assert caplog.messages == [f"Another process is fetching {name}: waiting for it."] * 3
    assert len(data.load(name).train) == 90


PROGRAM = """
import sys
sys.path.insert(0, "tests")
from tiny_sets import cifar_archive, cifar_files, cifar_settings
from torchvision.datasets import CIFAR10
for attribute, value in cifar_settings(sys.argv[1], cifar_archive(), cifar_files()).items():
    setattr(CIFAR10, attribute, value)
from resnet_edu.tools import cli
print("ready", flush=True)
sys.stdin.readline()
sys.exit(cli.run(["fetch", "cifar10", "--to", sys.argv[2]]))
"""


def start(server: Served, folder: Path, *before: str) -> subprocess.Popen[str]:
    """`resnet-edu fetch cifar10 --to FOLDER` in a process of its own, which waits for a line before it begins."""
    pipe = subprocess.PIPE
    command = [*before, sys.executable, "-c", PROGRAM, server.url, str(folder)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


@pytest.mark.slow
def test_two_processes_at_once(server: Served, folder: Path) -> None:
    server.piece, server.pause = 50_000, 0.2
    both = [start(server, folder) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    results = []
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        results.append(out.split("\n")[0])
    assert sorted(results) == [f"cifar10: already in {folder}", f"cifar10: now in {folder}"]
    assert server.requests == [(CIFAR10.filename, None)]
    assert len(data.load("cifar10").train) == 90


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_in_the_way(server: Served, folder: Path) -> None:
    server.piece, server.pause = 50_000, 0.2
    process = start(server, folder)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    part = folder / f"{CIFAR10.filename}.part"
    while not part.exists() or part.stat().st_size < 100_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    server.pause = 0
    assert fetch_downloaded("cifar10", folder)
    assert int((server.requests[-1][1] or "bytes=0-")[6:-1]) >= 100_000
    assert len(data.load("cifar10").train) == 90


def can_mount() -> bool:
    try:
        return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="needs Linux with user namespaces, for a small disk of its own")
@pytest.mark.parametrize("size", [100, 700])  # kB: too small for the archive, for the archive and its files
def test_a_full_disk(server: Served, tmp_path: Path, size: int) -> None:
    script = f'mount -t tmpfs -o size={size}k small {tmp_path} && "$@"; code=$?; ls -A {tmp_path}; exit $code'
    process = start(server, tmp_path, "unshare", "-rm", "sh", "-c", script, "sh")
    out, err = process.communicate("\n", timeout=200)
    assert process.returncode == 2
    assert err.startswith("resnet-edu: cifar10 cannot be stored: No space left on device")
    assert err.count("\n") == 1
    assert ".part" not in out


def test_the_real_tables_are_torchvisions() -> None:
    assert set(downloaded.cifar10_files()) == CIFAR_FILES
    assert downloaded.cifar10_files()["data_batch_1"] == "c99cafc152244af753f735de768cd75f"
    assert {path.name for path in downloaded.fashion_mnist_files(Path())} == set(fashion_files())
