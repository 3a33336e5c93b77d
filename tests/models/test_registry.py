"""Building networks by name: what each takes, and what is refused with which words."""

import re

import pytest
import torch
from oracle import on_meta

from resnet_edu import models
from resnet_edu.errors import UnknownName


def test_names_come_in_the_order_of_the_course() -> None:
    names = models.available()
    firsts = [names.index(name) for name in ("lenet5", "alexnet", "vgg11", "googlenet", "resnet18", "plain20")]
    assert firsts == sorted(firsts)
    assert len(names) == len(set(names)) == 28


def test_default_number_of_classes() -> None:
    for name in models.available():
        ten = name == "lenet5" or "shortcut" in models.options(name) or name.startswith("plain")
        assert models.options(name)["num_classes"] == (10 if ten else 1000)


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Unknown model 'resnt34'. Did you mean 'resnet34'\? Known: alexnet, "):
        models.build("resnt34")
    with pytest.raises(UnknownName, match="Unknown model 34"):
        models.build(34)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("resnet18", "sterm", "Unknown option of resnet18 'sterm'. Did you mean 'stem'?"),
        ("resnet18", "shortcut", "Unknown option of resnet18 'shortcut'. "),
        ("resnet20", "stem", "Unknown option of resnet20 'stem'"),
        ("plain20", "shortcut", "Known: heads, in_channels, num_classes, width."),
        ("vgg16", "batch_norm", "Unknown option of vgg16 'batch_norm'"),
        ("googlenet", "aux_head", "Did you mean 'aux_heads'?"),
        ("lenet5", "depth", "Known: heads, in_channels, num_classes, version."),
        ("resnet50", "blocks", "Known: heads, in_channels, num_classes, stem, width."),
    ],
)
def test_unknown_options(name: str, option: str, message: str) -> None:
    with pytest.raises(UnknownName) as error:
        models.build(name, **{option: "A"})  # type: ignore[arg-type]
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"stem": "imagnet"}, "stem must be 'imagenet' or 'small', got 'imagnet'."),
        ("alexnet", {"stem": None}, "stem must be 'imagenet' or 'small', got None."),
        ("alexnet", {"activation": "gelu"}, "activation must be 'relu' or 'tanh', got 'gelu'."),
        ("alexnet", {"dropout": 1.5}, "dropout must be a number from 0 to 1, got 1.5."),
        ("vgg11", {"dropout": "0.5"}, "dropout must be a number from 0 to 1, got '0.5'."),
        ("vgg11", {"width": 0}, "width must be a whole number of at least 1, got 0."),
        ("googlenet", {"width": 12}, "width must be a positive multiple of 8, got 12."),
        ("googlenet", {"aux_heads": "no"}, "aux_heads must be True or False, got 'no'."),
        ("googlenet", {"transform_input": True, "in_channels": 1}, "three colour channels, got in_channels=1."),
        ("resnet20", {"shortcut": "D"}, "shortcut must be 'A', 'B' or 'C', got 'D'."),
        ("resnet20", {"width": 8.0}, "width must be a whole number of at least 1, got 8.0."),
        ("lenet5", {"version": 1998}, "version must be '1998' or 'modern', got 1998."),
        *((name, {"num_classes": 0}, "num_classes must be a whole number") for name in ("lenet5", "alexnet", "vgg11")),
        *((name, {"in_channels": 0}, "in_channels must be") for name in ("lenet5", "alexnet", "vgg11", "googlenet")),
        ("resnet18", {"in_channels": 0}, "in_channels must be a whole number of at least 1, got 0."),
        ("plain20", {"in_channels": True}, "in_channels must be a whole number of at least 1, got True."),
        ("resnet18", {"num_classes": "10"}, "num_classes must be a whole number of at least 1, got '10'."),
        ("resnet18", {"heads": {}}, "heads must map at least one name to its classes"),
        ("resnet18", {"num_classes": 10, "heads": {"digit": 10}}, "exclude each other"),
    ],
)
def test_values_that_are_not_allowed(name: str, options: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=re.escape(message)):
        models.build(name, **options)  # type: ignore[arg-type]


def test_options_lists_what_build_takes() -> None:
    assert models.options("resnet20") == {
        "shortcut": "A", "width": 16, "num_classes": 10, "in_channels": 3, "heads": None,
    }  # fmt: skip
    for name in models.available():
        assert {"num_classes", "in_channels", "heads"} <= set(models.options(name))
    for name in ("lenet5", "alexnet", "vgg11_bn", "googlenet", "resnet18", "plain20", "resnet20"):
        # The defaults shown are the defaults used.
        assert str(on_meta(name, **models.options(name))) == str(on_meta(name))
