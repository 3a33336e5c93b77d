"""Many runs (settings × seeds), recorded so that a lesson can show more than a laptop can run live.

A study leaves two files, `NAME.csv` (one row per run and epoch) and `NAME.json` (what was run, on which
machine, with which versions, when). Both are replaced, atomically, after every run: a study that is stopped
goes on where it was, within a run after its last finished epoch, and a finished run is never run again.
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

from .. import data, files, machine, models
from ..checkpoint import Checkpoint
from ..config import TrainConfig
from ..errors import UnknownName
from ..history import Epoch, History, epoch_from
from ..train import fit

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

    def run(self, seed: int, *, kept: Path | None = None) -> History:
        """Build, initialise and train the network; `seed` decides weights, order and augmentation.

        With a file, the run is kept there after each epoch and goes on from there.
        """
        images = data.load(**self.data)
        if self.shuffle_labels:
            order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
            images = replace(images, train=replace(images.train, labels=images.train.labels[order]))
        machine.seed_everything(seed)
        config = replace(self.config, seed=seed)
        checkpoint = Checkpoint(kept, config) if kept else None
        return fit(models.build(self.model, **self.options), images, config, checkpoint=checkpoint)

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
        files.write_atomically(folder / f"{self.name}.csv", table.getvalue().encode())
        files.write_atomically(folder / f"{self.name}.json", json.dumps(values, indent=1).encode() + b"\n")


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
        kept = folder / f".{study.name}.{seed}.{''.join(filter(str.isalnum, label))}.safetensors"
        history = study.settings[label].run(seed, kept=kept)
        if history.interrupted:
            return recorded
        recorded.epochs[label, seed] = history.epochs
        run = {"setting": label, "seed": seed, "date": started.isoformat(timespec="seconds")}
        recorded.runs.append({**run, "seconds": round(history.seconds, 2), "machine": machine.description()})
        recorded.save(folder)
        kept.unlink(missing_ok=True)
        progress(label, seed, history)
    return recorded


def in_full(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with every training option, also those that are younger than the record, by its default."""
    return {name: {**each, "config": TrainConfig.from_dict(each["config"])} for name, each in settings.items()}
