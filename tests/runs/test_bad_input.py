"""The corpus of bad input: what goes wrong with folders, files, options and runs, and the line that says so.

Every case goes through the command line: exit code 2, one line on stderr, no traceback, nothing half-written. Beside
them stand odd files that are fine.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from resnet_edu import run as run_module
from resnet_edu.tools import cli

TRAIN = ["train", "--data", "./sky", "--model", "resnet20", "--size", "16", "--epochs", "1", "--batch-size", "4"]
Make = Callable[[Path], object]


def noise(seed: int = 0, size: tuple[int, int] = (16, 16), low: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(low, low + 120, (*size, 3))
    return Image.fromarray(values.astype(np.uint8))


def save(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or noise()).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of two classes, and a finished run."""
    folder = tmp_path_factory.mktemp("course")
    for number, (name, low) in enumerate((("day", 120), ("night", 0))):
        for index in range(10):
            save(folder / "sky" / name / f"{index}.png", noise(10 * number + index, low=low))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RESNET_EDU_DATA", str(folder / "cache"))
        patched.chdir(folder)
        assert cli.run([*TRAIN, "--out", "done"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, which is the working folder."""
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    shutil.copytree(course / "sky", tmp_path / "sky")
    shutil.copytree(course / "done", tmp_path / "done")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line a command leaves that cannot do what it was asked for."""
    code = cli.run(arguments)
    printed = capsys.readouterr()
    assert code == 2
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("resnet-edu: ")
    assert "Traceback" not in printed.out + printed.err
    return printed.err


# Files and folders; tests/data knows more of them

BAD_FILES: list[tuple[str, Make | None, str]] = [
    ("missing.png", None, "missing.png cannot be read: there is no such file."),
    ("folder.png", Path.mkdir, "folder.png cannot be read: it is a folder. Name the pictures in it."),
    ("two\nlines.jpg", Path.touch, "two lines.jpg cannot be read: no picture"),
    ("고양이 🐈.jpg", Path.touch, "고양이 🐈.jpg cannot be read: no picture"),
]


@pytest.mark.skipif(os.name != "posix", reason="Windows has other names")
@pytest.mark.parametrize(("name", "make", "line"), BAD_FILES, ids=[repr(name) for name, _, _ in BAD_FILES])
def test_a_file_that_cannot_be_named(
    name: str, make: Make | None, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if make:
        make(here / name)
    assert line in complaint(["predict", "done", name], capsys)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other names")
@pytest.mark.parametrize(
    "name", ["no ending", "a 'quoted' \"name\".png", "two\nlines.png", "\x1b[2Jscreen.png", "-dash.png"]
)
def test_an_odd_file_is_named_like_any_other(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(here / name, format="PNG")
    assert cli.run(["predict", "done", "--json", "--", name]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["file"] == name
    assert {each["label"] for each in answer["top"]} == {"day", "night"}
    assert cli.run(["predict", "done", "--", name]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert len(rest) == 2


BAD_FOLDERS: list[tuple[str, Make, str]] = [
    ("missing", shutil.rmtree, "There is no folder sky. Expected one with a folder of pictures for each class."),
    ("one class", lambda sky: shutil.rmtree(sky / "day"), "sky has one class only, and there is nothing to tell apart"),
    ("a class of rubbish", lambda sky: ((sky / "dusk").mkdir(), (sky / "dusk/0.jpg").touch()), "to train on of dusk"),
]


@pytest.mark.parametrize(("what", "spoil", "line"), BAD_FOLDERS, ids=[what for what, _, _ in BAD_FOLDERS])
def test_a_folder_that_cannot_be_trained_on(
    what: str, spoil: Make, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(here / "sky")
    assert line in complaint([*TRAIN, "--out", "run"], capsys)
    assert not (here / "run").exists()


def test_what_a_folder_holds_besides_pictures_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sky" / "day" / "notes.txt").touch()
    save(here / "sky" / "dusk" / "only.png", noise(99))
    assert cli.run([*TRAIN, "--out", "run"]) == 0
    printed = capsys.readouterr().out
    assert "1 file skipped:\n  day/notes.txt: not a picture, by its ending\n" in printed
    assert "No picture is left for test of dusk: its error says nothing about them." in printed


# Options, and runs


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def grey(file: Path) -> None:
    view = {**json.loads(file.read_text())["view"], "channels": 1}
    rewrite(file, view=view, mean=[0.5], std=[0.5])


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def other_shape(file: Path) -> None:
    save_file({name: value for name, value in load_file(file).items() if "layer3" not in name}, file)


BAD_TOML: list[tuple[str, str]] = [
    ('epochs = "3"', "epochs must be a whole number from 1 to 1000000, got '3'."),
    ("epochs = 99999999999999999999999", "epochs must be a whole number from 1 to 1000000, got 9"),
    ("channels = 3.0", "channels must be 1 (grey) or 3 (colour), got 3.0."),
    ("channels = true", "channels must be 1 (grey) or 3 (colour), got True."),
    ("max_megabytes = inf", "max_megabytes"),
    ('augment = "flip"', 'augment takes several names: write ["flip"] instead of "flip".'),
    ("fused = 1", "fused must be true or false, got 1."),
    ("lr = [1]", "lr must be a number above 0, got [1]."),
    ("augment = 3", "augment"),
    ("frozen = 1", "frozen must be true or false, got 1."),
    ("x = 16.5", "size must be a whole number from 8 to 512 pixels, got 16.5."),
    ("top = true", "top must be a whole number of at least 1, got True."),
    ("max_megabytes = 'much'", "max_megabytes"),
    ("model = 35", "Unknown model 'resnet35'. Did you mean 'resnet34'?"),
    ("epoch = 3", "Unknown option 'epoch'. Did you mean 'epochs'?"),
    ("epochs: 3", "bad.toml is no TOML file"),
    ("data = 3", "data must be a folder or one of"),
]


@pytest.mark.parametrize(("text", "line"), BAD_TOML, ids=[text for text, _ in BAD_TOML])
def test_a_recipe_that_cannot_be(text: str, line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = text if text.startswith("data") else f'data = "./sky"\n{text}'
    (here / "bad.toml").write_text(given + "\n")
    assert line in complaint(["train", "--config", "bad.toml", "--out", "run"], capsys)
    assert not (here / "run").exists()


BAD_RUNS: list[tuple[str, Make, str]] = [
    ("no folder", shutil.rmtree, "There is no run done. Name a run's folder, or bundled"),
    (
        "no config",
        lambda run: [each.unlink() for each in run.iterdir()],
        "done holds no finished run. It has no config.",
    ),
    (
        "no weights",
        lambda run: (run / "weights.safetensors").unlink(),
        "done is damaged: weights.safetensors is missing.",
    ),
    (
        "not finished",
        lambda run: [(run / name).unlink() for name in ("weights.safetensors", "report.json")],
        "It is not finished: resnet-edu train --resume done",
    ),
    ("no network.json", lambda run: (run / "network.json").unlink(), "done is damaged: network.json is missing."),
    (
        "a list",
        lambda run: (run / "network.json").write_text("[]"),
        "done is damaged: network.json holds no JSON object",
    ),
    ("no number", lambda run: rewrite(run / "network.json", mean=[None, 0, 0]), "The run done is damaged"),
    ("one mean", lambda run: rewrite(run / "network.json", mean=[0.5]), "mean (0.5,) and std"),
    ("a side of no kind", lambda run: rewrite(run / "network.json", side="16"), "The run done is damaged"),
    ("a side below nothing", lambda run: rewrite(run / "network.json", side=-3), "The run done is damaged"),
    ("a nameless class", lambda run: rewrite(run / "network.json", classes=["a", 3]), "The run done is damaged"),
    ("grey", lambda run: grey(run / "network.json"), "was built for 3 channel(s)"),
    ("cut weights", lambda run: cut(run / "weights.safetensors"), "The run done is damaged"),
    ("weights of another net", lambda run: other_shape(run / "weights.safetensors"), "do not fit resnet20"),
    ("a class more", lambda run: rewrite(run / "network.json", classes=["a", "b", "c"]), "do not fit resnet20"),
    ("classes of no kind", lambda run: rewrite(run / "network.json", classes=2), "The run done is damaged"),
    ("no JSON", lambda run: (run / "network.json").write_text("{"), "The run done is damaged"),
]


@pytest.mark.parametrize(("what", "spoil", "line"), BAD_RUNS, ids=[what for what, _, _ in BAD_RUNS])
def test_a_run_that_cannot_be_used(
    what: str, spoil: Make, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(here / "done")
    assert line in complaint(["predict", "done", "sky/day/0.png", "--top", "1"], capsys)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '{"epochs": 1, "test_error": 0.0, "right_by_class": []}'])
def test_a_report_that_is_damaged(text: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "done" / "report.json").write_text(text)
    line = complaint(["train", "--resume", "done"], capsys)
    assert "The run done is damaged: " in line
    assert "report.json" in line


def test_facts_that_are_damaged_in_a_run_to_resume(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "done" / "report.json").unlink()
    (here / "done" / "network.json").write_text("null")
    line = complaint(["train", "--resume", "done"], capsys)
    assert "The run done is damaged: network.json holds no JSON object." in line


def test_a_batch_of_one_that_batch_norm_cannot_take(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ["--model", "18", "--stem", "imagenet", "--size", "32", "--batch-size", "1", "--out", "run"]
    assert "take a batch_size of at least 3, or larger images" in complaint([*TRAIN, *one], capsys)
    assert not (here / "run").exists()


def test_classes_that_the_run_does_not_know(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(10):
        save(here / "sky" / "dusk" / f"{index}.png", noise(50 + index))
    line = complaint(["evaluate", "done", "--data", "./sky"], capsys)
    assert "The network does not know the classes dusk. It knows day, night." in line


@pytest.mark.parametrize("error", ["the allocator's", "a GPU's"])
def test_out_of_memory_names_a_batch_size_to_try(
    error: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        if error == "a GPU's":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(run_module, "fit", fit)
    line = complaint([*TRAIN, "--out", "run"], capsys)
    assert line == "resnet-edu: A batch of 4 images does not fit into the memory: try batch_size=2.\n"
    assert not (here / "run").exists()
