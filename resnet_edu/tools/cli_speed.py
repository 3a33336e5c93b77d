"""The commands rehearse and bench: how long the lessons take on this machine, and how fast it trains."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..machine import cores
from . import course, tables
from .cli_options import AsJson, examples, with_home

if TYPE_CHECKING:
    from .rehearse import Rehearsal

COLUMNS = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn()


def add_to(app: typer.Typer) -> None:
    """Register the two commands."""
    runs = "rehearse", "rehearse 1 6 --cells 5", "rehearse --recorded docs/rehearsal.json --cells 10"
    app.command(epilog=examples(*runs, "rehearse --edition learner --jobs 1 --json"))(rehearse)
    grown = "bench growth --folder ~/.cache/resnet-edu/cifar10-jpeg"
    app.command(epilog=examples("bench", "bench training --repeats 9", "bench --quick --json", grown))(bench)


def rehearse(
    names: Annotated[list[str] | None, typer.Argument(metavar="LESSON", help="6, 06_degradation; default all.")] = None,
    out: Annotated[Path, typer.Option(help="Where the HTML pages go.")] = Path("build/rehearsal"),
    edition: Annotated[str, typer.Option(help="worked or learner.")] = "worked",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many lessons at a time, which share the cores. Default: 1 for those that you name, as a learner "
            "has it; 2 for all of them, which is sooner done.",
        ),
    ] = None,
    cells: Annotated[int, typer.Option(min=0, help="List this many cells, the slowest of all these lessons.")] = 0,
    recorded: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run nothing: show what --json printed before.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run lessons on this machine and measure them. Exit code 1 if a cell fails."""
    known = cast(course.Edition, edition)
    chosen = [course.find_lesson(name, known) for name in names or []] or course.require_lessons(known)
    jobs = jobs or (1 if names else min(2, cores()))
    runs = read_recorded(recorded, chosen) if recorded else run_all(chosen, out, jobs)
    if as_json:
        print(json.dumps([each.to_dict() for each in runs], indent=1))
    else:
        Console().print(tables.rehearsals(runs))
        if cells:
            Console().print(tables.slowest_cells(runs, count=cells))
        if not recorded:
            print(conditions(runs, jobs))
            print(f"The pages are in {out}.")
    failed = [(each, each.failure) for each in runs if each.failure]
    for each, failure in failed:
        line = f"{each.lesson}, cell {failure.number}, {failure.first_line!r}: {failure.error}"
        typer.echo(f"resnet-edu: {' '.join(line.split())}", err=True)
    raise typer.Exit(1 if failed else 0)


def run_all(lessons: Sequence[course.Lesson], out: Path, jobs: int) -> list["Rehearsal"]:
    """Run the lessons, so many at a time, with a bar for each on stderr; they share the cores."""
    from .rehearse import rehearse as rehearse_lesson

    if jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))  # of each kernel
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress, ThreadPoolExecutor(jobs) as pool:

        def run(lesson: course.Lesson) -> "Rehearsal":
            task = progress.add_task(lesson.name, total=None)
            found = rehearse_lesson(
                lesson, out, on_cell=lambda done, total: progress.update(task, completed=done, total=total)
            )
            progress.stop_task(task)
            return found

        try:
            return list(pool.map(run, lessons) if jobs > 1 else map(run, lessons))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C no further lesson begins
            raise


def read_recorded(file: Path, lessons: Sequence[course.Lesson]) -> list["Rehearsal"]:
    """What a file has on these lessons.

    Raises:
        ValueError: it has nothing on any of them, or is no such file.
    """
    from .rehearse import read_rehearsals

    wanted = {lesson.name for lesson in lessons}
    runs = [run for run in read_rehearsals(file) if run.lesson in wanted]
    if not runs:
        raise ValueError(f"{file} has no run of {', '.join(sorted(wanted))}.")
    return runs


def conditions(runs: Sequence["Rehearsal"], jobs: int) -> str:
    """What measured minutes must be quoted with."""
    from .. import machine

    here, rates = machine.description(), [each.gflops for each in runs]
    return (
        f"Measured on {here['cpu']}, {here['cores']} cores, device {here['device']}, profile "
        f"{machine.profile().name}; float32 matrix products at {min(rates):.0f} to {max(rates):.0f} GFLOP/s meanwhile"
        + (f", {jobs} lessons at a time, which share the cores." if jobs > 1 else ".")
    )


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PART",
            help="limits, training, verdict, prediction, imports, lessons; when asked for, naming, accuracy, growth.",
        ),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Measurements of each number; default 5, with --quick 3.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter slices and fewer: about two minutes.")] = False,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For growth: train|test/CLASS/FILE, to measure loading.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: its limits, training beside PyTorch's tutorial loop, prediction, import, lessons."""
    os.environ["RESNET_EDU_QUIET"] = "1"  # no bars of the runs themselves, in the processes of the bench either
    from .bench.parts import measure
    from .bench.screen import screen

    errors = Console(stderr=True)
    with errors.status("") as status:
        record = measure(
            parts or (),
            rounds=repeats or (3 if quick else 5),
            quick=quick,
            folder=with_home(folder) if folder else None,
            say=lambda text: status.update(text),
        )
    if as_json:
        print(json.dumps(record, indent=1))
    else:
        Console().print(screen(record))
