"""The commands train, evaluate and predict: from a folder of pictures to labels, without a line of Python."""

import csv
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import ROUNDED
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..files import FULL, counted, printable, quoted, write_atomically

if TYPE_CHECKING:
    from torch import nn

    from ..history import Epoch
    from ..prediction import Prediction
    from ..recipe import Prepared
    from ..run import Run


app = typer.Typer()
PHOTOS = "Your photos"


def option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text)


def flag(name: str, text: str) -> Any:
    return typer.Option(name, metavar="", help=text)


AsJson = Annotated[bool, flag("--json", "Print JSON for a script.")]


def examples(*lines: str) -> str:
    """The last lines of a command's help; the first character keeps typer from joining them."""
    return "\b\nExamples:\n" + "\n".join(f"  resnet-edu {line}" for line in lines)


def command(app: typer.Typer, group: str, *lines: str) -> Any:
    """Registers a function as a command, in a group of the help, with examples."""
    return app.command(rich_help_panel=group, epilog=examples(*lines))


@command(
    app,
    PHOTOS,
    "train --data ./pets --model 18 --pretrained auto --out runs/pets",
    "train --resume runs/pets",
    "train --config pets.toml --lr 0.01 --out runs/second",
)
def train(
    context: typer.Context,
    *,
    data: Annotated[str | None, option("DIR", "Folder of pictures by class; or a data set's name.")] = None,
    model: Annotated[str | None, option("NAME", "A network, or a ResNet's depth: 18, 34, …; default 18.")] = None,
    pretrained: Annotated[
        str | None, option("NAME", "Weights: none, bundled, imagenet, auto; auto for photos with 18.")
    ] = None,
    size: Annotated[int | None, option("N", "Width and height of the images in pixels.")] = None,
    x: Annotated[int | None, option("N", "Width of the images; default as the weights want it, else 64.")] = None,
    y: Annotated[int | None, option("N", "Height of the images; default the width.")] = None,
    channels: Annotated[int | None, option("N", "1 for grey, 3 for colour; default 3.")] = None,
    crop: Annotated[str | None, option("NAME", "center, none or objects; default center.")] = None,
    epochs: Annotated[int | None, option("N", "Default 8, and more for 300 updates.")] = None,
    batch_size: Annotated[int | None, option("N", "Default a tenth of the images, from 4 to 64.")] = None,
    lr: Annotated[float | None, option("X", "The highest learning rate.")] = None,
    optimizer: Annotated[str | None, option("NAME", "sgd, adam or adamw; default sgd.")] = None,
    augment: Annotated[str | None, option("NAMES", "crop,resized_crop,flip,rotation; or off.")] = None,
    precision: Annotated[str | None, option("NAME", "auto, bfloat16 or float32; default auto.")] = None,
    seed: Annotated[int | None, option("N", "Seed for all that is random; default 0.")] = None,
    out: Annotated[Path | None, option("RUN", "Folder for the run; made if missing.")] = None,
    config: Annotated[Path | None, option("FILE", "TOML file with any of these options, and others.")] = None,
    resume: Annotated[Path | None, option("RUN", "Continue a run that was stopped.")] = None,
) -> None:
    """Train a network on a folder of pictures, with progress; a run that is stopped can be resumed.

    Options given here override the TOML file's, which override the defaults.
    Each run's config.toml is such a file, and says what every option means.
    """
    from .. import distributed
    from ..recipe import Recipe
    from ..run import Run

    others = ("out", "config", "resume")  # all but a recipe's
    given = {name: value for name, value in context.params.items() if value is not None and name not in others}
    if size is not None and (x, y) != (None, None):
        raise ValueError("--size is width and height: leave it out, or leave out --x and --y.")
    if resume and (given or config or out):
        more = ", ".join(f"--{name.replace('_', '-')}" for name in given) or ("--config" if config else "--out")
        raise ValueError(f"--resume goes on as the run was started: leave out {more}.")
    given |= {} if size is None else {"x": given.pop("size"), "y": size}
    if augment is not None:
        names = [name.strip() for name in augment.split(",")]
        given["augment"] = [] if names == ["off"] else names
    with distributed.joined():
        if resume:
            run = Run.open(resume)
        elif out is None:
            raise ValueError("--out is missing: name a folder for the run, or --resume one.")
        else:
            recipe = Recipe.from_toml(config, **given) if config else Recipe.from_dict(given)
            run = Run.start(recipe, out)
        if run.report() is None:
            go(run)
        if distributed.first():
            if not (run.folder / "confusion.png").exists():  # the last file that a run writes
                draw(run)
            print_report(run)


def say(line: str) -> None:
    """One line, coloured on a terminal and broken between its words."""
    console = Console()
    console.print(printable(line), markup=False, emoji=False, soft_wrap=not console.is_terminal)


def go(run: "Run") -> None:
    """Train until the end or an interrupt, one line per epoch."""
    from .. import distributed

    said = say if distributed.first() else lambda line: None

    def show(epoch: "Epoch", _: "nn.Module") -> None:
        said(
            f"epoch {epoch.epoch:3}  training error {epoch.train_error:5.1f} %  validation error "
            f"{epoch.val_error:5.1f} %  {epoch.images_per_second:,.0f} images/s"
        )

    def again() -> str:
        kept = (run.folder / "config.toml").exists()
        return f"Go on with: resnet-edu train --resume {quoted(run.folder)}" if kept else "Start it again."

    try:
        told = partial(print_plan, done=len(run.checkpoint.history())) if distributed.first() else lambda _: None
        history = run.train(callbacks=(show,), told=told)
    except BaseException as error:
        if distributed.size() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's when another has died: first say how to go on
        if isinstance(error, RuntimeError) and distributed.size() > 1:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"Another process of this run has died ({reason}). {again()}") from error
        if isinstance(error, KeyboardInterrupt):
            said(again())
        if isinstance(error, OSError) and error.errno in FULL:
            place = error.filename or run.folder
            raise ValueError(f"The disk is full ({place}). Make room there. {again()}") from error
        raise
    if history.interrupted:
        said(f"Stopped after epoch {len(history)}. {again()}")
        raise KeyboardInterrupt


def print_plan(prepared: "Prepared", *, done: int = 0) -> None:
    """What was found in the data, and what will be done with it, where so many epochs are done."""
    from .. import distributed

    plan = prepared.plan()
    for line in filter(None, (plan["data"], *plan["notes"], plan["weights"])):
        say(line)
    print_by_class(("train", "val", "test"), {name: counts.values() for name, counts in plan["classes"].items()})
    width, height = plan["size"]
    epochs, left = plan["epochs"], plan["epochs"] - done
    minutes = prepared.minutes() * left / epochs if distributed.size() == 1 else 0
    about = f"about {minutes:.{0 if minutes >= 10 else 1}f} minutes" if minutes >= 1 else "less than a minute"
    begins = f"{counted(left, 'epoch')} of {epochs} left," if done else f"{counted(epochs, 'epoch')} of"
    say(
        f"{begins} {plan['images']:,} images, {width}×{height}, in batches of {plan['batch_size']}: "
        f"{counted(plan['updates'] * left // epochs, 'update')}{f', {about}' if minutes else ''}"
    )


def draw(run: "Run") -> None:
    """`curves.png` and `confusion.png`, beside the tables that they show."""
    os.environ["MPLBACKEND"] = "Agg"  # nothing is shown here, so whatever is set need not exist
    import torch

    from .. import plots  # matplotlib takes a second, and prediction does without
    from ..history import History

    report = run.report() or {}
    history = History.from_csv(run.folder / "history.csv")
    title = f"{report['model']}, {counted(report['epochs'], 'epoch')}"
    curves = plots.learning_curves({report["model"]: history}, title=title)
    confusion = torch.tensor(report["confusion"])
    names = json.loads((run.folder / "network.json").read_bytes())["classes"]
    shown = [name.encode(errors="backslashreplace").decode() for name in names]  # a figure takes UTF-8
    message = f"{report['test_error']:.1f} % of {int(confusion.sum()):,} test images misclassified"
    matrix = plots.confusion_matrix(confusion, shown, title=message)
    with run.locked():  # which clears away what a process that was killed here has left half written
        for name, figure in (("curves", curves), ("confusion", matrix)):
            write_atomically(run.folder / f"{name}.png", figure.png())


def print_report(run: "Run") -> None:
    report = run.report() or {}
    say(f"{counted(report['epochs'], 'epoch')}; {report['test_error']:.1f} % of the test images are misclassified.")
    if report.get("only_fitted"):
        say("The network with only its last layer fitted does better on the validation images, so that one is kept.")
    print_by_class(["right"], {name: [f"{share:.1f} %"] for name, share in report["right_by_class"].items()})
    say(f"Curves, confusion and weights are in {run.folder}. Use it:")
    say(f"  resnet-edu predict {quoted(run.folder)} FILE…")


def print_by_class(columns: Iterable[str], rows: Mapping[str, Iterable[object]]) -> None:
    """A table with a row for each class; on a terminal with a frame and colours."""
    console = Console()
    numbers = (Column(name, justify="right", style="bold") for name in columns)
    table = Table("class", *numbers, header_style="bold cyan", box=ROUNDED if console.is_terminal else None)
    for name, values in rows.items():
        table.add_row(escape(printable(name)), *map(str, values))
    console.print(table)


@command(app, PHOTOS, "evaluate runs/pets", "evaluate runs/pets --data ./other --json")
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Other pictures; default its test images.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a finished run: its errors, and how much of each class it gets right."""
    from ..metrics import right_by_class
    from ..run import evaluate_run, open_run

    if str(run) == "bundled":
        raise ValueError("bundled has no test images, so it only predicts. Name the folder of a run of your own.")
    network = open_run(run)
    metrics, images = evaluate_run(run, data, network=network, say=lambda line: None if as_json else say(line))
    right = right_by_class(metrics.confusion, network.categories)
    if as_json:
        confusion = metrics.confusion.tolist()
        values = {"images": sum(map(sum, confusion)), **vars(metrics), "confusion": confusion}
        print(json.dumps({**values, "right_by_class": right, "classes": list(network.categories)}, indent=1))
        return
    say(f"{images}: {metrics.top1_error:.1f} % are misclassified.")
    print_by_class(["right"], {name: [f"{share:.1f} %"] for name, share in right.items()})


@command(app, PHOTOS, "predict bundled cat.jpg", "predict runs/pets *.jpg --top 2 --csv")
def predict(
    run: Annotated[str, typer.Argument(metavar="RUN|bundled", help="Folder of a finished run, or bundled.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Pictures.", readable=False)],
    top: Annotated[int | None, typer.Option(metavar="N", help="Labels for each file; default 3.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, flag("--csv", "Print a table: file, label, percent.")] = False,
    precision: Annotated[Literal["float32", "auto", "bfloat16"], option("NAME", "float32, auto or bfloat16.")] = "auto",
) -> None:
    """Name pictures: for each file the best labels with percentages. Exit code 2 if a file cannot be used."""
    from ..prediction import open_network, predict as name_pictures

    if as_json and as_csv:
        raise ValueError("Use either --json or --csv, not both.")
    network, faults = open_network(run), []
    top = min(3, len(network.categories)) if top is None else top
    predictions = name_pictures(network, files, top=top, skip=faults.append, precision=precision)
    write_predictions(predictions, as_json=as_json, as_csv=as_csv)
    if faults:
        more = f" And {counted(len(faults) - 1, 'more file')}." if len(faults) > 1 else ""
        raise ValueError(f"{faults[0]}{more}")


def write_predictions(predictions: list["Prediction"], *, as_json: bool, as_csv: bool) -> None:
    """As JSON, as CSV, or a line a file and a line a label."""
    if as_json:
        tops = [[{"label": label, "percent": percent} for label, percent in each.top] for each in predictions]
        rows = [{"file": str(each.file), "top": top} for each, top in zip(predictions, tops, strict=True)]
        print(json.dumps(rows, indent=1))
    elif as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(["file", "label", "percent"])
        for each in predictions:
            table.writerows([each.file, label, f"{percent:.4f}"] for label, percent in each.top)
    else:
        for each in predictions:
            say(str(each.file))
            for label, percent in each.top:
                say(f"  {percent:5.1f} %  {printable(label)}")
