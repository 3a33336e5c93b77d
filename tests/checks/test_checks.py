"""The checks' engine: results, explanations, an undisturbed notebook, what is compared and which mistake is named."""

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from resnet_edu import checks, files
from resnet_edu.checks.exercise import Call, Exercise, exercise
from resnet_edu.checks.lesson_06 import KEY
from resnet_edu.checks.result import MARKS, CheckResult, Status, Wrong
from resnet_edu.checks.values import Returns, difference, number, tensor, whole


@pytest.fixture
def trial(monkeypatch):
    """A check whose body is the answer itself: it is called and must return praise."""
    monkeypatch.setattr("resnet_edu.checks.exercise.REGISTRY", {})
    check = Exercise(title="99.1 trial", oracle=lambda: None, calls=list, mistakes={})
    check.judge_answer = lambda answer: answer()
    return check


def right(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return (size + 2 * padding - kernel) // stride + 1


# --- results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["passed", "not yet", "wrong"])
def test_a_result_says_its_status_in_words_in_every_form(status: Status):
    result = CheckResult(
        "01.2 conv2d", status, "Use `x[n]` & not x<0.", note="saved elsewhere", way_on="Next: a&b", link="x.ipynb"
    )
    assert '<a href="x.ipynb">Next: a&amp;b</a>' in result._repr_html_()
    for text in (str(result), repr(result), result._repr_html_()):
        assert "Next: a" in text
        assert status in text
        assert MARKS[status][0] in text
        assert "01.2 conv2d" in text
        assert "saved elsewhere" in text
    assert "<code>x[n]</code> &amp; not x&lt;0." in result._repr_html_()
    assert result.passed == (status == "passed")


# --- statuses and explanations ----------------------------------------------------------------------------------


def test_praise_is_a_pass_and_reads_as_plain_text(trial):
    assert trial(lambda: "Well.") == CheckResult("99.1 trial", "passed", "Well.")
    assert repr(trial(lambda: "Well.")) == "✓ passed · 99.1 trial\nWell."


def test_two_checks_cannot_share_an_id(trial):
    with pytest.raises(ValueError, match=r"'99\.1 trial'"):
        Exercise(title="99.1 trial", oracle=lambda: None, calls=list, mistakes={})


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
    assert "A linear layer gets more or fewer features" in message


def test_a_line_typed_into_an_interpreter_is_named_too(trial):
    names = {}
    exec("def answer():\n    return 1 / 0", names)
    message = trial(names["answer"]).message
    assert message == "Line 2 of your code, in `answer`, raised ZeroDivisionError: division by zero."


@pytest.mark.parametrize("error", [SystemExit(3), RecursionError("deep"), MemoryError()])
def test_nothing_escapes(trial, error: BaseException):
    def answer():
        raise error

    result = trial(answer)
    assert result.status == "wrong"
    assert type(error).__name__ in result.message


def test_the_stop_button_ends_an_endless_loop(trial):
    def answer():
        while True:
            raise KeyboardInterrupt

    before = states()
    with pytest.raises(KeyboardInterrupt):
        trial(answer)
    assert states() == before


def test_a_check_runs_in_the_cells_own_thread_and_its_prints_show(trial, capsys):
    def answer():
        print(threading.current_thread() is threading.main_thread())
        return "Well."

    assert trial(answer).passed
    assert capsys.readouterr().out == "True\n"


def test_a_stub_in_one_line_is_not_yet(trial):
    def answer(): raise NotImplementedError  # fmt: skip

    assert trial(answer).status == "not yet"


def test_a_missing_attribute_of_a_module_is_told_from_one_of_anything_else(trial):
    hint = "Is the name spelled the same"
    things: list[tuple[Any, bool]] = [(nn.Linear(1, 1), True), ([], False)]
    for thing, told in things:
        assert (hint in trial(lambda thing=thing: thing.wieght).message) is told


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


@pytest.mark.parametrize(
    ("got", "wanted", "words"),
    [
        (torch.ones(2, 1) + 1e-6, torch.ones(2, 1), None),
        (torch.ones(2, 1) + 1e-2, torch.ones(2, 1), "the largest difference is 0.01"),
        (torch.ones(1, 2), torch.ones(2, 1), "expected a tensor of shape (2, 1), got shape (1, 2)"),
        (1, torch.ones(2, 1), "expected a tensor of shape (2, 1), got the int 1"),
        (2e-5 * torch.ones(3), 1e-5 * torch.ones(3), "the largest difference is 1e-05"),
        (1 + 1e-6, 1.0, None),
        (0.125004, 0.125, None),
        (0.12504, 0.125, "expected 0.125, got 0.12504"),
        (4, 6, "expected 6, got 4"),
        ((1, 2), [1, 2], None),
        ([1, 3], [1, 2], "at position 1: expected 2, got 3"),
        ([1], [1, 2], "expected 2 entries, [1, 2], got 1, [1]"),
        ({"b": 2, "a": 1}, {"a": 1, "b": 2}, None),
        ({"a": 1}, {"a": 1, "b": 2}, "'b' is missing"),
        ({"a": 1, "b": 3}, {"a": 1, "b": 2}, "b: expected 2, got 3"),
        ("x", "y", "expected 'y', got 'x'"),
        (True, 1, "expected 1, got True"),
    ],
)
def test_a_difference_in_words(got, wanted, words):
    found = difference(got, wanted)
    assert found == words or (words and words in str(found))


@pytest.mark.parametrize("value", [3, np.int64(3), np.array([3]), torch.tensor(3), torch.tensor([[3]])])
def test_a_whole_number_may_be_pythons_numpys_or_a_tensor(value):
    assert whole().clean(value) == 3
    assert number().clean(value) == 3.0


@pytest.mark.parametrize("value", [True, "3", torch.ones(2), np.bool_(True), None, [3]])
def test_what_is_no_number_is_refused(value):
    for returns in (whole(), number()):
        with pytest.raises(Wrong, match="Expected"):
            returns.clean(value)


def factor(extra: Any) -> Any:
    return extra["factor"]


@pytest.fixture
def double(monkeypatch):
    """The exercise to double a list of tensors, in a new list."""
    monkeypatch.setattr("resnet_edu.checks.exercise.REGISTRY", {})

    @exercise(
        "99.2 double",
        calls=lambda: [Call([torch.randn(2)]), Call([torch.randn(2), torch.randn(2)], extra={"factor": 2})],
        returns=Returns(list),
        mistakes={"That is the list itself.": lambda xs, extra: xs, "No factor": lambda xs, extra: [extra["factor"]]},
    )
    def double(xs, extra: Any = None):
        """Every one doubled."""
        return [2 * x for x in xs]

    return double


def test_a_mistake_is_named_only_if_it_explains_every_answer(double):
    assert double(lambda xs, extra=None: [x + x for x in xs]).message == "Every one doubled."
    assert double(lambda xs, extra=None: list(xs)).message == "That is the list itself."
    some = double(lambda xs, extra=None: list(xs) if extra else [2 * x for x in xs])
    assert some.message.startswith("`<lambda>([tensor (2,), tensor (2,)], extra={'factor': 2})`: at position 0: ")


def test_an_error_that_a_mistake_explains_is_not_only_reported(double):
    assert double(lambda xs, extra=None: [factor(extra)]).message == "No factor"
    assert "raised TypeError" in double(lambda xs, extra=None: 2 * factor(extra) * xs + 1).message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda xs, extra=None: [2 * xs.pop() for _ in range(len(xs))][::-1], "list"),
        (lambda xs, extra=None: [x.mul_(2) for x in xs], "list"),
        (lambda xs, extra=None: (extra or {}).clear() or [2 * x for x in xs], "dictionary"),
    ],
)
def test_an_answer_that_changes_what_it_is_given_is_told_so(double, answer, kind):
    assert f"changes the {kind} it is given as" in double(answer).message


@pytest.fixture
def square(monkeypatch):
    """The exercise to square a tensor so that gradients arrive, and by hand."""
    monkeypatch.setattr("resnet_edu.checks.exercise.REGISTRY", {})

    @exercise(
        "99.3 square",
        calls=lambda: [Call(torch.randn(2, 3)), Call(torch.randn(3, 1), scale=2.0)],
        returns=tensor(),
        mistakes={"The scale has no effect.": {"scale": 1.0}, "That is the double.": lambda x, scale: 2 * scale * x},
        gradients=True,
        forbids={"pow": "Multiply by hand.", "square": "Multiply by hand."},
    )
    def square(x, scale=1.0, _power=2):
        """Right, gradients too."""
        return scale * x**_power if _power != 2 else scale * x * x

    return square


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, scale=1.0: x * (scale * x), "Right, gradients too."),
        (lambda x, scale=1.0: x * x, "The scale has no effect."),
        (lambda x, scale=1.0: 2 * scale * x, "That is the double."),
        (lambda x, scale=1.0: scale * x**2, "Multiply by hand."),
        (lambda x, scale=1.0: (scale * x * x).detach(), "cuts the result off from autograd"),
        (lambda x, scale=1.0: scale * x * x.detach(), "the gradient of `x` is not"),
        (lambda x, scale=1.0: (scale * x * x)[:, :1], "expected a tensor of shape (2, 3), got shape (2, 1)"),
        (lambda x, scale=1.0: (scale * x * x).mean(0, keepdim=True).expand(3, 3)[: len(x)], "values are not"),
        (lambda x, scale=1.0: scale * x * x + (len(x) == 3), "the largest difference is 1"),
        (lambda x, scale=1.0: (scale * x * x).tolist(), "Expected a tensor, got the list"),
        (lambda x: x * x, "cannot be called that way"),
        (lambda x, scale=1.0: None, "Nothing to judge yet."),
    ],
)
def test_values_gradients_and_means_are_compared_in_every_call(square, answer, words):
    assert words in square(answer).message


# --- the six curves ---------------------------------------------------------------------------------------------


recorded = pytest.mark.skipif(
    not (files.assets() / "runs" / "six-curves.json").is_file(), reason="the study six-curves is not recorded"
)


def test_six_curves_that_are_not_recorded_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_edu.files.assets", lambda: tmp_path)
    with pytest.raises(ValueError, match="six-curves"):
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
    assert 20 < errors("overfitting", "val")[-1] < 75
    assert errors("healthy", "train")[-1] < 10
    assert errors("healthy", "val")[-1] < 10
    shallow, deep = (errors("degradation", "train", net)[-1] for net in ("plain20", "plain56"))
    assert deep > shallow + 20
    assert errors("labels shuffled", "train")[-1] < 75
    assert errors("labels shuffled", "val").min() > 80
    assert errors("learning rate too high", "train").min() > 50
    slow = errors("learning rate too low", "train")
    assert slow[-1] > 40
    assert slow[0] - slow[-1] > 10
    assert np.diff(slow).max() < 3
