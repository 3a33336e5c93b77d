"""A JupyterHub of the class on this machine, and learners who use it as their browsers do.

tests/deploy/test_jupyterhub.py and rehearse_class.py share it. Learners log in by the form and run cells over the
kernel's websocket; all of it stays on the loopback address.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import requests
import websocket
from requests.cookies import get_cookie_header

from deploy.slips import write_slips

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "deploy" / "demo_config.py"
ROOM = ROOT / "deploy" / "jupyterhub_config.py"
PATIENCE = 300.0  # seconds for anything that a busy machine may be slow at
PATH = os.pathsep.join([str(ROOT / "build" / "proxy" / "node_modules" / ".bin"), os.environ.get("PATH", "")])


class CellFailed(Exception):
    """A cell raised, or its kernel died."""


def proxy() -> str | None:
    """JupyterHub's proxy, an npm package: where `.ci/proxy` put it, else the system's; None without."""
    return shutil.which("configurable-http-proxy", path=PATH)


class Hub:
    """A hub with its proxy, on free ports; everything it writes goes into one folder."""

    def __init__(self, folder: Path, config: Path = DEMO) -> None:
        self.folder, self.config = folder, config
        self.log = folder / "hub.log"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(3):  # the hub waits ten seconds for its proxy, which is little on a busy machine
            self.start()
            if self.is_up():
                return self
            self.stop()
        raise RuntimeError(f"The hub did not start. Its log:\n{self.log.read_text()[:5000]}")

    def __exit__(self, *error: object) -> None:
        self.stop()

    def hand_out(self, names: list[str]) -> list["Learner"]:
        """Make slips; the learners who got them."""
        made = write_slips(names, self.folder / "slips.json")
        return [Learner(self.url, name, password) for name, password in made.items()]

    def start(self) -> None:
        """Start the hub on other ports than any before."""
        public, self.internal, control = free_ports(3)
        self.url = f"http://127.0.0.1:{public}"
        self.seen: set[psutil.Process] = set()
        command = [
            *(sys.executable, "-m", "jupyterhub", "-f", str(self.config)),
            f"--JupyterHub.bind_url={self.url}",
            f"--JupyterHub.hub_bind_url=http://127.0.0.1:{self.internal}",
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{control}",
        ]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PATH": PATH, "PYTHONPATH": path}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def is_up(self) -> bool:
        """Wait until the hub answers, first by itself, then through its proxy; False if it ends or never does."""
        waiting = [f"http://127.0.0.1:{self.internal}/hub/health", f"{self.url}/hub/health"]
        deadline = time.monotonic() + PATIENCE
        while waiting and time.monotonic() < deadline and self.process.poll() is None:
            self.seen.update(self.processes())
            try:
                if requests.get(waiting[0], timeout=10).ok:
                    waiting.pop(0)
                    continue
            except requests.RequestException:
                pass
            time.sleep(0.2)
        return not waiting

    def processes(self) -> list[psutil.Process]:
        """The hub and all that it started and that still runs: proxy, seats, kernels."""
        try:
            hub = psutil.Process(self.process.pid)
            return [hub, *hub.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> list[psutil.Process]:
        """End the hub as a system does, with SIGTERM; those of its processes that are left after that, now killed."""
        self.seen.update(self.processes())
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        _, left = psutil.wait_procs(self.seen, timeout=10)
        for process in left:
            process.kill()
        return left


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


class Learner:
    """One person with a browser: a name, a password, cookies."""

    def __init__(self, hub: str, name: str, password: str) -> None:
        self.hub, self.name, self.password = hub, name, password
        self.seat = f"{hub}/user/{name}"
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy between this machine and itself

    def get(self, url: str, **options: Any) -> requests.Response:
        """One page or API answer."""
        return self.session.get(url, timeout=PATIENCE, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """The same with something to send; shows the cookie that proves the page was ours."""
        return self.session.post(url, headers=self.proof(url), timeout=PATIENCE, **options)

    def delete(self, url: str) -> requests.Response:
        """The same to end something."""
        return self.session.delete(url, headers=self.proof(url), timeout=PATIENCE)

    def proof(self, url: str) -> dict[str, str]:
        """The header with which a page says that it is the hub's own, and not another site's."""
        path = urlsplit(url).path
        cookies = [found for found in self.session.cookies if found.name == "_xsrf" and path.startswith(found.path)]
        return {"X-XSRFToken": max(cookies, key=lambda found: len(found.path)).value or ""} if cookies else {}

    def log_in(self) -> requests.Response:
        """Send the form; the answer is 302 with the right password, and the form again with a wrong one."""
        self.get(f"{self.hub}/hub/login")
        form = {"username": self.name, "password": self.password}
        return self.post(f"{self.hub}/hub/login", data=form, allow_redirects=False)

    def sit_down(self) -> str:
        """Start the seat and open it; the page that the browser shows.

        Raises:
            RuntimeError: the seat did not start.
        """
        self.get(f"{self.hub}/hub/spawn").raise_for_status()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            server = self.get(f"{self.hub}/hub/api/users/{self.name}").json()["servers"].get("", {})
            if server.get("ready"):
                page = self.get(f"{self.seat}/")
                page.raise_for_status()
                return page.text
            if not server:
                break
            time.sleep(0.5)
        raise RuntimeError(f"{self.name}'s seat did not start.")

    def contents(self, path: str) -> dict[str, Any]:
        """A file or folder of the seat, as the file browser sees it."""
        answer = self.get(f"{self.seat}/api/contents/{path}")
        answer.raise_for_status()
        return answer.json()

    def code_cells(self, path: str) -> list[str]:
        """The sources of a notebook's code cells."""
        cells = self.contents(path)["content"]["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]

    def open_kernel(self, folder: str) -> "Kernel":
        """A kernel that works in a folder of the seat."""
        answer = self.post(f"{self.seat}/api/kernels", json={"name": "python3", "path": folder})
        answer.raise_for_status()
        return Kernel(self, answer.json()["id"])


class Kernel:
    """A kernel of a seat, over its websocket. Use it in a `with`."""

    def __init__(self, learner: Learner, name: str) -> None:
        url = f"{learner.seat}/api/kernels/{name}/channels"
        cookies = get_cookie_header(learner.session.cookies, requests.Request("GET", url).prepare())
        self.socket = websocket.create_connection(
            url.replace("http:", "ws:", 1), cookie=cookies, timeout=PATIENCE, http_no_proxy=["127.0.0.1"]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def run(self, code: str) -> str:
        """Run one cell; the text that it shows.

        Raises:
            CellFailed: it raised, or the kernel died.
        """
        name, text, failure, left = uuid.uuid4().hex, [], "", {"execute_reply", "idle"}
        header = {"msg_id": name, "msg_type": "execute_request", "session": name, "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": False}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.socket.send(json.dumps(request))
        while left:
            frame = self.socket.recv()
            message = json.loads(frame) if isinstance(frame, str) else {}  # a binary frame is a widget's picture
            kind, content = message.get("msg_type"), message.get("content", {})
            if kind == "status" and content["execution_state"] in ("dead", "restarting"):
                raise CellFailed(f"the kernel died at: {code}")
            if message.get("parent_header", {}).get("msg_id") != name:
                continue
            if kind == "error":
                failure = f"{content['ename']}: {content['evalue']} at: {code}"
            text.append(content.get("text", "") if kind == "stream" else content.get("data", {}).get("text/plain", ""))
            left -= {kind, content.get("execution_state")}
        if failure:
            raise CellFailed(failure)
        return "".join(text)
