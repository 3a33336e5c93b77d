"""The site: built with warnings as errors, complete, whole in its links, and fetching nothing from elsewhere."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from browser.site_pages import BUILD, ROOT, built, pages

from resnet_edu import files
from resnet_edu.studies import STUDIES
from resnet_edu.tools import course

SITE = BUILD.parent
Part = Callable[[str], ModuleType]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Part]:
    """Imports a module of docs/site by name; they leave no trace in other tests."""
    names = {path.stem for path in [*SITE.glob("*.py"), *SITE.parent.glob("*.py")]}
    for folder in (SITE.parent, SITE):
        monkeypatch.syspath_prepend(folder)
    yield importlib.import_module
    for name in names & set(sys.modules):
        if Path(getattr(sys.modules[name], "__file__", None) or "").is_relative_to(SITE.parent):
            del sys.modules[name]


def test_a_figure_is_told_by_its_title_and_by_what_is_drawn(part: Part) -> None:
    tell = part("figures").alt_text
    sweep = "Training error after the last epoch against depth, one dot a run, a line through the means."
    assert tell("study = 1\nedu.plots.depth_sweep(study)") == sweep
    assert tell('edu.plots.depth_sweep(study, title="Depth hurts")') == f"Depth hurts. {sweep}"
    assert tell('edu.plots.depth_sweep(study, title=f"At {depth} layers?")').startswith("At … layers? Training error")
    assert tell("edu.plots.depth_sweep(study, title=title)") == sweep
    assert tell("edu.plots.kernel_positions(8, 3, stride=2)").endswith("Drawn by kernel_positions(8, 3, stride=2).")
    assert tell('def shoot(x):\n    """One shot, `small`."""\n    return x\n\nshoot(1)').startswith("One shot, small.")
    twin = tell("edu.plots.depth_and_skip_grid(study)")
    assert twin == "Training error of every depth, plain above and residual below."


@pytest.mark.parametrize("source", ["figure", "x = 1", "", "draw(1)", "def draw(x):\n    return x\n\ndraw(1)"])
def test_a_picture_that_nothing_tells_is_refused(part: Part, source: str) -> None:
    with pytest.raises(ValueError, match="picture"):
        part("figures").alt_text(source)


def test_every_figure_of_the_lessons_is_told(part: Part) -> None:
    figures, told = part("figures"), []
    for lesson in course.lessons("worked"):
        cells = [cell for cell in nbformat.read(lesson.path, as_version=4).cells if figures.has_picture(cell)]
        told += [figures.alt_text(cell.source) for cell in cells]
        assert len(cells) >= 3, lesson.name
    assert min(map(len, told)) > 30


def test_every_word_of_the_glossary_stands_in_its_lesson(part: Part) -> None:
    terms = part("glossary").read(SITE / "glossary.md")
    assert len(terms) >= 60
    sources = {path.stem[:2]: path.read_text("utf-8").lower() for path in (ROOT / "notebooks/source").glob("*.py")}
    for term in terms:
        for word in re.split(r"[ -]", term.name.lower()):  # a lesson may write: initialised, stages
            there = re.search(rf"\b{re.escape(word[:4])}", sources[f"{term.lesson:02}"])
            assert there, f"{word} of {term.name} is not in lesson {term.lesson:02}"
        sentences = len(re.findall(r"[.!?](?= |$)", term.text.replace("et al.", "et al")))
        assert 1 <= sentences <= 3, f"{term.name}: {sentences} sentences"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("kernel\nno colon (01)", "not `name`"),
        ("kernel\n: text", "not `name`"),
        ("a\n: b. (01)\n\nA\n: c. (02)", "twice"),
    ],
)
def test_a_damaged_glossary_is_named(part: Part, tmp_path: Path, entry: str, told: str) -> None:
    file = tmp_path / "glossary.md"
    file.write_text(f"<!-- comment -->\n\n{entry}\n")
    with pytest.raises(ValueError, match=f"glossary.md: .*{told}"):
        part("glossary").read(file)


def test_links_of_docs_lead_within_the_site(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build, page = part("build"), tmp_path / "docs" / "page.md"
    monkeypatch.setattr(build, "ROOT", tmp_path)
    for name in ("docs/architecture.md", "notebooks/06_degradation.ipynb", "resnet_edu/facts.py", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def at_home(text: str, *, draft: bool = False) -> str:
        page.write_text(text)
        return build.at_home(page, draft=draft)

    assert at_home("[six](../notebooks/06_degradation.ipynb#a)") == "[six](../lessons/06_degradation.ipynb#a)"
    assert at_home("[the house](architecture.md)") == "[the house](architecture.md)"
    assert at_home("[the code](../resnet_edu/facts.py)") == "the code (`resnet_edu/facts.py`)"
    assert at_home("[`Makefile`](../Makefile)") == "`Makefile`"
    for other in ("[paper](https://arxiv.org)", "[below](#here)", "![picture](../Makefile)"):
        assert at_home(other) == other
    for later in ("[later](security.md)", "![later](images/x.png)"):
        assert at_home(later, draft=True) == "later"
        with pytest.raises(ValueError, match="does not exist"):
            at_home(later)
    with pytest.raises(ValueError, match=r"^page\.md links to nowhere\.md, which does not exist"):
        at_home("[x](nowhere.md)")


def test_every_page_of_docs_is_written(part: Part) -> None:
    build = part("build")
    assert build.unwritten() == []
    for name in (*build.TEACH, *build.BUILD):
        build.at_home(ROOT / "docs" / name)  # a file that a page names and that is missing raises


def test_every_public_name_says_what_it_is(part: Part) -> None:
    reference = part("reference")
    silent = [
        f"{name}.{public}"
        for name, room in reference.ROOMS.items()
        for public in reference.public(room)
        if callable(value := getattr(room, public)) and not (value.__doc__ or "").strip()
    ]
    assert silent == []


@pytest.mark.slow
def test_all_lessons_studies_and_facts_are_there(part: Part) -> None:
    found = pages()
    for lesson in course.lessons("worked"):
        page = found[f"lessons/{lesson.name}.html"]
        assert lesson.title in page.text
        assert f"lessons/{lesson.name}.html" in found["index.html"].links
    results = part("results")
    recorded = [path.stem for path in (files.assets() / "runs").glob("*.json")]
    assert sorted(results.recorded()) == sorted(recorded)
    for name in recorded:
        assert STUDIES[name].title in found["results.html"].text
        assert name in found["results.html"].text
    facts = dict(results.facts())
    assert len(facts) > 100
    assert [name for name in facts if name not in found["results.html"].text] == []


@pytest.mark.slow
def test_every_public_name_has_its_place(part: Part) -> None:
    reference = part("reference")
    for name, room in reference.ROOMS.items():
        for one in reference.public(room):
            home = reference.home(room, one)
            [page] = [page for page, other in reference.ROOMS.items() if other is home]
            assert f"{home.__name__}.{one}" in pages()[f"api/{page}.html"].ids
            assert one in pages()[f"api/{name}.html"].text
    text = pages()["api/commands.html"].text
    assert all(f"Usage: resnet-edu {command}" in text for command in ("lab", "train", "predict", "doctor"))


@pytest.mark.slow
def test_every_figure_has_words_of_its_own() -> None:
    bare = [
        (name, picture["src"])
        for name, page in pages().items()
        for picture in page.pictures
        if len(picture.get("alt", "")) < 15 or picture["src"].endswith(picture["alt"])
    ]
    assert bare == []
    assert sum(len(page.pictures) for page in pages().values()) > 90


@pytest.mark.slow
def test_links_and_anchors_lead_somewhere() -> None:
    site, found, broken = built(), pages(), []
    for name, page in found.items():
        for link in {*page.links, *page.loaded}:
            parts = urlsplit(link)
            if parts.scheme or link.startswith(("//", "data:")):
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            inside = target.relative_to(site.resolve()).as_posix()
            if not target.is_file() or (parts.fragment and inside in found and parts.fragment not in found[inside].ids):
                broken.append((name, link))
    assert broken == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere() -> None:
    elsewhere = re.compile(r"^(https?:)?//")
    assert [(name, one) for name, page in pages().items() for one in page.loaded if elsewhere.match(one)] == []
    for sheet in built().rglob("*.css"):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", text), sheet.name


@pytest.mark.slow
def test_formulas_are_drawn_by_the_browser_itself() -> None:
    page = pages()["lessons/01_lenet.html"]
    assert page.path.read_text(encoding="utf-8").count("<math") >= 5
    assert not any("mathjax" in name.lower() for one in pages().values() for name in one.loaded)


@pytest.mark.slow
def test_answers_are_folded_and_markers_gone() -> None:
    page = pages()["lessons/01_lenet.html"]
    assert page.text.count("Show one answer") == 4
    assert "BEGIN SOLUTION" not in page.text
    assert page.path.read_text(encoding="utf-8").count("glossary.html#term-") >= 8


def test_a_missing_page_is_one_line(part: Part, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    build = part("build")
    monkeypatch.setitem(build.BUILD, "unwritten.md", "a page")
    assert build.main(["--out", str(tmp_path / "site")]) == 2
    assert re.search(r"^site: docs/.*unwritten\.md missing; write it, or build with --draft$", capsys.readouterr().err)
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_a_lesson_with_an_untold_figure_ends_the_build(tmp_path: Path, part: Part) -> None:
    [lesson, *_] = course.lessons("worked")
    notebook = nbformat.read(lesson.path, as_version=4)
    figures = part("figures")
    number = next(n for n, cell in enumerate(notebook.cells) if figures.has_picture(cell))
    notebook.cells[number].source = "figure"
    broken = tmp_path / lesson.path.name
    nbformat.write(notebook, broken)
    with pytest.raises(ValueError, match=rf"{lesson.name}, cell {number}: a cell with a picture"):
        part("lessons").page(course.Lesson(0, lesson.name, lesson.title, broken), [])


@pytest.mark.slow
def test_a_formula_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(SITE)!r})\nextensions = ['myst_parser', 'mathml']\n"
        "myst_enable_extensions = ['dollarmath']\nhtml_math_renderer = 'mathml'\n"
    )
    (source / "index.md").write_text("# T\n\n$a^b^c$\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "no LaTeX that can be read" in done.stderr
