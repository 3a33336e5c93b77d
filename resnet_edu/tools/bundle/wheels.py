"""What pip would install here, and asking pip for it."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LEFT_OUT = {"torch", "torchvision"}  # torchvision fits one torch only, so they come together


@dataclass(frozen=True)
class Package:
    """One package in the version that pip chose.

    Args:
        version: as the index writes it: 2.14.1, 2.14.1+cpu.
        needs: the names of what it may need, normalised.
    """

    version: str
    needs: frozenset[str]


def resolve(wheel: Path, report: Path, options: Sequence[str] = ()) -> dict[str, Package]:
    """Everything that a wheel needs on this machine, itself included, by normalised name. Installs nothing.

    Args:
        wheel: a file.
        report: where pip may write what it found.
        options: more for pip.

    Raises:
        ValueError: pip failed.
    """
    run_pip("install", "--dry-run", "--ignore-installed", "--report", str(report), *options, str(wheel))
    found = {}
    for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
        about = item["metadata"]
        needs = frozenset(canonicalize_name(Requirement(line).name) for line in about.get("requires_dist", []))
        found[canonicalize_name(about["name"])] = Package(about["version"], needs)
    return found


def without_torch(packages: Mapping[str, Package]) -> dict[str, Package]:
    """Those packages that the course needs besides torch, torchvision and what only these two need."""
    wanted: set[str] = set()
    todo = {"resnet-edu"}
    while todo:
        name = todo.pop()
        wanted.add(name)
        todo |= {need for need in packages[name].needs if need in packages} - wanted - LEFT_OUT
    return {name: package for name, package in packages.items() if name in wanted}


def run_pip(*arguments: str, say: Callable[[str], object] = str) -> None:
    """Run the pip of this Python; `say` is told of every file that it downloads.

    Raises:
        ValueError: there is no pip, or it failed; one line with its reason.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1].startswith("Downloading ") and ".metadata" not in line:
                say(lines[-1])
    if process.returncode:
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines or ["it said nothing"])[-1]
        raise ValueError(f"pip {arguments[0]} failed: {reason}. Is this machine online, with pip installed?")
