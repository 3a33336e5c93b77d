"""train, evaluate and predict from the command line: options, outputs, and one line for what goes wrong."""

import csv
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from resnet_edu import History, Recipe, Run, cli, run as run_module, trained
from resnet_edu.data.folder import is_folder
from resnet_edu.recipe import HELP


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(0)
    for name, low in (("day", 120), ("night", 0)):
        (tmp_path / "sky" / name).mkdir(parents=True)
        for index in range(10):
            pixels = numbers.integers(low, low + 120, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "sky" / name / f"{index}.png")
    return tmp_path


TRAIN = "train --data ./sky --model resnet20 --size 16 --epochs 2 --batch-size 4 --lr 0.02 --augment off --out first"


def call(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.run(shlex.split(line))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def fails(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command which cannot work leaves."""
    code, _, complaint = call(line, capsys)
    assert code == 2
    assert complaint.count("\n") == 1
    return complaint


def test_train_evaluate_predict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(TRAIN, capsys)
    assert code == 0
    assert "14 train · 2 val · 4 test, 16×16, colour" in out
    assert "epoch   2  training error" in out
    assert "2 epochs; " in out
    assert "resnet-edu predict first FILE…" in out
    assert Run.open(Path("first")).recipe.training.augment == ()

    code, out, _ = call("evaluate first --json", capsys)
    values = json.loads(out)
    assert code == 0
    assert values["images"] == 4
    assert values["classes"] == ["day", "night"]
    code, out, _ = call("evaluate first --data ./sky", capsys)
    assert "20 images of" in out

    files = "sky/day/0.png sky/night/1.png"
    _, out, _ = call(f"predict first {files} --json", capsys)
    answers = json.loads(out)
    assert [answer["file"] for answer in answers] == files.split()
    assert all({label["label"] for label in answer["top"]} == {"day", "night"} for answer in answers)
    _, out, _ = call(f"predict first {files} --csv --top 1", capsys)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == files.split()
    assert [row["label"] for row in rows] == [answer["top"][0]["label"] for answer in answers]
    assert [float(row["percent"]) for row in rows] == pytest.approx(
        [answer["top"][0]["percent"] for answer in answers], abs=1e-3
    )
    _, out, _ = call(f"predict first {files} --top 2", capsys)
    assert out.startswith("sky/day/0.png\n  ")
    assert out.count(" %\n") == 4


def test_prediction_needs_the_network_and_its_weights_alone(capsys: pytest.CaptureFixture[str]) -> None:
    call(f"{TRAIN} --top 1", capsys)
    ask = "predict first sky/day/0.png --json"
    assert len(json.loads(call(ask, capsys)[1])[0]["top"]) == 1  # as the run says
    for file in Path("first").iterdir():
        if file.name not in ("network.json", "weights.safetensors"):
            file.unlink()
    code, out, complaint = call(ask, capsys)
    assert (code, complaint) == (0, "")
    assert len(json.loads(out)[0]["top"]) == 2  # 3, or all classes


def test_evaluate_reads_the_weights_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    call(TRAIN, capsys)
    read: list[Path] = []
    load_file = trained.load_file
    monkeypatch.setattr(trained, "load_file", lambda path: (read.append(path), load_file(path))[1])
    code, out, _ = call("evaluate first --json", capsys)
    assert code == 0
    assert json.loads(out)["classes"] == ["day", "night"]
    assert read == [Path("first/weights.safetensors")]


def test_evaluate_refuses_pictures_that_have_changed(capsys: pytest.CaptureFixture[str]) -> None:
    call(TRAIN, capsys)
    Path("sky/day/0.png").rename("sky/day/new.png")  # as many as before, but others are in each part
    line = fails("evaluate first", capsys)
    assert line.startswith(
        "resnet-edu: The pictures in ./sky are others than when first was trained (brightness changed)"
    )
    assert line.endswith("Name pictures that it has not seen: --data DIR.\n")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_folders_in_examples_are_folders(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(f"{command} --help", capsys)
    named = [
        words[words.index("--data") + 1]
        for words in map(str.split, out.split("Examples:")[1].splitlines())
        if "--data" in words
    ]
    assert named
    assert all(map(is_folder, named))


def test_the_bundled_network_needs_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("predict bundled sky/day/0.png --json", capsys)
    assert code == 0
    assert len(json.loads(out)[0]["top"]) == 3


def test_options_come_before_the_file_and_the_file_before_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.toml").write_text('data = "./sky"\nmodel = "resnet20"\nx = 16\ny = 16\nepochs = 9\nbatch_size = 4\n')
    code, _, _ = call("train --config run.toml --epochs 1 --out second", capsys)
    assert code == 0
    recipe = Run.open(Path("second")).recipe
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.seed) == (1, 4, 0)


def test_every_option_of_a_recipe_is_one_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call("train --help", capsys)
    for name in HELP:
        assert f"--{name.replace('_', '-')} " in out


def test_an_interrupted_run_can_be_resumed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def interrupted(model, data, config, *, callbacks, checkpoint):
            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            return fit(model, data, config, callbacks=(*callbacks, stop), checkpoint=checkpoint)

        fit = run_module.fit
        patched.setattr(run_module, "fit", interrupted)
        code, out, complaint = call(TRAIN, capsys)
    assert code == 130
    assert "Stopped after epoch 1. Go on with: resnet-edu train --resume first" in out
    assert complaint == "resnet-edu: interrupted.\n"
    code, out, _ = call("train --resume first", capsys)
    assert code == 0
    assert "epoch   1" not in out
    assert "epoch   2" in out
    code, out, _ = call("train --resume first", capsys)  # finished: nothing is trained again
    assert "epoch   2" not in out
    assert "2 epochs; " in out


def test_a_run_that_cannot_be_resumed_now_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def interrupted(*_: object, **__: object) -> History:
            return History(interrupted=True)  # before the first epoch has ended

        patched.setattr(run_module, "fit", interrupted)
        assert call(TRAIN, capsys)[0] == 130
    before = {path.name: path.read_bytes() for path in Path("first").iterdir()}
    with FileLock("first/.lock"):
        assert "Another process is training the run first" in fails("train --resume first", capsys)
    Path("sky").rename("gone")
    assert "There is no folder sky" in fails("train --resume first", capsys)
    assert {path.name: path.read_bytes() for path in Path("first").iterdir()} == before
    Path("gone").rename("sky")
    assert call("train --resume first", capsys)[0] == 0


# Bad input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --data ./sky", "--out is missing"),
        ("train --out first", "The option data is missing"),
        ("train --data ./nowhere --out first", "There is no folder nowhere"),
        ("train --data mnist5 --out first", "Unknown data set 'mnist5'. Did you mean 'mnist5k'?"),
        ("train --data ./sky --model resnet20 --channels 2 --out first", "channels must be 1 (grey) or 3 (colour)"),
        ("train --data ./sky --model lenet5 --size 16 --out first", "32"),
        ("train --data ./sky --optimizer adma --out first", "Did you mean 'adam'?"),
        ("train --data ./sky --epochs many --out first", "valid integer"),
        ("train --config none.toml --out first", "There is no file none.toml"),
        ("train --resume nothing", "it has no config.toml"),
        ("train --resume first --lr 1", "leave out --lr"),
        ("evaluate nothing", "holds no finished run"),
        ("predict nothing sky/day/0.png", "holds no finished run"),
        ("predict bundled missing.png", "there is no such file"),
        ("predict bundled sky/day/0.png --top 11", "top must lie between 1 and 10, got 11"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in fails(line, capsys)
    assert not Path("first").exists()


def test_files_that_cannot_be_used_are_named_after_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_text("no picture")
    code, out, complaint = call("predict bundled broken.png sky/day/0.png missing.png --json", capsys)
    assert code == 2
    assert [answer["file"] for answer in json.loads(out)] == ["sky/day/0.png"]
    assert "broken.png cannot be read" in complaint
    assert "And 1 more" in complaint


def test_a_run_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    call(TRAIN, capsys)
    before = Path("first/weights.safetensors").read_bytes()
    assert "holds a run already. Go on with --resume first" in fails(TRAIN, capsys)
    assert Path("first/weights.safetensors").read_bytes() == before
    assert isinstance(Run.open(Path("first")).recipe, Recipe)
