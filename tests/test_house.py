"""The house stays small and in order: floors that bind, no cycles, short files and folders, light imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "resnet_edu"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The rooms, floor by floor. A room imports from floors below, or from another room of its floor where no cycle arises.
FLOORS = (
    ("facts", "errors"),
    ("files", "machine", "display"),
    ("data",),
    ("models",),
    ("train", "config", "history", "metrics", "checkpoint", "distributed", "probe"),
    ("prediction", "recipe", "run", "study"),
    ("plots",),
    ("widgets", "checks"),
    ("tools", "__main__"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = ("torch", "captum", "matplotlib", "ipywidgets", "pandas", "torchvision")
LINES_PER_FILE, FILES_PER_FOLDER = 400, 20
# Lines of Python below each folder.
BUDGET = {"resnet_edu": 16_000, "tests": 17_000, "docs": 400}


def python_lines(folder: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py"))


def folders(top: Path) -> list[Path]:
    return [top, *(path for path in sorted(top.rglob("*")) if path.is_dir() and path.name not in ("__pycache__",))]


def room_of(path: Path) -> str:
    """The module or package right under resnet_edu that a file belongs to; "" for the package's own `__init__`."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_names(path: Path) -> Iterator[str]:
    """The full names of everything a file imports, at its top or inside functions."""
    package = ("resnet_edu", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [start, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in imported_names(path)]
    rooms = {parts[1] for parts in names if parts[0] == "resnet_edu" and len(parts) > 1}
    return {room for room in rooms if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()} - {room_of(path)}


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in MODULES} - {""} == set(FLOOR_OF)


def test_no_import_goes_up() -> None:
    upward = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in MODULES
        for room in sorted(rooms_imported(path))
        if room_of(path) and FLOOR_OF[room] > FLOOR_OF[room_of(path)]
    ]
    assert upward == []


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        if room_of(path):
            graph.setdefault(room_of(path), set()).update(rooms_imported(path))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"rooms import each other: {' → '.join(error.args[1])}")


def test_no_lesson_imports_another_lesson() -> None:
    lessons = [path for path in MODULES if path.name.startswith("lesson_")]
    assert [(path.name, name) for path in lessons for name in imported_names(path) if ".lesson_" in name] == []


@pytest.mark.parametrize(("folder", "lines"), BUDGET.items())
def test_lines_stay_within_their_budget(folder: str, lines: int) -> None:
    assert python_lines(ROOT / folder) <= lines


def test_the_package_has_at_most_a_hundred_modules() -> None:
    assert len(MODULES) <= 100


@pytest.mark.parametrize("top", ["resnet_edu", "tests", "docs", "deploy"])
def test_files_are_short_and_folders_small(top: str) -> None:
    paths = sorted((ROOT / top).rglob("*.py"))
    assert {str(path): length for path in paths if (length := len(path.read_text("utf-8").splitlines())) > 400} == {}
    crowded = {str(each): count for each in folders(ROOT / top) if (count := len(list(each.glob("*.py")))) > 20}
    assert crowded == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def test_library_code_neither_prints_nor_shows_nor_works_in_place() -> None:
    for path, call in calls():
        name = ast.unparse(call.func)
        line = f"{path.name}:{call.lineno}: {ast.unparse(call)}"
        assert name not in {"print", "pprint"} or room_of(path) in FLOORS[-1], line
        assert not name.endswith("plt.show"), line
        if room_of(path) != "checks":  # whose tables of mistakes hold wrong answers
            assert not any(word.arg == "inplace" and ast.unparse(word.value) == "True" for word in call.keywords), line
            assert name not in {"F.relu", "torch.relu", "torch.relu_", "F.relu_"}, f"{line}: use nn.ReLU()"


@pytest.mark.slow
def test_importing_the_package_leaves_the_heavy_libraries_out() -> None:
    code = f"import sys, resnet_edu; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
