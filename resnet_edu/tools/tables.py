"""The tables that the commands show. Data in, a rich table out; printing is the command's part."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from ..study import Recorded, Study
    from .doctor import Finding
    from .rehearse import Rehearsal

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def findings(found: Sequence["Finding"]) -> Table:
    """What the doctor found, with the command that mends it."""
    table = Table("check", "", "found", "what to do")
    for each in found:
        mark = f"[{COLOURS[each.status]}]{each.status}[/]"
        table.add_row(each.name, mark, escape(each.found), escape(each.advice))
    return table


def rehearsals(runs: Sequence["Rehearsal"]) -> Table:
    """Minutes, cells run, peak memory, slowest cell and outcome of each lesson; the minutes of all in the last row."""
    table = Table(show_footer=True)
    table.add_column("lesson", "total", no_wrap=True)
    table.add_column("minutes", f"{sum(each.seconds for each in runs) / 60:.2f}", justify="right")
    table.add_column("cells", justify="right")
    table.add_column("peak, GB", justify="right")
    table.add_column("slowest, s", justify="right")
    table.add_column("result", no_wrap=True)
    for each in runs:
        slowest = max((cell.seconds for cell in each.cells), default=0.0)
        table.add_row(
            each.lesson,
            f"{each.seconds / 60:.2f}",
            str(len(each.cells)),
            f"{each.peak_memory_gb:.2f}",
            f"{slowest:.1f}",
            f"[red]cell {each.failure.number} failed[/]" if each.failure else "[green]ok[/]",
        )
    return table


def slowest_cells(runs: Sequence["Rehearsal"], *, count: int) -> Table:
    """The cells of all these lessons that took longest, longest first."""
    table = Table("lesson", "cell", "seconds", "first line")
    cells = [(cell, each.lesson) for each in runs for cell in each.cells]
    for cell, lesson in sorted(cells, key=lambda one: -one[0].seconds)[:count]:
        table.add_row(lesson, str(cell.number), f"{cell.seconds:.2f}", escape(cell.first_line[:80]))
    return table


def recorded(study: "Recorded") -> Table:
    """Errors after each setting's last epoch: the median over its seeds, and their range."""
    table = Table("setting", "seeds", "training error, %", "validation error, %", title=study.name)
    for label in study.settings:
        last = [epochs[-1] for (setting, _), epochs in study.epochs.items() if setting == label]
        if last:
            train, val = ([getattr(epoch, part) for epoch in last] for part in ("train_error", "val_error"))
            table.add_row(label, str(len(last)), middle_and_range(train), middle_and_range(val))
    return table


def middle_and_range(values: Sequence[float]) -> str:
    """For example `3.1 (2.8 to 4.0)`."""
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def studies(known: Sequence["Study"], folder: Path) -> Table:
    """Every study with the number of its runs, and how many of them are recorded in a folder."""
    from ..study import load_study

    table = Table("study", "what", "runs", "recorded")
    for each in known:
        wanted = set(each.runs())
        done = wanted & set(load_study(each.name, folder).epochs) if (folder / f"{each.name}.json").is_file() else ()
        table.add_row(each.name, each.title, str(len(wanted)), str(len(done)))
    return table
