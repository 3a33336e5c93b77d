"""Training options: what they refuse, what survives JSON, and the schedules against torch's own."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, strategies as st
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, OneCycleLR
from training import tiny_data

from resnet_edu import fit
from resnet_edu.config import OPTIMIZERS, PRECISIONS, SCHEDULES, TrainConfig, schedule
from resnet_edu.data import AUGMENTATIONS
from resnet_edu.errors import UnknownName

lrs = st.floats(1e-5, 10)

#: torch's scheduler for so many steps.
THEIRS: dict[str, Callable[[Optimizer, int, float], LRScheduler]] = {
    "one_cycle": lambda sgd, steps, lr: OneCycleLR(sgd, lr, total_steps=steps, pct_start=0.3, cycle_momentum=False),
    "cosine": lambda sgd, steps, lr: CosineAnnealingLR(sgd, T_max=steps),
    "steps": lambda sgd, steps, lr: MultiStepLR(sgd, [math.ceil(steps / 2), math.ceil(3 * steps / 4)], gamma=0.1),
    "constant": lambda sgd, steps, lr: ConstantLR(sgd, factor=1),
    "warm-up": lambda sgd, steps, lr: LinearLR(sgd, start_factor=0.1, total_iters=steps),
}


def rates_of(name: str, lr: float, steps: int) -> list[float]:
    """The rate of every step as torch's scheduler sets it."""
    sgd = SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, rates = THEIRS[name](sgd, steps, lr), []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        sgd.step()
        if len(rates) < steps:
            scheduler.step()
    return rates


def ours(config: TrainConfig, steps: int) -> list[float]:
    rate_at = schedule(config, steps)
    return [rate_at(step) for step in range(config.epochs * steps)]


@given(name=st.sampled_from(SCHEDULES), lr=lrs, epochs=st.integers(1, 9), steps=st.integers(1, 13))
def test_schedules_are_torchs(name: str, lr: float, epochs: int, steps: int) -> None:
    assume(epochs * steps > 1)
    got = ours(TrainConfig(lr=lr, epochs=epochs, schedule=name), steps)
    assert got == pytest.approx(rates_of(name, lr, epochs * steps), rel=1e-6, abs=1e-9 * lr)


@given(name=st.sampled_from(SCHEDULES), lr=lrs, warmup=st.integers(1, 3), steps=st.integers(1, 13))
def test_before_the_whole_schedule_comes_torchs_warm_up(name: str, lr: float, warmup: int, steps: int) -> None:
    got = ours(TrainConfig(lr=lr, epochs=5, schedule=name, warmup_epochs=warmup), steps)
    first = warmup * steps
    assert got[:first] == pytest.approx(rates_of("warm-up", lr, first))
    assert got[first:] == pytest.approx(ours(TrainConfig(lr=lr, epochs=5 - warmup, schedule=name), steps))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_single_step_is_taken_at_the_full_rate(name: str) -> None:
    assert ours(TrainConfig(lr=0.3, epochs=1, schedule=name), 1) == [0.3]


# Plain values

valid = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(4, 500),
        "batch_size": st.integers(1, 4096),
        "lr": st.floats(1e-8, 100),
        "backbone_lr": st.none() | st.floats(1e-8, 100),
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
        "seed": st.integers(0, 2**32 - 1).map(np.int64),  # of a loop over np.arange
    },
)


@given(valid)
def test_a_config_survives_json(values: dict[str, Any]) -> None:
    config = TrainConfig(**values)
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))  # a list of names is a tuple again
    assert again == config
    assert hash(again) == hash(config)
    assert TrainConfig.from_dict(values) == config


# Bad input

not_number = (math.nan, math.inf, True, "0.1", None)
BAD = {
    "epochs": (0, -1, 1.0, 10**7, True, "3", None),
    "batch_size": (0, -8, 8.0, True, "8", None),
    "seed": (-1, 2**32, 0.5, False, "1", None),
    "lr": (0, -0.1, *not_number),
    "backbone_lr": (0, -0.1, *not_number[:-1], (0.1,)),
    "momentum": (-0.1, 1, *not_number),
    "weight_decay": (-1e-9, *not_number),
    "warmup_epochs": (-1, 6, *not_number),
    "label_smoothing": (-0.1, 1, *not_number),
    "channels_last": (1, "true", None),
    "fused": (0, "false", None),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_with_its_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*got ") as caught:
        TrainConfig(**{name: value})  # pyright: ignore[reportArgumentType]
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sdg"}, r"optimizer 'sdg'. Did you mean 'sgd'\? Known: adam, adamw, sgd"),
        ({"precision": "float16"}, r"precision 'float16'. Did you mean 'bfloat16'"),
        ({"augment": ("crop", "flips")}, r"augmentation 'flips'. Did you mean 'flip'"),
        ({"optimizer": ["sgd"]}, "optimizer"),
        ({"learning_rate": 0.1}, r"training option 'learning_rate'.*lr"),
    ],
)
def test_an_unknown_name_is_refused_with_its_neighbour(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        TrainConfig.from_dict(values)


def test_fused_steps_train_a_slice_and_gradients_may_be_switched_off() -> None:
    losses = []
    for fused in (True, False):
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
        net[1].weight = nn.Parameter(torch.linspace(-1, 1, 1280).view(10, 128)[:, ::2])
        with torch.no_grad():
            losses.append(fit(net, tiny_data(), TrainConfig(epochs=2, augment=(), fused=fused)).last.train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
