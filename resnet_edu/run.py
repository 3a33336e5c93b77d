"""A run in a folder of its own: train, go on after a stop, evaluate, open for prediction elsewhere.

`config.toml` says what was asked for, `network.json` and `weights.safetensors` are all that prediction needs,
`history.csv`, `report.json`, `curves.png` and `confusion.png` say how it went. `checkpoint.safetensors` is there
while the run is not finished. No file is pickled, each is written whole or not at all.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import nn

from . import distributed, machine
from .checkpoint import Checkpoint
from .data import Data
from .data.folder import is_folder
from .errors import StopTraining, enough_memory
from .files import quoted, write_atomically
from .history import Epoch, History
from .metrics import evaluate
from .recipe import Recipe, need_utf8, normalised_like
from .train import Callback, fit, make_optimizer
from .trained import as_json, changes, pictures_of, read_object, read_report, right_by_class


@dataclass(frozen=True)
class Run:
    """A training run and its folder.

    Args:
        folder: where its files are.
        recipe: what it was asked for.
        made: folders that were made for it, itself first; `discard` removes them.
    """

    folder: Path
    recipe: Recipe
    made: tuple[Path, ...] = ()

    @classmethod
    def start(cls, recipe: Recipe, folder: Path) -> "Run":
        """A new run; its folder is made if missing, and has to be empty.

        A folder of pictures is noted with its whole path, so that the run can be used from anywhere.

        Raises:
            ValueError: there is something in the folder already; it lies among the pictures; or its name is not in
                UTF-8.
        """
        need_utf8(folder)
        pictures = str(Path(os.path.expanduser(recipe.data)).absolute()) if is_folder(recipe.data) else recipe.data
        if Path(os.path.realpath(pictures)) in Path(os.path.realpath(folder)).parents:
            raise ValueError(f"{folder} lies among the pictures, in {recipe.data}. Name another for the run.")
        if not distributed.first():
            return cls(folder, recipe)
        if (folder / "config.toml").exists():
            again = quoted(folder)
            raise ValueError(f"{folder} holds a run already. Go on with --resume {again}, or name another folder.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is no empty folder. Name another one for the run.")
        made = tuple(each for each in (folder, *folder.parents) if not each.exists())
        write_atomically(folder / "config.toml", replace(recipe, data=pictures).to_toml().encode())
        return cls(folder, recipe, made)

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """A run that was started before.

        Raises:
            ValueError: the folder holds no run, or its config is damaged.
        """
        if not (folder / "config.toml").is_file():
            raise ValueError(f"{folder} holds no run: it has no config.toml. Start one with: resnet-edu train --help")
        return cls(folder, Recipe.from_toml(folder / "config.toml"))

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the run is kept while it is not finished."""
        return Checkpoint(self.folder / "checkpoint.safetensors", self.recipe.training)

    def report(self) -> dict[str, Any] | None:
        """What the finished run found, None if it is not finished."""
        return read_report(self.folder)

    def train(self, *, callbacks: tuple[Callback, ...] = (), say: Callable[[str], None] = lambda _: None) -> History:
        """Train to the end, from the last finished epoch on.

        Validation images decide about stopping early; the test images are used once, at the end.

        Args:
            callbacks: as for `fit`; epochs that were finished before are not reported again.
            say: is told what was loaded, and what to know about it.

        Returns:
            The history. Its `interrupted` says whether the
            run was stopped by hand; it can be trained further then.

        Raises:
            ValueError: another process is at work on this run, or its pictures are others than at its start.
            DatasetUnavailable, WrongCheckpoint, LossNotFinite: as for `data.load` and `fit`.
            OutOfMemory: a batch is too large; the message says which size to try.
        """
        with self.locked():
            recipe, config = self.recipe, self.recipe.training
            data = recipe.load()
            pictures = pictures_of(data)
            for line in (data.source, *data.notes):
                say(line)
            machine.seed_everything(config.seed)
            model, origin = recipe.network(len(data.classes))
            if origin:
                say(origin.source)
                data = normalised_like(data, origin)
            if distributed.first():
                self.remember(data, pictures)
            history = self.checkpoint.history()
            if stops_early(history, recipe.patience):  # killed between its last epoch and its end
                self.checkpoint.restore(model, make_optimizer(model, config), torch.Generator())
                model.to(machine.device())
            else:
                steps = (*callbacks, partial(self.after_epoch, history))
                with enough_memory(config.batch_size):
                    history = fit(model, data, config, callbacks=steps, checkpoint=self.checkpoint)
            if not history.interrupted and distributed.first():
                self.finish(model, data, history, say)
            return history

    def after_epoch(self, history: History, epoch: Epoch, _: nn.Module) -> None:
        """Keep the table of epochs up to date, and stop early."""
        history.epochs.append(epoch)
        if distributed.first():
            self.write_history(history)
        if stops_early(history, self.recipe.patience):
            raise StopTraining

    def write_history(self, history: History) -> None:
        """`history.csv`, which `History.from_csv` reads."""
        history.to_csv(self.folder / "history.csv")

    def remember(self, data: Data, pictures: Mapping[str, Any]) -> None:
        """Write `network.json`, or compare what it says with the pictures as they were loaded.

        Raises:
            ValueError: classes, number or brightness of the pictures have changed since the run was started.
        """
        view, side = self.recipe.preparation()
        facts = {
            "model": self.recipe.model,
            "options": self.recipe.network_options(),
            **pictures,
            "view": {"width": view.width, "height": view.height, "channels": view.channels, "crop": view.crop},
            "side": side,
            "max_megabytes": view.max_megabytes,
            "mean": list(data.train.mean),
            "std": list(data.train.std),
            "data": data.source,
        }
        file = self.folder / "network.json"
        if not file.exists():
            write_atomically(file, as_json(facts))
        elif changed := changes(read_object(file), pictures):
            raise ValueError(
                f"The pictures in {self.recipe.data} are others than when the run {self.folder} was started "
                f"({changed} changed). Start a new run."
            )

    def finish(self, model: nn.Module, data: Data, history: History, say: Callable[[str], None]) -> None:
        """Measure on the test images, once, and write everything that is left; the report comes last."""
        from . import plots  # matplotlib takes a second, and prediction does without

        state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        write_atomically(self.folder / "weights.safetensors", save(state))
        self.write_history(history)
        test, val = evaluate(model, data.test), evaluate(model, data.val)
        report = {
            "model": self.recipe.model,
            "data": data.source,
            "notes": list(data.notes),
            "epochs": len(history),
            "test_error": test.top1_error,
            "val_error": val.top1_error,
            "train_error": history.last.train_error,
            "right_by_class": right_by_class(test.confusion, data.classes),
            "confusion": test.confusion.tolist(),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "seconds": round(history.seconds, 2),
            "seed": self.recipe.training.seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.description(),
        }
        title = f"{self.recipe.model}, {len(history)} epochs"
        curves = plots.learning_curves({self.recipe.model: history}, title=title, measured="validation")
        message = f"{test.top1_error:.1f} % of {len(data.test):,} test images named wrongly"
        shown = [name.encode(errors="backslashreplace").decode() for name in data.classes]  # a figure takes UTF-8
        confusion = plots.confusion_matrix(test.confusion, shown, title=message)
        if boxes := plots.without_glyph("".join(shown)):
            say(f"confusion.png shows boxes for {boxes}: no font on this machine has them. Noto Sans CJK may.")
        for name, figure in (("curves", curves), ("confusion", confusion)):
            write_atomically(self.folder / f"{name}.png", figure._repr_png_())  # type: ignore[attr-defined]
        write_atomically(self.folder / "report.json", as_json(report))
        self.checkpoint.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove a run of which no epoch was finished, so that its folder can be used again."""
        if not self.checkpoint.path.exists() and not (self.folder / "report.json").exists():
            for name in ("config.toml", "network.json", "history.csv", ".lock"):
                (self.folder / name).unlink(missing_ok=True)
            for folder in self.made:
                with suppress(OSError):
                    folder.rmdir()  # stays if somebody has put something in it

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process train this run, and clear away what a killed one has left half written."""
        if not distributed.first():
            yield  # the first process holds the lock for all that torchrun has started
            return
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"Another process is training the run {self.folder}. Wait for it, or stop it.") from error
        try:
            for left in self.folder.glob(".*.*"):
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()


def stops_early(history: History, patience: int) -> bool:
    """Whether the validation error has not fallen for `patience` epochs; never with 0."""
    errors = [epoch.val_error for epoch in history.epochs]
    return patience > 0 and len(errors) > patience and min(errors[-patience:]) >= min(errors[:-patience])
