"""The pages beside the lessons: a home with a card for each, and the glossary; and the pictures on the cards.

    python notebooks/pages.py          # the pictures anew, from the worked editions

`build.py` writes the two pages. `resnet-edu lab` brings them into a learner's folder, the home with what is done there.
"""

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
from PIL import Image

from resnet_edu.tools.course import Lesson, lessons

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
GLOSSARY = HERE.parent / "docs" / "site" / "glossary.md"
#: What each lesson is about, for its card here and on the site.
LINES = {
    "00": "Run a cell, answer a first exercise, train a first network.",
    "00b": "What a tensor, a neuron, a gradient and a mode are, with a picture each.",
    "01": "Write a convolution by hand and build the network that read cheques.",
    "02": "The network of 2012: what ReLU, dropout and augmentation each bring.",
    "03": "Why three small kernels beat one large one.",
    "04": "Several kernels side by side, and 1×1 convolutions that make them affordable.",
    "05": "Measure why a signal dies or explodes in fifty layers, and what keeps it alive.",
    "06": "Train a deeper net that is worse on its own training images.",
    "07": "Repair it with one addition, and find out why that works.",
    "08": "Build ResNet-34 until it gives torchvision's own answers.",
    "09": "Bottlenecks, 18 to 152 layers, and which net to choose under a budget.",
    "10": "How far a few labelled photos get you when another net has learned before you.",
    "11": "See what the layers see, and where in a photo the evidence lies.",
    "12": "From a folder of your own photos to a network that names them.",
    "13": "Several processes, runs that survive a crash, and faster steps.",
}
#: The function that draws a lesson's picture; where it is gone, the first figure takes its place.
DRAWN_BY = {
    "00": "photo_predictions", "01": "convolution_step", "02": "twin", "03": "twin",
    "04": "inception_diagrams", "05": "signals_by_layer", "06": "degradation", "07": "block_diagrams",
    "08": "architecture", "09": "error_against_cost", "10": "transfer_curves", "11": "maps_over_photos",
    "12": "named_photos", "13": "stacked_bars",
}  # fmt: skip
SIZE = (560, 300)
HOME = """\
# Your course: from LeNet to ResNet

Double-click a lesson in the list on the left, or click one here. Each has exercises whose check answers at once, and hints
to open. The worked editions, with every answer, are in `solutions/`; the words of the field are in the
[glossary](glossary.md).

{cards}

The figures above are as of the last `resnet-edu lab`. In any lesson, `edu.checks.progress()` shows them as of now.
"""
CARD = """\
<td width="33%" style="vertical-align: top; text-align: left; white-space: normal; padding: 0.8em">
<a href="{name}.ipynb"><img src="pictures/{number}.png" alt="" width="100%"></a><br>
<a href="{name}.ipynb"><strong>{title}</strong></a><br>
{line}<br>
<small>{minutes} · {exercises}<!-- {number} --></small>
</td>"""


def home() -> str:
    """The home page: three cards in a row."""
    cards = [card(lesson) for lesson in lessons()]
    rows = [f"<tr>\n{chr(10).join(cards[place : place + 3])}\n</tr>" for place in range(0, len(cards), 3)]
    return HOME.format(cards=f"<table>\n{chr(10).join(rows)}\n</table>")


def card(lesson: Lesson) -> str:
    """One lesson: its picture, title, line, minutes and number of exercises."""
    text = lesson.path.read_text(encoding="utf-8")
    minutes = re.search(r"\*\*Minutes:\*\* (\d+) reading", text)
    return CARD.format(
        name=lesson.name,
        number=lesson.number,
        title=lesson.title.partition(":")[0],
        line=LINES.get(lesson.number, ""),
        minutes=f"{minutes[1]} minutes to read" if minutes else "",
        exercises=f"{count} exercise{'s' if count > 1 else ''}" if (count := text.count("### Exercise ")) else "",
    )


def glossary() -> str:
    """The site's glossary as a plain page, in the order of the alphabet."""
    text = GLOSSARY.read_text(encoding="utf-8")
    entries = re.findall(r"^(\w.*)\n  (.+)$", text.partition(":sorted:")[2], re.MULTILINE)
    lines = [f"**{word}**: {told}" for word, told in sorted(entries, key=lambda entry: entry[0].lower())]
    return "# Glossary\n\n" + "\n\n".join(lines).replace("](notebooks/solutions/", "](") + "\n"


def write_pages() -> None:
    """Write both where they have changed."""
    for path, text in ((HERE / "home.md", home()), (HERE / "glossary.md", glossary())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")


def picture(lesson: Lesson) -> Image.Image:
    """A small version of one of the lesson's figures; of a high one, the top."""
    found = []
    for cell in nbformat.read(lesson.path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                found.append((f".{DRAWN_BY.get(lesson.number)}(" not in cell.source, len(found), png))
    figure = Image.open(io.BytesIO(base64.b64decode(min(found)[2]))).convert("RGB")
    width, height = SIZE
    scale = (
        min(width / figure.width, height / figure.height)
        if figure.width > 1.3 * figure.height
        else width / figure.width
    )
    figure = figure.resize((round(figure.width * scale), round(figure.height * scale)), Image.Resampling.LANCZOS)
    paper = Image.new("RGB", SIZE, figure.getpixel((1, 1)))
    paper.paste(figure, ((width - figure.width) // 2, max(0, (height - figure.height) // 2)))
    return paper.quantize(64, dither=Image.Dither.NONE)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for each in lessons("worked"):
        if each.number in sys.argv[1:] or len(sys.argv) == 1:
            picture(each).save(PICTURES / f"{each.number}.png", optimize=True)
