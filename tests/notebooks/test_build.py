"""The builder of the lessons, on toy sources."""

import hashlib
import json
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest

from notebooks import build, editions
from resnet_edu import plots

LESSON = '''\
# %% [markdown]
# # 01 · Toy

# %% tags=["setup"]
import math

# %% [markdown]
# ### Exercise 1.1 · Area
#
# **Difficulty** ●●○○○ · **2 minutes**

# %% tags=["exercise"]
def area(radius: float) -> float:
    """Area of a circle."""
    half = radius / 2
    ### BEGIN SOLUTION
    return 4 * math.pi * half**2
    ### END SOLUTION

# %% tags=["check"]
print(round(area(1.0), 2))

# %% [markdown] tags=["worked-only"]
# Why this works.

# %% tags=["worked-only"]
area(2.0)
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A toy lesson in a folder of its own."""
    path = tmp_path / "source" / "01_toy.py"
    path.parent.mkdir()
    path.write_text(LESSON, encoding="utf-8")
    return path


def read(source: Path, edition: str = ".") -> nbformat.NotebookNode:
    return nbformat.read(source.parent.parent / edition / "01_toy.ipynb", as_version=4)


def fake_run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Instead of a kernel: every cell says its number."""
    for number, cell in enumerate(build.code_cells(notebook), start=1):
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{number}\n")]


def test_learners_edition_has_the_placeholder_where_the_solution_stood(source: Path) -> None:
    notebook = build.learners_edition(build.read_source(source))
    assert build.code_cells(notebook)[2].source.splitlines() == [
        "def area(radius: float) -> float:",
        '    """Area of a circle."""',
        "    half = radius / 2",
        '    raise NotImplementedError("not yet")',
    ]


def test_several_regions_in_a_class_keep_their_indentation() -> None:
    code = (
        "class Net:\n"
        "    def a(self):\n        ### BEGIN SOLUTION\n        x = 1\n        return x\n        ### END SOLUTION\n"
        "    ### BEGIN SOLUTION\n    def b(self): ...\n    ### END SOLUTION\n"
        "    c = 1"
    )
    stub = 'raise NotImplementedError("not yet")'
    assert editions.without_solutions(code) == (f"class Net:\n    def a(self):\n        {stub}\n    {stub}\n    c = 1")


@pytest.mark.parametrize(
    "code",
    [
        "### BEGIN SOLUTION\nx = 1",
        "x = 1\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION",
        "# BEGIN SOLUTION\nx = 1\n# END SOLUTION",
        "### begin solution\nx = 1\n### END SOLUTION",
        "### BEGIN SOLUTIONS\nx = 1\n### END SOLUTION",
        "x = 1  ### BEGIN SOLUTION\ny = 1\n### END SOLUTION",
    ],
)
def test_markers_that_would_give_the_solution_away_are_refused(code: str) -> None:
    with pytest.raises(build.BuildError, match="SOLUTION"):
        editions.without_solutions(code)


def test_ids_are_the_same_in_both_editions_and_number_the_source(source: Path) -> None:
    notebook = build.read_source(source)
    worked = [cell["id"] for cell in notebook.cells]
    numbered = [f"01_toy-{number:03d}" for number in range(7)]
    assert worked == [numbered[0], "01_toy-nav", *numbered[1:], "01_toy-next"]
    learners = [cell["id"] for cell in build.learners_edition(notebook).cells]
    assert learners == [numbered[0], "01_toy-nav", "01_toy-colab", *numbered[1:5], "01_toy-next"]


def test_a_lesson_links_its_neighbours_and_an_exercise_has_a_card(source: Path) -> None:
    for name in ("00_first", "02_last"):
        source.with_name(f"{name}.py").write_text(f"# %% [markdown]\n# # {name[:2]} · Name: more\n")
    notebook = build.read_source(source)
    bar, *_, last = (cell.source for cell in notebook.cells if "navigation" in cell.metadata.get("tags", []))
    links = ["[← 00 · Name](00_first.ipynb)", "[02 · Name →](02_last.ipynb)", "(home.md)", "(solutions/01_toy.ipynb)"]
    assert [link for link in links if link not in bar] == []
    assert bar == last
    worked = "".join(cell.source for cell in editions.worked_edition(notebook).cells)
    assert [link for link in ("[Your own copy](../01_toy.ipynb)", "(../glossary.md)") if link not in worked] == []
    (card,) = [cell.source for cell in notebook.cells if "### Exercise" in cell.source]
    assert card.startswith('<div class="exercise"')
    assert card.endswith("\n\n</div>")


def test_exercise_and_check_carry_what_nbgrader_asks_for(source: Path) -> None:
    notebook = build.read_source(source)
    for edition in (notebook, build.learners_edition(notebook)):
        marked = [cell.metadata["nbgrader"] for cell in edition.cells if "nbgrader" in cell.metadata]
        common = {"schema_version": 3, "task": False}
        assert marked == [
            {"grade_id": "exercise_01_1", "solution": True, "grade": False, "locked": False, **common},
            {"grade_id": "check_01_1", "solution": False, "grade": True, "locked": True, "points": 2, **common},
        ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("### Exercise 1.1 · Area", "### Area"),
        ("**Difficulty** ●●○○○", ""),
        ("\n# %% [markdown] tags", '\n# %% tags=["exercise"]\ndef more(): ...\n\n# %% [markdown] tags'),
    ],
)
def test_an_exercise_without_a_box_of_its_own_is_refused(source: Path, old: str, new: str) -> None:
    assert old in LESSON
    source.write_text(LESSON.replace(old, new))
    with pytest.raises(build.BuildError, match=r"no box above it: ### Exercise 1\.2"):
        build.read_source(source)


def test_unknown_tag_is_refused_with_the_cell(source: Path) -> None:
    source.write_text(LESSON.replace('"exercise"', '"exercize"'))
    with pytest.raises(build.BuildError, match=r"01_toy-003: unknown tag exercize; known: .*exercise") as error:
        build.read_source(source)
    assert "def area" in str(error.value)


def test_build_twice_is_the_same_byte_for_byte(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "execute", fake_run)
    editions = [source.parent.parent / "01_toy.ipynb", source.parent.parent / "solutions" / "01_toy.ipynb"]
    build.build(source)
    first = [path.read_bytes() for path in editions]
    build.build(source, force=True)
    assert [path.read_bytes() for path in editions] == first
    assert read(source, "solutions").metadata["resnet_edu"]["source_sha256"] == (
        hashlib.sha256(source.read_bytes()).hexdigest()
    )


def test_only_changed_code_is_executed_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def counted(notebook: nbformat.NotebookNode, folder: Path) -> None:
        runs.append(folder.name)
        fake_run(notebook, folder)

    monkeypatch.setattr(build, "execute", counted)
    assert build.build(source).startswith("executed")
    assert build.build(source) == "up to date"
    source.write_text(LESSON.replace("Why this works", "Why it works"))
    assert build.build(source) == "text updated"
    worked = read(source, "solutions")
    assert worked.cells[6].source == "Why it works."
    assert worked.metadata["resnet_edu"]["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert runs == ["solutions"]
    source.write_text(LESSON.replace("area(2.0)", "area(3.0)"))
    assert build.build(source, run=False) == "learner's edition only"
    assert read(source, "solutions").cells[7].source == "area(2.0)"
    assert build.build(source).startswith("executed")
    assert runs == ["solutions"] * 2


def test_failed_run_leaves_both_editions_as_they_were(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "execute", fake_run)
    build.build(source)
    before = {path: path.read_bytes() for path in source.parent.parent.rglob("*.ipynb")}

    def fails(notebook: nbformat.NotebookNode, folder: Path) -> None:
        raise build.BuildError("cell 01_toy-001: no")

    monkeypatch.setattr(build, "execute", fails)
    source.write_text(LESSON.replace("half", "middle"))
    with pytest.raises(build.BuildError, match="01_toy-001: no"):
        build.build(source)
    assert {path: path.read_bytes() for path in source.parent.parent.rglob("*.ipynb")} == before


def output(text: str, *, name: str = "stdout", tags: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell("code()", id="01_toy-007", metadata={"tags": list(tags)})
    cell.outputs = [nbformat.v4.new_output("stream", name=name, text=text)]
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.mark.parametrize(
    ("notebook", "named"),
    [
        (output("hush", name="stderr"), "wrote to stderr: hush"),
        (output("lib.py:3: UserWarning: old"), "shows 'UserWarning:'"),
        (output("[<matplotlib.lines.Line2D at 0x7f1c2ab3>]"), "shows '<matplotlib.lines.Line2D at 0x7f1c2ab3>'"),
    ],
)
def test_noise_in_a_worked_notebook_is_named_with_its_cell(notebook: nbformat.NotebookNode, named: str) -> None:
    [problem] = build.problems(notebook)
    assert problem == f"cell 01_toy-007: {named}" + (
        "; fix the cause or end the cell in a value" * ("shows" in named)
    ) + ("\n    code()")


def test_a_figure_whose_title_is_cut_off_is_named() -> None:
    notebook = output("")
    for title, told in (("short", []), ("long " * 20, ["its figure goes on beyond the right edge; shorten its title"])):
        png = b64encode(plots.lines({"a": [1, 2]}, title=title, x="x", y="y").png()).decode()
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", {"image/png": png})]
        assert [problem.split(": ")[1].split("\n")[0] for problem in build.problems(notebook)] == told


def test_an_error_is_allowed_only_where_it_is_meant() -> None:
    notebook = output("", tags=("raises-exception",))
    notebook.cells[0].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]
    assert not list(build.problems(notebook))
    notebook.cells[0].metadata.tags = []
    assert list(build.problems(notebook)) == ["cell 01_toy-007: ValueError: no\n    code()"]


def run_by_hand(path: Path) -> None:
    """A notebook as JupyterLab saves it: executed, with times, widget state and versions."""
    notebook = output("3.14\n")
    cell = notebook.cells[0]
    cell.execution_count = 7
    cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    widget = {editions.WIDGET: {"model_id": "abc", "version_major": 2, "version_minor": 0}, "text/plain": "IntSlider()"}
    cell.outputs.append(nbformat.v4.new_output("display_data", data=widget))
    notebook.metadata = {
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
        "kernelspec": {"display_name": "my env", "language": "python", "name": "mine"},
        "language_info": {"name": "python", "version": "3.11.7"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def test_cleaning_keeps_the_outputs_of_the_worked_edition_only(tmp_path: Path) -> None:
    learners, worked = tmp_path / "01_toy.ipynb", tmp_path / "solutions" / "01_toy.ipynb"
    run_by_hand(learners)
    run_by_hand(worked)
    assert build.main(["--clean", str(learners), str(worked)]) == 1
    for path in (learners, worked):
        text = path.read_text(encoding="utf-8")
        assert not [word for word in ("widget", "3.11.7", "my env", "2026-01-01") if word in text]
    [cell] = json.loads(learners.read_text(encoding="utf-8"))["cells"]
    assert (cell["outputs"], cell["execution_count"]) == ([], None)
    [cell] = json.loads(worked.read_text(encoding="utf-8"))["cells"]
    assert (cell["outputs"][0]["text"], cell["execution_count"]) == (["3.14\n"], 7)
    assert build.main(["--clean", str(learners), str(worked)]) == 0


@pytest.mark.slow
def test_a_kernel_runs_the_worked_edition_with_its_pictures(source: Path, own_progress: Path) -> None:
    source.write_text(
        LESSON + "\n# %%\nfrom matplotlib import pyplot as plt\n\n_ = plt.plot([1, 2])\n"
        "\n# %%\nfrom os import environ\n\nassert environ['RESNET_EDU_PROFILE'] == 'quick'\n"
        f"assert environ['RESNET_EDU_PROGRESS'] != {str(own_progress)!r}\nassert environ['TORCH_HOME']\n"
        '\n# %% tags=["gpu"]\nraise RuntimeError("only with a GPU")\n'
    )
    build.build(source)
    cells = build.code_cells(read(source, "solutions"))
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5, 6, None]
    assert cells[2].outputs[0].text == "3.14\n"
    assert "image/png" in cells[4].outputs[0].data
    assert not build.clean_file(source.parent.parent / "solutions" / "01_toy.ipynb")


@pytest.mark.slow
def test_a_failing_cell_is_named_and_nothing_is_written(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text(LESSON + "\n# %%\nassert area(1.0) > 4\n")
    monkeypatch.setattr(build, "HERE", source.parent.parent)
    assert build.main([]) == 1
    assert capsys.readouterr().err == (
        "01_toy: not built\ncell 01_toy-007: AssertionError: \n    assert area(1.0) > 4\n"
    )
    assert not list(source.parent.parent.rglob("*.ipynb"))
