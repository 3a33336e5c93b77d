"""Every command that a page tells you to type exists, with the options and arguments it is given."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from page_texts import PAGES, ROOT, commands

from resnet_edu.tools import cli

GROUP: Any = typer.main.get_command(cli.app)
KNOWN: dict[str, Any] = GROUP.commands
BEFORE = r"^(?:\$ |!|sudo (?:-u \S+ )?)?"
OURS = re.compile(
    BEFORE + r"(?:(?:\S*[/\\])?resnet-edu|.*\btorchrun .*-m resnet_edu|\S*python\S* -m resnet_edu)\s(.*)$"
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def calls(lines: list[str]) -> Iterator[list[str]]:
    """The words after `resnet-edu`, of each call in these lines; `lab | doctor` are two calls, an … is left out."""
    for line in lines:
        if match := OURS.match(line):
            words = match[1]
            parts = words.split(" | ") if re.fullmatch(r"[\w-]+( \| [\w-]+)+", words) else [words]
            for part in parts:
                yield [word for word in shlex.split(re.split(r"\s(?:[|>;]|&&)", part)[0]) if word != "…"]


def fault(call: list[str]) -> str:
    """Why the command line would refuse a call; "" if it would not. Nothing is run."""
    if not call or call[0].startswith("-"):
        return "" if not call or call[0] in ("--help", "-h", "--version") else f"no option {call[0]}"
    if call[0] not in KNOWN:
        return f"no command {call[0]}"
    if len(call) > 1:  # alone it is only named
        try:
            KNOWN[call[0]].make_context(call[0], call[1:])
        except typer.TyperException as error:
            return error.format_message()
        except typer.Exit:  # --help
            pass
    return ""


@every_page
def test_every_call_would_be_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = {shlex.join(call): fault(call) for call in calls(commands(page))}
    assert {call: said for call, said in faults.items() if said} == {}


def test_so_would_every_example_in_the_help() -> None:
    for name, command in KNOWN.items():
        examples = list(calls([line.strip() for line in (command.epilog or "").splitlines()]))
        assert examples, f"{name} has no examples"
        assert [fault(call) for call in examples if fault(call)] == []


def test_what_would_be_refused_is_found() -> None:
    lines = {
        "resnet-edu lba": "no command lba",
        "resnet-edu lab --port nine": "--port",
        "resnet-edu evaluate --json": "RUN",
        r".venv\Scripts\resnet-edu train --modle 18": "--modle",
        "torchrun --nproc-per-node=2 -m resnet_edu train --out": "--out",
        "resnet-edu lab | doktor": "no command doktor",
    }
    for line, said in lines.items():
        assert said in " ".join(map(fault, calls([line])))
    fine = ["resnet-edu train …", "sudo .venv/bin/resnet-edu fetch resnet18 --to /srv/data", "pip install resnet-edu"]
    assert not any(fault(call) for call in calls(fine))
