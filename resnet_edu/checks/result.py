"""What a check answers: one word, one explanation, shown the same way in a notebook, a terminal and a file."""

import html
import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "not yet", "wrong"]

#: A mark and a word for each status, so that nothing depends on seeing colours.
MARKS: dict[Status, str] = {"passed": "✓ passed", "not yet": "… not yet", "wrong": "✗ wrong"}

#: Colour of the bar beside the box; the text keeps the notebook's own colours, light or dark.
COLOURS: dict[Status, str] = {"passed": "#009E73", "not yet": "#7F7F7F", "wrong": "#D55E00"}


@dataclass(frozen=True, repr=False)
class CheckResult:
    """The answer of one check, displayed by the notebook when it is the last expression of a cell.

    Attributes:
        name: exercise id and title, for example "01.2 conv2d".
        status: "passed", "not yet" (nothing to judge so far) or "wrong".
        message: what was found; for "wrong" the likely mistake and what to do.
        printed: the first lines that the answer printed while it was checked.
        note: anything worth knowing about the progress table, for example that it could not be saved.
    """

    name: str
    status: Status
    message: str
    printed: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the exercise is done."""
        return self.status == "passed"

    def __str__(self) -> str:
        lines = [f"{MARKS[self.status]} · {self.name}", self.message]
        if self.printed:
            lines += ["Your code printed:", self.printed]
        if self.note:
            lines.append(f"Note: {self.note}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        """The same text as markdown; backticks are code already."""
        parts = [f"**{MARKS[self.status]}** · {self.name}", self.message]
        if self.printed:
            parts.append(f"Your code printed:\n\n```text\n{self.printed}\n```")
        if self.note:
            parts.append(f"*Note:* {self.note}")
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        """A box with a coloured bar; mark and word carry the meaning, `role="status"` tells a screen reader."""
        parts = [f"<strong>{MARKS[self.status]}</strong> · {html.escape(self.name)}", as_html(self.message)]
        if self.printed:
            parts.append(f"Your code printed:<pre>{html.escape(self.printed)}</pre>")
        if self.note:
            parts.append(f"<em>Note:</em> {as_html(self.note)}")
        style = f"border-left: 6px solid {COLOURS[self.status]}; padding: 0.3em 1em; margin: 0.3em 0;"
        body = "".join(f'<div style="margin: 0.2em 0;">{part}</div>' for part in parts)
        return f'<div role="status" style="{style}">{body}</div>'


def as_html(text: str) -> str:
    """Plain text with `code` in backticks, as HTML."""
    escaped = html.escape(text, quote=False).replace("\n", "<br>")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
