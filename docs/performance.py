"""Write the tables of docs/performance.md from records, and draw how the cost grows.

    resnet-edu bench --json > docs/bench.json
    resnet-edu bench naming --json > docs/naming.json
    resnet-edu bench accuracy --json > docs/accuracy.json
    resnet-edu bench growth --folder DIR --json > docs/growth.json
    resnet-edu rehearse --jobs 1 --json > docs/rehearsal.json
    python docs/performance.py build/tests.xml     # of `make test`; without it the slowest tests stay as they are

A test fails where the page and the records disagree, and where something takes over ten seconds without a reason.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

import resnet_edu as edu
from resnet_edu.plots.style import BLUE, GREY, course_style, label, new_figure
from resnet_edu.tools.bench.measured import Measured, digits
from resnet_edu.tools.bench.screen import advice

DOCS = Path(__file__).resolve().parent
PAGE, PICTURE = DOCS / "performance.md", DOCS / "images" / "growth.png"
BENCH, REHEARSAL, TESTS = (DOCS / f"{name}.json" for name in ("bench", "rehearsal", "slow_tests"))
ALONE = {name: DOCS / f"{name}.json" for name in ("naming", "accuracy", "growth")}  # parts that run only when asked for
SHOWN_GROWTH = "![Cost against depth, width, side and batch, and of loading: straight lines](images/growth.png)"
SLOW = 10.0  # seconds: what takes longer has a reason
SHOWN = 10

#: Why a cell takes over ten seconds, by lesson and the beginning of its first line.
CELLS = {
    ("04_googlenet", "def train("): "trains two GoogLeNets: the claim is about training, with its heads and without",
    ("05_vanishing_gradients", "config = edu.TrainConfig("): "trains six nets of 30 layers, in float32 as the claim is",
    ("06_degradation", "models, histories"): "trains plain-20 and plain-56: the experiment of the lesson, live",
    ("06_degradation", "for name in ("): "trains ResNet-20 and ResNet-56: the repair, live",
    ("07_residual_blocks", "nets[\"resnet56\"]"): "trains ResNet-56, then leaves out its blocks in turn",
    ("07_residual_blocks", "def train("): "trains plain-20 and ResNet-20, then leaves out their blocks in turn",
    ("09_resnet_family", "long = {"): "trains ResNet-50 for 18 epochs: the claim is that it needs so many steps",
    ("03_vgg", "def train("): "trains four VGGs: the claim is about which of them begin to learn",
    ("12_train_and_predict", "import subprocess"): "trains and predicts in new processes, which import torch anew",
    ("01_lenet", "models, histories"): "trains two LeNets to their end: the lesson compares 1998 with today",
    ("13_at_scale", "import subprocess"): "starts several processes, which import torch anew",
}  # fmt: skip

#: Why a test takes over ten seconds, by the beginning of its name.
REASONS = {
    "test_checkpoint.py::test_killed_at_ten_random_moments": "starts and kills ten training processes",
    "test_run.py::test_killed_at_random_moments": "starts and kills several training processes",
    "test_distributed.py::": "starts several processes that train together, through torchrun",
    "test_bench_training.py::": "starts the processes that the bench compares; each imports torch",
    "test_bench_growth.py::test_points_take_turns": "starts a process for each size of folder; each imports torch",
    "test_nbgrader.py::": "runs nbgrader as an instructor does: it executes notebooks in kernels",
    "test_build.py::": "builds a lesson, which executes its notebook in a kernel",
    "test_site.py::": "builds the site",
    "test_rehearse.py::": "executes notebooks in kernels of their own",
    "test_pretrained.py::test_the_bundled_weights_have_the_error": "measures ResNet-18 on thousands of images",
    "test_probe_gradients.py::test_shattered_gradients": "needs many random nets of 50 layers to tell the curves apart",
    "test_data_downloaded.py::": "downloads from a server on this machine, in several processes that import torch",
    "test_makefile.py::test_a_registry_out_of_reach": "makes a virtual environment",
    "test_lab.py::": "starts JupyterLab",
    "test_jupyterhub.py::": "starts a JupyterHub and five learners' servers, and runs cells in each",
    "test_nbval.py::": "runs toy lessons through nbval in a pytest of its own, one until its time is up",
    "test_explorers.py::": "opens every explorer in JupyterLab in Chromium; the first test starts both",
    "test_lesson_00.py::": "runs lesson 00 in JupyterLab in Chromium, after starting both",
    "test_adding_a_lesson.py::": "adds a lesson to a copy of the course and executes it",
}


def read(file: Path) -> Any:
    """A record."""
    return json.loads(file.read_text(encoding="utf-8"))


def shown(values: Mapping[str, Any]) -> str:
    """Median, lowest and highest."""
    return str(Measured.from_dict(values))


def rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; numbers to the right."""
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def machine_lines() -> str:
    """Where the numbers come from, and its limits."""
    record = read(BENCH)
    machine, limits, settings = record["machine"], record["limits"], record["settings"]
    table = rows(
        ["limit", "median (lowest–highest)"],
        [
            ["matrix product, float32", f"{shown(limits['float32'])} GFLOP/s"],
            ["the same with one thread", f"{shown(limits['one_thread'])} GFLOP/s"],
            ["matrix product, bfloat16", f"{shown(limits['bfloat16'])} GFLOP/s"],
            ["copy, read and written", f"{shown(limits['copy'])} GB/s"],
        ],
    )
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['os']}; Python "
        f"{machine['python']}, torch {machine['torch']}, torchvision {machine['torchvision']}, {machine['threads']} "
        f"threads, on {machine['device']} in {machine['precision']}; {record['date']}, {settings['repeats']} rounds."
        f"\n\n{table}\n\n{advice(record)}"
    )


def training_table() -> str:
    """The plain loop and `fit`."""
    head = "network", "batch", "plain loop, images/s", "`fit`, images/s", "`fit` / plain", "plain, GB", "`fit`, GB"
    entries = read(BENCH)["training"]
    lines = [
        [
            each["title"],
            str(each["batch"]),
            *(shown(each[name]) for name in ("plain", "fit", "ratio")),
            *(f"{each[name]:.2f}" for name in ("plain_peak_gb", "fit_peak_gb")),
        ]
        for each in entries
    ]
    return rows(head, lines)


def accuracy_table() -> str:
    """Test errors of both sides by seed, and the difference with its standard error."""
    found = read(ALONE["accuracy"])["accuracy"]
    own, plain = (found[name]["values"] for name in ("fit", "plain"))
    apart = [one - other for one, other in zip(own, plain, strict=True)]
    by_seed = enumerate(zip(own, plain, apart, strict=True))
    lines = [[str(seed), *(f"{value:.1f}" for value in each)] for seed, each in by_seed]
    difference = f"{found['difference']['mean']:+.2f} ± {found['difference']['standard_error']:.2f}"
    lines.append(["mean", *(f"{np.mean(values):.2f}" for values in (own, plain)), difference])
    return rows(["seed", "`fit`, test error, %", "plain loop, test error, %", "difference"], lines)


def share_table() -> str:
    """How much of the matrix products' rate a step of `fit` reaches."""
    head = "network", "GFLOP an image", "`fit`, images/s", "matrix product, GFLOP/s", "share of it, %"
    return rows(
        head,
        [
            [
                each["title"],
                digits(each["gflop_per_image"]),
                *(shown(each[name]) for name in ("fit", "matrix", "share")),
            ]
            for each in read(BENCH)["training"]
        ],
    )


def other_table() -> str:
    """The verdict, prediction and import."""
    record = read(BENCH)
    verdict, prediction, imports = (record[name] for name in ("verdict", "prediction", "imports"))
    together, alone = shown(prediction["predict"]), shown(prediction["one_by_one"])
    return rows(
        ["what", "median (lowest–highest)"],
        [
            [
                f"plain-20 and plain-56, {verdict['epochs']} epochs each, as in lesson 06",
                f"{shown(verdict['seconds'])} s",
            ],
            [f"`predict` over {prediction['files']} photos, {prediction['network']}", f"{together} pictures/s"],
            ["one picture after the other", f"{alone} pictures/s"],
            ["`import torch, torchvision`", f"{shown(imports['torch'])} s"],
            ["`import resnet_edu` on top", f"{shown(imports['resnet_edu'])} s"],
        ],
    )


def lessons_table() -> str:
    """Estimated minutes."""
    lessons = read(BENCH)["lessons"]
    lines = [[each["lesson"], f"{each['quick']:.1f}", f"{each['full']:.1f}"] for each in lessons["lessons"]]
    lines.append(["all", *(f"{lessons['total'][profile]:.1f}" for profile in ("quick", "full"))])
    return rows(["lesson", "quick, minutes", "full, minutes"], lines)


def naming_table() -> str:
    """What each network does, beside the plain script."""
    found = read(ALONE["naming"])["naming"]
    head = "network", "what", "plain script, pictures/s", "ours, pictures/s", "ours / plain", "other labels"
    lines = [
        [
            each["network"],
            each["what"],
            *(shown(each[name]) for name in ("plain", "ours", "ratio")),
            "–" if each["other_labels"] is None else f"{each['other_labels']} of {found['pictures']:,}",
        ]
        for each in found["rows"]
    ]
    return rows(head, lines)


def growth_table() -> str:
    """The ends of each curve, its exponent, and how straight it is."""
    head = "against", "from", "to", "cost", "exponent", "R² of a line"
    curves = curves_of(read(ALONE["growth"]))
    lines = [
        [
            each["x"],
            f"{each['at'][0]:,}",
            f"{each['at'][-1]:,}",
            f"{' → '.join(digits(each['values'][index]['median']) for index in (0, -1))} {each['y']}",
            f"{each['exponent']:.2f}",
            f"{each['r2']:.4f}",
        ]
        for each in curves.values()
    ]
    return f"{SHOWN_GROWTH}\n\n{rows(head, lines)}"


def curves_of(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All curves, with that of loading last."""
    growth = record["growth"]
    return {**growth["curves"], "loading": growth["loading"]}


def cells_table() -> str:
    """The slowest cells of all lessons."""
    cells = [(cell["seconds"], run["lesson"], cell) for run in read(REHEARSAL) for cell in run["cells"]]
    slowest = sorted(cells, key=lambda each: -each[0])[:SHOWN]
    lines = [
        [lesson, str(cell["number"]), f"{seconds:.1f}", why_cell(lesson, cell["first_line"], seconds)]
        for seconds, lesson, cell in slowest
    ]
    return rows(["lesson", "cell", "seconds", "why"], lines)


def why_cell(lesson: str, first_line: str, seconds: float) -> str:
    """The reason of a slow cell.

    Raises:
        ValueError: it takes over ten seconds without one.
    """
    found = [why for (name, start), why in CELLS.items() if name == lesson and first_line.startswith(start)]
    return found[0] if found else none_needed(f"{lesson}: {first_line}", seconds)


def tests_table() -> str:
    """The slowest tests."""
    lines = [[f"`{each['test']}`", f"{each['seconds']:.1f}", why_test(**each)] for each in read(TESTS)]
    return rows(["test", "seconds", "why"], lines)


def why_test(test: str, seconds: float) -> str:
    """The reason of a slow test.

    Raises:
        ValueError: it takes over ten seconds without one.
    """
    found = [why for start, why in REASONS.items() if test.startswith(start)]
    return found[0] if found else none_needed(test, seconds)


def none_needed(what: str, seconds: float) -> str:
    """Nothing to say of what is quick enough.

    Raises:
        ValueError: it is not.
    """
    if seconds > SLOW:
        raise ValueError(f"{what} takes {seconds:.0f} s: give the reason in docs/performance.py, or make it faster.")
    return ""


def slowest_tests(report: Path) -> list[dict[str, Any]]:
    """The ten slowest tests of a report that pytest wrote with --junitxml, slowest first."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    seconds = {f"{case.get('classname', '').split('.')[-1]}.py::{case.get('name')}": case.get("time") for case in cases}
    times = sorted(((float(time or 0), name) for name, time in seconds.items()), reverse=True)
    return [{"test": name, "seconds": round(time, 1)} for time, name in times[:SHOWN]]


def growth_figure() -> Figure:
    """Cost against size, each point with its range, and the best straight line."""
    titles = {"depth": "Depth", "width": "Width", "side": "Side", "batch": "Batch", "loading": "Loading pictures"}
    curves = curves_of(read(ALONE["growth"]))
    with course_style():
        figure = new_figure(2, 3, width=9.0, height=5.0)
        axes = figure.axes
        for place, (name, each) in zip(axes, curves.items(), strict=False):
            x, y = np.array(each["at"]), np.array([value["median"] for value in each["values"]])
            away = np.abs(np.array([[value[end] for value in each["values"]] for end in ("low", "high")]) - y)
            place.plot(x, np.polyval(np.polyfit(x, y, 1), x), color=GREY, linewidth=1)
            place.errorbar(x, y, yerr=away, fmt="o", color=BLUE, markersize=4, capsize=3)
            place.set_ylim(bottom=0)
            label(place, title=f"{titles[name]}: R² {each['r2']:.3f}", x=each["x"], y=each["y"])
        loading = curves["loading"]
        axes[5].plot(loading["at"], loading["peak_gb"], "o-", color=BLUE, markersize=4)
        axes[5].set_ylim(bottom=0)
        label(axes[5], title="Memory while loading", x=loading["x"], y="peak, GB")
    return figure


TABLES = {
    "machine": machine_lines,
    "training": training_table,
    "accuracy": accuracy_table,
    "share": share_table,
    "naming": naming_table,
    "others": other_table,
    "lessons": lessons_table,
    "growth": growth_table,
    "cells": cells_table,
    "tests": tests_table,
}
LATER = {**ALONE, "tests": TESTS}  # records that take long, or the whole of `make test`


def filled(page: str) -> str:
    """The page with its marked parts written anew.

    Raises:
        ValueError: a part has no place in it.
    """
    for name, table in TABLES.items():
        if name in LATER and not LATER[name].is_file():
            table = "Not recorded yet.".strip  # the commands stand at the top of performance.py
        begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{PAGE.name} needs one place for {name}: {begin.strip()} and {end.strip()}.")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{table()}{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    if sys.argv[1:]:
        TESTS.write_text(json.dumps(slowest_tests(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    if ALONE["growth"].is_file():
        PICTURE.parent.mkdir(exist_ok=True)
        growth_figure().savefig(PICTURE, dpi=100)
    print(f"{PAGE.name} is written; profile {edu.profile().name}.")
