"""The rules that keep the package small and readable: floors, lengths, no side effects, light imports."""

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "resnet_edu").rglob("*.py"))
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "resnet_edu")))

FLOORS = {
    "facts": 0, "sources": 0, "machine": 0, "errors": 0, "files": 0, "course": 0, "copies": 0, "distributed": 0,
    "models": 1, "data": 1,
    "config": 2, "history": 2, "checkpoint": 2, "metrics": 2, "train": 2, "recipe": 2, "probe": 2,
    "predict": 3, "run": 3, "trained": 3, "study": 3, "plots": 3,
    "widgets": 4, "checks": 4,
    "cli": 5, "cli_runs": 5, "cli_speed": 5, "lab": 5, "doctor": 5, "requirements": 5, "rehearse": 5, "page": 5,
    "bench": 5, "tables": 5,
    "cli_course": 5, "cli_options": 5, "export": 5, "slides": 5, "reveal": 5, "downloads": 5, "bundle": 5, "seat": 5,
    "__main__": 5,
}  # fmt: skip
LAZY = ("captum", "matplotlib", "ipywidgets", "pandas", "torchvision")
COMMANDS = {"cli", "cli_course", "cli_runs", "cli_speed", "__main__"}
MAY_PRINT = {*COMMANDS, "bundle", "lab", "doctor", "rehearse", "seat"}  # floor 5


def room(path: Path) -> str:
    """The module or package right under resnet_edu that the file belongs to; "" for the package itself."""
    first = path.relative_to(ROOT / "resnet_edu").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def rooms_imported(path: Path) -> Iterator[str]:
    """The rooms that the file imports from, however the import is written."""
    package = ("resnet_edu", *path.relative_to(ROOT / "resnet_edu").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [start, node.module]))
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "resnet_edu" and len(parts) > 1 and parts[1] in FLOORS:
                yield parts[1]


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


@every_module
def test_imports_only_point_down(path: Path) -> None:
    own = room(path)
    if own:
        assert own in FLOORS, f"{own} has no floor yet: say in FLOORS and in docs/architecture.md where it lives"
        above = {other for other in rooms_imported(path) if FLOORS[other] > FLOORS[own]}
        assert not above, f"{own} is on floor {FLOORS[own]} and imports {', '.join(sorted(above))} from above"


@every_module
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@every_module
def test_library_code_neither_prints_nor_shows_nor_works_in_place(path: Path) -> None:
    for call in calls(path):
        text = ast.unparse(call)
        line = f"{path.name}:{call.lineno}: {text}"
        assert text.split("(")[0] not in {"print", "pprint"} or room(path) in MAY_PRINT, line
        assert not text.split("(")[0].endswith("plt.show"), line
        assert not any(word.arg == "inplace" and ast.unparse(word.value) == "True" for word in call.keywords), line
        assert text.split("(")[0] not in {"F.relu", "torch.relu", "torch.relu_", "F.relu_"}, f"{line}: use nn.ReLU()"


@pytest.mark.slow
def test_importing_the_package_leaves_the_heavy_libraries_out() -> None:
    code = f"import sys, resnet_edu; print([name for name in {LAZY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_architecture_page_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {room(path) for path in MODULES} - {"", "__main__"}
    assert [name for name in sorted(rooms) if f"`{name}" not in page] == []


def test_rooms_are_found_however_they_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "resnet_edu" / "probe" / "summary.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import torch\nimport resnet_edu.facts\nfrom .. import study\nfrom ..models.resnet import ResNet\n"
        "from .receptive import walk\nfrom resnet_edu import data\ndef f():\n    from ..cli import main\n"
    )
    assert set(rooms_imported(path)) == {"facts", "study", "models", "probe", "data", "cli"}


def test_no_test_reaches_beyond_this_machine() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
