"""The corpus of bad input: what goes wrong with options, files, folders and runs, and the one line that says so."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_cli_runs import TRAIN, call, course, fails, here, save

__all__ = ["course", "here"]  # the fixtures: a working folder with pictures of two classes and a finished run

Make = Callable[[Path], object]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --data ./sky", "--out is missing"),
        ("train --out run", "The option data is missing"),
        ("train --data ./nowhere --out run", "There is no folder nowhere. Expected one with a folder of pictures"),
        ("train --data mnist5 --out run", "Unknown data set or folder 'mnist5'. Did you mean 'mnist5k'?"),
        ("train --data ./sky --size 0 --out run", "size must be a whole number from 8 to 512 pixels, got 0."),
        ("train --data ./sky --size 32 --x 16 --out run", "--size is width and height: leave it out, or"),
        ("train --data ./sky --model resnet20 --channels 2 --out run", "channels must be 1 (grey) or 3 (colour)"),
        ("train --data ./sky --model lenet5 --size 16 --out run", "32"),
        ("train --data ./sky --optimizer adma --out run", "Did you mean 'adam'?"),
        ("train --data ./sky --epochs many --out run", "valid integer"),
        ("train --config none.toml --out run", "There is no file none.toml"),
        ("train --resume nothing", "it has no config.toml"),
        ("train --resume done --size 8 --lr 1", "leave out --size, --lr"),
        ("train --data ./sky --out sky/run", "sky/run lies among the pictures, in ./sky. Name another"),
        ("train --data mnist5k --epochs 1 --crop none --out run", "are cut already, got crop=none"),
        ("train --data sky --size 8 --pretrained none --batch-size 1 --out run", "more than 1 value per channel"),
        ("evaluate nothing", "There is no run nothing"),
        ("evaluate bundled", "bundled has no test images, so it only predicts. Name the folder of a run of your own."),
        ("predict done sky/day/0.png --json --csv", "Use either --json or --csv, not both."),
        ("predict bundle sky/day/0.png", "There is no run bundle. Name a run's folder, or bundled for the network"),
        ("predict bundled sky/day/0.png --top 999", "top must lie between 1 and "),
        ("predict done missing.png", "missing.png cannot be read: there is no such file."),
        ("predict done sky", "sky cannot be read: it is a folder. Name the pictures in it."),
    ],
)
def test_what_cannot_work_is_said_in_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in fails(line, capsys)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda sky: shutil.rmtree(sky / "day"), "sky has only one class, so there is nothing to tell apart"),
        (lambda sky: ((sky / "dusk").mkdir(), (sky / "dusk/0.jpg").touch()), "to train on of dusk"),
    ],
    ids=["one class", "a class of rubbish"],
)
def test_a_folder_that_cannot_be_trained_on(spoil: Make, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(Path("sky"))
    assert line in fails(TRAIN, capsys)
    assert not Path("run").exists()


BAD_TOML = [
    ('epochs = "3"', "epochs must be a whole number from 1 to 1000000, got '3'."),
    ('augment = "flip"', 'augment takes a list, such as ["crop", "flip"], or [] for none, got \'flip\'.'),
    ("lr = [1]", "lr must be a number above 0, got [1]."),
    ("frozen = 1", "frozen must be true or false, got 1."),
    ("epoch = 3", "Unknown option 'epoch'. Did you mean 'epochs'?"),
    ("epochs: 3", "bad.toml is no TOML file"),
    ("data = 3", "data must be a folder or one of"),
]


@pytest.mark.parametrize(("text", "line"), BAD_TOML, ids=[text for text, _ in BAD_TOML])
def test_a_recipe_that_cannot_be(text: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text(text if text.startswith("data") else f'data = "./sky"\n{text}')
    assert line in fails("train --config bad.toml --out run", capsys)
    assert not Path("run").exists()


def rewritten(**changes: object) -> Make:
    return lambda run: (run / "network.json").write_text(
        json.dumps({**json.loads((run / "network.json").read_text()), **changes})
    )


def without(*names: str) -> Make:
    return lambda run: [(run / name).unlink() for name in names]


def with_text(name: str, text: str) -> Make:
    return lambda run: (run / name).write_text(text)


def other_shape(run: Path) -> None:
    file = run / "weights.safetensors"
    save_file({name: value for name, value in load_file(file).items() if "layer3" not in name}, file)


GREY = {"view": {"width": 16, "height": 16, "channels": 1, "crop": "center"}, "mean": [0.5], "std": [0.5]}
BAD_RUNS: dict[str, tuple[Make, str]] = {
    "no folder": (shutil.rmtree, "There is no run done. Name a run's folder, or bundled"),
    "no config": (lambda run: [each.unlink() for each in run.iterdir()], "no finished run. It has no config."),
    "no weights": (without("weights.safetensors"), "done is damaged: weights.safetensors is missing."),
    "not finished": (without("weights.safetensors", "report.json"), "not finished: resnet-edu train --resume done"),
    "no network.json": (without("network.json"), "done is damaged: network.json is missing."),
    "a list": (with_text("network.json", "[]"), "done is damaged: network.json holds no JSON object"),
    "no JSON": (with_text("network.json", "{"), "The run done is damaged"),
    "no number": (rewritten(mean=[None, 0, 0]), "The run done is damaged"),
    "one mean": (rewritten(mean=[0.5]), "mean (0.5,) and std"),
    "a side of no kind": (rewritten(side="16"), "The run done is damaged"),
    "a side below nothing": (rewritten(side=-3), "The run done is damaged"),
    "a nameless class": (rewritten(classes=["a", 3]), "The run done is damaged"),
    "grey": (rewritten(**GREY), "was built for 3 channel(s)"),
    "cut weights": (lambda run: os.truncate(run / "weights.safetensors", 999), "The run done is damaged"),
    "weights of another net": (other_shape, "do not fit resnet20"),
    "a class more": (rewritten(classes=["a", "b", "c"]), "do not fit resnet20"),
}


@pytest.mark.parametrize(("spoil", "line"), BAD_RUNS.values(), ids=BAD_RUNS)
def test_a_run_that_cannot_be_used(spoil: Make, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(Path("done"))
    assert line in fails("predict done sky/day/0.png --top 1", capsys)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '{"epochs": 1, "test_error": 0.0, "right_by_class": []}'])
def test_files_that_are_damaged_in_a_run_to_resume(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("done/report.json").write_text(text)
    line = fails("train --resume done", capsys)
    assert "The run done is damaged: " in line
    assert "report.json" in line


def test_classes_that_the_run_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("sky", "other")
    save(Path("other/dusk/0.png"))
    line = fails("evaluate done --data ./other", capsys)
    assert "The network does not know the classes dusk. It knows day, night." in line


@pytest.mark.parametrize("place", ["run", "recipe"])  # in training, and where its time is measured
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_names_a_batch_size_to_try(
    error: Exception, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(f"resnet_edu.{place}.fit", fit)
    line = fails(TRAIN, capsys)
    assert line == "resnet-edu: A batch of 4 images does not fit in memory: try batch_size=2, or smaller images.\n"


def test_files_that_cannot_be_used_are_named_after_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_text("no picture")
    code, out, complaint = call("predict bundled broken.png sky/day/0.png missing.png --json", capsys)
    assert code == 2
    assert [answer["file"] for answer in json.loads(out)] == ["sky/day/0.png"]
    assert "broken.png cannot be read" in complaint
    assert "And 1 more" in complaint
