"""The command `resnet-edu`: reads options, calls the library, prints what it returns.

What goes wrong is told in one line on stderr, with exit code 2; an interrupt ends with 130.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from typer.core import TyperArgument, TyperOption

from .. import __version__, files
from ..errors import DatasetUnavailable, check_known
from ..files import printable
from . import cli_runs, course
from .cli_runs import AsJson, command, examples, flag, option
from .doctor import reinstall

Lessons = Annotated[list[str] | None, typer.Argument(metavar="LESSON", help="6, 06_degradation; default all.")]
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}

app = typer.Typer(
    help="Learn deep convolutional networks by building them: LeNet to ResNet.",
    epilog=examples("doctor", "lab", "lab --help"),
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_runs.app)
# Help names arguments and options; what Python makes of them is no help.
TyperArgument.display_type = lambda self, ctx: ""
TyperOption.display_type = lambda self, ctx: ""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `resnet-edu` and `python -m resnet_edu`."""
    if isinstance(sys.stdout, TextIOWrapper):  # it is None, or of another class, where nobody reads it
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not fit the terminal's encoding
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command, of the process by default; its exit code. No traceback unless it is a bug."""
    try:
        result = app(args=arguments, prog_name="resnet-edu", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        return complain("interrupted.", code=130) if code == 130 else code
    except (KeyboardInterrupt, typer.Abort):
        return complain("interrupted.", code=130)
    except typer.TyperException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "resnet-edu")
        return complain(f"{error.format_message().rstrip('.')}. See: {where} --help")
    except ModuleNotFoundError as error:
        return complain(f"{error}. Get it with: {reinstall('[lab]')}")
    except OSError as error:
        advice = "" if error.errno in files.FULL else ". Choose another place, or change its permissions."
        return complain(f"{error.strerror}: {error.filename}{advice}" if error.filename else str(error))
    except ValueError as error:
        return complain(str(error))


def complain(message: str, *, code: int = 2) -> int:
    """One line on stderr; returns the exit code."""
    print(f"resnet-edu: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", metavar="", help="Print the version.")] = False,
) -> None:
    """Learn deep convolutional networks by building them: LeNet to ResNet."""
    if version:
        print(f"resnet-edu {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@command(app, "Learn", "lab", "lab ~/resnets", "lab --lesson 6 --no-browser")
def lab(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Your folder; default my-course.")] = None,
    lesson: Annotated[str | None, typer.Option(metavar="LESSON", help="Lesson to open: 6, 06_degradation.")] = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="First port to try.")] = 8888,
    ip: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen here: 0.0.0.0 in a container.")] = "127.0.0.1",
    browser: Annotated[bool | None, flag("--browser/--no-browser", "Default: not over SSH, not with --ip.")] = None,
    copy_only: Annotated[bool, flag("--copy-only", "Copy the lessons to DIR and start nothing.")] = False,
) -> None:
    """Open your copy of the lessons in JupyterLab.

    Lessons are copied to DIR, the worked ones to DIR/solutions.
    Your changes are never overwritten: to get a fresh copy of a lesson, rename yours.
    """
    from .lab import LOOPBACK, default_folder, lab_command, serve

    if not copy_only and not find_spec("jupyterlab"):
        raise ModuleNotFoundError("JupyterLab is not installed")
    folder = folder or default_folder(Path.cwd())
    found = course.find_lesson(lesson) if lesson else course.require_lessons()[0]
    report = course.copy_lessons(folder)
    print(f"Your lessons are in {folder}{f' ({news})' if (news := report.news()) else ''}.")
    if report.outdated:
        advice = "To get the course's, rename yours and start this again."
        print(f"The course has newer editions of {', '.join(report.outdated)}; yours are kept.\n{advice}")
    if copy_only:
        return
    over_ssh = bool(os.environ.get("SSH_CONNECTION"))
    shown = not over_ssh and ip == LOOPBACK if browser is None else browser  # in a container there is none
    page = "home.md" if not lesson and course.exercises_passed(folder) else f"{found.name}.ipynb"
    command = lab_command(folder, page=page, ip=ip, port=port, browser=shown)
    print("JupyterLab is starting. Ctrl-C here ends it. If no browser opens, open the http address below in one.")
    if over_ssh:
        print("On your own machine first run: ssh -N -L PORT:127.0.0.1:PORT HOST, with the PORT of that address.")
    raise typer.Exit(serve(command))


@command(app, "Learn", "doctor", "doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Say whether this machine can run the course, and what fixes it. Exit code 1 if it cannot."""
    from .doctor import diagnose

    found = diagnose()
    failed = [finding.name for finding in found if finding.status == "fail"]
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        table = Table("check", "", "found", "what to do")
        for each in found:
            mark = f"[{COLOURS[each.status]}]{each.status}[/]"
            table.add_row(each.name, mark, escape(each.found), escape(each.advice))
        Console().print(table)
        print(f"The course cannot run here: see {', '.join(failed)}." if failed else "The course can run here.")
    raise typer.Exit(1 if failed else 0)


@command(app, "Learn", "fetch cifar10 clothing", "fetch resnet18 --to /media/stick", "fetch reveal.js")
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="cifar10, clothing, resnet18, vgg16, …")],
    mirror: Annotated[str | None, option("URL", "Get the files from this address or folder.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Put them here instead of in the caches.")] = None,
) -> None:
    """Download data sets and ImageNet weights, to use them offline."""
    from ..data.sets import SETS
    from .fetch import fetch as fetch_one, require_known

    require_known(names)
    to = Path(os.path.expanduser(to)).absolute() if to else None
    for name in names:
        place, new = fetch_one(name, to, mirror=mirror)
        print(f"{name}: {'now' if new else 'already'} in {place}", flush=True)
        if new and name in SETS:
            print(f"  Terms: {SETS[name].terms}")
    if to:
        print(f"To use them there, set RESNET_EDU_DATA={to} and TORCH_HOME={to}.")


@command(app, "Teach", "rehearse", "rehearse 1 6", "rehearse --json")
def rehearse(
    names: Lessons = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the HTML pages go.")] = Path("build/rehearsal"),
    as_json: AsJson = False,
) -> None:
    """Run worked lessons on this machine and measure them. Exit code 1 if a cell fails."""
    from .. import machine
    from .rehearse import rehearse as rehearse_lesson

    out = Path(os.path.expanduser(out))
    chosen = [course.find_lesson(name, "worked") for name in names or []] or course.require_lessons("worked")
    runs = [rehearse_lesson(lesson, out) for lesson in track(chosen, "lessons", console=Console(stderr=True))]
    if as_json:
        print(json.dumps([asdict(each) for each in runs], indent=1))
    else:
        table = Table("lesson", "minutes", "cells", "peak, GB", "slowest, s", "result")
        for each in runs:
            slowest = max((cell.seconds for cell in each.cells), default=0.0)
            result = f"[red]cell {each.failure.number} failed[/]" if each.failure else "[green]ok[/]"
            numbers = f"{each.seconds / 60:.2f}", str(len(each.cells)), f"{each.peak_memory_gb:.2f}", f"{slowest:.1f}"
            table.add_row(each.lesson, *numbers, result)
        table.add_row("total", f"{sum(each.seconds for each in runs) / 60:.2f}")
        Console().print(table)
        here, profile = machine.description(), machine.profile().name
        print(f"On {here['cpu']}, {here['cores']} cores, device {here['device']}, profile {profile}.")
        print(f"The pages are in {out}.")
    for each in runs:
        if each.failure:
            complain(f"{each.lesson}, cell {each.failure.number}, {each.failure.first_line!r}: {each.failure.error}")
    raise typer.Exit(1 if any(each.failure for each in runs) else 0)


@command(app, "Teach", "export handout", "export --edition slides slides 6 7", "export --edition html pages")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if missing.")],
    lessons: Lessons = None,
    edition: Annotated[
        Literal["learner", "worked", "slides", "html"], option("NAME", "learner (default), worked, slides or html.")
    ] = "learner",
) -> None:
    """Write the lessons for a class: notebooks without solutions, worked ones, slides or web pages."""
    from .export import INDEXED, export as export_lessons

    report = export_lessons(folder, edition, lessons or [])
    first = f" Begin with {folder / INDEXED[edition]}." if edition in INDEXED else ""
    print(f"The {edition} edition is in {folder} ({report}).{first}")


@command(app, "Teach", "bundle stick --torch cpu", "bundle stick --with cifar10,resnet18")
def bundle(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or a bundle to bring up to date.")],
    extras: Annotated[str, typer.Option("--with", metavar="NAMES", help="Data and weights: cifar10,resnet18,…")] = "",
    torch: Annotated[Literal["default", "cpu"], option("NAME", "cpu leaves out CUDA.")] = "default",
    wheel: Annotated[Path | None, typer.Option(metavar="FILE", help="The course's wheel; a clone builds it.")] = None,
) -> None:
    """Pack the course for machines of this kind without a network: all wheels, data and weights, an installer."""
    from .bundle import make_bundle

    names = [name.strip() for name in extras.split(",") if name.strip()]
    with Console(stderr=True).status("asking pip what to pack") as status:
        own = wheel and Path(os.path.expanduser(wheel))
        made = make_bundle(folder, names, torch=torch, wheel=own, say=status.update)
    gigabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    print(f"The bundle is in {folder}: {len(made['wheels'])} wheels, {gigabytes:.2f} GB. There: see INSTALL.txt")


@command(app, "Teach", "bench", "bench --quick --json")
def bench(
    quick: Annotated[bool, flag("--quick", "Shorter slices and fewer: about two minutes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: its limits, training beside PyTorch's tutorial loop, prediction beside a plain script."""
    os.environ["RESNET_EDU_QUIET"] = "1"  # no bars of the runs themselves
    from .bench import measure, screen

    with Console(stderr=True).status("") as status:
        record = measure(quick=quick, say=status.update)
    if as_json:
        print(json.dumps(record, indent=1))
    else:
        Console().print(screen(record))


@command(app, "Teach", "study --list", "study mnist5k-degradation --seeds 2 --out runs")
def study(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One study; default all.")] = None,
    listed: Annotated[bool, flag("--list", "List the studies and what is recorded of them.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For the records; default assets/runs.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=1, help="Seeds 0 to N − 1, not the study's.")] = None,
) -> None:
    """Run a study (networks × seeds) and record it. What is recorded already is not run again."""
    from ..study import Recorded, known_studies, load_study, run_study

    folder = Path(os.path.expanduser(out)) if out else files.assets() / "runs"
    known = known_studies()
    check_known("study", known, *([name] if name else []))
    chosen = [known[name]] if name else [*known.values()]
    if seeds is not None:
        chosen = [replace(each, seeds=range(seeds)) for each in chosen]
    if listed:
        table = Table("study", "what", "runs", "recorded")
        for each in chosen:
            there = (folder / f"{each.name}.json").is_file()
            recorded = load_study(each.name, folder) if there else Recorded(each.name)
            wanted, done = {*each.runs(recorded)}, {*recorded.epochs}
            more = ", then more" if each.then and not {*each.runs()} <= done else ""
            table.add_row(each.name, each.title, f"{len(wanted)}{more}", str(len(wanted & done)))
        Console().print(table)
        return
    code = 0

    def print_run(run: Mapping[str, Any]) -> None:
        tested = f"test error {run['test_error']:.1f} %" if "test_error" in run else "not tested"
        outcome = run.get("diverged", tested)
        print(f"  {run['setting']}, seed {run['seed']}: {outcome}, {run['seconds']:.1f} s", flush=True)

    for each in chosen:
        print(f"{each.name}: {each.title}, recorded in {folder}")
        try:
            recorded = run_study(each, folder, progress=print_run)
        except DatasetUnavailable as error:  # the other studies need not wait for its pictures
            code = complain(str(error))
            continue
        if not {*each.runs(recorded)} <= {*recorded.epochs}:
            raise KeyboardInterrupt  # `fit` returns what it has; the same command goes on from there
    raise typer.Exit(code)
