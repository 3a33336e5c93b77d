"""Write what comes from records: README's lesson table and picture, and the tables of docs/results.md.

    python docs/readme.py          # after `make study` and
                                   # resnet-edu rehearse --json > docs/rehearsal.json

A test fails where a page and the records disagree.
"""

import json
import re
from pathlib import Path
from statistics import mean, stdev

import resnet_edu as edu
from resnet_edu.tools.course import lessons

ROOT = Path(__file__).resolve().parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results.md"
PICTURE = ROOT / "assets" / "images" / "degradation.png"
REHEARSAL = ROOT / "docs" / "rehearsal.json"


def lesson_table() -> str:
    """One row a lesson: title, minutes as the lesson says, seconds of running as `rehearse` measured."""
    measured = {run["lesson"]: run for run in json.loads(REHEARSAL.read_text())}
    rows = ["| | lesson | reading | exercises | running (quick) |", "|---|---|---|---|---|"]
    total, work = 0.0, 0
    for lesson in lessons("worked"):
        text = (ROOT / "notebooks" / "source" / f"{lesson.name}.py").read_text(encoding="utf-8")
        reading, exercises = map(int, re.findall(r"\*\*Minutes:\*\* (\d+) reading, (\d+)", text)[0])
        seconds = measured[lesson.name]["seconds"]
        total, work = total + seconds, work + reading + exercises
        number, _, title = lesson.title.partition(" · ")
        link = f"[{title}](notebooks/solutions/{lesson.name}.ipynb)"
        rows.append(f"| {number} | {link} | {reading} min | {exercises} min | {seconds:.0f} s |")
    rows.append(f"| | together | {work / 60:.0f} hours | | {total / 60:.1f} min |")
    peak = max(run["peak_memory_gb"] for run in measured.values())
    rows.append(
        "\nMeasured on two CPU cores of a shared machine, one lesson after the other. "
        f"No lesson took more than {peak:.1f} GB of memory."
    )
    return "\n".join(rows)


NETS = ("plain20", "plain56", "resnet20", "resnet56")


def results_table() -> str:
    """Errors of the recorded studies: on CIFAR-10 beside those of the paper and of a rerun by others, on the digits."""
    he, rerun = edu.facts.HE_CIFAR10, edu.facts.RERUNS_CIFAR10["nabla0001"]
    cifar, digits = edu.study.load_study("cifar10-jpeg"), edu.study.load_study("mnist5k-degradation")
    heading = f"here, JPEG copy, {epochs(cifar)} epochs, {seeds(cifar)}"
    rows = [
        f"| CIFAR-10 | He et al. 2015, test | nabla0001, test, 5 runs | {heading}, training | {heading}, test |",
        "|---|---|---|---|---|",
    ]
    for name in NETS:
        train, test = last_errors(cifar, name)
        rows.append(f"| {name} | {he.get(name, 'figure only')} | {rerun[name]} | {train} | {test} |")
    heading = f"{epochs(digits)} epochs, {seeds(digits)}"
    rows += [f"\n| 2,000 digits of mnist5k | {heading}, training | {heading}, test |", "|---|---|---|"]
    for name in NETS:
        train, test = last_errors(digits, name)
        rows.append(f"| {name} | {train} | {test} |")
    return "\n".join(rows)


def epochs(study: edu.study.Recorded) -> int:
    """How long its runs are."""
    return next(iter(study.settings.values()))["config"]["epochs"]


def seeds(study: edu.study.Recorded) -> str:
    """How many it has: "1 seed", "5 seeds"."""
    return f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"


def last_errors(study: edu.study.Recorded, name: str) -> list[str]:
    """Training and test error after the last epoch."""
    return [
        spread([run.last.train_error for run in study.of(name) if len(run)]),
        spread(study.found(name, "test_error")),
    ]


def spread(values: list[float]) -> str:
    """Mean, with the standard deviation where there are several runs, in percent."""
    if not values:
        return "–"
    return f"{mean(values):.1f} ± {stdev(values):.1f} %" if len(values) > 1 else f"{mean(values):.1f} %"


def filled(page: str) -> str:
    """A page with its marked parts written anew."""
    for name, table in (("lessons", lesson_table()), ("results", results_table())):
        marked = re.compile(f"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        page = marked.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", page)
    return page


if __name__ == "__main__":
    for page in (README, RESULTS):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    study = edu.study.load_study("mnist5k-degradation")
    errors = {
        kind: {depth: [run.last.train_error for run in study.of(f"{net}{depth}")] for depth in (20, 32, 44, 56)}
        for kind, net in {"plain": "plain", "residual": "resnet"}.items()
    }
    title, y = "Depth hurts plain nets only (five seeds each)", "training error after the last epoch (%)"
    figure = edu.plots.runs_over(errors, title=title, x="depth (layers with weights)", y=y, limits=(0, None))
    figure.savefig(PICTURE, dpi=130)
