"""A web server on this machine that serves bytes from memory, and misbehaves on request."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server has, how it behaves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)  # by name, without a slash
    requests: list[str] = field(default_factory=list)  # names
    statuses: list[int] = field(default_factory=list)  # answer the next requests with these and nothing else
    cut: int | None = None  # bytes after which the connection ends
    pause: float = 0.0  # seconds before the first byte


class Handler(BaseHTTPRequestHandler):
    """GET of one file."""

    served: Served

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        served, name = self.served, self.path.rpartition("/")[2]
        served.requests.append(name)
        if self.path.startswith("/moved/"):
            self.answer(302, {"Location": f"{served.url}/{name}"})
        elif served.statuses:
            self.answer(served.statuses.pop(0), {})
        elif name not in served.files:
            self.answer(404, {})
        else:
            time.sleep(served.pause)
            self.answer(200, {"Content-Length": str(len(served.files[name]))})
            self.wfile.write(served.files[name][: served.cut])

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


class Quiet(ThreadingHTTPServer):
    """A client that goes away is no news."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(**files: bytes) -> Iterator[Served]:
    """A server of these files, on a free port of this machine."""
    served = Served(files=files)
    server = Quiet(("127.0.0.1", 0), type("Bound", (Handler,), {"served": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
