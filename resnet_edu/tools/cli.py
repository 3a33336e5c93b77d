"""The command `resnet-edu`: reads options, calls the library, prints what it returns.

What goes wrong is told in one line on stderr, with exit code 2; an interrupt ends with 130.
"""

import codecs
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from glob import glob
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .. import __version__, files
from ..errors import DatasetUnavailable
from ..files import printable
from . import cli_course, cli_runs, cli_speed, tables
from .cli_options import AsJson, examples, with_home

if TYPE_CHECKING:
    from ..history import History


app = typer.Typer(
    help="Learn deep convolutional networks by building them: LeNet to ResNet.",
    epilog=examples("doctor", "lab", "lab --help"),
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# typer brings its own copy of click, or uses an installed one; this is the base class of usage errors in either.
ClickException: Any = typer.BadParameter.__mro__[2]


def main() -> None:
    """The entry point of `resnet-edu` and `python -m resnet_edu`."""
    if isinstance(sys.stdout, TextIOWrapper):  # it is None, or of another class, where nobody reads it
        codecs.register_error("as in JSON", as_in_json)
        sys.stdout.reconfigure(errors="as in JSON")
    arguments = sys.argv[1:]
    sys.exit(run(expanded(arguments) if os.name == "nt" else arguments))


def as_in_json(error: UnicodeError) -> tuple[str, int]:
    r"""What an encoding cannot write, such as a file name that is not UTF-8, as JSON writes it: `\udce9`.

    Python's own `backslashreplace` writes `\xe9` and `\U0001f408` as well, which no reader of JSON takes.
    """
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def expanded(arguments: Sequence[str]) -> list[str]:
    """Arguments with the files that match in place of each pattern of `*` and `?`: the shells of Windows leave it.

    A pattern that matches nothing stays as it is, and so does a bracket, which is part of many a file's name.
    """
    return [name for each in arguments for name in sorted(glob(each.replace("[", "[[]"))) or [each]]


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. No traceback unless it is a bug."""
    try:
        result = app(args=list(arguments), prog_name="resnet-edu", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        return complain("interrupted.", code=130) if code == 130 else code
    except (KeyboardInterrupt, typer.Abort):
        return complain("interrupted.", code=130)
    except ClickException as error:
        context = getattr(error, "ctx", None)
        message = error.format_message().rstrip(".")
        return complain(f"{message}. See: {context.command_path if context else 'resnet-edu'} --help")
    except ModuleNotFoundError as error:
        return complain(f"{error}. See what is missing: resnet-edu doctor")
    except OSError as error:
        return complain(f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error))
    except ValueError as error:
        return complain(str(error))


def complain(message: str, *, code: int = 2) -> int:
    """One line on stderr; returns the exit code."""
    print(f"resnet-edu: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def show_version(wanted: bool) -> None:
    """The callback of --version."""
    if wanted:
        print(f"resnet-edu {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Learn deep convolutional networks by building them: LeNet to ResNet."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(epilog=examples("doctor", "doctor --json"))
def doctor(as_json: AsJson = False) -> None:
    """Say whether this machine can run the course, and what mends it. Exit code 1 if it cannot."""
    from .doctor import diagnose

    found = diagnose()
    failed = [finding.name for finding in found if finding.status == "fail"]
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        Console().print(tables.findings(found))
        print(f"The course cannot run here: see {', '.join(failed)}." if failed else "The course can run here.")
    raise typer.Exit(1 if failed else 0)


@app.command(epilog=examples("fetch cifar10 clothing", "fetch resnet18 --to /media/stick", "fetch reveal.js"))
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="cifar10, clothing, resnet18, vgg16, …")],
    mirror: Annotated[str | None, typer.Option(metavar="URL", help="Get the files there; a folder will do.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Put them there and not into the caches.")] = None,
) -> None:
    """Download data sets and ImageNet weights, to use them offline."""
    from . import downloads

    downloads.require_known(names)
    to = with_home(to).absolute() if to else None
    for name in names:
        place, new = downloads.fetch(name, to, mirror=mirror)
        print(f"{name}: {'now' if new else 'already'} in {place}", flush=True)
        if new and (terms := downloads.terms(name)):
            print(f"  Terms: {terms}")
    if to:
        print(f"To use them there, set RESNET_EDU_DATA={to} and TORCH_HOME={to}.")


@app.command(epilog=examples("study --list", "study mnist5k-degradation --seeds 2 --out runs"))
def study(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One study; default all.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the studies and what is recorded of them.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where NAME.csv and NAME.json go; default assets/runs.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Run seeds 0 to N − 1 instead of the study's own.")] = None,
) -> None:
    """Run a study (networks × seeds) and record it. What is recorded already is not run again."""
    from ..studies import STUDIES, find_study
    from ..study import run_study

    folder = out or files.assets() / "runs"
    chosen = [find_study(name)] if name else list(STUDIES.values())
    if seeds is not None:
        chosen = [replace(each, seeds=range(seeds)) for each in chosen]
    if listed:
        Console().print(tables.studies(chosen, folder))
        return
    missing: list[DatasetUnavailable] = []
    for each in chosen:
        print(f"{each.name}: {each.title}, {len(list(each.runs()))} runs, recorded in {folder}")
        try:
            recorded = run_study(each, folder, progress=print_run)
        except DatasetUnavailable as error:
            missing.append(error)  # told at the end: the other studies need not wait for its pictures
            continue
        if not set(each.runs()) <= set(recorded.epochs):
            raise KeyboardInterrupt  # `fit` returns what it has; the same command goes on from there
        Console().print(tables.recorded(recorded))
    if missing:
        raise missing[0]


def print_run(label: str, seed: int, history: "History | None") -> None:
    """One line when a run ends."""
    if history is not None:
        last = history.last
        errors = f"training error {last.train_error:.1f} %, validation error {last.val_error:.1f} %"
        print(f"  {label}, seed {seed}: {errors}, {history.seconds:.1f} s", flush=True)


cli_speed.add_to(app)
cli_course.add_to(app)
cli_runs.add_to(app)
