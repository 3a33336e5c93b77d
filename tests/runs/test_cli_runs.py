"""train, evaluate and predict from the command line: what they print, what they leave, and how a run goes on."""

import csv
import errno
import inspect
import io
import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file

from resnet_edu import History, Recipe, Run, run as run_module
from resnet_edu.recipe import HELP
from resnet_edu.tools import cli
from resnet_edu.tools.cli_runs import train

TRAIN = "train --data ./sky --model resnet20 --size 16 --epochs 2 --batch-size 4 --lr 0.02 --augment off --out run"
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other names and signals")


def save(path: Path, low: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(low, low + 120, (16, 16, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path, format="PNG")
    return path


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of two classes, and a finished run."""
    folder = tmp_path_factory.mktemp("course")
    numbers = np.random.default_rng(0)
    for name, low in (("day", 120), ("night", 0)):
        (folder / "sky" / name).mkdir(parents=True)
        for index in range(10):
            pixels = numbers.integers(low, low + 120, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "sky" / name / f"{index}.png")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RESNET_EDU_DATA", str(folder / "cache"))
        patched.chdir(folder)
        assert cli.run(shlex.split(f"{TRAIN[:-3]} done")) == 0
    return folder


@pytest.fixture(autouse=True)
def here(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, which is the working folder; the run is one of the copied pictures."""
    for name in ("sky", "done"):
        shutil.copytree(course / name, tmp_path / name)
    config = tmp_path / "done" / "config.toml"
    config.write_text(config.read_text().replace(str(course), str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.run(shlex.split(line))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def fails(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command which cannot work leaves."""
    code, _, complaint = call(line, capsys)
    assert (code, complaint.count("\n"), complaint[:12]) == (2, 1, "resnet-edu: ")
    return complaint


# What they print and leave


def test_train_says_what_it_found_and_will_do_and_then_what_came_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "none that exists")
    code, out, _ = call(TRAIN, capsys)
    assert code == 0
    assert "14 train · 2 val · 4 test, 16×16, colour" in out
    table = [["class", "train", "val", "test"], ["day", "7", "1", "2"], ["night", "7", "1", "2"]]
    assert [words for line in out.splitlines() if (words := line.split()) in table] == table
    assert [mark for mark in out if not mark.isprintable() and mark != "\n"] == [], "plain lines where no terminal is"
    assert "2 epochs of 14 images, 16×16, in batches of 4: 8 updates, less than a minute\n" in out
    assert "epoch   2  training error" in out
    assert "2 epochs; " in out
    assert "Use it:\n  resnet-edu predict run FILE…\n" in out
    assert Run.open(Path("run")).recipe.augment == ()
    assert {"curves.png", "confusion.png", "history.csv"} < {path.name for path in Path("run").iterdir()}
    assert History.from_csv("run/history.csv").last.epoch == 2
    before = Path("run/weights.safetensors").read_bytes()
    assert "holds a run already. Go on with --resume run" in fails(TRAIN, capsys)
    code, out, _ = call("train --resume run", capsys)  # finished: nothing is trained again
    assert (code, "epoch   2" in out, "2 epochs; " in out) == (0, False, True)
    assert Path("run/weights.safetensors").read_bytes() == before


def test_its_progress_names_the_network_and_one_of_a_thing_is_no_plural(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_edu.machine.show_progress", lambda: True)
    _, out, bars = call(TRAIN.replace("epochs 2", "epochs 1").replace("size 4", "size 14"), capsys)
    titles = [bar.partition("\x1b[0m ")[2].partition(" 1 of 1, ")[0] for bar in bars.split("\r")]
    assert [title for title in titles if title] == ["measuring the speed: epoch", "resnet20: epoch"]
    assert "1 epoch of 14 images, 16×16, in batches of 14: 1 update, less than a minute\n" in out
    assert "\n1 epoch; " in out


@pytest.mark.parametrize(("minutes", "told"), [(1.25, "about 1.2 minutes"), (75.4, "about 75 minutes")])
def test_a_longer_run_tells_its_minutes(
    minutes: float, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_edu.recipe.Prepared.minutes", lambda _: minutes)
    assert f" updates, {told}\n" in call(TRAIN, capsys)[1]


def test_predict_as_text_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    names = "sky/day/0.png sky/night/1.png"
    _, out, _ = call(f"predict done {names} --json --top 2", capsys)
    answers = json.loads(out)
    assert [answer["file"] for answer in answers] == names.split()
    assert all({label["label"] for label in answer["top"]} == {"day", "night"} for answer in answers)
    _, out, _ = call(f"predict done {names} --csv --top 1", capsys)
    rows = [(row["file"], row["label"], float(row["percent"])) for row in csv.DictReader(io.StringIO(out))]
    best = [(answer["file"], answer["top"][0]["label"], answer["top"][0]["percent"]) for answer in answers]
    assert [row[:2] for row in rows] == [each[:2] for each in best]
    assert [row[2] for row in rows] == pytest.approx([each[2] for each in best], abs=1e-3)
    _, out, _ = call(f"predict done {names} --top 2", capsys)
    assert out.startswith("sky/day/0.png\n  ")
    assert out.count(" %  ") == 4
    code, out, _ = call("predict bundled sky/day/0.png --json", capsys)
    assert (code, len(json.loads(out)[0]["top"])) == (0, 3)


def test_prediction_needs_the_network_and_its_weights_alone(capsys: pytest.CaptureFixture[str]) -> None:
    ask = "predict done sky/day/0.png --json"
    for file in Path("done").iterdir():
        if file.name not in ("network.json", "weights.safetensors"):
            file.unlink()
    code, out, complaint = call(ask, capsys)
    assert (code, complaint) == (0, "")
    assert len(json.loads(out)[0]["top"]) == 2  # 3, or all classes


def test_evaluate_measures_what_was_kept_for_the_test(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(run_module, "load_file", lambda path: (read.append(path), load_file(path))[1])
    values = json.loads(call("evaluate done --json", capsys)[1])
    assert (values["images"], values["classes"], read) == (4, ["day", "night"], [Path("done/weights.safetensors")])
    _, out, _ = call("evaluate done --data ./sky", capsys)  # the undivided folder that it was trained on
    assert "kept for the test" in out
    assert "4 images of" in out
    Path("sky/day/0.png").rename("sky/day/new.png")  # as many as before, but others are in each part
    line = fails("evaluate done", capsys)
    assert "sky are not the ones done was trained on (brightness changed)" in line
    assert line.endswith("Choose pictures that it has not seen: --data DIR.\n")


def test_options_come_before_the_file_and_the_file_before_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/run.toml").write_text('data = "../sky"\nmodel = "resnet20"\nx = 16\nepochs = 9\nbatch_size = 4\n')
    assert call("train --config elsewhere/run.toml --epochs 1 --out run", capsys)[0] == 0
    recipe = Run.open(Path("run")).recipe
    assert (recipe.epochs, recipe.batch_size, recipe.y, recipe.seed) == (1, 4, 16, 0)
    given = set(inspect.signature(train).parameters) - {"context", "size", "out", "config", "resume"}
    assert given <= set(HELP), "all others are a recipe's, which a file may have too"


def test_a_run_is_used_from_any_folder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path("done").rename("my run").absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert call(f"evaluate '{run}'", capsys)[0] == 0
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(run.parent))
    code, out, _ = call("predict '~/my run' ../sky/day/0.png --csv", capsys)  # as a shell leaves --out=~/run
    assert (code, out[:18]) == (0, "file,label,percent")


@posix
@pytest.mark.parametrize("name", ["no ending", "a 'quoted' \"name\".png", "two\nlines.png", "\x1b[2Jx.png", "-x.png"])
def test_an_odd_file_is_named_like_any_other(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path(name))
    assert cli.run(["predict", "done", "--json", "--", name]) == 0
    assert json.loads(capsys.readouterr().out)[0]["file"] == name
    assert cli.run(["predict", "done", "--", name]) == 0
    assert capsys.readouterr().out.splitlines()[0] == name.replace("\n", "\\n").replace("\x1b", "\\x1b")


@posix
def test_classes_of_any_name_get_their_figures_and_no_class_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    Path("sky/day").rename("sky/\u1200\U0001f9a9\x1b[2J\n")  # no font of this machine has the first two
    Path("sky/night").rename(r"sky/$\foo^$")
    code, out, complaint = call(TRAIN, capsys)
    assert (code, complaint, "\x1b" in out) == (0, "", False)
    assert r"[2J\n" in out
    assert Path("run/confusion.png").stat().st_size > 1000
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_what_to_know_of_a_folder_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sky/day/notes.txt").touch()
    save(Path("sky/dusk/only.png"))
    code, out, _ = call(TRAIN, capsys)
    assert code == 0
    assert "1 file skipped:\n  day/notes.txt: not a picture, by its ending\n" in out
    assert "test has no pictures of dusk, so its error says nothing about them." in out
    assert "day has 7 times as many pictures as dusk" in out
    assert [*json.loads(Path("run/report.json").read_text())["right_by_class"]] == ["day", "night"]


# Stopping and going on


def stopped_after_an_epoch(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stop(*_: object) -> None:
        raise error

    fit = run_module.fit
    monkeypatch.setattr(
        run_module, "fit", lambda *given, callbacks, **more: fit(*given, callbacks=(*callbacks, stop), **more)
    )


def test_an_interrupted_run_can_be_resumed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        stopped_after_an_epoch(patched, KeyboardInterrupt())
        code, out, complaint = call(TRAIN, capsys)
    assert (code, complaint) == (130, "resnet-edu: interrupted.\n")
    assert "Stopped after epoch 1. Go on with: resnet-edu train --resume run" in out
    code, out, _ = call("train --resume run", capsys)
    assert (code, "epoch   1" in out, "epoch   2" in out, "1 epoch of 2 left, " in out) == (0, False, True, True)


def test_a_full_disk_is_named_with_the_way_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stopped_after_an_epoch(patched, OSError(errno.ENOSPC, "No space left on device", "run/history.csv"))
        line = fails(TRAIN, capsys)
    again = "Make room there. Go on with: resnet-edu train --resume run"
    assert line == f"resnet-edu: The disk is full (run/history.csv). {again}\n"
    assert call("train --resume run", capsys)[0] == 0


def test_a_run_that_cannot_be_resumed_now_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:  # before the first epoch has ended
        patched.setattr(run_module, "fit", lambda *_, **__: History(interrupted=True))
        assert call(TRAIN, capsys)[0] == 130
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    with FileLock("run/.lock"):
        assert "Another process is training the run run" in fails("train --resume run", capsys)
    Path("sky").rename("gone")
    assert f"There is no folder {Path('sky').absolute()}." in fails("train --resume run", capsys)
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    Path("gone").rename("sky")
    assert call("train --resume run", capsys)[0] == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_a_new_run_that_cannot_begin_leaves_nothing(
    error: BaseException, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: Recipe) -> None:
        raise error

    monkeypatch.setattr(Recipe, "load", load)
    command = TRAIN.replace("--out run", "--out new/deep/run")
    if isinstance(error, KeyboardInterrupt):
        assert call(command, capsys)[0] == 130
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            call(command, capsys)
    assert not Path("new").exists()
