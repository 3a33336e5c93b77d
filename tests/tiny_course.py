"""A course of one tiny lesson, for tests that move notebooks about."""

from pathlib import Path

import nbformat
from nbformat import v4


def lesson(folder: Path, name: str = "00_start_here") -> Path:
    """A notebook with nothing but a title, in a folder that is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Start")]), path)
    return path
