"""Loading weights: what fits goes in whole, what does not is named."""

from itertools import permutations

import pytest
import torch
from oracle import on_meta, randomised
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.errors import WrongCheckpoint
from resnet_edu.models.pretrained import PREFIXES


def state_of(name: str, **options: object) -> dict[str, Tensor]:
    """Random weights of a network."""
    return dict(randomised(on_meta(name, **options)).state_dict())


def refusal(model: nn.Module, state: object, name: str) -> str:
    """The message with which `state` is refused."""
    with pytest.raises(WrongCheckpoint) as error:
        models.load_state(model, state, name=name)  # type: ignore[arg-type]
    return str(error.value)


def test_weights_that_fit_are_copied_and_step_counters_may_be_missing() -> None:
    model, state = models.build("resnet20", width=4), state_of("resnet20", width=4)
    models.load_state(model, state, name="resnet20")
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert model.state_dict()["conv1.weight"].data_ptr() != state["conv1.weight"].data_ptr()
    older = {key: value for key, value in state_of("resnet20", width=4).items() if "num_batches" not in key}
    models.load_state(model, older, name="resnet20")
    assert model.state_dict()["conv1.weight"].equal(older["conv1.weight"])


@pytest.mark.parametrize("prefix", [*PREFIXES, *map("".join, permutations(PREFIXES, 2)), "".join(PREFIXES)])
def test_prefixes_of_other_programs_are_taken_off(prefix: str) -> None:
    model, state = models.build("resnet20", width=2), state_of("resnet20", width=2)
    models.load_state(model, {prefix + key: value for key, value in state.items()}, name="resnet20")
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())


def test_faults_are_named() -> None:
    model, state = models.build("resnet20", width=4), state_of("resnet20", width=4)
    state["fc.weight"] = state.pop("linear.weight")
    message = refusal(model, state, "resnet20")
    assert "do not fit resnet20: Error(s) in loading state_dict for CifarNet: Missing key(s)" in message
    assert '"linear.weight". Unexpected key(s) in state_dict: "fc.weight". … Build the network with the name' in message
    message = refusal(models.build("plain20"), {"conv1.weight": torch.zeros(16, 3, 3, 3)}, "plain20")
    assert len(message) < 500
    message = refusal(on_meta("resnet18"), on_meta("resnet18", num_classes=10).state_dict(), "resnet18")
    assert "size mismatch for fc.weight" in message


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, "do not fit resnet20: "),
        (None, "Expected weights of resnet20 by parameter name, got NoneType."),
        (torch.zeros(3), "got Tensor."),
        ({"epoch": 3, "state_dict": {"a": torch.zeros(1)}}, "do not fit resnet20: "),
        ({3: torch.zeros(1)}, "by parameter name, got dict."),
    ],
)
def test_what_is_no_state_is_refused(state: object, expected: str) -> None:
    assert expected in refusal(models.build("resnet20", width=2), state, "resnet20")
