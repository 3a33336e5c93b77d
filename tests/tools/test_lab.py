"""`resnet-edu lab`: what a learner's folder gets, what stays theirs, and a server for this machine alone."""

import ast
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
from typing import Any

import psutil
import pytest
from tiny_course import save

from resnet_edu import files
from resnet_edu.tools import cli, course, lab


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that `lab mine` prints before the server's."""
    assert cli.run(["lab", "mine", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.partition("JupyterLab is starting.")[0].splitlines()


def test_it_copies_both_editions_and_opens_the_first_lesson(
    home: Path, served: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys) == ["Your lessons are in mine (4 added)."]
    for name in ("01_lenet.ipynb", "solutions/01_lenet.ipynb", "solutions/06_degradation.ipynb"):
        assert Path("mine", name).read_bytes() == (home / "notebooks" / name).read_bytes()
    [command] = served
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    options = dict(option.removeprefix("--").split("=", 1) for option in command[3:])
    assert options["ServerApp.ip"] == "127.0.0.1"
    assert options["ServerApp.open_browser"] == "True"
    assert options["LabApp.default_url"] == "/lab/tree/01_lenet.ipynb"
    assert options["LabApp.news_url"] == "None"
    overrides = json.loads((Path(options["LabApp.app_settings_dir"]) / "overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert "custom.css" in os.listdir(ast.literal_eval(options["ServerApp.tornado_settings"])["static_custom_path"][0])
    assert not [name for name in options if "token" in name.lower() or "password" in name.lower()]


def test_it_opens_the_lesson_asked_for_and_tells_how_to_come_in_over_ssh(
    served: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert cli.run(["lab", "mine", "--lesson", "6", "--browser", "--port", "9000"]) == 0
    assert "ssh -N -L PORT:127.0.0.1:PORT HOST" in capsys.readouterr().out
    assert {"--LabApp.default_url=/lab/tree/06_degradation.ipynb", "--ServerApp.port=9000"} <= set(served[0])
    assert "--ServerApp.open_browser=True" in served[0]


def test_it_can_bring_the_lessons_and_start_nothing(
    served: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)  # as in a seat's home, or on Binder
    assert said(capsys, "--copy-only") == ["Your lessons are in mine (4 added)."]
    assert served == []
    assert cli.run(["lab", "other"]) == 2
    assert "pip install --upgrade" in capsys.readouterr().err
    assert not Path("other").exists()


@pytest.mark.usefixtures("served")
def test_answers_are_kept_and_a_newer_edition_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys)
    answers = save(Path("mine/01_lenet.ipynb"), "my answers")
    assert said(capsys) == ["Your lessons are in mine (1 kept as you changed them)."]
    save(home / "notebooks" / "06_degradation.ipynb", "a newer edition")
    newer = save(home / "notebooks" / "01_lenet.ipynb", "a newer edition")
    assert said(capsys) == [
        "Your lessons are in mine (1 updated, 1 kept as you changed them).",
        "The course has newer editions of 01_lenet.ipynb; yours are kept.",
        "To get the course's, rename yours and start this again.",
    ]
    assert Path("mine/01_lenet.ipynb").read_bytes() == answers
    Path("mine/01_lenet.ipynb").rename("mine/my_lenet.ipynb")
    assert said(capsys) == ["Your lessons are in mine (1 added)."]
    assert Path("mine/my_lenet.ipynb").read_bytes() == answers
    assert Path("mine/01_lenet.ipynb").read_bytes() == newer


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("damage", ['{"cells": [', "<<<<<<< HEAD\n{}", ""])
def test_a_half_edited_notebook_is_kept(capsys: pytest.CaptureFixture[str], damage: str) -> None:
    said(capsys)
    Path("mine/01_lenet.ipynb").write_text(damage)
    assert said(capsys) == ["Your lessons are in mine (1 kept as you changed them)."]
    assert Path("mine/01_lenet.ipynb").read_text() == damage


def test_the_default_folder_is_ignored_by_git_and_a_course_folder_is_its_own(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = files.checkout()
    assert root is not None
    assert lab.default_folder(root) == root / "my-course"
    assert "my-course/" in (root / ".gitignore").read_text().splitlines()
    course.copy_lessons(tmp_path / "mine")
    assert lab.default_folder(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.setattr(files, "checkout", lambda: None)  # from a wheel: beside you
    assert lab.default_folder(tmp_path) == tmp_path / "my-course"


def test_the_server_finds_the_package_in_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    assert lab.lab_environment({"PYTHONPATH": "mine"})["PYTHONPATH"] == f"{tmp_path}{os.pathsep}mine"
    monkeypatch.setattr(files, "checkout", lambda: None)
    assert "PYTHONPATH" not in lab.lab_environment({})


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.socket() as taken:
        taken.bind((lab.LOOPBACK, 0))
        taken.listen()
        yield taken.getsockname()[1]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A page that sends you elsewhere is an answer of its own."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def status(address: str, token: str | None, **headers: str) -> int:
    headers |= {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=100) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_a_real_server_wants_its_token_moves_to_a_free_port_and_ends_on_interrupt(tmp_path: Path, taken: int) -> None:
    save(tmp_path / "00_start_here.ipynb")
    environment = lab.lab_environment() | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    environment.pop("JUPYTER_TOKEN", None)
    command = lab.lab_command(tmp_path, port=taken)
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        signal.signal(signal.SIGINT, ignored)
        try:
            assert server.stderr is not None
            address = r"http://127\.0\.0\.1:(\d+)(/lab/tree/00_start_here\.ipynb)\?token=(\w{20,})"
            found = next(filter(None, (re.search(address, line) for line in server.stderr)))
            port, page, token = found.groups()
            assert int(port) != taken
            base = f"http://{lab.LOOPBACK}:{port}"
            wait_until_it_listens(int(port))  # the address is printed a moment before
            assert status(f"{base}/api/status", token) == 200
            for path in ("api/status", "api/contents", "api/kernels"):
                assert status(f"{base}/{path}", None) == status(f"{base}/{path}", "0" * len(token)) == 403, path
            file = f"{base}/files/00_start_here.ipynb"  # newer servers send you to the log-in page instead
            assert status(file, None) == status(file, "0" * len(token)) in (302, 403)
            assert status(file, token) == 200
            assert status(f"{base}/api/contents", token, Host="example.org") == 403, "another site's page"
            with urllib.request.urlopen(f"{base}{page}?token={token}", timeout=100) as answer:
                config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', answer.read().decode(), re.DOTALL)
            assert config is not None
            assert json.loads(config[1])["news"] == {"disabled": True}
            connections = psutil.Process(server.pid).net_connections("tcp")
            assert {each.laddr.ip for each in connections if each.status == "LISTEN"} == {lab.LOOPBACK}
            server.send_signal(signal.SIGINT)
            # A signal that comes just before the event loop falls asleep is seen when it wakes; open pages knock often.
            deadline = time.monotonic() + 60
            while server.poll() is None and time.monotonic() < deadline:
                knocks_at(int(port))
                time.sleep(0.1)
            assert server.poll() == 0
        finally:
            server.kill()


def wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if knocks_at(port):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port}")


def knocks_at(port: int) -> bool:
    """Whether somebody opens."""
    with socket.socket() as knock:
        return knock.connect_ex((lab.LOOPBACK, port)) == 0


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the server is a child process")
def test_serve_becomes_the_server() -> None:
    code = f"from resnet_edu.tools import lab; lab.serve([{sys.executable!r}, '-c', 'import os; print(os.getpid())'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=lab.lab_environment()
    ) as process:
        assert int(process.communicate()[0]) == process.pid
