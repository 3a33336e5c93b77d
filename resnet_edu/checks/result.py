"""What a check answers: one word, one explanation, shown the same way in a notebook, a terminal and a file.

Under nbgrader an answer that has not passed fails its cell. nbgrader gives a check's cell all of its points unless the
cell ends in an error or writes to stderr; it sets the environment variable NBGRADER_EXECUTION, and only there a check
that has not passed raises `NotPassed`. https://nbgrader.readthedocs.io/en/stable/user_guide/faq.html
"""

import dis
import html
import json
import os
import re
import sysconfig
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from .. import files

Status = Literal["passed", "not yet", "wrong"]

#: A mark and a word for each status, so that nothing depends on seeing colours.
MARKS: dict[Status, str] = {"passed": "✓ passed", "not yet": "… not yet", "wrong": "✗ wrong"}

#: Colour of the bar beside the box; the text keeps the notebook's own colours, light or dark.
COLOURS: dict[Status, str] = {"passed": "#009E73", "not yet": "#7F7F7F", "wrong": "#D55E00"}
TINT = "1F"  # how much of the colour is behind the text

#: What a check says about a stub.
NOT_YET = "Nothing to judge yet. Complete the exercise above, with its `return`, run its cell, then run this one again."

#: Code that is not the learner's: this package, Python's own library, everything that pip installed.
LIBRARIES = (
    Path(__file__).resolve().parents[1],
    Path(torch.__file__).resolve().parents[1],
    *{Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)

#: Part of PyTorch's message, and what it usually means.
HINTS = (
    ("before Module.__init__() call", "Call `super().__init__()` first in your `__init__`."),
    ("mat1 and mat2 shapes", "A linear layer gets more or fewer features than it was built for."),
    ("channels, but got", "A layer gets more or fewer channels than it was built for."),
    ("must match the size of tensor", "You combine two tensors whose shapes do not fit."),
    ("running_mean should contain", "A batch norm gets more or fewer channels than it was built for."),
    ("modified by an inplace operation", "You call `step` before `backward`, or change in place what it still needs."),
)


#: An exercise's heading in a lesson, and its number there.
HEADING = re.compile(r"^### (Exercise \d+[a-z]?\.(\d+) · .+?) *$", re.MULTILINE)


class Wrong(Exception):
    """The answer is wrong; the message names the likely mistake."""


class NotYet(Exception):
    """The answer is a stub, or a part of it is."""


class NotPassed(AssertionError):
    """The answer of a graded cell is a stub or wrong; the message is what the learner would have read."""


@dataclass(frozen=True, repr=False)
class CheckResult:
    """The answer of one check, displayed by the notebook when it is the last expression of a cell."""

    name: str  # the heading of the exercise's card, for example "Exercise 1.2 · conv2d by hand"
    status: Status  # "passed", "not yet" (nothing to judge so far) or "wrong"
    message: str  # what was found; for "wrong" the likely mistake and what to do
    note: str = ""  # anything worth knowing about the progress table, for example that it could not be saved
    way_on: str = ""  # what to do next
    link: str = ""  # the notebook where that is, if it is another

    @property
    def passed(self) -> bool:
        """Whether the exercise is done."""
        return self.status == "passed"

    def __str__(self) -> str:
        more = [*([self.way_on] if self.way_on else []), *([f"Note: {self.note}"] if self.note else [])]
        return "\n".join([f"{MARKS[self.status]} · {self.name}", self.message, *more])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A tinted box; mark and word carry the meaning, `role="status"` tells a screen reader."""
        parts = [f"<strong>{MARKS[self.status]}</strong> · {html.escape(self.name)}", as_html(self.message)]
        if self.way_on:
            text = html.escape(self.way_on)
            parts.append(f'<a href="{html.escape(self.link)}">{text}</a>' if self.link else text)
        if self.note:
            parts.append(f"<em>Note:</em> {as_html(self.note)}")
        colour = COLOURS[self.status]
        style = f"border-left: 6px solid {colour}; background: {colour}{TINT}; border-radius: 6px; padding: 0.3em 1em;"
        body = "".join(f'<div style="margin: 0.2em 0;">{part}</div>' for part in parts)
        return f'<div role="status" style="{style} margin: 0.3em 0;">{body}</div>'


class Graded(CheckResult):
    """A passed result that is displayed, but not as the cell's value, which nbgrader takes for points."""

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()))


def under_nbgrader() -> bool:
    """Whether nbgrader is running this notebook, to grade or to validate it."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def as_html(text: str) -> str:
    """Plain text with `code` in backticks, as HTML."""
    escaped = html.escape(text, quote=False).replace("\n", "<br>")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)


def is_learners(filename: str) -> bool:
    """Whether a traceback's file is a notebook cell or the learner's own file."""
    if filename.startswith("<"):  # "<stdin>", "<string>", "<ipython-input-…>"
        return not filename.startswith(("<frozen", "<__array", "<eval_with_key"))
    return not any(Path(filename).resolve().is_relative_to(library) for library in LIBRARIES)


def learners_line(trace: TracebackType | None) -> tuple[str, int, str] | None:
    """Function, line number and text of the deepest line of the learner's that the error passed, if any."""
    frames = [each for each in traceback.extract_tb(trace) if is_learners(each.filename)]
    return (frames[-1].name, frames[-1].lineno or 0, frames[-1].line or "") if frames else None


def is_not_yet(error: BaseException) -> bool:
    """Whether an error is a stub's `raise NotImplementedError`, or that of a module without a `forward`.

    PyTorch raises NotImplementedError too, where an operation is missing; then the last step is no `raise` of the
    learner's.
    """
    trace = error.__traceback__
    if isinstance(error, NotYet):
        return True
    if not isinstance(error, NotImplementedError) or trace is None:
        return False
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    raised = dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    return code.co_name == "_forward_unimplemented" or (raised and is_learners(code.co_filename))


def said_of(error: BaseException) -> tuple[Status, str]:
    """What an error in an answer means; of a stub, the place that is still open."""
    if isinstance(error, Wrong):
        return "wrong", str(error)
    if not is_not_yet(error):
        return "wrong", explain(error)
    where = learners_line(error.__traceback__)
    return "not yet", NOT_YET + (f" Still open: `{where[0]}`, line {where[1]} of its cell." if where else "")


def explain(error: BaseException) -> str:
    """One or two sentences about an error that the learner's code raised."""
    what = type(error).__name__
    text = " ".join(str(error).split())
    if len(text) > 200:
        text = text[:200] + " …"
    line = learners_line(error.__traceback__)
    where = "Using your answer"
    if line is not None:
        where = f"Line {line[1]} of your code, in `{line[0]}`" + (f", `{line[2]}`," if line[2] else ",")
    message = f"{where} raised {what}" + (f": {text}" if text else "") + ("" if text.endswith((".", "!", "…")) else ".")
    hint = next((hint for part, hint in HINTS if part in text), "")
    if isinstance(error, AttributeError) and isinstance(error.obj, nn.Module):
        hint = hint or "Is the name spelled the same in `__init__` and in `forward`?"
    return " ".join([message, *([hint] if hint else []), *getattr(error, "__notes__", [])])


def kind_of(value: object) -> str:
    """What a value is, in words: "a tensor of shape (2, 3)", "the int 3", "the class `LeNet5`"."""
    match value:
        case None:
            return "None"
        case type():
            return f"the class `{value.__name__}`"
        case Tensor():
            return f"a tensor of shape {tuple(value.shape)}"
        case np.ndarray():
            return f"a NumPy array of shape {value.shape}"
        case nn.Module():
            return f"a module of class `{type(value).__name__}`"
        case bool() | int() | float() | np.generic():
            return f"the {type(value).__name__} {value}"
        case str() | tuple() | list() | dict():
            text = repr(value)
            return f"the {type(value).__name__} `{text if len(text) <= 80 else text[:80] + ' …'}`"
        case _ if callable(value):
            return f"the function `{getattr(value, '__name__', type(value).__name__)}`"
        case _:
            return f"something of type `{type(value).__name__}`"


@cache
def lesson_texts() -> dict[str, str]:
    """The Markdown of every learner's notebook, by its name; empty where there are none."""
    found = {}
    for path in sorted((files.course_folder() / "notebooks").glob("[0-9][0-9]*_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found[path.name] = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "markdown")
    return found


@cache
def headings() -> dict[str, str]:
    """The heading of every exercise's card by its number, "05.2", in the order of the course."""
    return {
        f"{name.partition('_')[0]}.{number}": heading
        for name, text in lesson_texts().items()
        for heading, number in HEADING.findall(text)
    }


def notebook(lesson: str) -> str:
    """The file of the lesson with this number, or nothing."""
    return next((name for name in lesson_texts() if name.startswith(f"{lesson}_")), "")


def lesson_title(lesson: str) -> str:
    """A lesson's title up to its colon: "05 · Vanishing and exploding gradients"."""
    title = re.search(r"^# ([^:\n]+)", lesson_texts().get(notebook(lesson), ""), re.MULTILINE)
    return title[1].strip() if title else f"Lesson {lesson}"


def heading(exercise: str) -> str:
    """The heading of the card that belongs to a check, by the check's id, "05.2 He's variance"; else the id itself."""
    return headings().get(exercise.partition(" ")[0], exercise)


def way_on(exercise: str, status: Status) -> tuple[str, str]:
    """What to do next, and the notebook where that is if it is another; empty where there is nothing to say.

    JupyterLab follows no link from an output to a heading that is not plain ASCII.
    """
    known, number = headings(), exercise.partition(" ")[0]
    if number not in known or status == "not yet":
        return "", ""
    if status == "wrong":
        return "Hints are in the card above.", ""
    following = [*known, ""][list(known).index(number) + 1]
    lesson = following.partition(".")[0]
    if lesson == number.partition(".")[0]:
        return f"Next: {known[following]}", ""
    if not following:
        return "That was the last exercise of the course.", ""
    return f"That was the lesson's last exercise. Next lesson: {lesson_title(lesson)}", notebook(lesson)


def verdict(exercise: str, status: Status, message: str) -> CheckResult:
    """A result under the title of the exercise's card, with the way on."""
    told, link = way_on(exercise, status)
    return CheckResult(heading(exercise), status, message, way_on=told, link=link)
