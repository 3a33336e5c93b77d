"""What a notebook or a terminal shows: a table, and one line that says how far something is.

In a notebook both are HTML, which is still there when the saved file is opened again; a widget would not be. In a
terminal they are text, and the line is left out where nobody looks.
"""

import html
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from . import machine


class Table:
    """What `table` makes: HTML where a page can show it, else lines of text."""

    def __init__(self, rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
        self.rows, self.columns = rows, columns
        cells = [[row[place] for row in rows] for place in range(len(columns))]
        filled = [[cell for cell in column if cell.strip() not in ("", "–", "-")] for column in cells]
        self.numeric = [bool(column) and all(map(NUMBER.match, column)) for column in filled]

    def _repr_html_(self) -> str:
        head = "".join(self._cell("th scope='col'", name, place) for place, name in enumerate(self.columns))
        body = [[self._cell("td", cell, place) for place, cell in enumerate(row)] for row in self.rows]
        lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in body)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"

    def _cell(self, tag: str, text: str, place: int) -> str:
        """One cell; colours are left to the page, which may be light or dark."""
        keep = "; white-space: nowrap" if tag == "td" else ""
        numeric = f"text-align: right; font-variant-numeric: tabular-nums{keep}"
        style = numeric if self.numeric[place] else "text-align: left"
        return f"<{tag} style='{style}'>{html.escape(text)}</{tag.split()[0]}>"

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        columns = []
        for cells, numeric in zip(zip(*lines, strict=True), self.numeric, strict=True):
            width = max(map(len, cells))
            columns.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in cells])
        return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))

    __repr__ = __str__


def table(rows: Sequence[Sequence[Any] | Mapping[str, Any]], columns: Sequence[str] | None = None) -> Table:
    """Rows under named columns; columns of numbers stand on the right.

    Whole numbers get commas between thousands, other numbers three digits; a cell of None stays empty. Pass text for
    any other form: "12.30 %" counts as a number too. The cells of a row come in order, or by column; the headings are
    by default the keys of the first row, which must be a mapping then.

    Raises:
        ValueError: a row has more or fewer cells than there are columns, or the columns have no names.
    """
    if columns is None:
        if not rows or not isinstance(rows[0], Mapping):
            raise ValueError("Name the columns: table(rows, columns). Only rows that are dicts bring their own names.")
        columns = list(rows[0])
    lines = []
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else list(row)
        if len(cells) != len(columns):
            raise ValueError(f"There are {len(columns)} columns, but {len(cells)} cells in the row {cells}.")
        lines.append([cell_text(cell) for cell in cells])
    return Table(lines, [str(name) for name in columns])


def cell_text(value: Any) -> str:
    """A cell as text."""
    if value is None:
        return ""
    if hasattr(value, "item"):
        value = value.item()  # a number of NumPy or torch
    if isinstance(value, float):
        return f"{value:,.0f}" if 999.5 <= abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


#: A cell that begins with a number: "1,024", "−3 %" and "21.8 M" do.
NUMBER = re.compile(r"\s*[−+-]?(\d[\d,]*(\.\d*)?|\.\d+|nan|inf)(e[+-]?\d+)?([ %]|\s*$)")
INTERVAL = 0.2  # seconds from one text to the next: nobody reads faster
BAR = 20  # characters of the bar in a terminal


class ProgressLine:
    """Use it in a `with` statement, and call `show` as often as you like; the seconds so far end the line."""

    def __init__(self, title: str, *, shown: bool = True) -> None:
        self.title = title
        self.shown, self.in_notebook = shown and machine.show_progress(), machine.in_notebook()
        self.started, self.next_time = time.monotonic(), 0.0
        self.output: Any = None  # in the notebook, once there is one

    def show(self, text: str, share: float | None = None) -> None:
        """Put this text in place of the one before, unless that has only just been written; with a bar, if wanted."""
        if self.shown and time.monotonic() >= self.next_time:
            self.next_time = time.monotonic() + INTERVAL
            self.write(text, share)

    def done(self, text: str) -> None:
        """Say how it ended. In a notebook this stays below the cell; in a terminal the line is clear again."""
        if self.shown and self.in_notebook:
            self.write(text)
        self.clear()

    def write(self, text: str, share: float | None = None) -> None:
        """Put this text in place of the one before."""
        line = f"{self.title}: {text}, {time.monotonic() - self.started:.0f} s"
        if not self.in_notebook:
            full = round(BAR * (share or 0))
            bar = f"\x1b[32m{'━' * full}\x1b[90m{'━' * (BAR - full)}\x1b[0m " if share is not None else ""
            sys.stderr.write(f"\r{bar}{line}\x1b[K")  # the end of it clears what is left of a longer text
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
