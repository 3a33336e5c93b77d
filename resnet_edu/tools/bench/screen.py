"""What the bench found, on one screen: tables, and one sentence of advice."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .measured import Measured, digits

LOW = 0.85  # two threads that bring less than this share of twice the rate are not worth having


def screen(record: Mapping[str, Any]) -> Group:
    """The whole record, at most 40 lines of 100 columns."""
    machine, settings = record["machine"], record["settings"]
    sections: list[RenderableType] = [
        Text(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"),
        Text(
            f"torch {machine['torch']} on {machine['device']}, {machine['threads']} threads, {machine['precision']}; "
            f"median (lowest–highest), ± largest distance, of {settings['repeats']}"
        ),
    ]
    if "limits" in record:
        sections += ["", limits_line(record["limits"])]
    if "training" in record:
        sections += ["", training_table(record["training"])]
    lines = [line(record[name]) for name, line in LINES.items() if name in record]
    sections += ["", *lines] if lines else []
    if "lessons" in record:
        sections += ["", lessons_table(record["lessons"])]
    if "naming" in record:
        sections += ["", naming_table(record["naming"])]
    if "growth" in record:
        sections += ["", growth_table(record["growth"])]
    if "training" in record:
        sections += ["", Text(advice(record), style="bold")]
    return Group(*(Text(each) if isinstance(each, str) else each for each in sections))


def shown(values: Mapping[str, Any]) -> str:
    """Median and range of a recorded number."""
    return str(Measured.from_dict(values))


def short(values: Mapping[str, Any]) -> str:
    """Median and largest distance from it."""
    return Measured.from_dict(values).short()


def limits_line(limits: Mapping[str, Any]) -> str:
    """This machine's limits."""
    return (
        f"limits      float32 {shown(limits['float32'])} GFLOP/s, bfloat16 {shown(limits['bfloat16'])}, "
        f"copy {shown(limits['copy'])} GB/s"
    )


def training_table(entries: list[dict[str, Any]]) -> Table:
    """One row a workload."""
    titles = "plain loop\nimages/s", "fit\nimages/s", "fit / plain\n", "of matrix\nrate", "peak, GB\nplain  fit"
    table = columns("training\n", "batch\n", *titles)
    for each in entries:
        table.add_row(
            each["title"],
            str(each["batch"]),
            short(each["plain"]),
            short(each["fit"]),
            shown(each["ratio"]),
            f"{each['share']['median']:.1f} %",
            f"{each['plain_peak_gb']:.2f}  {each['fit_peak_gb']:.2f}",
        )
    return table


def columns(first: str, *titles: str, gap: int = 2) -> Table:
    """A table without lines; all columns but the first are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column(first, no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """Lesson 06's experiment."""
    return f"verdict     plain-56 worse than plain-20, {verdict['epochs']} epochs: {shown(verdict['seconds'])} s"


def prediction_line(prediction: Mapping[str, Any]) -> str:
    """Pictures a second."""
    return (
        f"prediction  {shown(prediction['predict'])} pictures/s, one by one {shown(prediction['one_by_one'])}: "
        f"{shown(prediction['ratio'])} times as fast"
    )


def imports_line(imports: Mapping[str, Any]) -> str:
    """Seconds of importing."""
    return f"import      {shown(imports['resnet_edu'])} s on top of torch and torchvision's {shown(imports['torch'])} s"


def accuracy_line(accuracy: Mapping[str, Any]) -> str:
    """Test errors of both sides, and how far apart they are."""
    apart = accuracy["difference"]
    return (
        f"accuracy    {accuracy['title']}, test error: fit {shown(accuracy['fit'])} %, plain loop "
        f"{shown(accuracy['plain'])} %;\n            mean difference {apart['mean']:+.2f} points, standard error "
        f"{apart['standard_error']:.2f}"
    )


LINES = {"verdict": verdict_line, "prediction": prediction_line, "imports": imports_line, "accuracy": accuracy_line}


def lessons_table(lessons: Mapping[str, Any]) -> Table:
    """Minutes by lesson: two rows, so that fourteen lessons fit."""
    table = columns("minutes, about", *(each["lesson"][:2] for each in lessons["lessons"]), "all", gap=1)
    for profile in ("quick", "full"):
        values = [*(each[profile] for each in lessons["lessons"]), lessons["total"][profile]]
        table.add_row(profile, *(f"{value:.1f}" if value < 9.95 else f"{value:.0f}" for value in values))
    return table


def naming_table(naming: Mapping[str, Any]) -> Table:
    """One row for each network and what it does."""
    table = columns(f"{naming['pictures']:,} pictures", "", "plain script/s", "ours/s", "ours / plain", "other labels")
    for each in naming["rows"]:
        other = "" if each["other_labels"] is None else str(each["other_labels"])
        rates = short(each["plain"]), short(each["ours"]), shown(each["ratio"])
        table.add_row(each["network"], each["what"], *rates, other)
    return table


def growth_table(growth: Mapping[str, Any]) -> Table:
    """One row a curve: its ends, its exponent and how straight it is."""
    table = columns("growth", "from", "to", "cost", "exponent", "R² of a line")
    curves = dict(growth["curves"]) | ({"loading": growth["loading"]} if growth["loading"] else {})
    for name, each in curves.items():
        ends = [digits(each["values"][index]["median"]) for index in (0, -1)]
        table.add_row(
            name,
            f"{each['at'][0]:,} {each['x']}",
            f"{each['at'][-1]:,}",
            f"{' → '.join(ends)} {each['y']}",
            f"{each['exponent']:.2f}",
            f"{each['r2']:.4f}",
        )
    return table


def advice(record: Mapping[str, Any]) -> str:
    """One sentence on threads, precision and memory, from what was measured."""
    machine, limits, training = record["machine"], record["limits"], record["training"]
    threads, cores = machine["threads"], machine["cores"]
    gain = limits["float32"]["median"] / limits["one_thread"]["median"]
    if threads < cores and machine.get("omp_num_threads"):
        first = f"torch uses {threads} of {cores} cores: unset OMP_NUM_THREADS"
    elif threads > 1 and gain < LOW * threads:
        first = (
            f"{threads} threads are only {gain:.1f} times as fast as one: something else uses the cores, or they share"
        )
    else:
        first = f"leave the threads at {threads} ({gain:.1f} times as fast as one)"
    faster = limits["bfloat16"]["median"] / limits["float32"]["median"]
    if machine["precision"] == "bfloat16":
        second = f"precision auto takes bfloat16, whose products run {faster:.1f} times as fast as float32's"
    elif faster > 1:
        second = f"try precision bfloat16, whose products run {faster:.1f} times as fast as float32's here"
    else:
        second = f"precision auto takes float32, since bfloat16 has {faster:.2f} times its rate here"
    peak = max(each["fit_peak_gb"] for each in training)
    third = (
        f"with {peak:.1f} GB for the largest of these runs, memory holds {int(machine['memory_gb'] / peak)} at a time"
    )
    slower = [each["title"] for each in training if each["ratio"]["median"] < 1]
    more = f" (and tell us: fit is slower than the plain loop for {', '.join(slower)})" if slower else ""
    return f"Advice: {first}; {second}; {third}{more}."
