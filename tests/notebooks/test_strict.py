"""What watches every kernel of a test run: notebooks/strict/sitecustomize.py, in a plain Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, attempts: Path) -> tuple[subprocess.CompletedProcess[str], list[dict[str, str]]]:
    """What a Python that is watched did, and what was written down."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "notebooks" / "strict"), "RESNET_EDU_ATTEMPTS": str(attempts)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    return done, [json.loads(line) for line in attempts.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.socket().connect(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80, 0, 0))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 80))",
        "socket.getaddrinfo('example.org', 80)",
        "socket.gethostbyname('example.org')",
        "urllib.request.urlopen('http://192.0.2.1', timeout=1)",
        "socket.create_connection(('127.0.0.1', 9), timeout=1)",
    ],
)
def test_what_leaves_the_machine_is_refused_and_written_down(call: str, tmp_path: Path) -> None:
    done, lines = run(f"import socket, urllib.request\n{call}", tmp_path / "attempts")
    assert done.returncode == 1
    assert "is not on this machine" in done.stderr
    [start, attempt] = lines
    assert start["event"] == "start"
    assert attempt["event"].startswith("socket.")


def test_it_cannot_be_switched_off_from_within(tmp_path: Path) -> None:
    code = (
        "import sitecustomize, socket, multiprocessing, sys\n"
        "sitecustomize.guard = lambda *_: None\n"
        "def call():\n"
        "    try: socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
        "    except OSError: pass\n"
        "call()\n"
    )
    assert [line["event"] for line in run(code, tmp_path / "attempts")[1]] == ["start", "socket.getaddrinfo"]


@pytest.mark.parametrize(
    "call",
    [
        "a = socket.create_server(('127.0.0.1', 0)); socket.create_connection(a.getsockname())",
        "a = socket.socket(); a.bind(('', 0)); a.listen(); socket.create_connection(('localhost', a.getsockname()[1]))",
        "socket.getaddrinfo('::1', 80)",
        "socket.gethostbyname('localhost')",
        "a, b = socket.socketpair(); a.send(b'x')",
    ],
)
def test_what_stays_on_the_machine_is_let_through(call: str, tmp_path: Path) -> None:
    done, lines = run(f"import socket\n{call}", tmp_path / "attempts")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line["event"] for line in lines] == ["start"]


@pytest.mark.parametrize(
    ("module", "code"),
    [("resnet_edu", 1), ("resnet_edu.models.resnet", 1), ("__main__", 1), ("torch.nn", 0), ("resnet_educated", 0)],
)
def test_our_own_warnings_are_errors(module: str, code: int, tmp_path: Path) -> None:
    warn = f"import warnings\nexec('warnings.warn(str(1), stacklevel=1)', {{'__name__': {module!r}, **globals()}})"
    warn = warn.replace("**globals()", "'warnings': warnings")
    assert run(warn, tmp_path / "attempts")[0].returncode == code
