"""One definition of each option: in Python, as TOML, on the command line."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from resnet_edu import Recipe, TrainConfig, models
from resnet_edu.config import OPTIMIZERS, SCHEDULES
from resnet_edu.data import AUGMENTATIONS
from resnet_edu.errors import UnknownName
from resnet_edu.recipe import HELP, option_types

RECIPES = st.builds(
    dict,
    data=st.sampled_from(["~/pets", 'C:/Bilder/größe "x"\\n', "mnist5k"]),
    model=st.sampled_from(models.available()),
    x=st.just(48),
    y=st.just(48),
    max_megabytes=st.floats(0.1, 100),
    patience=st.integers(0, 9),
    epochs=st.integers(1, 300),
    lr=st.floats(1e-6, 10),
    backbone_lr=st.none() | st.floats(1e-6, 10),
    optimizer=st.sampled_from(OPTIMIZERS),
    schedule=st.sampled_from(SCHEDULES),
    augment=st.lists(st.sampled_from(AUGMENTATIONS), unique=True),
    seed=st.integers(0, 2**32 - 1),
)


@given(RECIPES)
def test_a_recipe_survives_its_toml(tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]) -> None:
    recipe = Recipe.from_dict(values)
    path = tmp_path_factory.mktemp("recipe") / "config.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.from_toml(path) == recipe


def test_every_option_has_one_name_a_help_and_a_type() -> None:
    own = [each.name for each in fields(Recipe) if each.name != "training"]
    training = [each.name for each in fields(TrainConfig)]
    assert sorted(HELP) == sorted(own + training)
    assert {*option_types()} == {*HELP}
    assert all(text.endswith(".") and len(text) < 110 for text in HELP.values())


def test_changes_come_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('data = "mnist5k"\nepochs = 3\nmodel = "resnet34"\n')
    recipe = Recipe.from_toml(path, epochs=5)
    assert (recipe.training.epochs, recipe.model, recipe.training.batch_size) == (5, "resnet34", 64)


@pytest.mark.parametrize(
    ("options", "lr"),
    [
        ({}, 0.1),
        ({"optimizer": "adam"}, 0.001),
        ({"pretrained": "bundled"}, 0.02),
        ({"pretrained": "bundled", "frozen": True}, 0.1),
        ({"lr": 0.7, "optimizer": "adamw"}, 0.7),
    ],
)
def test_the_learning_rate_suits_the_optimizer(options: dict[str, object], lr: float) -> None:
    assert Recipe.from_dict({"data": "mnist5k", **options}).training.lr == lr


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152, 200])
def test_a_depth_is_a_resnet(depth: int) -> None:
    assert Recipe.from_dict({"data": "mnist5k", "model": depth}).model == f"resnet{depth}"


def test_small_images_get_the_small_stem() -> None:
    small, large = (Recipe.from_dict({"data": "mnist5k", "x": side, "y": side}) for side in (32, 64))
    assert (small.network_options()["stem"], large.network_options()["stem"]) == ("small", "imagenet")
    pretrained = Recipe.from_dict({"data": "mnist5k", "x": 32, "y": 32, "pretrained": "bundled"})
    assert pretrained.network_options()["stem"] == "imagenet"  # as the weights want it
    assert "stem" not in replace(small, model="resnet20").network_options()


def test_imagenets_googlenet_is_built_as_it_was_pretrained() -> None:
    recipe = Recipe.from_dict({"data": "mnist5k", "model": "googlenet", "pretrained": "imagenet"})
    assert recipe.network_options()["transform_input"] is True
    assert "transform_input" not in replace(recipe, pretrained="none").network_options()
    assert "transform_input" not in replace(recipe, model="resnet18").network_options()


# Bad input


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "data is missing"),
        ({"data": ""}, "data must be a folder or one of"),
        ({"data": "mnist5k", "epoch": 3}, "Unknown option 'epoch'. Did you mean 'epochs'"),
        ({"data": "mnist5k", "model": "resnet19"}, "Did you mean 'resnet18'"),
        ({"data": "mnist5k", "model": 35}, "Unknown model 'resnet35'"),
        ({"data": "mnist5k", "optimizer": "adma"}, "Did you mean 'adam'"),
        ({"data": "mnist5k", "pretrained": "bundle"}, "Did you mean 'bundled'"),
        ({"data": "mnist5k", "augment": ["flop"]}, "Did you mean 'flip'"),
        ({"data": "mnist5k", "crop": "centre"}, "Did you mean 'center'"),
        ({"data": "mnist5k", "epochs": "3"}, "epochs must be a whole number from 1 to 1000000, got '3'"),
        ({"data": "mnist5k", "lr": -1}, "lr must be a number above 0, got -1"),
        ({"data": "mnist5k", "x": 7, "y": 7}, "width must be a whole number from 8"),
        ({"data": "mnist5k", "patience": 1.5}, "patience must be a whole number"),
        ({"data": "mnist5k", "top": 0}, "top must be"),
        ({"data": "mnist5k", "frozen": "yes"}, "frozen must be true or false"),
        ({"data": "mnist5k", "frozen": True}, "frozen=true needs pretrained weights"),
        ({"data": "mnist5k", "pretrained": "bundled", "channels": 1}, "Pretrained weights are for three channels"),
        ({"data": "mnist5k", "pretrained": "bundled", "stem": "small"}, "for the stem imagenet, got stem=small. Leave"),
        ({"data": "mnist5k", "x": 32}, "square, got x=32 and y=64"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict(values)


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        Recipe.from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs: 3")
    with pytest.raises(ValueError, match="is no TOML file"):
        Recipe.from_toml(tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text('data = "mnist5k"\nlearning_rate = 1\n')
    with pytest.raises(UnknownName):
        Recipe.from_toml(tmp_path / "odd.toml")
