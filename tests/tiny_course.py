"""A course of tiny lessons, for tests that move notebooks about."""

from pathlib import Path

import nbformat
from nbformat import v4


def save(path: Path, source: str = "1 + 1", title: str = "Title") -> bytes:
    """Write a notebook of a title and one code cell; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell(f"# {title}"), v4.new_code_cell(source)]), path)
    return path.read_bytes()
