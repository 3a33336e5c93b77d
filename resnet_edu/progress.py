"""One line that says how far something is, rewritten in place.

HTML in a notebook, where a widget would not survive that the file is saved and opened again; text in a terminal;
nothing where nobody looks.
"""

import html
import sys
import time
from typing import Any, Self

from . import machine

INTERVAL = 0.2  # seconds from one text to the next: nobody reads faster


class ProgressLine:
    """Use it in a `with` statement, and call `show` as often as you like; the seconds so far end the line.

    Args:
        title: begins the line.
        shown: False to stay silent even where somebody looks.
    """

    def __init__(self, title: str, *, shown: bool = True) -> None:
        self.title = title
        self.shown, self.in_notebook = shown and machine.show_progress(), machine.in_notebook()
        self.started, self.next_time = time.monotonic(), 0.0
        self.output: Any = None  # in the notebook, once there is one

    def show(self, text: str) -> None:
        """Put this text in place of the one before, unless that has only just been written."""
        if self.shown and time.monotonic() >= self.next_time:
            self.next_time = time.monotonic() + INTERVAL
            self.write(text)

    def done(self, text: str) -> None:
        """Say how it ended. In a notebook this stays below the cell; in a terminal the line is clear again."""
        if self.shown and self.in_notebook:
            self.write(text)
        self.clear()

    def write(self, text: str) -> None:
        """Put this text in place of the one before."""
        line = f"{self.title}: {text}, {time.monotonic() - self.started:.0f} s"
        if not self.in_notebook:
            sys.stderr.write(f"\r{line}\x1b[K")  # the end of it clears what is left of a longer text
            sys.stderr.flush()
            return
        from IPython.display import display

        content = {"text/html": f"<small>{html.escape(line)}</small>", "text/plain": line}
        if self.output is None:
            self.output = display(content, raw=True, display_id=True)
        else:
            self.output.update(content, raw=True)

    def clear(self) -> None:
        """Leave a terminal's line to whoever prints next."""
        if self.shown and not self.in_notebook:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
