"""The reference: one page per room of the package, from its docstrings, and one of the commands, from their help."""

import inspect
from types import ModuleType
from typing import TypeVar

import typer

import resnet_edu as edu
from resnet_edu import checks, data, errors, facts, machine, models, plots, probe, study, widgets
from resnet_edu.facts import Fact, Source
from resnet_edu.tools import cli

#: The rooms in the order in which a reader meets them, each with its page.
ROOMS: dict[str, ModuleType] = {
    "edu": edu, "data": data, "models": models, "probe": probe, "plots": plots, "widgets": widgets, "checks": checks,
    "study": study, "facts": facts, "machine": machine, "errors": errors,
}  # fmt: skip

#: Classes that signatures name and that no room gives out by name: described where a reader meets them.
MET: dict[str, tuple[str, ...]] = {
    "edu": ("checkpoint.Checkpoint",),
    "data": ("data.pictures.View",),
    "checks": ("checks.progress.Progress", "checks.progress.Entry"),
    "facts": ("facts.Fact", "facts.Source"),
}


def public(room: ModuleType) -> list[str]:
    """The public names of a room: its `__all__`, without the rooms in it, or what it defines itself."""
    if hasattr(room, "__all__"):
        return [name for name in room.__all__ if not inspect.ismodule(getattr(room, name))]
    if room is facts:
        return [name for name, value in vars(room).items() if name.isupper() and not isinstance(value, Source)]
    own = [name for name, value in vars(room).items() if getattr(value, "__module__", "") == room.__name__]
    return [name for name in own if not name.startswith("_") and not isinstance(getattr(room, name), TypeVar)]


def pages() -> dict[str, str]:
    """The pages by name, as Markdown."""
    named = {name: page(name, room) for name, room in ROOMS.items()}
    return {"index": index(), **named, "commands": commands()}


def index() -> str:
    """The list of rooms."""
    rows = [f"| [`{title(name)}`]({name}.md) | {purpose(room)} |" for name, room in ROOMS.items()]
    return "\n".join(
        [
            "# Reference",
            "",
            "The package as the lessons import it: `import resnet_edu as edu`. Every public name, with its docstring",
            "and the way to its source. The [commands](commands.md) are on a page of their own.",
            "",
            "| room | what it is for |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            *ROOMS,
            "commands",
            "```",
            "",
        ]
    )


def title(name: str) -> str:
    """How a lesson calls the room."""
    return "edu" if name == "edu" else f"edu.{name}"


def purpose(room: ModuleType) -> str:
    """The first sentence of a room's docstring, in one line."""
    return " ".join((inspect.getdoc(room) or "").partition("\n\n")[0].split())


def page(name: str, room: ModuleType) -> str:
    """One room: what it is for, then every public name."""
    constants = [one for one in public(room) if not callable(getattr(room, one))]
    own = [one for one in public(room) if home(room, one) is room and one not in constants]
    parts = eval_rst(f".. automodule:: {room.__name__}", *([f"   :members: {', '.join(own)}"] if own else []))
    elsewhere = [
        f"{{py:obj}}`~{home(room, one).__name__}.{one}`" for one in public(room) if home(room, one) is not room
    ]
    parts += [f"Described with what they belong to: {', '.join(elsewhere)}.", ""] if elsewhere else []
    for met in MET.get(name, ()):
        parts += eval_rst(f".. autoclass:: resnet_edu.{met}", "   :members:")
    parts += [constant(room, one) for one in constants]  # last: a link back from a class's source finds the class
    return "\n".join([f"# `{title(name)}`", "", *parts])


def home(room: ModuleType, name: str) -> ModuleType:
    """The room that describes a public name: `edu.setup` is described in `edu.machine`."""
    return machine if getattr(getattr(room, name), "__module__", "") == machine.__name__ else room


def eval_rst(*lines: str) -> list[str]:
    """A directive of Sphinx, in Markdown."""
    return ["```{eval-rst}", *lines, "```", ""]


def constant(room: ModuleType, name: str) -> str:
    """A constant: its value, or what a table of them holds; the page of results has each fact with its source."""
    value = getattr(room, name)
    told = f"{', '.join(f'`{key}`' for key in value)}." if isinstance(value, dict | tuple | list) else str(value)
    source = f" · {value.source.text}" if isinstance(value, Fact) else ""
    return f"```{{py:data}} {name}\n:module: {room.__name__}\n\n{told}{source}\n```\n"


def commands() -> str:
    """What `--help` says of each command."""
    root = typer.main.get_command(cli.app)
    parts = [
        "# Commands",
        "",
        "This is what `--help` says of each. `resnet-edu` without a command lists them.",
        "",
    ]
    for name in sorted(root.commands):  # type: ignore[attr-defined]
        command = root.commands[name]  # type: ignore[attr-defined]
        with command.make_context(f"resnet-edu {name}", [], resilient_parsing=True) as context:
            context.max_content_width = 100
            parts += [f"## resnet-edu {name}", "", "```text", command.get_help(context).strip(), "```", ""]
    return "\n".join(parts)
