"""Which part of a lesson stands on which slide.

A heading of level 1 or 2 begins a column of slides, one of level 3 the next slide in the column. Text comes before
its code, code before its outputs. What does not fit goes on below, under the heading's name in small letters.
"""

import base64
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode, v4

from ..page import without_scripts

HEIGHT = 640  # of the content of a slide of 1280 by 720, in pixels; the numbers below are those of slides.css
WIDTH = 1190
TEXT = (35, 92)  # height of a line, letters in it
CODE = (23, 114)
PICTURE = (540, 1.25)  # the highest that a picture may be, and how much larger it is shown
HEADING = {1: 75, 2: 60, 3: 50}
STARTS = {1: "slide", 2: "slide", 3: "subslide"}


@dataclass(frozen=True)
class Piece:
    """A part of a cell that is never cut.

    Args:
        cell: a cell of its own.
        height: in pixels, as estimated.
        level: of the heading that it is, or 0.
    """

    cell: NotebookNode
    height: float
    level: int = 0


def plan(worked: NotebookNode, learner: NotebookNode) -> NotebookNode:
    """The notebook of a lesson's slides: cells that say where a slide begins.

    An exercise shows what the learner sees, and on the next slide one answer. Checks are left out: there is nothing to
    judge on a slide.

    Args:
        worked: the executed notebook; it is not changed.
        learner: the same lesson with stubs in place of solutions; cells are matched by id.
    """
    stubs = {cell["id"]: cell.source for cell in learner.cells if "exercise" in tags(cell)}
    slides = pack(pieces(worked, stubs))
    cells = [cell for slide, kind in slides for cell in laid_out(slide, kind)]
    for number, cell in enumerate(cells):
        cell["id"] = f"slide-{number}"  # not nbformat's random ones: two exports are alike
    return NotebookNode(worked, cells=cells)


def tags(cell: NotebookNode) -> list[str]:
    """What the cell is marked with."""
    return cell.metadata.get("tags", [])


def pieces(notebook: NotebookNode, stubs: dict[str, str]) -> Iterator[list[Piece]]:
    """The parts of a notebook in their order; those in one list are held together where a slide has room."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from ([piece] for piece in text_pieces(cell.source))
        elif cell.cell_type != "code" or "check" in tags(cell) or not cell.source.strip():
            continue
        elif cell["id"] in stubs:
            yield [code_piece(v4.new_code_cell(stubs[cell["id"]]))]
            yield [Piece(v4.new_markdown_cell("### One answer"), HEADING[3], level=3)]
            yield [code_piece(v4.new_code_cell(without_marks(cell.source))), *output_pieces(cell)]
        else:
            yield [code_piece(v4.new_code_cell(cell.source)), *output_pieces(cell)]


def without_marks(source: str) -> str:
    """The code without the lines that say where a solution begins and ends."""
    return "\n".join(line for line in source.splitlines() if not re.fullmatch(r"\s*### (BEGIN|END) SOLUTION", line))


def text_pieces(source: str) -> Iterator[Piece]:
    """Headings, and the paragraphs, lists, formulas and tables between them."""
    for block in blocks(source):
        heading = re.match(r"(#{1,3}) ", block)
        level = len(heading[1]) if heading else 0
        yield Piece(v4.new_markdown_cell(block), HEADING[level] if level else text_height(block), level)


def blocks(source: str) -> Iterator[str]:
    """Markdown cut at its blank lines, but not within a fence, a formula or `<details>`."""
    kept: list[str] = []
    inside = ""  # the mark that ends what must not be cut
    for line in source.splitlines():
        mark = line.strip()
        if inside:
            inside = "" if inside in mark else inside
        elif mark.startswith("```"):
            inside = "```"
        elif mark.startswith("$$") and not (mark.endswith("$$") and len(mark) > 2):
            inside = "$$"
        elif mark.startswith("<details") and "</details>" not in mark:
            inside = "</details>"
        elif not mark or re.match(r"#{1,3} ", line):
            if kept:
                yield "\n".join(kept)
            kept = []
            if mark:
                yield line
            continue
        kept.append(line)
    if kept:
        yield "\n".join(kept)


def text_height(block: str) -> float:
    """Of a paragraph, list, table or formula; a closed `<details>` is one line."""
    line, letters = TEXT
    if block.startswith("<details"):
        return line
    if block.startswith("$$"):
        return 2.5 * line
    lists = re.split(r"\n(?=\s*(?:[*+-]|\d+\.|\|) )", block)  # each item and row begins a line
    return line * (0.4 + sum(1 + len(" ".join(item.split())) // letters for item in lists))


def code_height(text: str) -> float:
    """Of so much code or printed text."""
    line, letters = CODE
    return 22 + line * sum(1 + len(row) // letters for row in text.rstrip("\n").split("\n"))


def code_piece(cell: NotebookNode) -> Piece:
    """The code of a cell."""
    return Piece(cell, code_height(cell.source))


def output_pieces(cell: NotebookNode) -> list[Piece]:
    """Each output of a cell, without its code."""
    found = []
    for output in without_scripts(cell).outputs:
        data = output.get("data", {})
        alone = v4.new_code_cell("", outputs=[output], metadata={"transient": {"remove_source": True}})
        if "image/png" in data:
            height = picture_height(data["image/png"])
        elif "text/html" in data:
            height = 40 + 32 * len(re.findall(r"<tr|<p|<li|<br", data["text/html"]))
        else:
            height = code_height("".join(output.get("text", "") or data.get("text/plain", "")))
        found.append(Piece(alone, height))
    return found


def picture_height(png: str) -> float:
    """In pixels as it is shown: whole, and no wider than a slide."""
    width, height = struct.unpack(">II", base64.b64decode(png)[16:24])
    highest, larger = PICTURE
    return 16 + min(highest, height * min(larger, WIDTH / width))


def pack(groups: Iterator[list[Piece]]) -> list[tuple[list[Piece], str]]:
    """Slides with their kind, "slide" or "subslide". One that goes on from another begins with its heading's name."""
    slides: list[tuple[list[Piece], str]] = []
    running = ""
    for group in groups:
        level, height = group[0].level, sum(piece.height for piece in group)
        if level:
            running = group[0].cell.source.lstrip("# ")
            if not slides or not (level == 3 and all(piece.level for piece in slides[-1][0])):
                slides.append(([], STARTS[level] if slides else "slide"))
            slides[-1][0].extend(group)
            continue
        for piece in group:
            needed = height if piece is group[0] and height <= HEIGHT - TEXT[0] else piece.height
            if not slides:
                slides.append(([], "slide"))
            elif sum(each.height for each in slides[-1][0]) + needed > HEIGHT and holds_more(slides[-1][0]):
                name = [Piece(v4.new_markdown_cell(f"##### {running}"), TEXT[0])] if running else []
                slides.append((name, "subslide"))
            slides[-1][0].append(piece)
    return slides


def holds_more(slide: list[Piece]) -> bool:
    """Whether there is anything but headings on it."""
    return any(not (piece.level or piece.cell.source.startswith("#####")) for piece in slide)


def laid_out(slide: list[Piece], kind: str) -> Iterator[NotebookNode]:
    """The cells of a slide; neighbouring text in one."""
    cells: list[NotebookNode] = []
    for piece in slide:
        if cells and cells[-1].cell_type == piece.cell.cell_type == "markdown":
            cells[-1].source += f"\n\n{piece.cell.source}"
        else:
            cells.append(piece.cell)
    for number, cell in enumerate(cells):
        cell.metadata["slideshow"] = {"slide_type": "-" if number else kind}
        yield cell
