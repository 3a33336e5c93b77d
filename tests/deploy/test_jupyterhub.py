"""A real JupyterHub with its proxy on this machine: learners log in by the form, and each one has a seat of their own.

The hub reads deploy/demo_config.py: deploy/jupyterhub_config.py with folders that need no accounts.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from nbformat import v4

from resnet_edu.tools import course

if sys.platform == "win32":
    pytest.skip("JupyterHub does not run on Windows", allow_module_level=True)
requests = pytest.importorskip("requests", reason="needs the extra `workshop`")
websocket = pytest.importorskip("websocket", reason="needs the extra `workshop`")
pytest.importorskip("firstuseauthenticator", reason="needs the extra `workshop`")

ROOT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join([str(ROOT / "build" / "proxy" / "node_modules" / ".bin"), os.environ["PATH"]])
PATIENCE = 300.0  # seconds for anything that a busy machine may be slow at
NOTE = "# My own note"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not shutil.which("configurable-http-proxy", path=PATH), reason="needs JupyterHub's proxy; `.ci/proxy` gets it"
    ),
]


class Learner:
    """One person with a browser: a name, a password, cookies."""

    def __init__(self, hub: str, name: str, password: str) -> None:
        self.hub, self.name, self.password = hub, name, password
        self.seat = f"{hub}/user/{name}"
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy between this machine and itself

    def get(self, url: str) -> Any:
        return self.session.get(url, timeout=PATIENCE)

    def post(self, url: str, **options: Any) -> Any:
        """With the header by which a page proves that it is the hub's own."""
        path = urlsplit(url).path
        cookies = [found for found in self.session.cookies if found.name == "_xsrf" and path.startswith(found.path)]
        token = max(cookies, key=lambda found: len(found.path)).value if cookies else ""
        return self.session.post(url, headers={"X-XSRFToken": token}, timeout=PATIENCE, **options)

    def log_in(self) -> int:
        """The answer to the form: 302 with the right password, 403 with a wrong one."""
        self.get(f"{self.hub}/hub/login")
        form = {"username": self.name, "password": self.password}
        return self.post(f"{self.hub}/hub/login", data=form, allow_redirects=False).status_code

    def sit_down(self) -> str:
        """Start the seat and open it; the page that the browser shows."""
        self.get(f"{self.hub}/hub/spawn").raise_for_status()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            server = self.get(f"{self.hub}/hub/api/users/{self.name}").json()["servers"].get("", {})
            if server.get("ready"):
                return self.get(f"{self.seat}/").text
            time.sleep(0.5)
        pytest.fail(f"{self.name}'s seat did not start")

    def contents(self, path: str) -> Any:
        answer = self.get(f"{self.seat}/api/contents/my-course/{path}")
        answer.raise_for_status()
        return answer.json()["content"]

    def run(self, *cells: str) -> list[str]:
        """Run cells in a kernel of the seat; what each shows, or its error."""
        kernel = self.post(f"{self.seat}/api/kernels", json={"name": "python3", "path": "my-course"}).json()["id"]
        url = f"{self.seat}/api/kernels/{kernel}/channels"
        cookies = requests.cookies.get_cookie_header(self.session.cookies, requests.Request("GET", url).prepare())
        channel = websocket.create_connection(url.replace("http:", "ws:", 1), cookie=cookies, timeout=PATIENCE)
        try:
            return [run_cell(channel, cell) for cell in cells]
        finally:
            channel.close()
            self.session.delete(f"{self.seat}/api/kernels/{kernel}", timeout=PATIENCE)


def run_cell(channel: Any, code: str) -> str:
    name, shown, left = uuid.uuid4().hex, list[str](), {"execute_reply", "idle"}
    header = {"msg_id": name, "msg_type": "execute_request", "session": name, "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps(message))
    while left:
        answer = json.loads(channel.recv())
        content = answer["content"]
        if answer["parent_header"].get("msg_id") == name:
            shown.append(content.get("ename", "") or content.get("text", ""))
            left -= {answer["msg_type"], content.get("execution_state")}
    return "".join(shown)


class Hub:
    """A hub with its proxy, on free ports; everything it writes goes into one folder."""

    def __init__(self, folder: Path, config: str = "demo_config.py") -> None:
        self.folder = folder
        public, internal, control = free_ports(3)
        self.url = f"http://127.0.0.1:{public}"
        command = [
            *(sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "deploy" / config)),
            f"--JupyterHub.bind_url={self.url}",
            f"--JupyterHub.hub_bind_url=http://127.0.0.1:{internal}",
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{control}",
        ]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with (folder / "hub.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, "PATH": PATH, "PYTHONPATH": path}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.url}/hub/health", timeout=10).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        self.stop()
        pytest.fail((folder / "hub.log").read_text()[-3000:])

    def processes(self) -> list[psutil.Process]:
        hub = psutil.Process(self.process.pid)
        return [hub, *hub.children(recursive=True)]

    def stop(self) -> list[psutil.Process]:
        """End the hub as a system does, with SIGTERM; those of its processes that outlive it, now killed."""
        family = self.processes() if self.process.poll() is None else []
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            process.kill()
        return left


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("hub"))
    yield hub
    if hub.process.poll() is None:
        hub.stop()


@pytest.fixture(scope="module")
def learners(hub: Hub) -> list[Learner]:
    """Two who have chosen a password; ada has worked in her folder before."""
    page = nbformat.read(course.find_lesson("00").path, as_version=4)
    page.cells.insert(0, v4.new_markdown_cell(NOTE))
    mine = hub.folder / "homes" / "ada" / "my-course" / "00_start_here.ipynb"
    mine.parent.mkdir(parents=True)
    nbformat.write(page, mine)
    people = [Learner(hub.url, name, f"{name} likes long words") for name in ("ada", "bob")]
    assert [person.log_in() for person in people] == [302, 302]
    return people


def test_a_name_belongs_to_the_one_who_logged_in_first(hub: Hub, learners: list[Learner]) -> None:
    assert Learner(hub.url, "ada", "bob likes long words").log_in() == 403
    assert Learner(hub.url, "ada", "ada likes long words").log_in() == 302
    assert Learner(hub.url, "cara", "short").log_in() == 403
    stranger = Learner(hub.url, "nobody", "")
    assert stranger.get(f"{hub.url}/hub/api/user").status_code == 403


def test_each_runs_the_first_cells_in_a_server_and_folder_of_their_own(hub: Hub, learners: list[Learner]) -> None:
    for learner in learners:
        folder = hub.folder / "homes" / learner.name / "my-course"
        page = learner.sit_down()
        settings = json.loads(re.findall(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[0])
        assert settings["news"]["disabled"], "JupyterLab would ask the learner whether it may fetch news"
        cells = [cell["source"] for cell in learner.contents("00_start_here.ipynb")["cells"]]
        code = next(cell for cell in cells if "import resnet_edu" in cell)
        where = "import os, pathlib; print(pathlib.Path.cwd(), os.environ['OMP_NUM_THREADS'])"
        secret = f"pathlib.Path('secret.txt').write_text('{learner.name} was here')"
        large = "bytearray(4 * 10**9)"
        shown = learner.run(code, where, secret, large, "print(len(bytearray(10**9)))")
        assert shown[1] == f"{folder} 1\n"
        if sys.platform.startswith("linux"):
            assert "MemoryError" in shown[3], "told so"
            assert shown[4] == "1000000000\n", "and goes on"
        lessons = [lesson.path.name for lesson in course.lessons()]
        assert [name for name in lessons if not (folder / name).is_file()] == []
    assert learners[0].contents("00_start_here.ipynb")["cells"][0]["source"] == NOTE, "what she changed stays"


def test_none_can_read_or_run_in_another_ones_seat(hub: Hub, learners: list[Learner]) -> None:
    for learner, other in zip(learners, reversed(learners), strict=True):
        assert learner.contents("secret.txt") == f"{learner.name} was here"
        for path in ("api/contents/my-course/secret.txt", "files/my-course/secret.txt", "api/kernels"):
            answer = learner.get(f"{other.seat}/{path}")
            assert answer.status_code in (403, 404), path
            assert "was here" not in answer.text
        assert learner.post(f"{other.seat}/api/kernels", json={"name": "python3"}).status_code in (403, 404)
        assert learner.get(f"{hub.url}/hub/api/users/{other.name}").status_code in (403, 404)


def test_stopping_leaves_nothing_behind(hub: Hub, learners: list[Learner]) -> None:
    assert len(hub.processes()) >= 2 + len(learners), "hub, proxy, a server each"
    assert hub.stop() == []
    with pytest.raises(requests.ConnectionError):
        requests.get(hub.url, timeout=10)


def test_the_class_of_accounts_refuses_a_wrong_password_and_has_no_sign_up(tmp_path: Path) -> None:
    hub = Hub(tmp_path, "jupyterhub_config.py")
    try:
        intruder = Learner(hub.url, "nobody", "what a password")
        assert intruder.log_in() == 403
        assert intruder.get(f"{hub.url}/hub/signup").status_code == 404
    finally:
        assert hub.stop() == []
