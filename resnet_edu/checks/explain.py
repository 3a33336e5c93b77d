"""Turn what went wrong in a learner's code into a sentence: which error, in which line, and what to look at."""

import linecache
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor, nn

#: Code that is not the learner's: this package, Python's own library, everything that pip installed.
LIBRARIES = (
    Path(__file__).resolve().parents[1],
    Path(torch.__file__).resolve().parents[1],
    *{Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)

#: Part of PyTorch's message, and what it usually means.
HINTS = (
    ("before Module.__init__() call", "Call `super().__init__()` first in your `__init__`."),
    ("mat1 and mat2 shapes", "A linear layer gets another number of features than it was built for."),
    ("to have 3 channels, but got", "A layer gets another number of channels than it was built for."),
    ("channels, but got", "A layer gets another number of channels than it was built for."),
    ("must match the size of tensor", "Two tensors of different shapes are combined."),
    ("has no attribute", "Is the name spelled the same in `__init__` and in `forward`?"),
    ("running_mean should contain", "A batch norm gets another number of channels than it was built for."),
)


def is_learners(filename: str) -> bool:
    """Whether a traceback's file is a notebook cell or the learner's own file."""
    if filename.startswith("<"):  # "<stdin>", "<string>", "<ipython-input-…>"
        return not filename.startswith(("<frozen", "<__array", "<eval_with_key"))
    return not any(Path(filename).resolve().is_relative_to(library) for library in LIBRARIES)


def learners_line(trace: TracebackType | None) -> tuple[str, int, str] | None:
    """Function, line number and text of the deepest line of the learner's that the error passed, if any."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace) if is_learners(frame.f_code.co_filename)]
    if not frames:
        return None
    code, line = frames[-1]
    return code.co_name, line, linecache.getline(code.co_filename, line).strip()


def is_not_yet(error: BaseException) -> bool:
    """Whether an error is a stub's `NotImplementedError`, or that of a module without a `forward`."""
    if not isinstance(error, NotImplementedError):
        return False
    if 'missing the required "forward"' in str(error):
        return True
    line = learners_line(error.__traceback__)  # PyTorch raises this error too, from a line that does not say raise
    return line is not None and (line[2].startswith("raise") or not line[2])


def explain(error: BaseException) -> str:
    """One or two sentences about an error that the learner's code raised."""
    what = type(error).__name__
    text = next(iter(str(error).strip().splitlines()), "")
    if len(text) > 200:
        text = text[:200] + " …"
    line = learners_line(error.__traceback__)
    if line is None:
        where = "Using your answer"
    else:
        function, number, source = line
        where = f"Line {number} of your code, in `{function}`" + (f", `{source}`," if source else ",")
    message = f"{where} raised {what}" + (f": {text}" if text else "") + ("" if text.endswith((".", "!", "…")) else ".")
    hint = next((hint for part, hint in HINTS if part in str(error)), "")
    notes = getattr(error, "__notes__", [])
    return " ".join([message, *([hint] if hint else []), *notes])


def kind_of(value: object) -> str:
    """What a value is, in words: "a tensor of shape (2, 3)", "the number 3", "the class LeNet5"."""
    match value:
        case None:
            return "None"
        case type():
            return f"the class `{value.__name__}`"
        case Tensor():
            return f"a tensor of shape {tuple(value.shape)}"
        case nn.Module():
            return f"a module of class `{type(value).__name__}`"
        case bool() | int() | float():
            return f"the {type(value).__name__} {value!r}"
        case str() | tuple() | list() | dict():
            text = repr(value)
            return f"the {type(value).__name__} `{text if len(text) <= 80 else text[:80] + ' …'}`"
        case _ if callable(value):
            return f"the function `{getattr(value, '__name__', type(value).__name__)}`"
        case _:
            return f"something of type `{type(value).__name__}`"
