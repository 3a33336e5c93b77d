"""The glossary's entries: the terms as the lessons use them, each with the lesson that introduces it."""

import re
from dataclasses import dataclass
from pathlib import Path

ENTRY = re.compile(r"^(?P<name>\S[^\n]*)\n: (?P<text>.+?)\s*\((?P<lesson>\d\d)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Term:
    """One entry: a name, one to three sentences, and the number of the lesson that introduces it."""

    name: str
    text: str
    lesson: int


def read(path: Path) -> list[Term]:
    """The entries of a file: a line with the name, then `: text (NN)`.

    Raises:
        ValueError: an entry that is none, or the same name twice.
    """
    body = path.read_text(encoding="utf-8").partition("\n\n")[2].strip()
    terms = []
    for block in re.split(r"\n\n+", body):
        match = ENTRY.fullmatch(block)
        if not match:
            raise ValueError(f"{path.name}: not `name`, then `: text (lesson)`:\n{block}")
        terms.append(Term(match["name"], match["text"], int(match["lesson"])))
    names = [term.name.lower() for term in terms]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path.name}: explained twice: {', '.join(sorted(twice))}")
    return sorted(terms, key=lambda term: term.name.lower())


def page(terms: list[Term], lessons: dict[int, str]) -> str:
    """The glossary as a page; each entry leads to its lesson.

    Args:
        terms: in the order in which they are to stand.
        lessons: name of the page by number: `6: "06_degradation"`.
    """
    entries = [
        f"{term.name}\n  {term.text} [Lesson {term.lesson:02}](lessons/{lessons[term.lesson]}.ipynb)" for term in terms
    ]
    return "\n".join(
        [
            "# Glossary",
            "",
            "The field's words as this course uses them. Each leads to the lesson that introduces it, and each lesson",
            "ends with its own words.",
            "",
            ":::{glossary}",
            "\n\n".join(entries),
            ":::",
            "",
        ]
    )
