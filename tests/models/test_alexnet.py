"""AlexNet: what the registry-wide tests do not see, the small variant above all."""

from typing import get_args

import pytest
from oracle import images, on_meta, parameters, walk
from torch import nn

from resnet_edu.models import AlexNet
from resnet_edu.models.alexnet import Activation


def test_most_weights_sit_in_the_linear_layers() -> None:
    model = on_meta("alexnet")
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [parameters(module) for module in linear] == [37_752_832, 16_781_312, 4_097_000]  # 58,631,144 of 61,100,840


def test_the_small_stem_brings_28_pixels_to_the_same_grid_as_224() -> None:
    small = AlexNet(stem="small", width=8, in_channels=1, num_classes=10)
    assert walk(small, images(2, 1, 28, 28)).shapes["features"] == (2, 32, 6, 6)
    big = AlexNet(width=1, num_classes=10)
    assert walk(big, images(2, 3, 224, 224)).shapes["features"] == (2, 4, 6, 6)


def test_both_stems_have_the_same_names() -> None:
    big, small = on_meta("alexnet").state_dict(), on_meta("alexnet", stem="small").state_dict()
    assert [*big] == [*small]
    assert [key for key in big if big[key].shape != small[key].shape] == ["features.0.weight"]


def test_width_scales_every_layer() -> None:
    weights = [value for value in on_meta("alexnet", width=16).state_dict().values() if value.ndim > 1]
    assert [value.shape[0] for value in weights] == [16, 48, 96, 64, 64, 1024, 1024, 1000]


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activation_is_used_everywhere(activation: Activation) -> None:
    model = AlexNet(stem="small", width=1, activation=activation)
    kinds = [type(module) for module in model.modules() if isinstance(module, nn.ReLU | nn.Tanh)]
    assert kinds == [{"relu": nn.ReLU, "tanh": nn.Tanh}[activation]] * 7


def test_dropout_stands_before_the_first_two_linear_layers() -> None:
    model = AlexNet(stem="small", width=1, dropout=0.25)
    classifier = [*model.classifier.children()]
    for position, module in enumerate(classifier[:-1]):
        if isinstance(module, nn.Dropout):
            assert module.p == 0.25
            assert isinstance(classifier[position + 1], nn.Linear)
    assert sum(isinstance(module, nn.Dropout) for module in classifier) == 2


def test_without_dropout_training_and_evaluation_agree() -> None:
    x = images(3, 1, 28, 28)
    model = AlexNet(stem="small", width=2, in_channels=1, dropout=0)
    assert model.train()(x).equal(model.eval()(x))
    model = AlexNet(stem="small", width=2, in_channels=1)
    assert not model.train()(x).equal(model.eval()(x))
