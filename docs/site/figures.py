"""What a figure of a lesson shows, in words, for those who do not see it.

A figure's title is its message; the docstring of the function that draws it says what is drawn. Both together are
its alt text. They stand in the code of the cell and of the package, so nothing has to be run.
"""

import ast
import inspect
import re

from nbformat import NotebookNode

from resnet_edu import plots

PICTURES = {"image/png", "image/jpeg"}


def has_picture(cell: NotebookNode) -> bool:
    """Whether the cell's outputs hold a picture."""
    return any(PICTURES & set(output.get("data", {})) for output in cell.get("outputs", []))


def alt_text(source: str) -> str:
    """What the last expression of a cell draws: its title, then what is drawn.

    Raises:
        ValueError: the cell does not end in a call of a function that says what it does.
    """
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        raise ValueError(f"a cell with a picture must end in the call that draws it, so that it can be told:\n{source}")
    call, function = last.value, ast.unparse(last.value.func)
    title: str | None = None
    if function.startswith("edu.plots."):
        drawn = getattr(plots, function.removeprefix("edu.plots."))
        doc, default = inspect.getdoc(drawn), inspect.signature(drawn).parameters.get("title")
        title = default.default if default is not None and isinstance(default.default, str) else None
    else:
        doc = next((ast.get_docstring(n) for n in tree.body if getattr(n, "name", "") == function), None)
    for keyword in call.keywords:
        if keyword.arg == "title":
            title = words(keyword.value)
    shown = first_line(doc or "")
    if not shown:
        raise ValueError(f"{function} draws a picture and has no docstring that says what it shows")
    if title:
        return ended(title) + shown
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    told = arguments and all(isinstance(argument, ast.Constant) for argument in arguments)
    return f"{shown} Drawn by {ast.unparse(call).removeprefix('edu.plots.')}." if told else shown


def words(title: ast.expr) -> str | None:
    """A title as it is written in the code; an ellipsis stands for a computed number, None for a computed title."""
    if isinstance(title, ast.Constant):
        return str(title.value)
    if isinstance(title, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in title.values)
    return None


def first_line(doc: str) -> str:
    """A docstring's first line as plain words."""
    line = doc.partition("\n")[0].removeprefix("The static twin: ").replace("`", "")
    return line[:1].upper() + line[1:]


def ended(sentence: str) -> str:
    """The sentence with its full stop and a space."""
    return sentence + (" " if re.search(r"[.!?]$", sentence) else ". ")
