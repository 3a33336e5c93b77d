"""What a training run leaves behind: one `Epoch` a pass over the data, together a `History`."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .files import write_atomically


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images. Errors are in percent, losses in nats; two are equal if their results are.

    Training loss and error are averages over the pass, as the weights change and with augmentation; validation loss and
    error are measured at its end, which is not in the seconds.
    """

    epoch: int
    train_loss: float
    train_error: float
    val_loss: float
    val_error: float
    lr: float
    seconds: float = field(compare=False)
    images_per_second: float = field(compare=False)


@dataclass
class History:
    """The epochs of one run, in order."""

    epochs: list[Epoch] = field(default_factory=list)  # one record a pass
    interrupted: bool = False  # whether the run was stopped by hand before its last epoch

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.epochs)

    @property
    def last(self) -> Epoch:
        """The last finished epoch."""
        if not self.epochs:
            raise ValueError("The history is empty: the run was stopped before its first epoch ended.")
        return self.epochs[-1]

    @property
    def seconds(self) -> float:
        """Training time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def __str__(self) -> str:
        """A table, one line per epoch."""
        lines = ["epoch   train loss    error    val loss    error        lr   images/s"]
        for e in self.epochs:
            train, val = (f"{e.train_loss:10.3f} {e.train_error:6.2f} %", f"{e.val_loss:9.3f} {e.val_error:6.2f} %")
            lines.append(f"{e.epoch:5d}   {train}   {val}   {e.lr:7.4f}   {e.images_per_second:8,.0f}")
        return "\n".join(lines)

    def to_csv(self, path: Path | str) -> None:
        """Write one row per epoch, with every digit; whether the run was interrupted is not kept."""
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, [f.name for f in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in self.epochs)
        write_atomically(Path(path), table.getvalue().encode())

    @classmethod
    def from_csv(cls, path: Path | str) -> "History":
        """Read what `to_csv` wrote; a `ValueError` if the file is empty, has other columns, or a damaged row."""
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="more", restval="")
            if reader.fieldnames is None:
                raise ValueError(f"{path} is empty: not even the names of the columns are there.")
            return cls([epoch_from(row, str(path)) for row in reader])


def epoch_from(row: Mapping[str, str | float], origin: str) -> Epoch:
    """An `Epoch` from a row of text or numbers."""
    names = [f.name for f in fields(Epoch)]
    if sorted(row) != sorted(names):
        raise ValueError(f"{origin} has the columns {', '.join(map(str, row))}; a history has {', '.join(names)}.")
    try:
        return Epoch(int(row["epoch"]), *(float(row[name]) for name in names[1:]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{origin} has a damaged row, {dict(row)}: {error}.") from error
