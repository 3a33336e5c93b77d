"""The results page, written from the records: every study in assets/runs, every number of `resnet_edu.facts`."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev

import readme
from figures import ended, first_line
from matplotlib.figure import Figure

import resnet_edu as edu
from resnet_edu.facts import Fact
from resnet_edu.studies import STUDIES
from resnet_edu.study import Recorded, load_study

INTRODUCTION = """# Results

Everything on this page is written from files: the studies as they were recorded in `assets/runs`, and the numbers of
papers as they stand in `resnet_edu/facts.py`. Errors are in percent, after the last epoch.

## Beside the paper's

"""
AFTER = """
The rows of one table are one recipe each. He et al. took 64,000 steps, ten epochs of the JPEG copy are 3,510, the
digits about 190 with nets half as wide. What the columns share: depth hurts the plain nets and not the residual ones.
"""
FIGURES: dict[str, Callable[[Recorded], Figure]] = {
    "mnist5k-degradation": edu.plots.depth_sweep,
    "mnist5k-transfer": edu.plots.transfer_curves,
    "cifar10-jpeg": edu.plots.depth_sweep,
}


def recorded() -> list[str]:
    """Names of the studies that have runs, in the order of `STUDIES`."""
    folder = edu.files.assets() / "runs"
    return [name for name in STUDIES if (folder / f"{name}.json").is_file()]


def page(pictures: Path) -> str:
    """The page as Markdown; its figures are drawn into a folder beside it."""
    parts = [INTRODUCTION, readme.results_table(), AFTER]
    parts += [study_section(load_study(name), pictures) for name in recorded()]
    parts += [
        "\n## Quoted numbers\n",
        "Each with its source. Lessons and README read them from `edu.facts`.\n",
        facts_table(),
    ]
    return "\n".join(parts) + "\n"


def study_section(study: Recorded, pictures: Path) -> str:
    """One study: how it was made, a figure where there is one, a table of its settings."""
    runs = study.runs
    machines = {f"{m['cpu']}, {m['os']}, torch {m['torch']}" for m in (run["machine"] for run in runs)}
    hours = sum(run["seconds"] for run in runs) / 3600
    dates = sorted(run["date"][:10] for run in runs)
    made = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    lines = [
        f"\n## {STUDIES[study.name].title}\n",
        f"`{study.name}`: {len(runs)} runs, seeds {', '.join(map(str, study.seeds))}, {hours:.1f} hours of computing, "
        f"{made}. {'; '.join(sorted(machines))}. Make it again with `resnet-edu study {study.name} --out FOLDER`.\n",
    ]
    if study.name in FIGURES:
        lines.append(draw(study, pictures) + "\n")
    lines += ["| setting | runs | training error (%) | test error (%) |", "|---|---|---|---|"]
    for name in study.settings:
        last = [run.last for run in study.of(name)]
        if last:
            errors = [spread([getattr(epoch, part) for epoch in last]) for part in ("train_error", "val_error")]
            lines.append(f"| {name} | {len(last)} | {errors[0]} | {errors[1]} |")
    return "\n".join(lines)


def draw(study: Recorded, pictures: Path) -> str:
    """The study's figure, saved; the Markdown that shows it."""
    draws = FIGURES[study.name]
    figure = draws(study)
    pictures.mkdir(parents=True, exist_ok=True)
    figure.savefig(pictures / f"{study.name}.png", dpi=130)
    alt = ended(figure.axes[0].get_title() or STUDIES[study.name].title) + first_line(inspect.getdoc(draws) or "")
    return f"![{alt}]({pictures.name}/{study.name}.png)"


def spread(values: list[float]) -> str:
    """Mean, with the standard deviation where there are several runs."""
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{mean(values):.1f}"


def facts_table() -> str:
    """Every fact with its name in code, its value and where it was printed."""
    rows = ["| name | value | source |", "|---|---|---|"]
    for name, fact in facts():
        rows.append(f"| `{name}` | {fact} | [{fact.source.text}]({fact.source.link}) |")
    return "\n".join(rows)


def facts() -> Iterator[tuple[str, Fact]]:
    """Every fact of `resnet_edu.facts`, tables opened: `HE_CIFAR10["resnet20"]`."""
    yield from opened({name: value for name, value in vars(edu.facts).items() if name.isupper()}, "{}")


def opened(values: dict, pattern: str) -> Iterator[tuple[str, Fact]]:
    """The facts in a table of facts, of pairs of facts, or of such tables."""
    for key, value in values.items():
        name = pattern.format(key)
        if isinstance(value, Fact):
            yield name, value
        elif isinstance(value, tuple):
            yield from opened(dict(enumerate(value)), name + "[{}]")
        elif isinstance(value, dict):
            yield from opened(value, name.replace("{", "{{").replace("}", "}}") + '["{}"]')
