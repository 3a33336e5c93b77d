"""Files from the internet: by name, from several sources, checked, and there whole or not at all.

torch.hub does the downloading: it is there already, and reads a folder's files as it reads a server's. What helps
against a slow or dead server is a second one, so a `File` names as many as there are.
"""

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from torch.hub import download_url_to_file

from .. import machine
from ..errors import DatasetUnavailable
from ..files import hash_of, is_there, locked

SILENCE = 30.0  # seconds without a byte after which a source is given up; torch.hub itself would wait for ever
NETWORK = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)  # not the disk's errors


@dataclass(frozen=True)
class File:
    """A file on the internet."""

    name: str  # in the cache
    urls: tuple[str, ...]  # the next one is asked if one fails
    digest: str | None  # the beginning of "md5:…" or "sha256:…"; None for what is packed anew at each request


def files_from(*bases: str, digests: Mapping[str, str]) -> tuple[File, ...]:
    """Files that lie under the same names on several servers."""
    return tuple(File(name, tuple(base + name for base in bases), digest) for name, digest in digests.items())


def fetch_file(file: File, folder: Path, *, mirror: str | None = None) -> bool:
    """Get a file into a folder, unless it is there already; whether it had to be downloaded.

    A mirror is the http(s) address of a folder, or the path of one on this machine, that holds a file of this name.
    """
    path, urls = folder / file.name, mirrored(file, mirror)
    if is_there(path, file.digest):
        return False
    with locked(folder, file.name):
        if is_there(path, file.digest):  # another process was faster
            return False
        faults = []
        for url in urls:
            fault = attempt(url, path, file.digest)
            if fault is None:
                return True
            faults.append(f"{url} {fault}")
    raise DatasetUnavailable(
        f"{file.name} cannot be had: {'; '.join(faults)}. Are you online? Another server or a folder can be named "
        "with: resnet-edu fetch --mirror"
    )


def mirrored(file: File, mirror: str | None) -> tuple[str, ...]:
    """The addresses to ask: the file's own, or the one on a mirror."""
    if mirror is None:
        return file.urls
    if urlsplit(mirror).scheme in ("http", "https"):
        return (f"{mirror.rstrip('/')}/{file.name}",)
    if mirror and os.path.isdir(folder := os.path.expanduser(mirror)):
        return ((Path(folder).absolute() / file.name).as_uri(),)
    raise ValueError(f"mirror must begin with http:// or https://, or be a folder that exists, got {mirror!r}.")


def attempt(url: str, path: Path, digest: str | None) -> str | None:
    """Download from one address; None if that worked, or else what went wrong."""
    part = path.with_name(f"{path.name}.part")
    for left in path.parent.glob(f"{part.name}*"):  # by a process that was killed
        left.unlink()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        download_url_to_file(url, str(part), progress=machine.show_progress())
    except HTTPError as error:
        error.close()
        return f"answers {error.code} {error.reason}"
    except NETWORK as error:
        reason = getattr(error, "reason", error)
        return f"cannot be reached ({getattr(reason, 'strerror', None) or reason})"
    finally:
        socket.setdefaulttimeout(before)
    if digest is not None and not is_there(part, digest):
        found = f"{part.stat().st_size:,} bytes, {hash_of(part, digest)[: len(digest)]}"
        part.unlink()
        return f"is another file than expected ({found}, not {digest}): it was cut, or a login page answered"
    os.replace(part, path)
    return None
