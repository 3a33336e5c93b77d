"""The checks' framework: results, deadlines, explanations, an undisturbed notebook, the progress table."""

import contextlib
import itertools
import json
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from resnet_edu import checks, files
from resnet_edu.checks import progress_table
from resnet_edu.checks.deadline import FirstLines, run_with_deadline
from resnet_edu.checks.expect import Call, Mistake, alike, judge, six_digits
from resnet_edu.checks.lesson_06_curves import KEY
from resnet_edu.checks.progress_table import Entry, Progress, read
from resnet_edu.checks.result import MARKS, CheckResult, Status
from resnet_edu.checks.runner import REGISTRY, Wrong, check


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "progress.json"
    monkeypatch.setenv("RESNET_EDU_PROGRESS", str(path))
    return path


@pytest.fixture
def trial(monkeypatch):
    """A check whose body is the answer itself: it is called and must return praise."""
    monkeypatch.setattr("resnet_edu.checks.runner.REGISTRY", {})

    @check("99.1 trial")
    def check_trial(answer):
        """Call the answer."""
        return answer()

    return check_trial


def right(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def wrong(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride


# --- results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["passed", "not yet", "wrong"])
def test_a_result_says_its_status_in_words_in_every_form(status: Status):
    result = CheckResult("01.2 conv2d", status, "Use `x[n]` & not x<0.", printed="<b>", note="saved elsewhere")
    for text in (str(result), repr(result), result._repr_markdown_(), result._repr_html_()):
        assert status in text
        assert MARKS[status][0] in text
        assert "01.2 conv2d" in text
        assert "saved elsewhere" in text
    assert "<code>x[n]</code> &amp; not x&lt;0." in result._repr_html_()
    assert "&lt;b&gt;" in result._repr_html_()
    assert result.passed == (status == "passed")


def test_the_plain_text_of_a_result():
    assert repr(CheckResult("01.2 conv2d", "wrong", "No.")) == "✗ wrong · 01.2 conv2d\nNo."


# --- statuses and explanations ----------------------------------------------------------------------------------


def test_praise_is_a_pass(trial):
    assert trial(lambda: "Well.") == CheckResult("99.1 trial", "passed", "Well.")


def test_an_error_is_explained_with_its_line(trial):
    def answer():
        numbers = [1, 2]
        return numbers[5]

    result = trial(answer)
    line = answer.__code__.co_firstlineno + 2
    assert result.status == "wrong"
    assert result.message == (
        f"Line {line} of your code, in `answer`, `return numbers[5]`, raised IndexError: list index out of range."
    )


def test_the_deepest_line_of_the_learners_is_named_and_not_pytorchs(trial):
    def answer():
        return nn.Linear(3, 4)(torch.zeros(2, 5))

    message = trial(answer).message
    assert "`return nn.Linear(3, 4)(torch.zeros(2, 5))`" in message
    assert "A linear layer gets another number of features" in message


def test_a_line_typed_into_an_interpreter_is_named_too(trial):
    names = {}
    exec("def answer():\n    return 1 / 0", names)
    message = trial(names["answer"]).message
    assert message == "Line 2 of your code, in `answer`, raised ZeroDivisionError: division by zero."


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), MemoryError()])
def test_nothing_escapes(trial, error: BaseException):
    def answer():
        raise error

    result = trial(answer)
    assert result.status == "wrong"
    assert type(error).__name__ in result.message


def test_endless_recursion_does_not_bring_the_kernel_down(trial):
    class Endless(nn.Module):
        def forward(self, x):
            return self(x)

    result = trial(lambda: Endless()(torch.zeros(1)))
    assert "RecursionError" in result.message


def test_a_stub_deep_inside_is_not_yet_and_says_where(trial):
    class Half(nn.Module):
        def forward(self, x):
            raise NotImplementedError("not yet")

    result = trial(lambda: Half()(torch.zeros(1)))
    assert result.status == "not yet"
    assert "Still open: `forward`" in result.message


def test_a_module_without_forward_is_not_yet(trial):
    assert trial(lambda: nn.Module()(1)).status == "not yet"


def test_pytorchs_own_not_implemented_is_an_error(trial):
    def answer():
        return torch.zeros(2, device="meta").tolist() and torch.empty(2, device="meta").item()

    assert trial(answer).status == "wrong"


def test_a_long_error_is_shortened(trial):
    def answer():
        raise ValueError("x" * 5000)

    assert len(trial(answer).message) < 500


# --- deadlines --------------------------------------------------------------------------------------------------


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "resnet-edu check"]


def test_a_loop_is_stopped_in_time_and_its_thread_is_gone(trial):
    def answer():
        while True:
            pass

    start = time.monotonic()
    result = trial(answer, deadline=0.3)
    assert time.monotonic() - start < 3
    assert result.status == "wrong"
    assert result.message.startswith("No answer after 0.3 seconds. Does a loop")
    assert not threads()


def test_a_loop_that_swallows_errors_is_stopped_too(trial):
    def answer():
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass

    assert "still runs" not in trial(answer, deadline=0.2).message
    assert not threads()


def test_a_loop_that_swallows_everything_is_stopped_in_the_end_or_reported():
    stop = threading.Event()

    def answer():
        while not stop.is_set():
            with contextlib.suppress(BaseException):
                stop.wait(0.01)

    start = time.monotonic()
    outcome = run_with_deadline(answer, 0.1)
    stop.set()
    assert outcome.timed_out
    assert time.monotonic() - start < 5


def test_a_call_that_never_returns_is_left_behind_and_reported(trial):
    wake = threading.Event()
    start = time.monotonic()
    result = trial(lambda: wake.wait(60) and "", deadline=0.1)
    assert time.monotonic() - start < 5
    assert "restart the kernel" in result.message
    assert "If other programs keep the machine busy" in result.message
    wake.set()


def test_the_longest_answer_takes_less_than_ten_seconds():
    from resnet_edu.checks import deadline, runner

    assert runner.DEADLINE + deadline.GRACE < 10


def test_prints_are_kept_short_and_not_shown(trial, capsys):
    def answer():
        for i in range(100_000):
            print("line", i)
        return "Well."

    result = trial(answer)
    assert capsys.readouterr().out == ""
    assert result.printed.splitlines()[0] == "line 0"
    assert result.printed.splitlines()[-1] == "… and more."
    assert len(result.printed) < 3000


def test_first_lines_keeps_all_of_a_short_text():
    stream = FirstLines()
    print("one\ntwo", file=stream)
    assert stream.kept() == "one\ntwo"


# --- the notebook stays as it was -------------------------------------------------------------------------------


def states() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]


def test_random_states_and_modes_are_the_learners_afterwards(trial):
    def answer():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return "Well."

    before = states()
    assert trial(answer).passed
    assert states() == before
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_checks_work_under_the_learners_no_grad_and_double_default():
    with torch.no_grad():
        assert checks.check_output_size(right).passed
        assert not torch.is_grad_enabled()
    torch.set_default_dtype(torch.float64)
    try:
        assert checks.check_output_size(right).passed
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_fixed_seed_does_not_fix_the_checks_inputs(trial):
    drawn = []

    def answer():
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
        return ""

    for _ in range(2):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        trial(answer)
    assert all(a != b for a, b in zip(*drawn, strict=True))


# --- comparing --------------------------------------------------------------------------------------------------


def test_six_digits_do_not_depend_on_the_order_of_the_operations():
    thousandths, batches, workers = range(20, 2000), (16, 32, 64, 128), (1, 2, 4, 8)
    for number, batch, count in itertools.product(thousandths, batches, workers):
        between = number / 1000 / count
        assert six_digits(between / batch) == six_digits(1 / (batch / between))
        assert six_digits(batch / between) == six_digits(batch * count / (number / 1000))
    assert six_digits(0.4) == 0.4
    assert six_digits(1.00001) != six_digits(1)


def test_alike():
    one = torch.ones(2, 1)
    assert alike(one, one + 1e-6)
    assert not alike(one, one + 1e-2)
    assert not alike(one, torch.ones(1, 2))
    assert not alike(one, 1)
    assert not alike(1, one)
    assert alike((1, 2), (1, 2))
    assert not alike([1, 2], (1, 2))


def test_a_mistake_is_named_only_if_it_explains_every_answer():
    mistakes = [Mistake(lambda n: n, "the identity")]
    with pytest.raises(Wrong, match="the identity"):
        judge(lambda n: n, lambda n: 2 * n, [Call(1), Call(3)], mistakes, name="double")
    with pytest.raises(Wrong, match=r"`double\(3\)`: expected the int 6, got the int 4"):
        judge(lambda n: n + 1, lambda n: 2 * n, [Call(1), Call(3)], mistakes, name="double")


# --- the six curves ---------------------------------------------------------------------------------------------


recorded = pytest.mark.skipif(
    not (files.assets() / "runs" / "six-curves.json").is_file(), reason="the study six-curves is not recorded"
)


def test_six_curves_that_are_not_recorded_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_edu.files.assets", lambda: tmp_path)
    with pytest.raises(ValueError, match="resnet-edu study six-curves"):
        checks.six_curves()


@recorded
def test_six_curves_takes_the_letters_from_the_key():
    panels = checks.six_curves()
    assert list(panels) == list(KEY)
    assert {letter: list(nets) for letter, nets in panels.items() if len(nets) > 1} == {
        "C": ["plain20", "plain56"],
        "E": ["resnet20", "resnet56"],
    }


@recorded
def test_the_recorded_curves_show_what_the_check_says_of_them():
    panels = checks.six_curves()

    def errors(diagnosis: str, part: str, net: str = "resnet20") -> np.ndarray:
        (letter,) = [letter for letter, known in KEY.items() if known == diagnosis]
        return np.array([getattr(epoch, f"{part}_error") for epoch in panels[letter][net].epochs])

    assert errors("overfitting", "train")[-1] < 5
    assert 20 < errors("overfitting", "test")[-1] < 75
    assert errors("healthy", "train")[-1] < 10
    assert errors("healthy", "test")[-1] < 10
    shallow, deep = (errors("degradation", "train", net)[-1] for net in ("plain20", "plain56"))
    assert deep > shallow + 20
    assert errors("labels shuffled", "train")[-1] < 75
    assert errors("labels shuffled", "test").min() > 80
    assert errors("learning rate too high", "train").min() > 50
    slow = errors("learning rate too low", "train")
    assert slow[-1] > 40
    assert slow[0] - slow[-1] > 10
    assert np.diff(slow).max() < 3


# --- progress ---------------------------------------------------------------------------------------------------


def test_progress_before_anything_was_tried_lists_every_exercise(progress_file):
    table = checks.progress()
    assert list(table.entries) == sorted(REGISTRY)
    assert table.passed == 0
    assert not progress_file.exists()
    assert f"0 of {len(REGISTRY)} exercises passed" in str(table)


def test_tries_are_counted_and_a_pass_stays(progress_file):
    for answer in (None, wrong, right, wrong):
        checks.check_output_size(answer)
    entry = checks.progress().entries["01.1 output size"]
    assert (entry.best, entry.last, entry.tries) == ("passed", "wrong", 3)
    assert entry.first_passed is not None
    checks.check_output_size(right)
    assert checks.progress().entries["01.1 output size"].first_passed == entry.first_passed
    assert list(progress_file.parent.iterdir()) == [progress_file]


def test_a_demonstration_is_not_counted(progress_file):
    assert checks.check_output_size(wrong, recorded=False).status == "wrong"
    assert not progress_file.exists()


def test_progress_survives_a_restart_and_importing_the_checks_is_cheap(progress_file):
    checks.check_output_size(right)
    code = (
        "import sys, resnet_edu.checks; print(resnet_edu.checks.progress().passed); "
        "print([name for name in ('pandas', 'matplotlib', 'ipywidgets', 'captum') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "[]"]


def test_the_file_is_in_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("RESNET_EDU_PROGRESS")
    monkeypatch.chdir(tmp_path)
    assert progress_table.progress_file() == tmp_path / ".resnet_edu_progress.json"


def test_exercises_of_a_newer_course_are_kept(progress_file):
    progress_table.record("42.1 of the future", "passed")
    checks.check_output_size(right)
    assert read(progress_file)[0]["42.1 of the future"].best == "passed"


def with_entry(**entry: object) -> bytes:
    return json.dumps({"format": 1, "exercises": {"01.1 output size": entry}}).encode()


FOREIGN = {
    "empty": b"",
    "half": b'{"format": 1, "exerc',
    "bytes": b"\xff\xfe\x00\x01",
    "list": b"[]",
    "number": b"3",
    "other format": b'{"format": 2, "exercises": {}}',
    "no exercises": b'{"format": 1, "exercises": []}',
    "entry is a number": json.dumps({"format": 1, "exercises": {"01.1 output size": 3}}).encode(),
    "unknown field": with_entry(best="passed", colour="red"),
    "unknown status": with_entry(best="brilliant"),
    "status is a list": with_entry(best=["passed"]),
    "tries is text": with_entry(tries="3"),
    "date is a number": with_entry(first_passed=3),
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_or_corrupt_file_is_put_aside_and_said(progress_file, content: bytes):
    progress_file.parent.mkdir()
    progress_file.write_bytes(content)
    result = checks.check_output_size(right)
    assert result.passed
    assert "kept as progress.json.corrupt" in result.note
    assert progress_file.with_name("progress.json.corrupt").read_bytes() == content
    assert checks.progress().passed == 1
    assert checks.check_output_size(right).note == ""
    progress_file.write_bytes(content)
    assert "kept as progress.json-2.corrupt" in checks.check_output_size(right).note


def test_the_table_says_that_a_corrupt_file_was_put_aside(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_text("nonsense")
    assert "kept as progress.json.corrupt" in str(checks.progress())


def test_where_nothing_can_be_written_the_check_still_answers(progress_file, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "progress.json", tmp_path):  # inside a file; a folder
        monkeypatch.setenv("RESNET_EDU_PROGRESS", str(path))
        result = checks.check_output_size(right)
        assert result.passed
        assert "could not be saved" in result.note
        assert checks.progress().passed == 0
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_table_in_html_has_header_cells_and_every_status_in_words():
    table = Progress(
        {
            "01.1 output size": Entry("passed", "wrong", 3, "2026-02-03T10:00:00+01:00"),
            "01.2 conv2d": Entry("wrong", "wrong", 1),
            "06.1 plain block": Entry(),
        },
        note="a <note>",
    )
    page = table._repr_html_()
    for part in ("1 of 3 exercises passed", "passed", "wrong", 'scope="col"', "2026-02-03", "a &lt;note&gt;"):
        assert part in page
    text = str(table).splitlines()
    assert text[0] == "1 of 3 exercises passed"
    assert text[3].split() == ["Lesson", "01", "1", "of", "2"]
    assert text[4].split() == ["01.1", "output", "size", "✓", "passed", "3", "2026-02-03"]


# --- registering --------------------------------------------------------------------------------------------------


def test_two_checks_cannot_share_an_id(trial):
    with pytest.raises(ValueError, match=r"'99\.1 trial'"):
        check("99.1 trial")(lambda answer: "")
