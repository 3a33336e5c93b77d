"""The commands lab, export and bundle: the course for a learner, a class, and a room without a network."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..files import quoted
from . import course
from .cli_options import examples

Lessons = Annotated[list[str] | None, typer.Argument(metavar="LESSON", help="6, 06_degradation; default all.")]
Mirror = Annotated[str | None, typer.Option(metavar="URL", help="Get data and weights there; a folder will do.")]
Torch = Annotated[str, typer.Option(help="default (as pip chooses), cpu (smaller, from PyTorch's index) or none.")]
Force = Annotated[bool, typer.Option("--force", help="Replace changed files; yours are kept beside them, dated.")]


def add_to(app: typer.Typer) -> None:
    """Register the three commands."""
    app.command(epilog=examples("lab", "lab ~/resnets", "lab --lesson 6 --no-browser"))(lab)
    exports = "export handout", "export --edition slides slides 6 7", "export --edition html pages"
    app.command(epilog=examples(*exports))(export)
    bundles = "bundle stick --torch cpu", "bundle stick --with cifar10,resnet18 --torch none"
    app.command(epilog=examples(*bundles))(bundle)


def lab(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Your folder; default my-course.")] = None,
    lesson: Annotated[str | None, typer.Option(help="Open on this lesson: 6, 06_degradation.")] = None,
    port: Annotated[int, typer.Option(help="First port to try.")] = 8888,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="Default: if there is a display.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace yours where the course has a newer one; yours is kept, dated.")
    ] = False,
) -> None:
    """Open your copy of the lessons in JupyterLab.

    Lessons are copied to DIR, the worked ones to DIR/solutions. What you have changed is never overwritten.
    """
    from . import copies
    from .lab import default_folder, has_display, lab_command, prepare, require_port, serve, unreadable_progress

    folder = folder or default_folder(Path.cwd())
    found = course.find_lesson(lesson) if lesson else course.require_lessons()[0]
    require_port(port)
    report = prepare(folder, force=force)
    shown = has_display() if browser is None else browser
    command = lab_command(folder, lesson=found.name, port=port, browser=shown)
    news = str(copies.CopyReport(folder, added=report.added, updated=report.updated, kept=report.kept))
    print(f"Your lessons are in {folder}{f' ({news})' if news else ''}.")
    for name, aside in report.replaced.items():
        print(f"{name} is the course's again; yours is kept as {aside}.")
    again = f"To get the course's, with yours kept beside: resnet-edu lab {quoted(folder)} --force"
    damaged = copies.unreadable(folder, report.kept)
    for name in damaged:
        print(f"{name} is not a readable notebook; it is left as it is. {again}")
    if outdated := [name for name in report.outdated if name not in damaged]:
        print(f"The course has newer editions; yours are kept: {', '.join(outdated)}. {again}")
    if progress := unreadable_progress(folder):
        print(
            f"{progress.name} cannot be read: the next check keeps it as {progress.name}.corrupt and begins a new one."
        )
    print(
        "JupyterLab is starting. Ctrl-C here ends it." + ("" if shown else " Open the http address below in a browser.")
    )
    if os.environ.get("SSH_CONNECTION"):
        print("On your own machine first run: ssh -N -L PORT:127.0.0.1:PORT HOST, with the PORT of that address.")
    raise typer.Exit(serve(command))


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if missing.")],
    lessons: Lessons = None,
    edition: Annotated[str, typer.Option(help="learner, worked, slides, html or script.")] = "learner",
    force: Force = False,
) -> None:
    """Write the lessons for a class: notebooks without solutions, worked ones, slides, web pages or plain Python."""
    from .export import INDEXED, export as export_lessons

    report = export_lessons(folder, edition, lessons or [], force=force)
    for name, aside in report.replaced.items():
        print(f"{name} is replaced; yours is kept as {aside}.")
    first = f" Begin with {folder / INDEXED[edition]}." if edition in INDEXED else ""
    print(f"The {edition} edition is in {folder} ({report}).{first}")


def bundle(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or a bundle to bring up to date.")],
    extras: Annotated[
        str, typer.Option("--with", metavar="NAMES", help="Data and weights: cifar10,fashion_mnist,resnet18,…")
    ] = "",
    torch: Torch = "default",
    wheel: Annotated[Path | None, typer.Option(metavar="FILE", help="The course's wheel; a clone builds it.")] = None,
    mirror: Mirror = None,
    force: Force = False,
) -> None:
    """Pack the course for machines of this kind without a network: all wheels, data and weights, an installer."""
    from .bundle import make_bundle

    names = [name.strip() for name in extras.split(",") if name.strip()]
    made = make_bundle(
        folder, names, torch=torch, wheel=wheel, mirror=mirror, force=force, say=lambda line: print(line, flush=True)
    )
    print(f"The bundle is in {folder}: {len(made.wheels)} wheels, {made.gigabytes:.2f} GB. There: python install.py")
