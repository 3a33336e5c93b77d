"""Studies: many runs (settings × seeds), recorded so that a lesson can show more than a laptop can run live.

A study leaves two files, `NAME.csv` (a row for every epoch of every run) and `NAME.json` (what was run and found, on
which machine, with which versions, when). Both are replaced after every run, each whole or not at all. A study that
is stopped goes on where it was, and a finished run is never run again.
"""

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from runpy import run_path
from typing import Any

from torch import nn

from . import data, files, machine, models
from .checkpoint import Checkpoint
from .config import TrainConfig
from .data import Data
from .errors import LossNotFinite, check_known
from .history import Epoch, History, epoch_from
from .metrics import evaluate
from .train import fit

#: What one run leaves: its epochs, and what else was found, as plain values.
Outcome = tuple[History, dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """One line of a study: a network, the data it is given and how it is trained."""

    model: str  # name of the network, for `models.build`
    options: Mapping[str, Any]  # further options of `models.build`
    data: Mapping[str, Any]  # the arguments of `data.load`
    config: TrainConfig  # training options; its seed is replaced by the seed of the run
    # what else sets this line apart, as plain values; the function `train` knows what they mean
    special: Mapping[str, Any] = field(default_factory=dict)
    # makes one run of the setting, from the setting itself, the seed and a file in which an unfinished run may be
    # kept; by default `train_once`
    train: Callable[["Setting", int, Path], Outcome] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        own = {"model": self.model, "options": dict(self.options), "data": dict(self.data)}
        return {**own, "config": self.config.to_dict(), **self.special}


@dataclass(frozen=True)
class Study:
    """Settings by label, each run once with every seed."""

    name: str  # of its two files
    title: str  # says what it is about
    settings: Mapping[str, Setting]  # by label
    seeds: Sequence[int]  # of the runs
    # further settings that depend on what these have found
    then: Callable[["Recorded"], Mapping[str, Setting]] | None = None
    later: Sequence[int] | None = None  # the seeds of those; by default the same

    def runs(self, recorded: "Recorded | None" = None) -> list[tuple[str, int]]:
        """Label and seed of every run, all settings with the first seed first; with what is known of those `then`."""
        first = [(label, seed) for seed in self.seeds for label in self.settings]
        if not (self.then and recorded and {*first} <= {*recorded.epochs}):
            return first
        return first + [(label, seed) for seed in self.later or self.seeds for label in self.then(recorded)]


@dataclass
class Recorded:
    """What a study has left in a folder."""

    name: str  # the study's name
    settings: dict[str, Any] = field(default_factory=dict)  # plain values of every setting, by label
    # one entry per finished run: label, seed, date, seconds, machine, and what was found
    runs: list[dict[str, Any]] = field(default_factory=list)
    # the epochs of each run, by (label, seed); fewer than planned if it diverged
    epochs: dict[tuple[str, int], list[Epoch]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds that were run."""
        return sorted({seed for _, seed in self.epochs})

    def of(self, setting: str) -> list[History]:
        """The runs of one setting, in the order of their seeds."""
        check_known(f"setting of the study {self.name}", self.settings, setting)
        return [History(self.epochs[setting, seed]) for seed in self.seeds if (setting, seed) in self.epochs]

    def found(self, setting: str, key: str) -> list[Any]:
        """What the runs of one setting have found under a key, such as "test_error", in the order of their seeds."""
        runs = sorted((run for run in self.runs if run["setting"] == setting), key=lambda run: run["seed"])
        return [run[key] for run in runs if key in run]

    def save(self, folder: Path) -> None:
        """Write both files, each whole or not at all; the JSON last, since a run counts once it is listed there."""
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, ["setting", "seed", *(c.name for c in fields(Epoch))], lineterminator="\n")
        writer.writeheader()
        for (label, seed), run in self.epochs.items():
            writer.writerows({"setting": label, "seed": seed, **asdict(epoch)} for epoch in run)
        values = {"study": self.name, "settings": self.settings, "runs": self.runs}
        files.write_atomically(folder / f"{self.name}.csv", table.getvalue().encode())
        files.write_atomically(folder / f"{self.name}.json", json.dumps(values, indent=1).encode() + b"\n")


def read_recorded(name: str, folder: Path) -> Recorded:
    """The finished runs of a study, without rows of any other run."""
    table, record = folder / f"{name}.csv", folder / f"{name}.json"
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
        runs = {(run["setting"], str(run["seed"])): run for run in values["runs"]}
        epochs = {(run["setting"], run["seed"]): [] for run in runs.values()}
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, restkey="more", restval=""):
                if run := runs.get((row.pop("setting"), row.pop("seed"))):
                    epochs[run["setting"], run["seed"]].append(epoch_from(row, str(table)))
        return Recorded(name, values["settings"], values["runs"], epochs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record} and {table.name} are damaged ({error}). Restore both, or remove both.") from error


def run_study(
    study: Study, folder: Path, *, progress: Callable[[Mapping[str, Any]], object] = lambda _: None
) -> Recorded:
    """Run what is not recorded yet; all runs that are finished, old and new."""
    record = folder / f"{study.name}.json"
    recorded = read_recorded(study.name, folder) if record.is_file() else Recorded(study.name)
    finished = run_settings(study.settings, study.seeds, recorded, folder, progress)
    if finished and study.then:
        run_settings(study.then(recorded), study.later or study.seeds, recorded, folder, progress)
    return recorded


def run_settings(
    settings: Mapping[str, Setting], seeds: Sequence[int], recorded: Recorded, folder: Path, progress: Callable
) -> bool:
    """Run and record what is missing of these settings; False after an interrupt."""
    plain = json.loads(json.dumps({label: setting.to_dict() for label, setting in settings.items()}))
    known = recorded.settings
    changed = [label for label in plain if label in known and in_full(known[label]) != in_full(plain[label])]
    if changed:
        what, where = f"{folder / recorded.name}.json", "Record in another folder, or remove this file and its table."
        raise ValueError(f"{what} was recorded with other settings of {', '.join(changed)}. {where}")
    known |= plain
    for seed, label in product(seeds, settings):
        if (label, seed) in recorded.epochs:
            continue
        started = time.time()
        unfinished = folder / f".{recorded.name}.{seed}.{''.join(filter(str.isalnum, label))}.safetensors"
        train = settings[label].train or train_once
        history, found = train(settings[label], seed, unfinished)
        if history.interrupted:
            return False
        recorded.epochs[label, seed] = history.epochs
        about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": round(time.time() - started, 2)}
        recorded.runs.append({"setting": label, "seed": seed, **about, "machine": machine.description(), **found})
        recorded.save(folder)
        unfinished.unlink(missing_ok=True)
        progress(recorded.runs[-1])
    return True


def in_full(setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting with every training option, also those that are younger than the record, by its default."""
    return {**setting, "config": TrainConfig.from_dict(setting["config"])}


# How one run is made


def train_once(
    setting: Setting,
    seed: int,
    unfinished: Path | None = None,
    *,
    images: Data | None = None,
    model: nn.Module | None = None,
) -> Outcome:
    """Build, initialise and train the network, then test it once; `seed` decides weights, order and augmentation.

    The run is kept in the file `unfinished` after each epoch. Images and model may be others than the setting's.
    """
    images = images or data.load(**setting.data)
    machine.seed_everything(seed)
    model = model or models.build(setting.model, **setting.options)
    config = replace(setting.config, seed=seed)
    checkpoint = Checkpoint(unfinished, config) if unfinished else None
    done = History(checkpoint.history().epochs if checkpoint else [])
    try:
        callbacks = [lambda epoch, _: done.epochs.append(epoch)]
        history = fit(model, images, config, checkpoint=checkpoint, callbacks=callbacks)
    except LossNotFinite as error:
        return done, {"diverged": str(error)}
    return history, {} if history.interrupted else {"test_error": evaluate(model, images.test).top1_error}


def load_study(name: str, folder: Path | None = None) -> Recorded:
    """Read a recorded study, from `assets/runs` by default; a `ValueError` if there is none, or a damaged one."""
    folder = folder or files.assets() / "runs"
    check_known(f"recorded study in {folder}", [path.stem for path in folder.glob("*.json")], name)
    return read_recorded(name, folder)


def known_studies() -> dict[str, Study]:
    """The studies of the course by name, from the file beside their records, `assets/runs/studies.py`."""
    return run_path(str(files.assets() / "runs" / "studies.py"))["STUDIES"]
