"""The checks of the course's exercises and the table of what is done.

Each takes the learner's answer, a function or a class, and returns a `CheckResult` that the notebook shows:
passed, not yet, or wrong with the likely mistake named. No check raises, takes longer than ten seconds or
leaves a trace in the notebook's random state. `progress()` is the table of all exercises.
"""

from .lesson_00 import check_first_answer
from .lesson_01 import check_conv2d, check_output_size, check_shape_walk
from .lesson_01_lenet import check_lenet5
from .progress_table import Progress, collect
from .result import CheckResult
from .runner import REGISTRY

__all__ = [
    "CheckResult",
    "check_conv2d",
    "check_first_answer",
    "check_lenet5",
    "check_output_size",
    "check_shape_walk",
    "progress",
]


def progress() -> Progress:
    """Every exercise of the course with status, tries and the day it was first passed."""
    return collect(sorted(REGISTRY))
