"""Figures of lesson 08: faults by instrument, errors by head."""

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from resnet_edu import plots
from resnet_edu.plots.style import ORANGE


def test_a_field_is_filled_where_the_instrument_sees_the_fault() -> None:
    found = {"no ReLU": {"parameters": "", "logits": "off by 2"}, "small kernel": {"parameters": "−99", "logits": None}}
    figure = plots.faults_by_instrument(found, title="Only logits see all")
    (axes,) = figure.axes
    fields = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    filled = [to_hex(field.get_facecolor()).upper() == ORANGE for field in fields]
    assert filled == [False, True, True, False]
    assert [text.get_text() for text in axes.texts] == ["sees nothing", "off by 2", "−99", "–"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["parameters", "logits"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(found)
    assert figure.get_suptitle() == "Only logits see all"


def test_each_head_has_a_line_and_the_level_of_guessing() -> None:
    errors = {"digit": [80.0, 10.0, 5.0], "parity": [40.0, 5.0, 2.0]}
    figure = plots.errors_by_head(errors, {"digit": 88.0, "parity": 49.0}, title="Three questions")
    (axes,) = figure.axes
    digit, digit_guessed, parity, parity_guessed = axes.lines
    assert np.asarray(digit.get_ydata()).tolist() == errors["digit"]
    assert np.asarray(digit.get_xdata()).tolist() == [1, 2, 3]
    assert np.asarray(parity.get_ydata()).tolist() == errors["parity"]
    assert [np.asarray(line.get_ydata())[0] for line in (digit_guessed, parity_guessed)] == [88, 49]
    assert digit.get_color() == digit_guessed.get_color() != parity.get_color()
    assert axes.get_title(loc="left") == "Three questions"
    assert [text.get_text() for text in axes.texts] == ["parity\nguessed", "digit\nguessed"]


def test_levels_that_coincide_have_one_label() -> None:
    figure = plots.errors_by_head({"a": [1.0], "b": [2.0]}, {"a": 50.2, "b": 49.9}, title="")
    assert [text.get_text() for text in figure.axes[0].texts] == ["a, b\nguessed"]
