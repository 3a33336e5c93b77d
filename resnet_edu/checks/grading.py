"""Under nbgrader an answer that has not passed fails its cell.

nbgrader gives a check's cell all of its points unless the cell ends in an error or writes to stderr. The checks
of the course do neither, so a stub would be paid in full. nbgrader names its errand in the environment variable
NBGRADER_EXECUTION (`autograde` or `validate`), and only there a check that has not passed raises `NotPassed`.
https://nbgrader.readthedocs.io/en/stable/user_guide/faq.html
"""

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass

from .result import CheckResult

#: Seconds that an answer may take there: a grading machine is busy, and nobody runs the cell again.
GRADING_DEADLINE = 60.0


class NotPassed(AssertionError):
    """The answer of a graded cell is a stub or wrong; the message is what the learner would have read."""


@dataclass(frozen=True, repr=False)
class Graded(CheckResult):
    """A passed result that is displayed, but not as the cell's value, which nbgrader takes for points."""

    def _ipython_display_(self) -> None:
        """Show the box that a notebook shows."""
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()))


def under_nbgrader() -> bool:
    """Whether nbgrader is running this notebook, to grade or to validate it."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def graded(judge: Callable[[], CheckResult]) -> CheckResult:
    """The result of a check as nbgrader understands it. What the answer writes to stderr costs no points.

    Raises:
        NotPassed: the answer has not passed.
    """
    with redirect_stderr(sys.stdout):
        result = judge()
    if not result.passed:
        raise NotPassed(str(result))
    return Graded(**asdict(result))
