"""A learner's seat in a class: their copy of the lessons, then JupyterHub's server for one person.

JupyterHub starts `python -m resnet_edu.tools.seat` for each learner, on one server, in Docker and on Kubernetes alike
(see docs/jupyterhub.md). It runs as the learner and never as the hub, so what it writes can only be the learner's own.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .lab import lab_command, lab_environment, prepare

FOLDER = "my-course"  # in the learner's home, as `resnet-edu lab` calls it


def seat_command(folder: Path, arguments: list[str]) -> list[str]:
    """The command of a seat: the hub's single-user server with JupyterLab set as `resnet-edu lab` sets it.

    Args:
        folder: where the lessons are.
        arguments: what the hub adds; they win. The hub's `default_url` says which lesson opens.
    """
    settings = [option for option in lab_command(folder) if option.startswith("--LabApp.")]
    kept = [option for option in settings if not option.startswith("--LabApp.default_url")]
    return [sys.executable, "-m", "jupyterhub.singleuser", *kept, *arguments]


def seat_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The seat's environment: as many threads as the hub grants cores (CPU_LIMIT), unless OMP_NUM_THREADS says it.

    Threads of twenty kernels that each take all cores of one server would mostly wait for each other.
    """
    granted = number(environment.get("CPU_LIMIT"))
    threads = {"OMP_NUM_THREADS": str(max(1, int(granted)))} if granted else {}
    return {**threads, **lab_environment(environment)}


def limit_memory(environment: Mapping[str, str] = os.environ) -> int | None:
    """Hold this process and each that it starts to the memory that the hub grants (MEM_LIMIT); bytes, None without.

    A cell that asks for more gets an error that says so, and the kernel lives on. On a server without such a limit
    the system would end somebody's kernel, and perhaps somebody else's. It guards against accidents: many processes
    together may take more, for which Docker and Kubernetes have a limit of their own.
    """
    granted = int(number(environment.get("MEM_LIMIT")))
    if not granted or not sys.platform.startswith("linux"):
        return None
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = granted if most == resource.RLIM_INFINITY else min(granted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def number(text: str | None) -> float:
    """What the hub wrote into a variable; 0 where it set no limit."""
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def main(arguments: list[str]) -> None:
    """Bring the lessons, then become the server. Lessons that cannot be brought do not keep the learner out."""
    folder = Path.home() / FOLDER
    try:
        report = prepare(folder)
        print(f"resnet-edu: {folder}: {len(report.added)} lessons added, {len(report.kept)} kept as changed")
        command = seat_command(folder, arguments)
    except (OSError, ValueError) as error:
        print(f"resnet-edu: the lessons could not be brought to {folder}: {error}", file=sys.stderr)
        command = [sys.executable, "-m", "jupyterhub.singleuser", *arguments]
    limit_memory()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, seat_environment())


if __name__ == "__main__":
    main(sys.argv[1:])
