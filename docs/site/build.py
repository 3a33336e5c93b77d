"""Build the site: mirror the repository's pages and worked lessons, then call Sphinx. Nothing is fetched.

    python docs/site/build.py [FOLDER]      # or: make site; the pages come to build/site
    python docs/site/build.py --dead        # quickly: without the explorers' states

The pages lie in the mirror as they do in the repository, so their links hold. A warning is an error.
"""

import inspect
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
import typer
from nbformat import NotebookNode, v4
from sphinx.cmd.build import build_main
from typer.cli import get_docs_for_click

import resnet_edu as edu
from resnet_edu.facts import Fact
from resnet_edu.study import known_studies, load_study
from resnet_edu.tools import cli, course, explorers
from resnet_edu.tools.export import CARD, alt_text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[1:1] = [str(HERE.parent), str(ROOT)]

import readme  # noqa: E402

from notebooks.pages import LINES  # noqa: E402

#: The rooms of the package in the order in which a reader meets them; each gets a page with all its public names.
ROOMS = (
    "data", "models", "train", "config", "history", "metrics", "probe", "plots", "widgets", "checks", "prediction",
    "recipe", "run", "study", "facts", "machine", "display", "files", "errors",
)  # fmt: skip
MARK = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
WIDGET, PICTURES = "application/vnd.jupyter.widget-view+json", {"image/png", "image/jpeg", "image/svg+xml"}
NOTE = """
```{{note}}
This is the worked edition: read it, or check your way against it. To do the exercises yourself, run `resnet-edu lab`
and open `{name}.ipynb`; there the answers are missing and each has a check.
```
"""


def main(out: Path = ROOT / "build" / "site", *, living: bool = True) -> int:
    """Build the site into a folder; the exit code."""
    source = out.with_name(f"{out.name}-src")
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    assemble(source, living=living)
    return build_main(["-b", "html", "-q", "-E", "-W", "--keep-going", "-c", str(HERE), str(source), str(out)])


def assemble(source: Path, *, living: bool) -> None:
    """Write every page into a folder, as Sphinx reads them; explorers take minutes to draw."""
    (source / "notebooks" / "solutions").mkdir(parents=True)
    for name in ("docs", "assets", "resnet_edu", "tests", "deploy", ".ci", ".github", "notebooks/strict"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "site", "*.safetensors")
        )
    for path in (*ROOT.glob("[A-Z]*"), *ROOT.glob("notebooks/*.*"), *ROOT.glob("notebooks/source/*.py")):
        (source / path.relative_to(ROOT)).parent.mkdir(exist_ok=True)
        shutil.copy(path, source / path.relative_to(ROOT))  # a page may link to it
    glossary = (HERE / "glossary.md").read_text(encoding="utf-8")
    for lesson in course.lessons("worked"):
        words = re.findall(rf"^(\S.*)\n  .*{lesson.name}\.ipynb\)$", glossary, re.MULTILINE)
        nbformat.write(lesson_page(lesson, words, living=living), source / "notebooks" / "solutions" / lesson.path.name)
    (source / "api").mkdir()
    for room in ROOMS:
        page = f"# `edu.{room}`\n\n```{{eval-rst}}\n.. automodule:: resnet_edu.{room}\n   :members:\n```\n"
        (source / "api" / f"{room}.md").write_text(page, encoding="utf-8")
    (source / "api" / "edu.md").write_text(reference(), encoding="utf-8")
    (source / "commands.md").write_text(commands(), encoding="utf-8")
    (source / "results.md").write_text(results(), encoding="utf-8")
    (source / "glossary.md").write_text(glossary, encoding="utf-8")
    index = (HERE / "index.md").read_text(encoding="utf-8").replace("LESSONS", cards())
    (source / "index.md").write_text(index, encoding="utf-8")


def cards() -> str:
    """The lessons on the first page: picture, title and one line each."""
    items = [
        f'<li><a href="notebooks/solutions/{lesson.name}.html"><img src="_static/{lesson.number}.png" loading="lazy" '
        f'width="560" height="300" alt="A figure of lesson {lesson.number}"><span><strong>'
        f"{escape(lesson.title.partition(':')[0])}</strong>{escape(LINES[lesson.number])}</span></a></li>"
        for lesson in course.lessons("worked")
    ]
    return f'<ul class="lessons">\n{chr(10).join(items)}\n</ul>'


def lesson_page(lesson: course.Lesson, words: list[str], *, living: bool = True) -> NotebookNode:
    """The worked notebook as a page: alt texts, living explorers, folded answers, the learner's edition, its words."""
    notebook = nbformat.read(lesson.path, as_version=4)
    heading = lesson.title
    notebook.cells = [cell for cell in notebook.cells if "navigation" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = CARD.sub(r'\1\n<div class="exercise">\n\2\n</div>', cell.source)
            heading = ([heading, *re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)])[-1]
            continue
        cell.outputs = [output for output in cell.get("outputs", []) if WIDGET not in output.get("data", {})]
        if living and (drawn := explorers.living(cell.source)):
            cell.outputs = [v4.new_output("display_data", {"text/html": drawn})]
        options = {}
        if any(PICTURES & set(output.get("data", {})) for output in cell.outputs):
            options["image"] = {"alt": alt_text(cell.source, heading)}
        if MARK.search(cell.source):
            cell.source = MARK.sub("", cell.source)
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
            options |= {"code_prompt_show": "Show one answer", "code_prompt_hide": "Hide the answer"}
        cell.metadata["mystnb"] = options
    title, _, rest = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n{NOTE.format(name=lesson.name)}\n{rest.lstrip()}"
    if words:
        listed = " · ".join(f"{{term}}`{word}`" for word in words)
        notebook.cells.append(v4.new_markdown_cell(f"## Words of this lesson\n\n{listed}"))
    for output in (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs):
        page = output.get("data", {}).get("text/html")
        if page is not None:  # a check names the next lesson
            output["data"]["text/html"] = re.sub(r"(href=['\"][\w/]+)\.ipynb", r"\1.html", "".join(page))
    return notebook


def reference() -> str:
    """The list of rooms, each with what it is for."""
    rows = []
    for room in ROOMS:
        doc = inspect.getdoc(__import__(f"resnet_edu.{room}", fromlist=["_"])) or ""
        rows.append(f"| [`edu.{room}`]({room}.md) | {' '.join(doc.partition(chr(10) * 2)[0].split())} |")
    listed = "\n".join(ROOMS)
    return f"""# Reference

The package as the lessons import it: `import resnet_edu as edu`. Every public name, with its docstring and the way to
its source. The [commands](../commands.md) are on a page of their own.

| room | what it is for |
|---|---|
{chr(10).join(rows)}

```{{toctree}}
:hidden:

{listed}
```
"""


def commands() -> str:
    """What `--help` says of each command, by typer itself."""
    command = typer.main.get_command(cli.app)
    page = get_docs_for_click(obj=command, ctx=typer.Context(command), name="resnet-edu")
    return re.sub(r"\x08\n(Examples:)\n((  .+\n)+)", r"**\1**\n\n```console\n\2```\n", page)


def results() -> str:
    """Every study in assets/runs, every number of `resnet_edu.facts`."""
    parts = ["# Results\n\nErrors are in percent, after the last epoch.\n", readme.results_table()]
    for name, study in known_studies().items():
        if (edu.files.assets() / "runs" / f"{name}.json").is_file():
            recorded = load_study(name)
            parts.append(f"\n## {study.title}\n\n`resnet-edu study {name}`: {readme.seeds(recorded)}.\n")
            parts.append("| setting | training error | validation error |\n|---|---|---|")
            parts += [f"| {label} | {' | '.join(readme.last_errors(recorded, label))} |" for label in recorded.settings]
    parts.append("\n## Quoted numbers\n\nEach with its source.\n\n| name | value | source |\n|---|---|---|")
    for name, value in vars(edu.facts).items():
        parts += [
            f"| `{key}` | {fact} | [{fact.source.text}]({fact.source.link}) |" for key, fact in facts(name, value)
        ]
    return "\n".join(parts) + "\n"


def facts(name: str, value: object) -> list[tuple[str, Fact]]:
    """A fact with its name in code, or all that are in a table of facts."""
    if isinstance(value, Fact):
        return [(name, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    return [found for key, inner in items for found in facts(f"{name}[{key!r}]", inner)]


if __name__ == "__main__":
    folders = [Path(argument).resolve() for argument in sys.argv[1:] if argument != "--dead"]
    sys.exit(main(*folders[:1], living="--dead" not in sys.argv))
