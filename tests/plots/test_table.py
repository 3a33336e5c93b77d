"""A table is real in a notebook and aligned elsewhere."""

import numpy as np
import pytest
import torch

import resnet_edu as edu

ROWS = [["LeNet-5", 61_706, 1.2345, "12.3 %"], ["a|b<", None, 12_345.6, "–"]]
COLUMNS = ["net", "parameters", "loss", "share"]


def test_text_is_aligned_and_numbers_stand_on_the_right() -> None:
    assert str(edu.table(ROWS, COLUMNS)).splitlines() == [
        "net      parameters    loss   share",
        "LeNet-5      61,706    1.23  12.3 %",
        "a|b<                 12,346       –",
    ]
    assert repr(edu.table(ROWS, COLUMNS)) == str(edu.table(ROWS, COLUMNS))


def test_html_is_escaped_and_sets_no_colours() -> None:
    html = edu.table(ROWS, COLUMNS)._repr_html_()
    assert html.count("<tr>") == 3
    assert html.count("text-align: right") == 3 * 3
    assert "a|b&lt;" in html
    assert "color" not in html


def test_rows_may_be_dicts() -> None:
    rows = [{"depth": 20, "kind": "plain"}, {"depth": 56}]
    assert str(edu.table(rows)).splitlines() == ["depth  kind", "   20  plain", "   56"]
    assert str(edu.table(rows, ["kind"])).splitlines() == ["kind", "plain"]


@pytest.mark.parametrize("value", [np.float32(0.125), np.int64(1024), torch.tensor(0.5), True, -3, 999.7, float("nan")])
def test_numbers_of_numpy_and_torch_are_numbers(value: object) -> None:
    shown = {"0.125", "1,024", "0.5", "True", "-3", "1,000", "nan"}
    assert str(edu.table([[value]], ["x"])).splitlines()[1].strip() in shown


def test_a_row_that_does_not_fit_and_columns_without_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 columns, but 1 cells in the row \['a'\]"):
        edu.table([["a"]], ["x", "y"])
    for rows in ([], [["a"]]):
        with pytest.raises(ValueError, match="Name the columns"):
            edu.table(rows)
