"""Studies: many runs (settings × seeds), recorded so that a lesson can show more than a laptop can run live.

A study leaves two files, `NAME.csv` (one row per run and epoch) and `NAME.json` (what was run, on which
machine, with which versions, when). Both are replaced, atomically, after every run: a study that is stopped
goes on where it was, and a finished run is never run again.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from . import course, data, models, runtime
from .config import TrainConfig
from .errors import UnknownName
from .history import Epoch, History, epoch_from
from .train import fit

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Setting:
    """One line of a study: a network, the data it is given and how it is trained.

    Args:
        model: name of the network, for `models.build`.
        options: further options of `models.build`.
        data: the arguments of `data.load`.
        config: training options; its seed is replaced by the seed of the run.
        shuffle_labels: give the training images each other's labels, so that there is nothing to learn.
    """

    model: str
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    config: TrainConfig
    shuffle_labels: bool = False

    def run(self, seed: int) -> History:
        """Build, initialise and train the network; `seed` decides weights, order and augmentation."""
        images = data.load(**self.data)
        if self.shuffle_labels:
            order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
            images = replace(images, train=replace(images.train, labels=images.train.labels[order]))
        runtime.seed_everything(seed)
        return fit(models.build(self.model, **self.options), images, replace(self.config, seed=seed))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "config": self.config.to_dict()}


@dataclass(frozen=True)
class Study:
    """Settings by label, each run once per seed."""

    name: str
    title: str
    settings: Mapping[str, Setting]
    seeds: Sequence[int]

    def runs(self) -> Iterator[tuple[str, int]]:
        """Label and seed of every run; all settings with the first seed come first."""
        return ((label, seed) for seed in self.seeds for label in self.settings)


@dataclass
class Recorded:
    """What a study has left in a folder.

    Args:
        name: the study's name.
        settings: plain values of every setting, by label.
        runs: one entry per finished run: label, seed, date, seconds, machine.
        epochs: the epochs of each run, by (label, seed).
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    epochs: dict[tuple[str, int], list[Epoch]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds that were run."""
        return sorted({seed for _, seed in self.epochs})

    def of(self, setting: str) -> list[History]:
        """The runs of one setting, in the order of their seeds.

        Raises:
            UnknownName: the study has no such setting.
        """
        if setting not in self.settings:
            raise UnknownName(f"setting of the study {self.name}", setting, self.settings)
        return [History(self.epochs[setting, seed]) for seed in self.seeds if (setting, seed) in self.epochs]

    def frame(self) -> "pandas.DataFrame":
        """A pandas table, one row per run and epoch."""
        import pandas

        return pandas.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """One dict per run and epoch."""
        runs = self.epochs.items()
        return [{"setting": label, "seed": seed, **asdict(epoch)} for (label, seed), run in runs for epoch in run]

    def save(self, folder: Path) -> None:
        """Write both files, each whole or not at all; the JSON last, since a run counts once it is listed there."""
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, ["setting", "seed", *(c.name for c in fields(Epoch))], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        values = {"study": self.name, "settings": self.settings, "runs": self.runs}
        course.write_atomically(folder / f"{self.name}.csv", table.getvalue().encode())
        course.write_atomically(folder / f"{self.name}.json", json.dumps(values, indent=1).encode() + b"\n")


def load_study(name: str, folder: Path | None = None) -> Recorded:
    """Read a recorded study, from `assets/runs` by default.

    Raises:
        UnknownName: nothing is recorded under this name, and no study of the course has it.
        ValueError: nothing is recorded yet, with the command that does it; or the record is damaged.
    """
    folder = folder or course.assets() / "runs"
    if not (folder / f"{name}.json").is_file():
        find_study(name)
        raise ValueError(f"No study {name!r} is recorded in {folder}. Make it with: resnet-edu study {name}")
    return read_recorded(name, folder)


def read_recorded(name: str, folder: Path) -> Recorded:
    """The finished runs of a study, without rows of any other run; a ValueError if a file or an epoch is missing."""
    table, record = folder / f"{name}.csv", folder / f"{name}.json"
    try:
        values = json.loads(record.read_text())
        runs = {(run["setting"], str(run["seed"])): (run["setting"], run["seed"]) for run in values["runs"]}
        recorded = Recorded(name, values["settings"], values["runs"], {run: [] for run in runs.values()})
        with table.open(newline="") as file:
            for row in csv.DictReader(file, restkey="more", restval=""):
                run = runs.get((row.pop("setting"), row.pop("seed")))
                if run:
                    recorded.epochs[run].append(epoch_from(row, str(table)))
        for (label, seed), epochs in recorded.epochs.items():
            wanted = recorded.settings[label]["config"]["epochs"]
            if [epoch.epoch for epoch in epochs] != list(range(1, wanted + 1)):
                raise ValueError(f"{label}, seed {seed} has {len(epochs)} rows, expected epochs 1 to {wanted}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record} and {table.name} are damaged ({error}). Restore both, or remove both.") from error
    return recorded


def run_study(
    study: Study, folder: Path, *, progress: Callable[[str, int, History | None], None] = lambda *_: None
) -> Recorded:
    """Run what is not recorded yet.

    Args:
        study: what to run; see `STUDIES`.
        folder: where its two files are, or will be.
        progress: called with (label, seed, None) before a run and (label, seed, history) after it.

    Returns:
        Everything recorded, old and new. After an interrupt: all runs that were finished.

    Raises:
        ValueError: the folder holds runs of this name with other settings, or a damaged record.
    """
    settings = json.loads(json.dumps({label: setting.to_dict() for label, setting in study.settings.items()}))
    recorded = Recorded(study.name, settings)
    record = folder / f"{study.name}.json"
    if record.is_file():
        recorded = read_recorded(study.name, folder)
        old, new = in_full(recorded.settings), in_full(settings)
        changed = [label for label in {**old, **new} if old.get(label) != new.get(label)]
        if changed:
            where = "Record in another folder, or remove this file and its table."
            raise ValueError(f"{record} was recorded with other settings of {', '.join(changed)}. {where}")
    for label, seed in study.runs():
        if (label, seed) in recorded.epochs:
            continue
        progress(label, seed, None)
        started = datetime.now(UTC)
        history = study.settings[label].run(seed)
        if history.interrupted:
            return recorded
        recorded.epochs[label, seed] = history.epochs
        run = {"setting": label, "seed": seed, "date": started.isoformat(timespec="seconds")}
        recorded.runs.append({**run, "seconds": round(history.seconds, 2), "machine": runtime.machine()})
        recorded.save(folder)
        progress(label, seed, history)
    return recorded


def in_full(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with every training option, also those that are younger than the record, by its default."""
    return {name: {**each, "config": TrainConfig.from_dict(each["config"])} for name, each in settings.items()}


def degradation() -> Study:
    """Plain and residual nets of 20, 32, 44 and 56 layers on mnist5k: the live experiment of lesson 06, five times."""
    config = TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())
    images = {"name": "mnist5k", "size": 16, "limit": 2000}
    names = [f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)]
    settings = {name: Setting(name, {"width": 8, "in_channels": 1}, images, config) for name in names}
    return Study("mnist5k-degradation", "Degradation on mnist5k", settings, range(5))


def six_curves() -> Study:
    """Six learning curves, each with another ailment (or none): the reading exercise of lesson 06."""
    config = TrainConfig(epochs=12, batch_size=64, lr=0.05, augment=(), schedule="constant")
    falling = replace(config, schedule="cosine", lr=0.1)
    images, net = {"name": "mnist5k", "size": 16, "limit": 2000}, {"width": 8, "in_channels": 1}
    settings = {
        "healthy: shallow": Setting("resnet20", net, images, falling),
        "healthy: deep": Setting("resnet56", net, images, falling),
        "overfitting": Setting("resnet20", net, {**images, "limit": 60}, replace(config, batch_size=20, lr=0.02)),
        "learning rate too high": Setting("resnet20", net, images, replace(config, lr=20.0)),
        "learning rate too low": Setting("resnet20", net, images, replace(config, lr=3e-4)),
        "labels shuffled": Setting("resnet20", net, images, config, shuffle_labels=True),
        "degradation: shallow": Setting("plain20", net, images, falling),
        "degradation: deep": Setting("plain56", net, images, falling),
    }
    return Study("six-curves", "Six learning curves to read", settings, [0])


#: Every study of the course, by name.
STUDIES: dict[str, Study] = {study.name: study for study in (degradation(), six_curves())}


def find_study(name: str) -> Study:
    """A study by name.

    Raises:
        UnknownName: there is none.
    """
    if name not in STUDIES:
        raise UnknownName("study", name, STUDIES)
    return STUDIES[name]
