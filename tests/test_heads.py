"""The last layer: one classifier or several on the same features."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, parameters
from torch import nn
from torch.nn import functional as F

from resnet_edu.models import Heads
from resnet_edu.models.heads import make_head


def test_each_head_is_a_linear_layer_of_the_features() -> None:
    model = Heads(5, {"digit": 10, "parity": 2})
    features = images(3, 5)
    w = model.state_dict()
    assert [*w] == ["digit.weight", "digit.bias", "parity.weight", "parity.bias"]
    for name, logits in model(features).items():
        torch.testing.assert_close(logits, F.linear(features, w[f"{name}.weight"], w[f"{name}.bias"]))
    assert parameters(model) == 6 * (10 + 2)


def test_the_sum_of_losses_reaches_every_head() -> None:
    model = Heads(5, {"root": 168, "vowel": 11, "consonant": 7})
    sum(logits.square().mean() for logits in model(images(3, 5)).values()).backward()  # type: ignore[union-attr]
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in model.parameters())


def test_one_classifier_is_a_plain_linear_layer() -> None:
    head = make_head(5, 7)
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features) == (5, 7)


@given(st.dictionaries(st.from_regex(r"head_[a-z0-9]{1,8}", fullmatch=True), st.integers(1, 9), min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_order_and_sizes_are_those_asked_for(heads: dict[str, int]) -> None:
    logits = make_head(3, 1000, heads)(torch.zeros(2, 3))
    assert [(name, value.shape) for name, value in logits.items()] == [(name, (2, n)) for name, n in heads.items()]


@pytest.mark.parametrize("classes", [0, -1, 2.0, "2", None, True])
def test_numbers_of_classes_that_are_refused(classes: object) -> None:
    with pytest.raises(ValueError, match="num_classes must be a whole number of at least 1, got"):
        make_head(5, classes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Number of classes of head 'digit' must be a whole number of at least 1"):
        make_head(5, 10, {"digit": classes})  # type: ignore[dict-item]


@pytest.mark.parametrize("heads", [{}, [10, 2], 10])
def test_heads_must_be_a_mapping_with_something_in_it(heads: object) -> None:
    with pytest.raises(ValueError, match="heads must map at least one name to its classes"):
        make_head(5, 10, heads)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a.b", "two words", "forward", "training", 3])
def test_names_a_module_cannot_have(name: object) -> None:
    with pytest.raises(ValueError, match="cannot name a head"):
        make_head(5, 10, {name: 2})  # type: ignore[dict-item]
