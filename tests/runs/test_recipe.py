"""One definition of each option: in Python, as TOML, on the command line."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from resnet_edu import History, Recipe, Run, TrainConfig, evaluate, models
from resnet_edu.config import OPTIMIZERS, SCHEDULES
from resnet_edu.data import AUGMENTATIONS, load, steps_per_epoch
from resnet_edu.data.split import Split
from resnet_edu.metrics import Metrics
from resnet_edu.recipe import EPOCHS, HELP, fit_head, prepare

RECIPES = st.builds(
    dict,
    data=st.sampled_from(["/home/ada/pets", '/Bilder/größe "x"\\n', "mnist5k"]),
    model=st.sampled_from(models.available()),
    x=st.just(48),
    y=st.just(48),
    max_megabytes=st.floats(0.1, 100),
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
    recipe = Recipe(**values)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("recipe") / "config.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.from_toml(str(path)) == recipe
    assert Recipe(data=Path("pets")).data in ("./pets", ".\\pets")  # type: ignore[arg-type]


def test_every_option_of_training_is_one_of_a_recipe_and_has_a_help() -> None:
    assert {each.name for each in fields(TrainConfig)} <= {*HELP, "channels_last", "fused"}
    assert {*HELP} == {each.name for each in fields(Recipe)}
    assert all(text.endswith(".") and len(text) < 110 for text in HELP.values())


@given(RECIPES)
def test_there_is_one_set_of_defaults(values: dict[str, object]) -> None:
    assert Recipe(**values) == Recipe.from_dict(values)  # type: ignore[arg-type]
    assert Recipe.from_dict(Recipe(**values).to_dict()) == Recipe(**values)  # type: ignore[arg-type]
    assert Recipe(data="./pets", warmup_epochs=EPOCHS - 1).warmup_epochs == EPOCHS - 1, "there are at least so many"


def test_changes_come_before_the_file_and_a_folder_starts_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('\ufeffdata = "./pets"\nepochs = 3\nmodel = "resnet34"\n', encoding="utf-8")  # Notepad's mark
    recipe = Recipe.from_toml(path, epochs=5)
    assert (recipe.epochs, recipe.model, recipe.data) == (5, "resnet34", str(tmp_path / "pets"))
    (tmp_path / "pets").mkdir()
    path.write_text('data = "pets"')
    assert Recipe.from_toml(path).data == str(tmp_path / "pets")


# What is left out follows from the pictures


def folder_of(tmp_path: Path, count: int, size: tuple[int, int] = (24, 24)) -> str:
    """Two classes with so many pictures each."""
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "sky" / name).mkdir(parents=True)
        for number in range(count):
            picture = Image.effect_noise(size, 40 + 40 * label)
            picture.convert("RGB").save(tmp_path / "sky" / name / f"{number:03}.png")
    return str(tmp_path / "sky")


@pytest.mark.parametrize("count", [5, 80])
def test_photos_begin_with_weights_at_their_side_and_get_300_updates(tmp_path: Path, count: int) -> None:
    begin = prepare(Recipe(data=folder_of(tmp_path, count)))
    recipe, images = begin.recipe, len(begin.data.train)
    weights = models.pretrained(source="bundled")
    side = weights.transforms(Image.new("RGB", (99, 99))).shape[-1]
    assert (recipe.pretrained, recipe.x, recipe.y, recipe.crop) == (
        "bundled", side, side, "center",
    )  # fmt: skip
    assert recipe.backbone_lr < recipe.lr  # type: ignore[operator]
    assert {"flip"} < {*recipe.augment}  # type: ignore[misc]
    assert recipe.batch_size == max(4, images // 10)
    assert recipe.epochs * steps_per_epoch(images, recipe.batch_size) >= 300  # type: ignore[operator]
    assert prepare(recipe).recipe == recipe  # nothing is left to decide
    assert begin.plan()["updates"] >= 300
    for split in (begin.data.train, begin.data.val, begin.data.test):
        assert (split.mean, split.std) == models.normalisation(weights.transforms)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"data": "mnist5k"}, {"pretrained": "none", "x": 28, "batch_size": 64, "epochs": 8, "augment": ("crop",)}),
        ({"data": "mnist5k", "optimizer": "adam", "y": 32}, {"lr": 0.001, "x": 32}),
        ({"data": "mnist5k", "x": 32, "pretrained": "bundled", "frozen": True}, {"lr": 0.1, "backbone_lr": None}),
        ({"lr": 0.7, "optimizer": "adamw"}, {"lr": 0.7, "pretrained": "bundled"}),
        ({"model": "resnet34"}, {"pretrained": "none", "x": 64}),
        ({"channels": 1}, {"pretrained": "none"}),
        ({"pretrained": "none", "epochs": 1}, {"lr": 0.1, "backbone_lr": None, "epochs": 1}),
    ],
)  # fmt: skip
def test_what_is_given_stays_and_the_rest_suits_it(
    given: dict[str, object], expected: dict[str, object], tmp_path: Path
) -> None:
    recipe = prepare(Recipe.from_dict({"data": folder_of(tmp_path, 5), **given})).recipe
    assert {name: getattr(recipe, name) for name in expected} == expected


def test_the_plan_counts_the_pictures_and_warns_of_imbalance(tmp_path: Path) -> None:
    folder = Path(folder_of(tmp_path, 40))
    for file in sorted((folder / "dark").iterdir())[10:]:
        file.unlink()
    begin = prepare(Recipe(data=str(folder), model="resnet20", x=16))
    plan = begin.plan()
    assert plan["classes"]["light"] == {"train": 28, "val": 4, "test": 8}
    assert "light has 4 times as many pictures as dark" in " ".join(plan["notes"])
    before = {name: value.clone() for name, value in begin.model.state_dict().items()}
    assert 0 < begin.minutes() < 5
    assert all(torch.equal(value, before[name]) for name, value in begin.model.state_dict().items())


def test_the_time_is_told_where_the_first_pictures_are_of_one_class_and_an_interrupt_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = prepare(Recipe(data=folder_of(tmp_path, 20), model="resnet20", x=16, pretrained="none"))
    train = begin.data.train.subset((begin.data.train.labels == 0).nonzero()[:, 0])
    begin = replace(begin, data=replace(begin.data, train=train))
    assert 0 < begin.minutes() < 5
    monkeypatch.setattr("resnet_edu.recipe.fit", lambda *_, **__: History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        begin.minutes()


def test_the_seed_reaches_the_split(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 10)
    one, same, other = (Recipe(data=folder, x=24, y=24, seed=seed).load() for seed in (1, 1, 2))
    assert torch.equal(one.train.images, same.train.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.test.images, load(folder, size=24, crop="center", seed=1).test.images)


def test_all_is_frozen_but_the_new_head(tmp_path: Path) -> None:
    model = prepare(Recipe(data=folder_of(tmp_path, 5), pretrained="bundled", frozen=True)).model
    assert {name for name, value in model.named_parameters() if value.requires_grad} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("batch_size", "share"), [(4, 1 / 16), (31, 31 / 64), (64, 1), (200, 1)])
def test_small_batches_have_lower_rates_and_pretrained_batch_norms_stay(
    batch_size: int, share: float, tmp_path: Path
) -> None:
    begin = prepare(Recipe(data=folder_of(tmp_path, 5), batch_size=batch_size))
    assert begin.recipe.lr == pytest.approx(0.01 * share)
    assert begin.recipe.backbone_lr == pytest.approx(0.003 * share)
    frozen = {name for name, value in begin.model.named_parameters() if not value.requires_grad}
    norms = {name for name, _ in begin.model.named_parameters() if "bn" in name or "downsample.1" in name}
    assert frozen == norms


def test_the_head_is_fitted_and_nothing_else(tmp_path: Path) -> None:
    begin = prepare(Recipe(data=folder_of(tmp_path, 20)))
    before = {name: value.clone() for name, value in begin.model.state_dict().items()}
    fit_head(begin.model, begin.data.train)
    changed = {name for name, value in begin.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert evaluate(begin.model, begin.data.train).top1_error == 0


@pytest.mark.slow
@pytest.mark.parametrize(("trained", "fitted"), [(50.0, 10.0), (10.0, 10.0), (10.0, 50.0)])
def test_training_all_layers_is_kept_unless_the_last_layer_alone_did_better_in_validation(
    trained: float, fitted: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([trained, fitted, 0.0])  # validation of both, then the test

    def measured(model: nn.Module, split: Split, *, precision: str) -> Metrics:
        return replace(evaluate(model, split, precision=precision), top1_error=next(errors))

    monkeypatch.setattr("resnet_edu.run.evaluate", measured)
    run = Run.start(Recipe(data=folder_of(tmp_path, 5), epochs=1), tmp_path / "run")
    run.train()
    report, origin = run.report() or {}, dict(models.pretrained(source="bundled").model.named_parameters())
    kept = load_file(run.folder / "weights.safetensors")
    as_before = all(torch.equal(kept[name], value) for name, value in origin.items() if not name.startswith("fc."))
    assert report["only_fitted"] == as_before == (fitted < trained)
    assert report["val_error"] == min(trained, fitted)


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
        ({"data": "mnist5k", "model": "resnet19"}, "Did you mean 'resnet18'"),
        ({"data": "mnist5k", "model": 35}, "Unknown model 'resnet35'"),
        ({"data": "mnist5k", "pretrained": "bundle"}, "Did you mean 'bundled'"),
        ({"data": "mnist5k", "augment": ["flop"]}, "Did you mean 'flip'"),
        ({"data": "mnist5k", "crop": "centre"}, "Did you mean 'center'"),
        ({"data": "mnist5k", "x": 7, "y": 7}, "size must be a whole number from 8"),
        ({"data": "mnist5k", "frozen": True, "pretrained": "none"}, "frozen needs pretrained weights"),
        ({"data": "mnist5k", "pretrained": "bundled", "channels": 1}, "Pretrained weights are for three channels"),
        ({"data": "mnist5k", "x": 32, "y": 64}, "square, got x=32 and y=64"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict(values)
