"""Figures of lesson 09 on cost: the dots are torchvision's numbers, and the ring is around the best net."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from resnet_edu import facts, plots
from resnet_edu.plots.lesson_09 import BUDGETS


def dots(axes: Axes) -> list[tuple[float, float]]:
    """Where the nets lie; a ring has no face."""
    found = [
        item for item in axes.collections if isinstance(item, PathCollection) and len(np.asarray(item.get_facecolor()))
    ]
    return [tuple(np.asarray(item.get_offsets())[0]) for item in found]


def ring(axes: Axes) -> tuple[float, float] | None:
    found = [
        item
        for item in axes.collections
        if isinstance(item, PathCollection) and not len(np.asarray(item.get_facecolor()))
    ]
    return tuple(np.asarray(found[0].get_offsets())[0]) if found else None


def test_published_nets_are_torchvisions_numbers() -> None:
    nets = plots.published_nets()
    assert nets["resnet50"] == (pytest.approx(100 - 76.130), 4.089, 25.557032)
    assert set(nets) == set(facts.GMACS)


@given(gmacs=st.floats(0, 25), million=st.floats(0, 160))
def test_within_budget_keeps_both_and_begins_with_the_best(gmacs: float, million: float) -> None:
    nets = plots.published_nets()
    fitting = plots.within_budget(nets, gmacs=gmacs, million=million)
    for name, net in nets.items():
        assert (name in fitting) == (net.gmacs <= gmacs and net.million <= million)
    assert fitting == sorted(fitting, key=lambda name: nets[name].error)


def test_error_against_cost_draws_every_net_in_both_panels() -> None:
    nets = plots.published_nets()
    left, right = plots.error_against_cost(nets, title="Cost").axes
    assert dots(left) == [(net.gmacs, net.error) for net in nets.values()]
    assert dots(right) == [(net.million, net.error) for net in nets.values()]
    assert {text.get_text() for text in left.texts} == set(nets)
    family = [nets[f"resnet{depth}"] for depth in (18, 34, 50, 101, 152)]
    assert np.asarray(left.lines[0].get_xdata()).tolist() == [net.gmacs for net in family]


def test_the_picker_rings_the_best_within_the_budget() -> None:
    nets = plots.published_nets()
    figure = plots.model_picker(nets, gmacs=8, million=30)
    left, right = figure.axes
    assert ring(left) == (nets["resnet50"].gmacs, nets["resnet50"].error)
    assert ring(right) == (nets["resnet50"].million, nets["resnet50"].error)
    assert [np.asarray(line.get_xdata())[0] for line in (left.lines[-1], right.lines[-1])] == [8, 30]
    assert figure.get_suptitle() == "8 GMACs and 30 million parameters: resnet50, 23.9 % error"


def test_the_picker_says_when_nothing_fits() -> None:
    figure = plots.model_picker(plots.published_nets(), gmacs=0.5, million=5)
    assert figure.get_suptitle().endswith("no net fits")
    assert ring(figure.axes[0]) is None


def test_the_grid_shows_the_best_of_six_budgets() -> None:
    nets = plots.published_nets()
    figure = plots.model_picker_grid(nets)
    for axes, (gmacs, million) in zip(figure.axes, BUDGETS, strict=True):
        best = plots.within_budget(nets, gmacs=gmacs, million=million)[0]
        assert ring(axes) == (nets[best].gmacs, nets[best].error)
        assert [text.get_text() for text in axes.texts] == [best]
