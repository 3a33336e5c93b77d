"""What a class takes: learners at a JupyterHub on this machine run lessons at the same time, and their memory is read.

    python deploy/rehearse_class.py --seats 4 --lessons 00 06 12
    python deploy/rehearse_class.py --json docs/seats.json      # then: --fill writes the tables of docs/jupyterhub.md

A seat is a single-user server and one kernel that runs the worked lesson from its first cell to its last. The memory
of a process is its proportional set size (PSS): what it has for itself, plus its share of what several have in common,
so that the seats add up to what the machine really gives. It is read twice a second; the largest sum counts.
"""

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy.classroom import ROOT, Hub, Learner, proxy
from resnet_edu import machine
from resnet_edu.tools.course import find_lesson

PAGE = ROOT / "docs" / "jupyterhub.md"
RECORD = ROOT / "docs" / "seats.json"


class Scale:
    """Weighs the seats of a hub until it is stopped: MB (10⁶ bytes) of each one's server and kernels."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.server, self.kernel, self.seat, self.all = 0.0, 0.0, 0.0, 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self) -> "Scale":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def watch(self) -> None:
        """Keep the largest of each."""
        while not self.done.wait(0.5):
            seats = weigh(self.hub)
            for server, kernel in seats.values():
                self.server, self.kernel = max(self.server, server), max(self.kernel, kernel)
                self.seat = max(self.seat, server + kernel)
            self.all = max(self.all, sum(map(sum, seats.values())))


def weigh(hub: Hub) -> dict[str, tuple[float, float]]:
    """PSS in MB of each learner's server and of what it started."""
    seats: dict[str, tuple[float, float]] = {}
    for process in hub.processes():
        try:
            name, words = process.environ().get("JUPYTERHUB_USER"), process.cmdline()
            if not name or "resnet_edu.tools.seat" in words:  # the second has not become the server yet
                continue
            server, kernel = seats.get(name, (0.0, 0.0))
            own = process.memory_full_info().pss / 1e6
            seats[name] = (server + own, kernel) if "jupyterhub.singleuser" in words else (server, kernel + own)
        except psutil.Error:
            continue  # it ended meanwhile
    return seats


def attend(lesson: str, learner: Learner) -> float:
    """One learner runs one worked lesson in a new kernel; the seconds that its cells took."""
    if learner.log_in().status_code != 302:
        raise RuntimeError(f"{learner.name} could not log in.")
    learner.sit_down()
    with learner.open_kernel("my-course/solutions") as kernel:
        cells = learner.code_cells(f"my-course/solutions/{lesson}.ipynb")
        started = time.monotonic()
        for cell in cells:
            kernel.run(cell)
        seconds = time.monotonic() - started
        time.sleep(1)  # for the scale
    for running in learner.get(f"{learner.seat}/api/kernels").json():
        learner.delete(f"{learner.seat}/api/kernels/{running['id']}")
    return seconds


def rehearse(seats: int, lessons: list[str]) -> dict[str, Any]:
    """Let so many learners run each lesson at the same time, one lesson after the other."""
    record: dict[str, Any] = {"seats": seats, "machine": machine.description(), "lessons": []}
    with tempfile.TemporaryDirectory() as folder, Hub(Path(folder)) as hub:
        learners = hub.hand_out([f"learner-{number}" for number in range(seats)])
        for lesson in lessons:
            with Scale(hub) as scale, ThreadPoolExecutor(seats) as pool:
                seconds = list(pool.map(partial(attend, lesson), learners))
            found = {"lesson": lesson, "seconds": max(seconds), "server_mb": scale.server, "kernel_mb": scale.kernel}
            record["lessons"].append({**found, "seat_mb": scale.seat, "all_mb": scale.all})
            print(f"{lesson}: {max(seconds):.0f} s, a seat {scale.seat:.0f} MB, all {scale.all:.0f} MB", flush=True)
    return record


def seat_table(record: dict[str, Any]) -> str:
    """What a seat took, lesson by lesson."""
    rows = [
        "| lesson | server | kernel | a seat, at most | all, at most | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["lessons"]:
        sizes = " | ".join(f"{row[part] / 1000:.2f} GB" for part in ("server_mb", "kernel_mb", "seat_mb", "all_mb"))
        rows.append(f"| {row['lesson']} | {sizes} | {row['seconds']:.0f} |")
    return "\n".join(rows)


def class_table(record: dict[str, Any], numbers: tuple[int, ...] = (5, 10, 20, 40, 80)) -> str:
    """What so many seats need: measured memory of a seat times their number, and the plan."""
    lessons = record["lessons"]
    names = " | ".join(f"all in {row['lesson'][:2]}" for row in lessons)
    rows = [f"| seats | {names} | memory to plan | cores to plan |", "|---|" + "---|" * (len(lessons) + 2)]
    for count in numbers:
        taken = " | ".join(f"{count * row['all_mb'] / record['seats'] / 1000:.0f} GB" for row in lessons)
        rows.append(f"| {count} | {taken} | {2 * count + 1.5:.0f} GB | {max(2, count // 2)} |")
    return "\n".join(rows)


def filled(page: str, record: dict[str, Any]) -> str:
    """The page with its tables written anew from the record."""
    for name, table in (("seats", seat_table(record)), ("classes", class_table(record))):
        pattern = rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)"
        page = re.sub(pattern, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)
    return page


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure what a class takes on this machine.")
    parser.add_argument("--seats", type=int, default=2, help="how many learners at the same time")
    parser.add_argument("--lessons", nargs="+", default=["00", "06", "12"], help="what they run, one after the other")
    parser.add_argument("--json", type=Path, help="write the record there")
    parser.add_argument("--fill", action="store_true", help="only write docs/jupyterhub.md anew from docs/seats.json")
    options = parser.parse_args()
    if options.fill:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")
        return
    if options.seats < 1:
        parser.error(f"--seats must be at least 1, got {options.seats}")
    if proxy() is None:
        parser.error("JupyterHub's proxy is missing. Get it with: .ci/proxy")
    try:
        lessons = [find_lesson(name).name for name in options.lessons]
    except ValueError as error:
        parser.error(str(error))
    record = rehearse(options.seats, lessons)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
