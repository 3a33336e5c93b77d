"""Training options: what they refuse, what survives JSON, and the schedules against torch's own."""

import json
import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

from resnet_edu.config import OPTIMIZERS, PRECISIONS, SCHEDULES, TrainConfig, schedule
from resnet_edu.data import AUGMENTATIONS
from resnet_edu.errors import UnknownName


def sgd(lr: float) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates_of(scheduler: LRScheduler, steps: int) -> list[float]:
    """The rate of every step as torch's scheduler sets it."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        if len(rates) < steps:
            scheduler.step()
    return rates


def ours(config: TrainConfig, steps: int) -> list[float]:
    rate_at = schedule(config, steps)
    return [rate_at(step) for step in range(config.epochs * steps)]


# Oracle: torch.optim.lr_scheduler

lrs = st.floats(1e-5, 10)


@given(lr=lrs, epochs=st.integers(1, 5), steps=st.integers(2, 13))
def test_one_cycle_is_torchs(lr: float, epochs: int, steps: int) -> None:
    theirs = OneCycleLR(sgd(lr), max_lr=lr, total_steps=epochs * steps, pct_start=0.3, cycle_momentum=False)
    got = ours(TrainConfig(lr=lr, epochs=epochs, schedule="one_cycle"), steps)
    assert got == pytest.approx(rates_of(theirs, epochs * steps), rel=1e-9, abs=1e-12 * lr)


@given(lr=lrs, epochs=st.integers(1, 5), steps=st.integers(1, 13))
def test_cosine_is_torchs(lr: float, epochs: int, steps: int) -> None:
    theirs = CosineAnnealingLR(sgd(lr), T_max=epochs * steps)
    got = ours(TrainConfig(lr=lr, epochs=epochs, schedule="cosine"), steps)
    assert got == pytest.approx(rates_of(theirs, epochs * steps), rel=1e-6, abs=1e-9 * lr)


@given(lr=lrs, epochs=st.integers(1, 9), steps=st.integers(1, 13))
def test_steps_are_torchs(lr: float, epochs: int, steps: int) -> None:
    total = epochs * steps
    theirs = MultiStepLR(sgd(lr), [math.ceil(total / 2), math.ceil(3 * total / 4)], gamma=0.1)
    assert ours(TrainConfig(lr=lr, epochs=epochs, schedule="steps"), steps) == pytest.approx(rates_of(theirs, total))


@given(lr=lrs, warmup=st.integers(1, 3), steps=st.integers(1, 13))
def test_warmup_is_torchs(lr: float, warmup: int, steps: int) -> None:
    theirs = LinearLR(sgd(lr), start_factor=0.1, total_iters=warmup * steps)
    config = TrainConfig(lr=lr, epochs=5, schedule="constant", warmup_epochs=warmup)
    assert ours(config, steps) == pytest.approx(rates_of(theirs, 5 * steps))


def test_constant_is_torchs() -> None:
    config = TrainConfig(lr=0.3, epochs=2, schedule="constant")
    assert ours(config, 4) == rates_of(ConstantLR(sgd(0.3), factor=1), 8)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_single_step_is_taken_at_the_full_rate(name: str) -> None:
    assert ours(TrainConfig(lr=0.3, epochs=1, schedule=name), 1) == [0.3]


# Properties

valid = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(4, 500),
        "batch_size": st.integers(1, 4096),
        "lr": st.floats(1e-8, 100),
        "optimizer": st.sampled_from(OPTIMIZERS),
        "momentum": st.floats(0, 1, exclude_max=True),
        "weight_decay": st.floats(0, 1),
        "schedule": st.sampled_from(SCHEDULES),
        "warmup_epochs": st.floats(0, 3.9),
        "label_smoothing": st.floats(0, 1, exclude_max=True),
        "augment": st.lists(st.sampled_from(AUGMENTATIONS), unique=True).map(tuple),
        "precision": st.sampled_from(PRECISIONS),
        "channels_last": st.booleans(),
        "fused": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@given(valid)
def test_a_config_survives_json(values: dict[str, Any]) -> None:
    config = TrainConfig(**values)
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert TrainConfig.from_dict(values) == config


@given(
    name=st.sampled_from(SCHEDULES), lr=lrs, epochs=st.integers(2, 6), steps=st.integers(1, 20), warmup=st.floats(0, 1)
)
def test_after_the_warmup_comes_the_whole_schedule(
    name: str, lr: float, epochs: int, steps: int, warmup: float
) -> None:
    got = ours(TrainConfig(lr=lr, epochs=epochs, schedule=name, warmup_epochs=warmup), steps)
    assert all(0 < rate <= lr * (1 + 1e-12) for rate in got)
    rising = round(warmup * steps)
    assert got[:rising] == sorted(got[:rising])
    rest = len(got) - rising
    assert got[rising:] == pytest.approx(ours(TrainConfig(lr=lr, epochs=rest, schedule=name), 1))


# Structure


def test_a_config_is_frozen_and_a_list_of_names_is_a_tuple() -> None:
    config = TrainConfig()
    with pytest.raises(FrozenInstanceError):
        config.lr = 1.0  # pyright: ignore[reportAttributeAccessIssue]
    assert TrainConfig.from_dict({"augment": ["crop", "flip"]}) == config
    assert TrainConfig.from_dict({}) == config


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        TrainConfig(3)  # pyright: ignore[reportCallIssue]


# Bad input

not_whole = st.one_of(st.floats(), st.booleans(), st.text(max_size=3), st.none())
not_number = st.one_of(st.just(math.nan), st.just(math.inf), st.booleans(), st.text(max_size=3), st.none())
at_or_below_zero = st.floats(max_value=0, allow_infinity=False)
negative = st.floats(max_value=0, exclude_max=True, allow_infinity=False)
BAD = {
    "backbone_lr": st.sampled_from([0, -0.1, math.inf, math.nan, "0.1", True, (0.1,)]),
    "epochs": st.one_of(st.integers(max_value=0), not_whole),
    "batch_size": st.one_of(st.integers(max_value=0), not_whole),
    "seed": st.one_of(st.integers(max_value=-1), st.integers(min_value=2**32), not_whole),
    "lr": st.one_of(at_or_below_zero, not_number),
    "momentum": st.one_of(negative, st.floats(min_value=1), not_number),
    "weight_decay": st.one_of(negative, not_number),
    "warmup_epochs": st.one_of(negative, st.floats(min_value=6), not_number),
    "label_smoothing": st.one_of(negative, st.floats(min_value=1), not_number),
    "channels_last": st.one_of(st.integers(), st.text(max_size=3), st.none()),
    "fused": st.one_of(st.integers(), st.text(max_size=3), st.none()),
}


@given(data=st.data(), name=st.sampled_from(sorted(BAD)))
def test_a_bad_value_is_refused_with_its_name(data: st.DataObject, name: str) -> None:
    value = data.draw(BAD[name])
    with pytest.raises(ValueError, match=rf"^{name} must be .*got ") as caught:
        TrainConfig(**{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sdg"}, r"optimizer 'sdg'. Did you mean 'sgd'\? Known: adam, adamw, sgd"),
        ({"schedule": "onecycle"}, r"schedule 'onecycle'. Did you mean 'one_cycle'"),
        ({"precision": "float16"}, r"precision 'float16'. Did you mean 'bfloat16'"),
        ({"augment": ("crop", "flips")}, r"augmentation 'flips'. Did you mean 'flip'"),
        ({"augment": (1,)}, "augmentation 1"),
        ({"optimizer": ["sgd"]}, "optimizer"),
        ({"learning_rate": 0.1}, r"training option 'learning_rate'.*lr"),
    ],
)
def test_an_unknown_name_is_refused_with_its_neighbour(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize("value", ["flip", None, 3, {"crop"}])
def test_augment_takes_several_names(value: object) -> None:
    message = r'write \["flip"\] instead of "flip"' if value == "flip" else r"a list of names, \[\] for none"
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict({"augment": value})
