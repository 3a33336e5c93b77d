"""train, evaluate and predict from the command line: options, outputs, and one line for what goes wrong."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from resnet_edu import History, Recipe, Run, run as run_module
from resnet_edu.data.folder import is_folder
from resnet_edu.recipe import HELP
from resnet_edu.tools import cli


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
    assert "kept for the test" in out
    assert "4 images of" in out

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
    load_file = run_module.load_file
    monkeypatch.setattr(run_module, "load_file", lambda path: (read.append(path), load_file(path))[1])
    code, out, _ = call("evaluate first --json", capsys)
    assert code == 0
    assert json.loads(out)["classes"] == ["day", "night"]
    assert read == [Path("first/weights.safetensors")]


def test_evaluate_refuses_pictures_that_have_changed(capsys: pytest.CaptureFixture[str]) -> None:
    call(TRAIN, capsys)
    Path("sky/day/0.png").rename("sky/day/new.png")  # as many as before, but others are in each part
    line = fails("evaluate first", capsys)
    assert "sky are others than when first was trained (brightness changed)" in line
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
    assert f"There is no folder {Path('sky').absolute()}." in fails("train --resume first", capsys)
    assert {path.name: path.read_bytes() for path in Path("first").iterdir()} == before
    Path("gone").rename("sky")
    assert call("train --resume first", capsys)[0] == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_a_new_run_that_cannot_begin_leaves_nothing(
    error: BaseException, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: Recipe) -> None:
        raise error

    monkeypatch.setattr(Recipe, "load", load)
    command = TRAIN.replace("--out first", "--out new/deep/first")
    if isinstance(error, KeyboardInterrupt):
        assert call(command, capsys)[0] == 130
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            call(command, capsys)
    assert not Path("new").exists()


def test_a_run_is_used_from_any_folder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = TRAIN.replace("--out first", "--out 'my runs/first'")
    code, out, _ = call(command, capsys)
    assert code == 0
    assert "Use it: resnet-edu predict 'my runs/first' FILE…" in out
    run = Path("my runs/first").absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert call(f"evaluate '{run}'", capsys)[0] == 0
    monkeypatch.setenv("HOME", str(run.parent))
    monkeypatch.setenv("USERPROFILE", str(run.parent))
    code, out, _ = call("predict '~/first' ../sky/day/0.png --csv", capsys)  # as a shell leaves --out=~/first
    assert code == 0
    assert out.startswith("file,label,percent")


def test_names_that_would_move_the_cursor_are_printed_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sky/day").rename("sky/d\x1b[2Jay\n")
    code, out, _ = call(TRAIN, capsys)
    assert code == 0
    assert "\x1b" not in out
    assert r"  d\x1b[2Jay\n  " in out
    code, out, _ = call("predict first sky/night/0.png", capsys)
    assert "\x1b" not in out


def test_classes_of_any_script_or_with_formulas_get_their_figures(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    Path("sky/day").rename("sky/\u1200\U0001f9a9")  # no font of this machine has both
    Path("sky/night").rename(r"sky/$\foo^$")
    code, out, complaint = call(TRAIN, capsys)
    assert (code, complaint) == (0, "")
    assert "confusion.png shows boxes for " in out
    assert Path("first/confusion.png").stat().st_size > 1000
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_a_class_without_test_pictures_has_no_share(capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(1, 10):
        Path(f"sky/night/{index}.png").unlink()
    code, out, _ = call(TRAIN, capsys)
    assert code == 0
    assert "  day" in out
    assert "  night" not in out.split("named wrongly.")[1]
    assert list(json.loads(Path("first/report.json").read_text())["right_by_class"]) == ["day"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM")
def test_a_run_that_is_told_to_end_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "resnet_edu", *shlex.split(TRAIN.replace("--epochs 2", "--epochs 5000"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   1"):
                break
        process.terminate()
        complaint = process.communicate()[1]
    assert process.returncode == 143
    assert complaint == "resnet-edu: the training was told to end. Go on with: resnet-edu train --resume first\n"
    assert len(Run.open(Path("first")).checkpoint.history()) >= 1


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
        ("train --data ./sky --out sky/run", "sky/run lies among the pictures, in ./sky. Name another"),
        ("train --data ./sky --epochs 1 --crop none --data mnist5k --out first", "are cut already, got crop=none"),
        ("evaluate nothing", "There is no run nothing"),
        ("predict bundle sky/day/0.png", "There is no run bundle. Name a run's folder, or bundled for the network"),
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


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sky/day/1.png").chmod(0)
    code, out, complaint = call("predict bundled sky/day/0.png sky/day/1.png --json", capsys)
    assert code == 2
    assert [answer["file"] for answer in json.loads(out)] == ["sky/day/0.png"]
    assert "sky/day/1.png cannot be read" in complaint


def test_a_run_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    call(TRAIN, capsys)
    before = Path("first/weights.safetensors").read_bytes()
    assert "holds a run already. Go on with --resume first" in fails(TRAIN, capsys)
    assert Path("first/weights.safetensors").read_bytes() == before
    assert isinstance(Run.open(Path("first")).recipe, Recipe)
