"""What holds for every test: no network beyond this machine, no windows, the same random numbers, own files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
import torch
from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib
torch.set_num_threads(1)  # tiny tensors gain nothing from more, and a busy machine loses much

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how fast a machine is at the moment says nothing about the code


@pytest.fixture(autouse=True)
def offline() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random tensors at every run of a test."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_progress(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A progress file that no other test sees, and a cache beside it; the file's path."""
    path = tmp_path_factory.mktemp("progress") / "progress.json"
    monkeypatch.setenv("RESNET_EDU_PROGRESS", str(path))
    monkeypatch.setenv("RESNET_EDU_DATA", str(path.parent / "cache"))
    return path
