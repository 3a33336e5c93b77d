"""A web server on this machine that serves bytes from memory, and misbehaves on request."""

import socket
import struct
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
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # name and Range header
    ranges: bool = True  # honour Range
    lengths: bool = True  # send Content-Length
    statuses: list[int] = field(default_factory=list)  # answer the next requests with these and nothing else
    cuts: list[int] = field(default_factory=list)  # cut the next answers after so many bytes
    reset: bool = False  # cut with a reset and not with an ordinary end
    piece: int = 1 << 20  # bytes sent at a time
    pause: float = 0.0  # seconds after each piece
    stall: float = 0.0  # seconds before the first byte


class Handler(BaseHTTPRequestHandler):
    """GET of one file."""

    served: Served

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        served, name, wanted = self.served, self.path.rpartition("/")[2], self.headers.get("Range")
        served.requests.append((name, wanted))
        if self.path.startswith("/moved/"):
            self.answer(302, {"Location": f"{served.url}/{name}"})
        elif served.statuses:
            self.answer(served.statuses.pop(0), {})
        elif name not in served.files:
            self.answer(404, {})
        else:
            self.send_file(served.files[name], wanted if served.ranges else None)

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def send_file(self, content: bytes, wanted: str | None) -> None:
        served = self.served
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start and start >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        time.sleep(served.stall)
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if wanted else {}
        size = {"Content-Length": str(len(content) - start)} if served.lengths else {}
        self.answer(206 if wanted else 200, span | size)
        body = content[start:]
        cut = served.cuts.pop(0) if served.cuts else len(body)
        for at in range(0, min(cut, len(body)), served.piece):
            self.wfile.write(body[at : min(at + served.piece, cut)])
            time.sleep(served.pause)
        if cut < len(body) and served.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


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
