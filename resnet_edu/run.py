"""A run in a folder of its own: train, go on after a stop, measure, open for prediction elsewhere.

`config.toml` says what was asked for, `network.json` and `weights.safetensors` are all that prediction needs, but for
the detector of `crop = "objects"`; `history.csv` and `report.json` say how it went. `checkpoint.safetensors` is there
while the run is not finished. No file is pickled, each is written whole or not at all.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import torch
from filelock import FileLock, Timeout
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from . import distributed, machine, models
from .checkpoint import Checkpoint
from .data import normalise
from .data.folder import load_one_part
from .data.pictures import View
from .data.sets import is_path, resize
from .errors import DatasetUnavailable, WrongCheckpoint, enough_memory
from .files import quoted, tilde, write_atomically
from .history import Epoch, History
from .metrics import Metrics, evaluate, right_by_class
from .models import Pretrained
from .recipe import Prepared, Recipe, changes, fingerprint, fit_head, prepare
from .train import Callback, fit


@dataclass(frozen=True)
class Run:
    """A training run and its folder."""

    folder: Path  # where its files are
    recipe: Recipe  # what it was asked for; once it has begun, with every option decided

    @classmethod
    def start(cls, recipe: Recipe, folder: Path | str) -> "Run":
        """A new run; its folder must be missing or empty, or hold a run of which no epoch was finished."""
        folder = Path(os.path.expanduser(folder))
        try:
            os.path.abspath(recipe.data).encode()
        except UnicodeEncodeError as error:  # config.toml could not name it
            raise ValueError(f"The name of the folder {recipe.data!r} is not in UTF-8. Rename it.") from error
        if is_path(recipe.data) and Path(recipe.data).expanduser().resolve() in folder.resolve().parents:
            raise ValueError(f"{folder} lies among the pictures, in {recipe.data}. Name another for the run.")
        if distributed.first() and folder.exists():
            names = {name for name in os.listdir(folder) if name[0] != "."} if folder.is_dir() else {""}
            if names & {"checkpoint.safetensors", "report.json"} or names == {"config.toml"}:
                again = f"Go on with --resume {quoted(folder)}, or name another folder."
                raise ValueError(f"{folder} holds a run already. {again}")
            if names - {"network.json", "config.toml"}:
                raise ValueError(f"{folder} is no empty folder. Name another one for the run.")
        return cls(folder, recipe)

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """A run that was started before."""
        folder = Path(os.path.expanduser(folder))
        if not (folder / "config.toml").is_file():
            raise ValueError(f"{folder} holds no run: it has no config.toml. To start one: resnet-edu train --help")
        return cls(folder, Recipe.from_toml(folder / "config.toml"))

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the run is kept while it is not finished."""
        return Checkpoint(self.folder / "checkpoint.safetensors", self.recipe.training)

    def report(self) -> dict[str, Any] | None:
        """What the finished run found, None if it is not finished."""
        if not (self.folder / "report.json").exists():
            return None
        report = read_object(self.folder / "report.json")
        for key, kind in (("epochs", int), ("test_error", float), ("right_by_class", dict)):
            if not isinstance(report.get(key), kind):
                raise damaged(self.folder, f"{key} in report.json")
        return report

    def train(
        self, *, callbacks: Sequence[Callback] = (), told: Callable[[Prepared], object] = lambda _: None
    ) -> History:
        """Train to the end, from the last finished epoch on. The test images are used once, at the end.

        Args:
            callbacks: as for `fit`; epochs that were finished before are not reported again.
            told: is told what was found and will be done, before any training.

        Returns:
            The history. Its `interrupted` says whether the run was stopped by hand; it can be trained further then.
        """
        prepared = prepare(self.recipe)
        told(prepared)
        with self.locked():
            if self.report():
                raise ValueError(f"{self.folder} holds a finished run. Name another folder.")
            run, model, data = replace(self, recipe=prepared.recipe), prepared.model, prepared.data
            if distributed.first():
                run.remember(prepared)
            history = run.checkpoint.history()

            def keep_table(epoch: Epoch, _: nn.Module) -> None:
                history.epochs.append(epoch)
                if distributed.first():
                    history.to_csv(self.folder / "history.csv")

            with enough_memory(run.recipe.training.batch_size):
                fitted = {}
                if prepared.weights:
                    fit_head(model, data.train, precision=run.recipe.training.precision)
                    fitted = deepcopy(model.state_dict())  # only the last layer is new
                callbacks = (*callbacks, keep_table)
                more = {"callbacks": callbacks, "checkpoint": run.checkpoint, "title": run.recipe.model}
                whole = fit(model, data, run.recipe.training, **more)
            if not whole.interrupted and distributed.first():
                run.finish(prepared, whole, fitted)
            return whole

    def remember(self, prepared: Prepared) -> None:
        """Write `network.json` and every option; or, of a run to go on with, compare its pictures with those it had."""
        file = self.folder / "network.json"
        if self.checkpoint.path.exists():
            if changed := changes(read_object(file), prepared.pictures):
                raise ValueError(
                    f"The pictures in {self.recipe.data} are not the ones the run {self.folder} was started with "
                    f"({changed} changed). Start a new run."
                )
            return
        view, side = self.recipe.prediction_view()
        facts = {
            "model": self.recipe.model,
            "options": self.recipe.network_options(),
            **prepared.pictures,
            "view": {"width": view.width, "height": view.height, "channels": view.channels, "crop": view.crop},
            "side": side,
            "max_megabytes": view.max_megabytes,
            "mean": list(prepared.data.train.mean),
            "std": list(prepared.data.train.std),
            "data": prepared.data.source,
        }
        write_atomically(file, as_json(facts))
        data = self.recipe.data
        whole = str(Path(os.path.expanduser(data)).absolute()) if is_path(data) else data  # a data set's name stays
        write_atomically(self.folder / "config.toml", replace(self.recipe, data=whole).to_toml().encode())

    def finish(self, prepared: Prepared, history: History, fitted: Mapping[str, Tensor]) -> None:
        """Measure on the test images, once, and write everything that is left; the report comes last.

        Where a network with its last layer `fitted`, and no more, does better on the validation images, it is kept.
        """
        model, data = prepared.model, prepared.data
        measure = partial(evaluate, precision=prepared.recipe.training.precision)
        val, kept = measure(model, data.val), deepcopy(model.state_dict())
        if fitted:
            model.load_state_dict(fitted)
            before = measure(model, data.val)
            if before.top1_error < val.top1_error:
                val, kept = before, fitted
            model.load_state_dict(kept)
        state = {name: value.detach().cpu().contiguous() for name, value in kept.items()}
        write_atomically(self.folder / "weights.safetensors", save(state))
        history.to_csv(self.folder / "history.csv")
        test = measure(model, data.test)
        report = {
            "model": self.recipe.model,
            "data": data.source,
            "notes": list(data.notes),
            "weights": prepared.weights,
            "epochs": len(history),
            "only_fitted": kept is fitted,  # what was trained after the last layer was fitted is not kept
            "test_error": test.top1_error,
            "val_error": val.top1_error,
            "right_by_class": right_by_class(test.confusion, data.classes),
            "confusion": test.confusion.tolist(),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "seconds": round(history.seconds, 2),
            "seed": self.recipe.seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.description(),
        }
        write_atomically(self.folder / "report.json", as_json(report))
        self.checkpoint.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process train this run, and clear away what a killed one has left half written."""
        if not distributed.first():
            yield  # the first process holds the lock for all that torchrun has started
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(self.folder / ".lock").acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"Another process is training the run {self.folder}. Wait for it, or stop it.") from error
        with held:
            for left in self.folder.glob(".resnet_edu.*"):
                left.unlink(missing_ok=True)
            yield


# The network of a finished run


@dataclass(frozen=True)
class Preprocessing:
    """A picture as this run's network wants it: the view that the training images had, and their normalisation."""

    view: View  # size, channels and crop
    mean: tuple[float, ...]  # of each channel of the training images
    std: tuple[float, ...]  # likewise, the standard deviation
    # to which the images of a data set with a name were resized, in pixels; None: they have the view's size
    side: int | None = None

    def __call__(self, picture: Image.Image) -> Tensor:
        """A picture in RGB to a float tensor `(C, H, W)`."""
        images = torch.tensor(self.view.fit(picture)).permute(2, 0, 1)[None]  # (1, C, H, W)
        return normalise(resize(images, self.side) if self.side else images, self.mean, self.std)[0]


def open_run(folder: Path | str) -> Pretrained:
    """The network of a finished run, with its categories and the very preprocessing it was trained with."""
    folder = Path(os.path.expanduser(folder))
    if not folder.exists():
        raise ValueError(f"There is no run {folder}. Name a run's folder, or bundled for the network of the package.")
    weights = folder / "weights.safetensors"
    if not weights.is_file():
        if (folder / "report.json").exists():
            raise damaged(folder, f"{weights.name} is missing")
        started = (folder / "config.toml").is_file()
        again = f"It is not finished: resnet-edu train --resume {quoted(folder)}"
        raise ValueError(f"{folder} holds no finished run. {again if started else 'It has no config.toml.'}")
    facts = read_object(folder / "network.json")
    weights.open("rb").close()  # else whoever may not read it is told that it is damaged
    try:
        classes, mean, std = (tuple(facts[key]) for key in ("classes", "mean", "std"))
        view = View(**facts["view"], max_megabytes=facts["max_megabytes"], find=models.detected_box)
        if not len(mean) == len(std) == view.channels:
            raise ValueError(f"mean {mean} and std {std} for {view.channels} channels")
        preprocessing = Preprocessing(view, mean, std, facts.get("side"))
        model = models.build(facts["model"], num_classes=len(classes), **facts["options"])
        with torch.inference_mode():
            model.eval()(preprocessing(Image.new("RGB", (view.width, view.height)))[None])  # here, if they do not fit
        source = f"{facts['model']}, trained on {facts['data']} to know {', '.join(classes)}"
        state = load_file(weights)
    except DatasetUnavailable:
        raise  # the run is whole: what finds the things to cut out isn't here
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise damaged(folder, str(error)) from error
    models.load_state(model, state, name=facts["model"])
    return Pretrained(model, classes, preprocessing, source, view.read)


def damaged(folder: Path, what: str) -> WrongCheckpoint:
    """The error for a run whose files cannot be used."""
    return WrongCheckpoint(f"The run {folder} is damaged: {what}. Train it again.")


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a run."""
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise damaged(file.parent, f"{file.name} is missing") from error
    except ValueError as error:
        raise damaged(file.parent, f"{file.name}, {error}") from error
    if not isinstance(values, dict):
        raise damaged(file.parent, f"{file.name} holds no JSON object")
    return values


def as_json(values: Mapping[str, Any]) -> bytes:
    """In UTF-8. What is none, in the names of files, is escaped, and reads back equal."""
    return json.dumps(values, indent=1, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def evaluate_run(
    folder: Path,
    other: str | None = None,
    *,
    network: Pretrained | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Metrics, str]:
    """Measure a finished run, and say of what in one line; `say` is told what to know about other pictures.

    Of another folder the test images are taken, or all if it is not divided into parts; by default, and of the folder
    that it was trained on, the run's own test images.
    """
    network, recipe = network or open_run(folder), Run.open(folder).recipe
    preprocessing: Any = network.transforms
    pictures = Path(os.path.expanduser(other)) if other else None
    if pictures and is_path(recipe.data) and os.path.realpath(pictures) == os.path.realpath(recipe.data):
        say(f"{folder} was trained on pictures in {other}: only those kept for the test are measured.")
        pictures = None
    if pictures:
        name, (split, classes, notes) = tilde(pictures), load_one_part(pictures, preprocessing.view)
        if preprocessing.side:
            split = replace(split, images=resize(split.images, preprocessing.side))
        for note in notes:
            say(note)
    else:
        data = recipe.load()
        if changed := changes(read_object(folder / "network.json"), fingerprint(data)):
            raise ValueError(
                f"The pictures in {recipe.data} are not the ones {folder} was trained on ({changed} changed), so its "
                "test images cannot be picked out any more. Choose pictures that it has not seen: --data DIR."
            )
        name, split, classes = data.name, data.test, data.classes
    label_of = {normalize("NFC", each): label for label, each in enumerate(network.categories)}  # a Mac writes NFD
    if unknown := [each for each in classes if normalize("NFC", each) not in label_of]:
        known = ", ".join(network.categories)
        raise ValueError(f"The network does not know the classes {', '.join(sorted(unknown))}. It knows {known}.")
    labels = torch.tensor([label_of[normalize("NFC", each)] for each in classes])[split.labels]
    split = replace(split, labels=labels, mean=preprocessing.mean, std=preprocessing.std)
    return evaluate(network.model, split, precision=recipe.training.precision), f"{len(split):,} images of {name}"
