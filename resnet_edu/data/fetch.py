"""Downloads that survive a bad network: a file arrives whole, with the right hash, or not at all.

pooch, torch.hub and torchvision check hashes too, but start from nothing when a connection is cut. At 50 kB/s, the
pace of CIFAR-10's home server, 170 MB take an hour: here the next attempt goes on where the last one stopped.
"""

import errno
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from .. import machine
from ..errors import DatasetUnavailable
from ..files import copy, has_digest, hash_of, require_room, size_of

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before a new attempt, as often as none of them brings anything
TIMEOUT = 30.0  # seconds without a single byte
BUSY = (408, 425, 429)  # HTTP says "not now", as it does with every status from 500
CUT = (HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
LOST = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENETRESET)  # the network is
ELSEWHERE = "`resnet-edu fetch` takes another server or a folder with --mirror."


def mirrored(url: str, mirror: str | None) -> str:
    """The address of a file on a mirror: the mirror's own address and the file's name.

    Args:
        url: the file's address on its home server.
        mirror: http(s) address of a folder, or the path of one on this machine; `None` for the home server.

    Raises:
        ValueError: the mirror is neither.
    """
    if mirror is None:
        return url
    if urlsplit(mirror).scheme in ("http", "https"):
        base = mirror
    elif mirror and os.path.isdir(folder := os.path.expanduser(mirror)):
        base = Path(folder).absolute().as_uri()
    else:
        raise ValueError(f"mirror must begin with http:// or https://, or be a folder that exists, got {mirror!r}.")
    return f"{base.rstrip('/')}/{url.rpartition('/')[2]}"


def download(url: str, path: Path, *, digest: str) -> None:
    """Get a file into the cache, unless it is there already.

    What has arrived is kept in `path` + ".part" until it is whole and has the right hash; then it is moved to `path`
    in one step. The caller holds the lock of the cache, see `locked`.

    Args:
        url: http, https or file address.
        path: where the file goes.
        digest: "md5:…" or "sha256:…", in hexadecimal; the first few digits are enough.

    Raises:
        DatasetUnavailable: no network, no such file there, another file than expected.
        OSError: the disk is full, or the folder cannot be written.
    """
    if has_digest(path, digest):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    if not has_digest(part, digest):
        receive(url, part)
    if resumed and not has_digest(part, digest):  # the first half of another file
        part.unlink()
        receive(url, part)
    if not has_digest(part, digest):
        found = f"{part.stat().st_size:,} bytes, {hash_of(part, digest)[: len(digest)]}"
        part.unlink()
        raise DatasetUnavailable(
            f"{url} is another file than expected ({found}, not {digest}); nothing was kept. "
            f"A login page or a proxy may have answered. {ELSEWHERE}"
        )
    os.replace(part, path)


def receive(url: str, part: Path) -> None:
    """Append what is missing to `part`, with new attempts after a cut or while the server is busy.

    Raises:
        DatasetUnavailable: the server cannot be reached, has no such file, or failed too often.
    """
    waits, reached = iter(WAITS), False
    while True:
        before = size_of(part)
        try:
            receive_once(url, part)
            return
        except HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in BUSY:
                raise DatasetUnavailable(f"{url} answers {error.code} {error.reason}. {ELSEWHERE}") from error
            reason, reached = f"{error.code} {error.reason}", True
        except URLError as error:  # no connection
            reason = getattr(error.reason, "strerror", None) or str(error.reason)
            if not reached:
                raise DatasetUnavailable(f"{url} cannot be reached ({reason}). Are you online? {ELSEWHERE}") from error
        except InvalidURL as error:
            raise DatasetUnavailable(f"{url} is no address ({error}). {ELSEWHERE}") from error
        except (HTTPException, OSError) as error:
            if not isinstance(error, CUT) and error.errno not in LOST:  # the disk
                raise
            reason, reached = str(error) or type(error).__name__, True
        if size_of(part) > before:
            waits = iter(WAITS)
        wait = next(waits, None)
        if wait is None:
            raise DatasetUnavailable(
                f"{url} stopped at {size_of(part) / 1e6:.1f} MB, and {len(WAITS)} more attempts brought nothing "
                f"({reason}). The same command goes on from there."
            )
        time.sleep(wait)


def receive_once(url: str, part: Path) -> None:
    """One request: from the end of `part` on, or from the beginning where the server cannot do that.

    Raises:
        HTTPException: the connection ended early.
        OSError: no connection, a broken one, or no room on the disk.
    """
    start = size_of(part)
    headers = {"User-Agent": "resnet-edu"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and start:  # `part` is not the beginning of this file
            part.unlink()
            error.close()
            return receive_once(url, part)
        raise
    with response:
        if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        require_room(part, (total or 0) - start)
        with open(part, "ab" if start else "wb") as file, bar(part, start=start, total=total) as advance:
            copy(response.read1, file, advance)
    if total is not None and size_of(part) < total:
        raise HTTPException("the connection was cut")
    return None


@contextmanager
def bar(part: Path, *, start: int, total: int | None) -> Iterator[Callable[[int], object]]:
    """A progress bar where somebody looks; yields what advances it by some bytes."""
    from tqdm.auto import tqdm  # imported here: it looks for a notebook, and loads the widgets in one

    name, hidden = part.name.removesuffix(".part"), not machine.show_progress()
    with tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=hidden) as shown:
        yield shown.update
