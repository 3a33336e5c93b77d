import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_course import lesson

from resnet_edu import files
from resnet_edu.tools import copies, lab

ADDRESS = r"http://127\.0\.0\.1:(\d+)(/lab/tree/00_start_here\.ipynb)\?token=(\w{20,})"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson, in place of the real one."""
    lesson(tmp_path / "home" / "notebooks")
    monkeypatch.setattr(files, "course_folder", lambda: tmp_path / "home")
    return tmp_path / "home"


def status(address: str, token: str | None) -> int:
    request = urllib.request.Request(address, headers={"Authorization": f"token {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.socket() as taken:
        taken.bind((lab.LOOPBACK, 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.slow
def test_a_real_server_wants_its_token_moves_to_a_free_port_and_ends_on_interrupt(tmp_path: Path, taken: int) -> None:
    lesson(tmp_path)
    environment = lab.lab_environment() | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    environment.pop("JUPYTER_TOKEN", None)
    command = lab.lab_command(tmp_path, port=taken)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            printed = ""
            for line in server.stderr:
                printed += line
                if found := re.search(
                    r"http://127\.0\.0\.1:(\d+)(/lab/tree/00_start_here\.ipynb)\?token=(\w{20,})", line
                ):
                    break
            else:
                pytest.fail(f"no address in:\n{printed}")
            port, page, token = found.groups()
            assert int(port) != taken
            base = f"http://{lab.LOOPBACK}:{port}"
            wait_until_it_listens(int(port))  # the address is printed a moment before
            assert status(f"{base}/api/status", token) == 200
            assert status(f"{base}/api/status", None) == 403
            with urllib.request.urlopen(f"{base}{page}?token={token}", timeout=20) as answer:
                config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.read().decode(), re.DOTALL)
            assert config is not None
            assert json.loads(config[1])["news"] == {"disabled": True}
            listening = [each for each in connections(server.pid) if each.status == "LISTEN"]
            assert {each.laddr.ip for each in listening} == {lab.LOOPBACK}
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
            # nbgrader, which a learner does not have, says where it found no configuration.
            assert len([line for line in printed.splitlines() if "nbgrader" not in line]) <= 8
        finally:
            server.kill()


def wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as knock:
            if knock.connect_ex((lab.LOOPBACK, port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port}")


def connections(pid: int) -> list:
    import psutil

    return psutil.Process(pid).net_connections("tcp")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="elsewhere the server is a child process")
def test_serve_becomes_the_server(tmp_path: Path) -> None:
    code = f"from resnet_edu import lab; lab.serve([{sys.executable!r}, '-c', 'import os; print(os.getpid())'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=lab.lab_environment()
    ) as process:
        assert int(process.communicate()[0]) == process.pid


def test_the_command_is_loopback_only_silent_and_never_without_a_token(tmp_path: Path) -> None:
    lesson(tmp_path, "06_degradation")
    command = lab.lab_command(tmp_path, lesson="06_degradation", port=9000, browser=True)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    options = dict(option.removeprefix("--").split("=", 1) for option in command[3:])
    assert options["ServerApp.ip"] == "127.0.0.1"
    assert options["ServerApp.port"] == "9000"
    assert options["ServerApp.open_browser"] == "True"
    assert options["LabApp.default_url"] == "/lab/tree/06_degradation.ipynb"
    assert options["LabApp.news_url"] == "None"
    overrides = json.loads((Path(options["LabApp.app_settings_dir"]) / "overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert not [name for name in options if "token" in name.lower() or "password" in name.lower()]


def test_a_lesson_that_the_folder_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no 00_start_here\.ipynb"):
        lab.lab_command(tmp_path)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_refused(tmp_path: Path, port: int) -> None:
    lesson(tmp_path)
    with pytest.raises(ValueError, match=rf"port must be 0 to 65535, got {port}"):
        lab.lab_command(tmp_path, port=port)


def test_the_default_folder_is_ignored_by_git() -> None:
    root = files.checkout()
    assert root is not None
    folder = lab.default_folder(root)
    assert folder == root / "my-course"
    assert f"{folder.name}/" in (root / ".gitignore").read_text().splitlines()


def test_in_a_course_folder_that_folder_is_the_default(home: Path, tmp_path: Path) -> None:
    lab.prepare(tmp_path / "mine")
    assert lab.default_folder(tmp_path / "mine") == tmp_path / "mine"


def test_from_a_wheel_the_default_is_beside_you(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "checkout", lambda: None)
    assert lab.default_folder(tmp_path) == tmp_path / "my-course"


def test_the_courses_own_notebooks_are_left_as_they_are(home: Path) -> None:
    report = lab.prepare(home / "notebooks")
    assert report == copies.CopyReport(home / "notebooks")
    assert [path.name for path in (home / "notebooks").iterdir()] == ["00_start_here.ipynb"]


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"CI": "true"}, "darwin", False),
    ],
)
def test_a_browser_opens_only_where_it_is_seen(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], platform: str, expected: bool
) -> None:
    monkeypatch.setattr("webbrowser.get", lambda: object())
    assert lab.has_display(environment, platform) is expected


def test_the_server_finds_the_package_in_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    assert lab.lab_environment({"PYTHONPATH": "mine"})["PYTHONPATH"] == f"{tmp_path}{os.pathsep}mine"
    assert lab.lab_environment({})["PYTHONPATH"] == str(tmp_path)
    monkeypatch.setattr(files, "checkout", lambda: None)
    assert "PYTHONPATH" not in lab.lab_environment({})


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"format": 1, "exercises": {"1.1": 3}}', b"\xff"])
def test_a_damaged_progress_file_is_found_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / ".resnet_edu_progress.json"
    assert lab.unreadable_progress(tmp_path, {}) is None
    path.write_bytes(damage)
    assert lab.unreadable_progress(tmp_path, {}) == path
    assert lab.unreadable_progress(tmp_path / "other", {"RESNET_EDU_PROGRESS": str(path)}) == path
    assert path.read_bytes() == damage
    path.write_text('{"format": 1, "exercises": {}}')
    assert lab.unreadable_progress(tmp_path, {}) is None
