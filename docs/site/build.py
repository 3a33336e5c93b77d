"""Build the site: put its pages together from the course's own files, then call Sphinx. Nothing is fetched.

    python docs/site/build.py          # or: make site; the pages come to build/site

Lessons are the worked notebooks as they lie, results and reference are written from the records and the docstrings.
A warning is an error. A page of docs/ that is missing is an error too, unless --draft is given.
"""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # docs/readme.py

import glossary
import lessons
import readme
import reference
import results
from sphinx.cmd.build import build_main

from resnet_edu.tools import course

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
#: The parts of the navigation: the number of each part's first lesson.
PARTS = {"Before ResNet": 0, "The problem and its repair": 5, "Networks at work": 10}
#: Pages that are written by hand in docs/, in the order of the navigation; title by file.
TEACH = {"instructors.md": "the plans", "jupyterhub.md": "a class on one server", "performance.md": "how fast it is"}
BUILD = {"architecture.md": "the house", "adding_a_lesson.md": "a new lesson", "security.md": "security"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the site from the course's own files.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="where the pages go")
    parser.add_argument("--draft", action="store_true", help="leave out pages of docs/ that are not written yet")
    options = parser.parse_args(arguments)
    started, out = time.perf_counter(), options.out
    source, trees = out.with_name(f"{out.name}-src"), out.with_name(f"{out.name}-trees")
    missing = unwritten()
    if missing and not options.draft:
        print(f"site: docs/{', docs/'.join(missing)} missing; write it, or build with --draft", file=sys.stderr)
        return 2
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        assemble(source, draft=options.draft)
    except ValueError as error:
        print(f"site: {error}", file=sys.stderr)
        return 2
    sphinx = ["-b", "html", "-q", "-E", "-W", "--keep-going", "-c", str(HERE), "-d", str(trees), str(source), str(out)]
    code = build_main(sphinx)
    shutil.rmtree(trees, ignore_errors=True)
    if code == 0:
        pages = len(list(out.rglob("*.html")))
        print(f"{pages} pages in {out} after {time.perf_counter() - started:.0f} s; open {out / 'index.html'}")
    return code


def unwritten() -> list[str]:
    """The pages of docs/ that do not exist."""
    return [name for name in (*TEACH, *BUILD) if not (ROOT / "docs" / name).is_file()]


def assemble(source: Path, *, draft: bool = False) -> None:
    """Write every page into a folder, as Sphinx reads them.

    Raises:
        ValueError: a lesson, the glossary or a record that cannot be shown; says which and why.
    """
    found, missing = course.lessons("worked"), unwritten()
    terms = glossary.read(HERE / "glossary.md")
    names = {lesson.number: lesson.name for lesson in found}
    for folder in ("lessons", "guides", "api", "figures"):
        (source / folder).mkdir(parents=True, exist_ok=True)
    for lesson in found:
        words = [term for term in terms if term.lesson == lesson.number]
        lessons.write(lessons.page(lesson, words), source / "lessons" / lesson.path.name)
    for name in (*TEACH, *BUILD):
        if name not in missing:
            (source / "guides" / name).write_text(at_home(ROOT / "docs" / name, draft=draft), encoding="utf-8")
    for name, text in reference.pages().items():
        (source / "api" / f"{name}.md").write_text(text, encoding="utf-8")
    if (ROOT / "docs" / "images").is_dir():
        shutil.copytree(ROOT / "docs" / "images", source / "guides" / "images")
    shutil.copy(readme.PICTURE, source / "figures")
    (source / "glossary.md").write_text(glossary.page(terms, names), encoding="utf-8")
    (source / "results.md").write_text(results.page(source / "figures"), encoding="utf-8")
    (source / "index.md").write_text(index(found, missing), encoding="utf-8")


def index(found: Sequence[course.Lesson], missing: Sequence[str]) -> str:
    """The first page, with the table of lessons and the navigation."""
    table = re.sub(r"\(notebooks/solutions/", "(lessons/", readme.lesson_table())
    plans = ", ".join(f"[{words}](guides/{name})" for name, words in TEACH.items() if name not in missing)
    text = (HERE / "index.md").read_text(encoding="utf-8")
    text = text.replace("LESSONS", table).replace("PLANS", f"{plans}.")
    starts = [*PARTS.values(), len(found)]
    parts = {
        part: [f"lessons/{lesson.name}" for lesson in found if first <= lesson.number < after]
        for (part, first), after in zip(PARTS.items(), starts[1:], strict=True)
    }
    guides = {
        part: [f"guides/{name.removesuffix('.md')}" for name in pages if name not in missing]
        for part, pages in (("Teach", TEACH), ("Build", BUILD))
    }
    navigation = {**parts, "Look up": ["results", "glossary", "api/index"], **guides}
    return text + "".join(toctree(part, pages) for part, pages in navigation.items() if pages)


def toctree(caption: str, pages: Sequence[str]) -> str:
    """One part of the navigation."""
    return "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```\n"


def at_home(page: Path, *, draft: bool = False) -> str:
    """A page of docs/ with its relative links made to lead within the site.

    A lesson and a page of docs/ are pages here; any other file of the repository is named, since it is not here. In a
    draft, what does not exist yet is named as well.

    Raises:
        ValueError: a link to a file, or a picture, that does not exist.
    """

    def lead(match: re.Match[str]) -> str:
        words, target, anchor = match["words"], match["target"], match["anchor"] or ""
        file = (page.parent / target).resolve()
        if not file.exists():
            if draft:
                return words
            raise ValueError(f"{page.name} links to {target}, which does not exist")
        path = file.relative_to(ROOT)
        if match["picture"]:
            return match[0]
        if path.suffix == ".ipynb":
            return f"[{words}](../lessons/{path.name}{anchor})"
        if file.parent == page.parent and file.name in {*TEACH, *BUILD}:
            return f"[{words}]({path.name}{anchor})"
        return words if str(path) in words else f"{words} (`{path}`)"

    target = r"(?![a-z]+:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?"
    links = re.compile(rf"(?P<picture>!)?\[(?P<words>[^\]]+)\]\({target}\)")
    return links.sub(lead, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
