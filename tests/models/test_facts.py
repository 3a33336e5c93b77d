"""What the course quotes is computed again wherever it can be."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import get_model_weights

from resnet_edu import facts, models, probe


def build_on_meta(name: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        if name == "lenet5":
            return models.build(name, in_channels=1)
        return models.build(name, **options)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", facts.PARAMETERS)
def test_parameters(name: str) -> None:
    assert parameters(build_on_meta(name)) == facts.PARAMETERS[name].value


@pytest.mark.parametrize("name", facts.TORCHVISION_ACCURACY)
def test_accuracies_are_those_of_torchvisions_weights(name: str) -> None:
    first = get_model_weights(name)["IMAGENET1K_V1"].meta["_metrics"]["ImageNet-1K"]
    assert tuple(fact.value for fact in facts.TORCHVISION_ACCURACY[name]) == (first["acc@1"], first["acc@5"])


@pytest.mark.parametrize("name", facts.GMACS)
def test_multiply_adds(name: str) -> None:
    counted = probe.summary(build_on_meta(name).eval(), (3, 224, 224)).macs / 1e9
    assert counted == pytest.approx(facts.GMACS[name].value, rel=0.005)


@pytest.mark.parametrize("name", facts.HE_GMACS)
def test_multiply_adds_of_the_paper_with_the_stride_in_the_first_convolution(name: str) -> None:
    model = build_on_meta(name)
    for block in model.modules():
        if isinstance(block, models.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    assert probe.summary(model, (3, 224, 224)).macs / 1e9 == pytest.approx(facts.HE_GMACS[name].value, abs=0.1)


def test_keras_counts_biases_and_moving_statistics() -> None:
    model = build_on_meta("resnet50", num_classes=6)
    channels = sum(module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d))
    statistics = sum(2 * module.num_features for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    keras = {name: fact.value for name, fact in facts.KERAS_RESNET50.items()}
    assert keras["trainable"] == parameters(model) + channels
    assert keras["non-trainable"] == statistics
    assert keras["total"] == keras["trainable"] + keras["non-trainable"]


def test_a_fact_reads_with_unit_spread_and_note() -> None:
    assert str(facts.HE_CIFAR10["resnet110"]) == "6.61 ± 0.16 % (best 6.43)"
    assert str(facts.HE_CIFAR10["resnet20"]) == "8.75 %"
    assert str(facts.RERUNS_CIFAR10["nabla0001"]["resnet56"]) == "7.40 ± 0.27 %"
    assert str(facts.PARAMETERS["resnet20"]) == "269,722 parameters"


@pytest.mark.parametrize("name", facts.HE_MILLION_PARAMETERS)
def test_the_papers_round_numbers(name: str) -> None:
    fact = facts.HE_MILLION_PARAMETERS[name]
    decimals = len(str(fact.value).partition(".")[2])
    assert round(parameters(build_on_meta(name)) / 1e6, decimals) == fact.value


def test_every_fact_has_a_source_with_a_link() -> None:
    found = 0
    for value in vars(facts).values():
        for fact in every_fact(value):
            found += 1
            assert fact.source.text
            assert fact.source.link.startswith(("https://", "http://"))
    assert found > 80


def every_fact(value: object) -> list[facts.Fact]:
    if isinstance(value, facts.Fact):
        return [value]
    if isinstance(value, dict):
        return [fact for inner in value.values() for fact in every_fact(inner)]
    return [fact for inner in value for fact in every_fact(inner)] if isinstance(value, tuple) else []
