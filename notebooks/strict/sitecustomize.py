"""What holds in every kernel of a test run, and in every Python it starts: no network, no warning of our own.

Python imports a module of this name before anything else; conftest.py puts this folder on the path. Each attempt to
reach beyond this machine is refused and written down, one line of JSON, in the file RESNET_EDU_ATTEMPTS. Refused like a
cable that is out: code that can do without the network goes on, and conftest.py fails the cell all the same.
Not seen: sockets that a C++ library opens by itself, and Python started with -I, -E or -S.
"""

import errno
import ipaddress
import json
import os
import re
import socket
import sys
import traceback
import warnings
from pathlib import Path

ATTEMPTS = os.environ.get("RESNET_EDU_ATTEMPTS", "")
PROXY = ("127.0.0.1", 9)  # the closed port that conftest.py names as everybody's proxy
REACHING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
ASKING = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def is_here(host: object) -> bool:
    """Whether a host is this machine: a loopback address, its own name, or none, which means any or all of these."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost", "localhost.localdomain", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False


def guard(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse what leaves this machine. Python calls it before each operation that its audit events name."""
    if event in REACHING:
        sock, address = arguments[:2]
        internet = getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6)
        if internet and isinstance(address, tuple) and (not is_here(address[0]) or address[:2] == PROXY):
            write_down(event, address)
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"refused: {address[:2]} is not on this machine")
    elif event in ASKING:
        host = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
        if not is_here(host):
            write_down(event, host)
            raise socket.gaierror(socket.EAI_FAIL, f"refused: {host!r} is not on this machine")


def write_down(event: str, target: object) -> None:
    """One line for one attempt: what, whither, from which line of code."""
    caller = traceback.extract_stack(limit=30)[:-2]
    own = [each for each in caller if not re.search(r"[\\/]lib[\\/]|<frozen", each.filename, re.IGNORECASE)]
    at = (own or caller)[-1]
    append({"event": event, "target": str(target), "line": f"{Path(at.filename).name}:{at.lineno}: {at.line}"})


def append(line: dict[str, str]) -> None:
    """Add a line to the file, in one piece, for several processes write it."""
    if ATTEMPTS:
        with open(ATTEMPTS, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


sys.addaudithook(guard)
append({"event": "start"})  # so that none attempted is told from none watched
# A warning belongs to the module in which the line stands that gave rise to it: the package, or a lesson's cell.
warnings.filterwarnings("error", module=r"(resnet_edu(\..*)?|__main__)\Z")
warnings.filterwarnings("ignore", category=ResourceWarning)  # told at a moment, and of a line, that chance decides
