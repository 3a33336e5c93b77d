"""Folders that one may read and not write, also for root, who may do everything."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def folder_of_somebody_else(*, mode: int = 0o555) -> Iterator[Path]:
    """A new, empty folder with these rights; root becomes nobody meanwhile."""
    if os.name != "posix":
        pytest.skip("Windows has other rights")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cache"
        folder.mkdir()
        folder.parent.chmod(0o755)
        folder.chmod(mode)
        with_rights = os.geteuid()
        if with_rights == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(with_rights)
            folder.chmod(0o755)
