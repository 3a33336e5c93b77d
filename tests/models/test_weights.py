"""Loading weights: what fits goes in whole, what does not is named together with the net it would fit."""

import pytest
import torch
from oracle import on_meta, randomised
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.errors import WrongCheckpoint


def state_of(name: str, **options: object) -> dict[str, Tensor]:
    """Random weights of a network."""
    return dict(randomised(on_meta(name, **options)).state_dict())


def refusal(model: nn.Module, state: object, name: str) -> str:
    """The message with which `state` is refused."""
    with pytest.raises(WrongCheckpoint) as error:
        models.load_state(model, state, name=name)  # type: ignore[arg-type]
    return str(error.value)


def test_weights_that_fit_are_copied() -> None:
    model, state = models.build("resnet20", width=4), state_of("resnet20", width=4)
    models.load_state(model, state, name="resnet20")
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert model.state_dict()["conv1.weight"].data_ptr() != state["conv1.weight"].data_ptr()


def test_step_counters_may_be_missing() -> None:
    model = models.build("resnet20", width=4)
    state = {key: value for key, value in state_of("resnet20", width=4).items() if "num_batches" not in key}
    models.load_state(model, state, name="resnet20")
    assert model.state_dict()["conv1.weight"].equal(state["conv1.weight"])


def test_missing_and_unexpected_names_are_listed() -> None:
    model, state = models.build("resnet20", width=4), state_of("resnet20", width=4)
    state["fc.weight"] = state.pop("linear.weight")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    message = refusal(model, state, "resnet20")
    assert "do not fit resnet20: 1 missing (linear.weight), 1 unexpected (fc.weight). " in message
    assert "They fit no other network of the course either." in message
    assert all(value.equal(before[key]) for key, value in model.state_dict().items()), "nothing may be half loaded"


def test_no_more_than_three_names_a_fault() -> None:
    message = refusal(models.build("plain20"), {"conv1.weight": torch.zeros(16, 3, 3, 3)}, "plain20")
    assert "96 missing (bn1.weight; bn1.bias; bn1.running_mean; …)" in message


@pytest.mark.parametrize(
    ("made", "into", "expected"),
    [
        (("resnet18", {"num_classes": 10}), ("resnet18", {}), "fc.weight: got (10, 512), the net has (1000, 512)"),
        (("resnet18", {"num_classes": 10}), ("resnet18", {}), "They fit build('resnet18', num_classes=10)."),
        (("resnet20", {}), ("resnet32", {}), "They fit build('plain20') and build('resnet20')."),
        (("resnet20", {"shortcut": "B"}), ("resnet20", {}), "They fit build('resnet20', shortcut='B')."),
        (
            ("plain20", {"width": 8}),
            ("plain20", {}),
            "They fit build('plain20', width=8) and build('resnet20', width=8).",
        ),
        (("lenet5", {"in_channels": 1}), ("lenet5", {}), "They fit build('lenet5', in_channels=1)."),
        (("googlenet", {"aux_heads": True}), ("googlenet", {}), "They fit build('googlenet', aux_heads=True)."),
        (("vgg11_bn", {"stem": "small"}), ("vgg11", {"width": 1}), "They fit build('vgg11_bn', stem='small')."),
    ],
)
def test_weights_of_another_net_name_it(
    made: tuple[str, dict[str, object]], into: tuple[str, dict[str, object]], expected: str
) -> None:
    state = dict(on_meta(made[0], **made[1]).state_dict())
    assert expected in refusal(on_meta(into[0], **into[1]), state, into[0])


def test_parallel_training_leaves_a_prefix() -> None:
    state = {f"module.{key}": value for key, value in on_meta("resnet20").state_dict().items()}
    assert "All names start with 'module.'" in refusal(on_meta("resnet20"), state, "resnet20")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, "Expected weights of resnet20 by parameter name, got dict ({})."),
        (None, "got NoneType (None)."),
        (torch.zeros(3), "got Tensor (tensor([0., 0., 0.]))."),
        (
            {"epoch": 3, "state_dict": {"conv1.weight": torch.zeros(1)}},
            "'epoch' is of type int. Pass state['state_dict']",
        ),
        ({"conv1.weight": [1.0]}, "'conv1.weight' is of type list."),
        ({3: torch.zeros(1)}, "3 is of type Tensor"),
    ],
)
def test_what_is_no_state_is_refused(state: object, expected: str) -> None:
    assert expected in refusal(on_meta("resnet20"), state, "resnet20")
