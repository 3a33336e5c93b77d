"""What others hand us is data: nothing in it is executed, nothing is written elsewhere, the answer is one line.

docs/security.md says what is exposed and trusted; this holds it to that.
"""

import ast
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from resnet_edu import Recipe, data, files, models, study
from resnet_edu.checks.progress import collect
from resnet_edu.data.pictures import read_photo
from resnet_edu.errors import UnreadablePicture, WrongCheckpoint
from resnet_edu.models.pretrained import imagenet_file
from resnet_edu.run import Run
from resnet_edu.tools import cli, course
from resnet_edu.widgets import uploaded

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "resnet_edu").rglob("*.py"))

# 1. No module of the package can execute what it reads.

UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
EXECUTES = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.hub.load", "torch.jit.load"}
EXECUTES |= {"pandas.read_pickle", "pd.read_pickle", "shutil.unpack_archive"}


def faults(code: str) -> list[str]:
    """Lines that could execute what they are given."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [ast.unparse(node)] * any(name.split(".")[0] in UNPICKLERS for name in names)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            bad = called in EXECUTES or called.endswith(".extractall") or options.get("shell", "False") != "False"
            bad |= called == "torch.load" and options.get("weights_only") != "True"
            bad |= options.get("allow_pickle", "False") != "False"
            found += [ast.unparse(node)] * bad
    return found


def test_no_module_executes_what_it_reads() -> None:
    assert {path.name: found for path in MODULES if (found := faults(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "exec(text)", "torch.load(file)", "torch.load(f, weights_only=x)",
        "np.load(file, allow_pickle=True)", "subprocess.run(line, shell=True)", "tar.extractall(folder)",
    ],
)  # fmt: skip
def test_what_would_execute_is_found(code: str) -> None:
    assert faults(code) == [code]


# 2. A pickle that would run a command, in place of everything that can be handed to us.


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def crater(tmp_path: Path) -> Path:
    """The folder that is there once a bomb has gone off."""
    return tmp_path / "crater"


@pytest.fixture(params=["plain", "text", "torch", "old torch"])
def bomb(request: pytest.FixtureRequest, crater: Path) -> bytes:
    """The pickle as a file: bare, in its oldest protocol, which is text, and as torch.save writes and wrote it."""
    if request.param in ("plain", "text"):
        return pickle.dumps(Bomb(crater), protocol=0 if request.param == "text" else 4)
    file = io.BytesIO()
    torch.save({"weight": Bomb(crater)}, file, _use_new_zipfile_serialization=request.param == "torch")
    return file.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of somebody else's, as it was handed over."""
    folder = tmp_path / "their-run"
    folder.mkdir()
    recipe = Recipe.from_dict({"data": str(tmp_path / "pictures"), "model": "resnet20", "x": 16, "y": 16})
    (folder / "config.toml").write_text(recipe.to_toml(), encoding="utf-8")
    view = {"width": 16, "height": 16, "channels": 3, "crop": "none"}
    facts: dict[str, Any] = {
        "model": "resnet20",
        "options": {"in_channels": 3, "width": 2},
        "classes": ["cat", "dog"],
        "view": view,
    }
    facts |= {"max_megabytes": 50, "mean": [0.5] * 3, "std": [0.5] * 3, "data": "pictures", "images": {}}
    (folder / "network.json").write_text(json.dumps(facts), encoding="utf-8")
    net = models.build("resnet20", num_classes=2, in_channels=3, width=2)
    save_file(net.state_dict(), folder / "weights.safetensors")
    return folder


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "pictures" / "cat" / "cat.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.full((20, 20, 3), 99, dtype=np.uint8)).save(path)
    return path


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RESNET_EDU_DOWNLOAD", raising=False)


def test_the_bomb_goes_off_where_it_is_unpickled(bomb: bytes, crater: Path) -> None:
    if b"weight" in bomb:
        torch.load(io.BytesIO(bomb), weights_only=False)
    else:
        pickle.loads(bomb)
    assert crater.is_dir()


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json", "config.toml", "checkpoint.safetensors"])
def test_a_run_folder_does_not_go_off(
    run: Path, cat: Path, bomb: bytes, crater: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).write_bytes(bomb)
    if name == "checkpoint.safetensors":
        with pytest.raises(WrongCheckpoint, match=r"is no checkpoint of a run, or damaged"):
            Run.open(run).checkpoint.history()
    else:
        command = ["evaluate", str(run)] if name == "config.toml" else ["predict", str(run), str(cat)]
        assert cli.run(command) == 2
        said = capsys.readouterr().err
        assert said.startswith("resnet-edu: ")
        assert len(said.splitlines()) == 1
    assert not crater.exists()


def test_a_picture_does_not_go_off_however_it_comes(cat: Path, bomb: bytes, crater: Path) -> None:
    posing = cat.with_name("posing.jpg")
    posing.write_bytes(bomb)
    with pytest.raises(UnreadablePicture, match=r"posing\.jpg"):
        read_photo(posing)
    with pytest.raises(UnreadablePicture, match=r"photo\.jpg"):
        uploaded([{"name": "photo.jpg", "content": memoryview(bomb)}])
    with pytest.raises(UnreadablePicture, match=r"posing\.jpg"):
        data.load(cat.parent.parent, size=16, strict=True)
    assert not crater.exists()


def test_no_other_program_is_started_for_a_picture(cat: Path) -> None:
    posing = cat.with_name("posing.jpg")
    posing.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EOF\n")  # Pillow asks Ghostscript
    with pytest.raises(UnreadablePicture, match="no picture in a format that Pillow knows"):
        read_photo(posing)


def test_weights_from_the_web_do_not_go_off(bomb: bytes, crater: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = imagenet_file("resnet18")
    file.parent.mkdir(parents=True)
    file.write_bytes(bomb)
    with pytest.raises(WrongCheckpoint, match="was not read"):
        models.pretrained("resnet18", source="imagenet")
    monkeypatch.setattr(files, "is_there", lambda *_: True)  # as if it were the right one
    with pytest.raises(WrongCheckpoint, match="something other than weights"):
        models.pretrained("resnet18", source="imagenet")
    assert not crater.exists()


def test_records_and_progress_do_not_go_off(tmp_path: Path, own_progress: Path, bomb: bytes, crater: Path) -> None:
    for name in ("study.json", "study.csv"):
        (tmp_path / name).write_bytes(bomb)
    with pytest.raises(ValueError, match="are damaged"):
        study.read_recorded("study", tmp_path)
    own_progress.write_bytes(bomb)
    assert "could not be read" in collect(["01.1 output size"]).note
    assert not crater.exists()


# 3. Text that was tampered with.


def tampered(run: Path, **changes: Any) -> Path:
    facts = json.loads((run / "network.json").read_text(encoding="utf-8"))
    (run / "network.json").write_text(json.dumps(facts | changes), encoding="utf-8")
    return run


@pytest.mark.parametrize(
    "change",
    [
        {"model": "os.system"},
        {"model": "../../../etc/passwd"},
        {"options": {"__class__": "os.system"}},
        {"options": {"in_channels": "mkdir crater"}},
        {"view": {"width": 10**9, "height": 16, "channels": 3, "crop": "none"}},
        {"classes": 3},
    ],
)
def test_a_network_is_built_only_from_what_the_course_knows(
    run: Path, cat: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", str(tampered(run, **change)), str(cat)]) == 2
    assert capsys.readouterr().err.startswith(f"resnet-edu: The run {run} is damaged")


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_names_that_climb_out_of_their_folder_stay_names(
    run: Path, cat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["../../escaped", "/tmp/escaped"]
    before = files_below(tmp_path)
    assert cli.run(["predict", str(tampered(run, classes=names)), str(cat), "--json"]) == 0
    assert {each["label"] for each in json.loads(capsys.readouterr().out)[0]["top"]} == {*names}
    png = io.BytesIO()
    Image.open(cat).save(png, "PNG")
    assert uploaded([{"name": "../../escaped.png", "content": png.getvalue()}])[0] == "escaped.png"
    assert files_below(tmp_path) == before


def test_a_list_of_copied_files_replaces_none_but_the_courses_own(tmp_path: Path) -> None:
    victim = tmp_path / "victim.ipynb"
    victim.write_text("mine", encoding="utf-8")
    mine = tmp_path / "mine"
    course.copy_lessons(mine)
    [manifest] = mine.glob(".resnet_edu_course.json")
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    digest = "d3f72f9b3d1a5c4e0d5b3f6f2a1e8f0c9d7b6a5948372615f0e1d2c3b4a59687"
    manifest.write_text(json.dumps(listed | {"../victim.ipynb": digest, str(victim): digest}), encoding="utf-8")
    course.copy_lessons(mine)
    assert victim.read_text(encoding="utf-8") == "mine"


# 4. No call without your word.


@pytest.mark.slow
def test_neither_the_package_nor_its_commands_call_anybody(tmp_path: Path) -> None:
    code = """
import resnet_edu as edu
from resnet_edu.tools import cli
from resnet_edu.errors import DatasetUnavailable

edu.setup(seed=0)
edu.data.load("mnist5k", limit=100)
assert "bundled" in edu.models.pretrained("resnet18").source
for name in ("cifar10", "fashion_mnist"):
    try:
        edu.data.load(name)
    except DatasetUnavailable:
        continue
    raise AssertionError(name)
cli.run(["doctor"])
cli.run(["study", "--list"])
cli.run(["--help"])
"""
    attempts = tmp_path / "attempts"
    path = os.pathsep.join([str(ROOT / "notebooks" / "strict"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "RESNET_EDU_ATTEMPTS": str(attempts)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=env)
    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["event"] for line in attempts.read_text().splitlines()} == {"start"}
