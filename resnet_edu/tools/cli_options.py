"""What several commands have in common: an option, and how examples stand in their help."""

import os
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


def with_home(path: str | Path) -> Path:
    """With the home folder in place of ~, which a shell leaves in --out=~/run; as it is where there is no home."""
    return Path(os.path.expanduser(path))


def examples(*commands: str) -> str:
    """The last lines of a command's help; the first character keeps typer from joining them."""
    return "\b\nExamples:\n" + "\n".join(f"  resnet-edu {command}" for command in commands)
