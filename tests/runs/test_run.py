"""A run in a folder: nothing is lost, and it predicts with the very preprocessing it was trained with."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from resnet_edu import Epoch, History, Recipe, Run, evaluate, models, predict
from resnet_edu.data import load
from resnet_edu.data.folder import load_one_part
from resnet_edu.errors import DatasetUnavailable
from resnet_edu.recipe import prepare
from resnet_edu.run import Preprocessing, evaluate_run, open_run

CLASSES = ("blue", "green", "red")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Noise with a colour cast; some are large JPEGs, some are wide."""
    numbers = np.random.default_rng(0)
    for channel, name in enumerate(reversed(CLASSES)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(12):
            pixels = numbers.integers(0, 90, (90, 140, 3) if index % 3 else (20, 16, 3))
            pixels[..., channel] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{index:02}.jpg")
    return tmp_path / "pictures"


def recipe_for(pictures: Path, **options: object) -> Recipe:
    defaults = {"model": "resnet20", "x": 24, "y": 16, "epochs": 3, "batch_size": 8, "lr": 0.05, "crop": "center"}
    return Recipe.from_dict({"data": str(pictures), **defaults, **options})


def stop_after(epoch: int) -> Callable[[Epoch, nn.Module], None]:
    def stop(record: Epoch, _: nn.Module) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def finished(pictures: Path, tmp_path: Path) -> Run:
    run = Run.start(recipe_for(pictures), tmp_path / "runs" / "first")
    assert not run.train().interrupted
    return run


def results(run: Run) -> list[list[str]]:
    """What is in `history.csv`, without the seconds."""
    return [row.split(",")[:6] for row in (run.folder / "history.csv").read_text().splitlines()]


# Train and predict see the same


def test_training_and_prediction_see_the_same_tensors(finished: Run, pictures: Path) -> None:
    network, data = open_run(finished.folder), finished.recipe.load()
    trained_on = {image.numpy().tobytes() for part in (data.train, data.val, data.test) for image in part.inputs()}
    files = sorted(pictures.rglob("*.jpg"))
    assert {network.transforms(network.read(path)).numpy().tobytes() for path in files} == trained_on
    assert len(trained_on) == len(files)


def test_predictions_are_those_of_the_evaluation_and_of_each_picture_alone(finished: Run, pictures: Path) -> None:
    network, data = open_run(finished.folder), finished.recipe.load()
    files = sorted(pictures.rglob("*.jpg")) * 4  # 144: more than two batches
    together = predict(finished.folder, files, top=3, precision="float32")
    assert [each.file for each in together] == files
    whole = [evaluate(network.model, part, precision="float32") for part in (data.train, data.val, data.test)]
    wrong = sum(each.top1_error * int(each.confusion.sum()) / 100 for each in whole)
    assert sum(each.top[0][0] != each.file.parent.name for each in together[:36]) == round(wrong)
    for each in together[::71]:
        (alone,) = predict(finished.folder, [each.file], top=3)
        assert [label for label, _ in each.top] == [label for label, _ in alone.top]
        assert [share for _, share in each.top] == pytest.approx([share for _, share in alone.top], abs=1e-3)
        assert sum(percent for _, percent in each.top) == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize("size", [16, 28, 32])
def test_a_digit_in_a_file_is_prepared_like_the_digits_of_the_set(size: int) -> None:
    data, shipped = (load("mnist5k", size=side, channels=3) for side in (size, 28))
    view, side = Recipe(data="mnist5k", x=size, y=size).prediction_view()
    assert side == (None if size == 28 else size)
    prepared = Preprocessing(view, data.test.mean, data.test.std, side)
    for number in range(5):
        digit = Image.fromarray(shipped.test.images[number].permute(1, 2, 0).numpy())
        assert torch.equal(prepared(digit), data.test.inputs(slice(number, number + 1))[0])


def test_validation_images_decide_and_test_images_are_reported(pictures: Path, tmp_path: Path) -> None:
    """The test images lie in wrong folders and in other numbers, so that no net has the same error on both parts."""
    for part, sizes in (("val", (5, 1, 2)), ("test", (2, 5, 1))):
        for place, (name, size) in enumerate(zip(CLASSES, sizes, strict=True)):
            truth = CLASSES[(place + (part == "test")) % 3]
            (tmp_path / "divided" / part / name).mkdir(parents=True)
            for file in sorted((pictures / truth).iterdir())[:size]:
                file.rename(tmp_path / "divided" / part / name / f"{part}{file.name}")
    pictures.rename(tmp_path / "divided" / "train")
    run = Run.start(recipe_for(tmp_path / "divided"), tmp_path / "run")
    data, seen = run.recipe.load(), list[float]()
    assert (len(data.val), len(data.test)) == (8, 8)
    history = run.train(callbacks=(lambda _, model: seen.append(evaluate(model, data.val).top1_error),))
    assert [epoch.val_error for epoch in history.epochs] == seen
    report, model = run.report(), open_run(run.folder).model
    assert report is not None
    assert report["val_error"] == evaluate(model, data.val).top1_error == seen[-1]
    assert report["test_error"] == evaluate(model, data.test).top1_error == evaluate_run(run.folder)[0].top1_error
    assert report["test_error"] != report["val_error"]


# What is in the folder


def test_the_folder_holds_what_the_docs_say_and_can_be_moved(finished: Run, pictures: Path, tmp_path: Path) -> None:
    assert {path.name for path in finished.folder.iterdir() if path.name != ".lock"} == {
        *("config.toml", "network.json", "weights.safetensors", "history.csv", "report.json")
    }
    report = finished.report()
    assert report is not None
    assert (report["epochs"], np.sum(report["confusion"]), {*report["right_by_class"]}) == (3, 6, {*CLASSES})
    assert {"torch", "torchvision", "cpu"} <= {*report["machine"]}
    assert len(History.from_csv(finished.folder / "history.csv")) == 3
    recipe = Run.open(finished.folder).recipe
    assert recipe == prepare(recipe).recipe == prepare(finished.recipe).recipe
    file = pictures / "red" / "03.jpg"
    before = predict(finished.folder, [file], top=3)[0].top
    moved = finished.folder.rename(tmp_path / "elsewhere")
    file.rename(tmp_path / "picture.jpg")
    pictures.rename(tmp_path / "gone")
    assert predict(str(moved), [tmp_path / "picture.jpg"], top=3)[0].top == before


def test_other_pictures_can_be_evaluated_however_accents_are_written(finished: Run, tmp_path: Path) -> None:
    facts = json.loads((finished.folder / "network.json").read_text())
    facts["classes"][0] = normalize("NFC", "café")
    (finished.folder / "network.json").write_text(json.dumps(facts))
    (tmp_path / "other").mkdir()
    (tmp_path / "pictures" / "blue").rename(tmp_path / "other" / normalize("NFD", "café"))  # as a Mac writes it
    (tmp_path / "pictures" / "red").rename(tmp_path / "other" / "red")
    metrics, images = evaluate_run(finished.folder, str(tmp_path / "other"))
    assert metrics.confusion.sum(dim=1).tolist() == [12, 0, 12]
    assert "24 images" in images
    (tmp_path / "other" / "red").rename(tmp_path / "other" / "pink")
    with pytest.raises(ValueError, match=r"does not know the classes pink\. It knows café, green, red"):
        evaluate_run(finished.folder, str(tmp_path / "other"))


def test_other_pictures_are_normalised_by_the_numbers_of_the_run(finished: Run, pictures: Path, tmp_path: Path) -> None:
    for path in pictures.glob("*/0[0-3].jpg"):
        (tmp_path / "other" / path.parent.name).mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            ImageOps.invert(picture).save(tmp_path / "other" / path.parent.name / path.name)
    network, measured = open_run(finished.folder), evaluate_run(finished.folder, str(tmp_path / "other"))[0]
    own, _, _ = load_one_part(tmp_path / "other", finished.recipe.prediction_view()[0])
    files = sorted((tmp_path / "other").rglob("*.jpg"))
    with torch.inference_mode():
        logits = network.model(torch.stack([network.transforms(network.read(path)) for path in files]))
    assert measured.loss == pytest.approx(F.cross_entropy(logits, own.labels).item(), rel=0.05)  # bfloat16, perhaps
    assert measured.loss != pytest.approx(evaluate(network.model, own).loss, rel=0.2), "it makes a difference"


def test_the_folder_it_was_trained_on_is_no_other_folder(finished: Run, pictures: Path) -> None:
    said: list[str] = []
    metrics, images = evaluate_run(finished.folder, str(pictures / ".." / pictures.name), say=said.append)
    assert torch.equal(metrics.confusion, evaluate_run(finished.folder)[0].confusion)
    assert "6 images of" in images
    assert "kept for the test" in said[0]


def test_weights_that_are_not_finite_are_not_measured(finished: Run) -> None:
    file = finished.folder / "weights.safetensors"
    save_file({name: value * float("nan") for name, value in load_file(file).items()}, file)
    with pytest.raises(ValueError, match="not finite"):
        evaluate_run(finished.folder)


def exchange(pictures: Path) -> None:
    shutil.copy(pictures / "red" / "05.jpg", pictures / "green" / "99.jpg")
    (pictures / "green" / "00.jpg").unlink()


@pytest.mark.parametrize(
    ("change", "what"),
    [(lambda pictures: (pictures / "blue" / "07.jpg").unlink(), "images, brightness"), (exchange, "brightness")],
)
def test_changed_pictures_are_neither_measured_nor_trained_on(
    change: Callable[[Path], None], what: str, pictures: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(pictures, model="18", pretrained="bundled", frozen=True, epochs=2)  # with its normalisation
    done, stopped = (Run.start(recipe, tmp_path / name) for name in ("done", "stopped"))
    done.train()
    stopped.train(callbacks=(stop_after(1),))
    report = done.report()
    assert report is not None
    assert evaluate_run(done.folder)[0].confusion.tolist() == report["confusion"]
    change(pictures)
    with pytest.raises(ValueError, match=rf"ones .*done was trained on \({what} changed\), .* not seen: --data DIR"):
        evaluate_run(done.folder)
    with pytest.raises(ValueError, match=rf"are not the ones the run .* was started with \({what} changed\)"):
        stopped.train()


# Pretrained weights


def test_pretrained_weights_bring_their_normalisation_and_stay_where_they_are_frozen(
    pictures: Path, tmp_path: Path
) -> None:
    run = Run.start(recipe_for(pictures, model="18", pretrained="bundled", frozen=True, epochs=1), tmp_path / "run")
    plans: list[dict[str, object]] = []
    run.train(told=lambda begin: plans.append(begin.plan()))
    assert "bundled weights" in str(plans[0]["weights"])
    origin = models.pretrained(source="bundled")
    card = json.loads((run.folder / "network.json").read_text())
    assert (tuple(card["mean"]), tuple(card["std"])) == models.normalisation(origin.transforms)
    trained, before = load_file(run.folder / "weights.safetensors"), origin.model.state_dict()
    assert {*trained} == {*before}
    assert all(torch.equal(value, before[name]) for name, value in trained.items() if not name.startswith("fc."))


# Nothing is lost


def test_a_run_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path, finished: Run) -> None:
    run = Run.start(finished.recipe, tmp_path / "second")
    assert run.train(callbacks=(stop_after(1),)).interrupted
    assert run.report() is None
    with pytest.raises(ValueError, match=r"holds no finished run\. It is not finished: resnet-edu train --resume"):
        open_run(run.folder)
    assert not Run.open(run.folder).train().interrupted
    for name in ("weights.safetensors", "config.toml", "network.json"):
        assert (run.folder / name).read_bytes() == (finished.folder / name).read_bytes()
    assert results(run) == results(finished)


def test_a_run_that_was_killed_between_its_last_epoch_and_its_end_only_ends(tmp_path: Path, finished: Run) -> None:
    killed = Run.start(finished.recipe, tmp_path / "killed")
    killed.train(callbacks=(stop_after(3),))
    told = Run.open(killed.folder).train(callbacks=(lambda epoch, _: pytest.fail(f"{epoch} is trained again"),))
    assert (told.interrupted, len(told), results(killed)) == (False, 3, results(finished))
    assert (killed.folder / "weights.safetensors").read_bytes() == (
        finished.folder / "weights.safetensors"
    ).read_bytes()


def test_one_process_at_a_time_clears_away_what_a_killed_one_has_left(finished: Run) -> None:
    left, mine = finished.folder / ".resnet_edu.weights.safetensors.abc123", finished.folder / ".env.local"
    for path in (left, mine):
        path.write_text("half")
    with finished.locked():
        assert (left.exists(), mine.exists()) == (False, True), "what isn't ours stays"
    assert (finished.folder / "weights.safetensors").exists()
    with FileLock(finished.folder / ".lock"), pytest.raises(ValueError, match="Another process is training the run"):
        Run.open(finished.folder).train()


def test_of_two_that_start_at_once_one_has_the_folder(pictures: Path, tmp_path: Path) -> None:
    first, second = (Run.start(recipe_for(pictures, seed=seed, epochs=1), tmp_path / "same") for seed in range(2))
    first.train()
    with pytest.raises(ValueError, match="holds a finished run"):
        second.train()
    assert Run.open(tmp_path / "same").recipe.seed == 0


KILLER = """
import os, signal
import torch._dynamo, resnet_edu.plots, resnet_edu.prediction, resnet_edu.run  # once, each takes seconds
from resnet_edu.tools import cli

def status(arguments, kill_at):
    child = os.fork()  # nothing has used torch's threads yet
    if child == 0:
        steps = iter(range(1, kill_at))

        def killing(step):
            def counted(*given, **more):
                if kill_at and next(steps, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*given, **more)
            return counted

        os.fsync, os.replace = killing(os.fsync), killing(os.replace)
        os._exit(cli.run(arguments))
    return os.waitpid(child, 0)[1]

train = ["train", "--data", "./pictures", "--model", "resnet20", "--size", "16", "--epochs", "3", "--batch-size", "8"]
assert status([*train, "--out", "whole"], 0) == 0
for attempt in range(1, 100):  # killed before its first step of writing, the next one before its second, and so on
    known = os.path.exists("killed/config.toml")
    ended = status(["train", "--resume", "killed"] if known else [*train, "--out", "killed"], attempt)
    if ended == 0:
        break
    assert os.WTERMSIG(ended) == signal.SIGKILL, ended
print("kills", attempt - 1)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # some fifteen processes, and machines are shared
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_killed_at_every_step_of_its_writing_it_ends_like_a_run_that_never_was(tmp_path: Path, pictures: Path) -> None:
    assert pictures == tmp_path / "pictures"
    environment = {**os.environ, "CI": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLER], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rpartition("kills ")[2]) >= 6
    whole, killed = (Run.open(tmp_path / name) for name in ("whole", "killed"))
    assert (killed.folder / "weights.safetensors").read_bytes() == (whole.folder / "weights.safetensors").read_bytes()
    assert results(killed) == results(whole)
    assert {*os.listdir(killed.folder)} == {*os.listdir(whole.folder)}  # nothing half written


# Bad input


def test_folders_that_cannot_take_a_run(
    finished: Run, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, message in (
        (finished.folder, r"holds a run already\. Go on with --resume"),
        (pictures, "is no empty folder"),
        (pictures / "red" / "run", "lies among the pictures"),
        (pictures / "red" / "00.jpg", "lies among the pictures"),
    ):
        with pytest.raises(ValueError, match=message):
            Run.start(finished.recipe, folder)
    with pytest.raises(ValueError, match=r"is not in UTF-8\. Rename it"):
        Run.start(replace(finished.recipe, data="./caf\udce9"), tmp_path / "cafe")
    Run.start(finished.recipe, str(pictures / ".." / "run"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Run.start(finished.recipe, "~/run").folder == tmp_path / "run"
    monkeypatch.chdir(pictures)
    with pytest.raises(ValueError, match="lies among the pictures"):
        Run.start(replace(finished.recipe, data=f"../{pictures.name}"), Path("run"))
    with pytest.raises(ValueError, match=r"pictures holds no finished run\. It has no config\.toml"):
        open_run(pictures)


def test_a_run_that_never_began_leaves_nothing_or_can_be_started_again(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetUnavailable):
        Run.start(recipe_for(tmp_path / "nowhere"), tmp_path / "run").train()
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patched:
        patched.delattr("resnet_edu.run.fit")
        with pytest.raises(NameError):
            Run.start(recipe_for(pictures, lr=1.0), tmp_path / "run").train()
    Run.start(recipe_for(pictures, epochs=1), tmp_path / "run").train()
    assert Run.open(tmp_path / "run").recipe.lr == 0.05


@only_linux
def test_names_of_any_kind_do_not_end_a_training(pictures: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")  # as an archive in Latin-1 leaves it
    (pictures / "red").rename(pictures / odd)
    (pictures / odd / f"{odd}.txt").touch()
    whole = pictures.rename(tmp_path / 'a\x7fb "c" \\d\n')
    run = Run.start(recipe_for(whole, epochs=1), tmp_path / "run")
    run.train()
    assert Run.open(run.folder).recipe.data == str(whole)
    report = run.report()
    assert report is not None
    assert [*report["right_by_class"]] == ["blue", odd, "green"]
    assert f"  {odd}/{odd}.txt: not a picture, by its ending" in report["notes"]
    assert open_run(run.folder).categories == ("blue", odd, "green")
