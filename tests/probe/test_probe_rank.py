"""Rank correlation: scipy's, ties included."""

import math

import pytest
import torch
from hypothesis import given, strategies
from scipy.stats import rankdata, spearmanr

from resnet_edu import probe
from resnet_edu.probe.attribution import ranks

values = strategies.lists(strategies.integers(-3, 3), min_size=3, max_size=30)


@given(values, strategies.randoms())
def test_it_is_scipys(numbers: list[int], random) -> None:
    a = torch.tensor(numbers, dtype=torch.float32)
    b = torch.tensor(random.sample(numbers, len(numbers)), dtype=torch.float32)
    assert ranks(a).tolist() == rankdata(a.numpy()).tolist()
    if len(set(numbers)) == 1:
        assert math.isnan(probe.rank_correlation(a, b))
    else:
        wanted = spearmanr(a.numpy(), b.numpy())[0]
        assert probe.rank_correlation(a, b) == pytest.approx(wanted, abs=1e-6)


def test_only_the_order_counts() -> None:
    a = torch.randn(5, 4)
    assert probe.rank_correlation(a, a.exp() * 9) == pytest.approx(1)
    assert probe.rank_correlation(a, -(a**3)) == pytest.approx(-1)


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((1,), (1,))])
def test_shapes_that_cannot_be_compared(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="expected one shape with two entries or more"):
        probe.rank_correlation(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
