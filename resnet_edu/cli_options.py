"""What several commands have in common: an option, and how examples stand in their help."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


def examples(*commands: str) -> str:
    """The last lines of a command's help; the first character keeps typer from joining them."""
    return "\b\nExamples:\n" + "\n".join(f"  resnet-edu {command}" for command in commands)
