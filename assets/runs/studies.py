"""The studies of the course by name, and the functions that make a run of theirs where `train_once` will not do.

resnet-edu study NAME                       # runs what is not recorded beside this file yet
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from resnet_edu import History, TrainConfig, data, evaluate, fit, machine, models, probe
from resnet_edu.data import Data, Split
from resnet_edu.data.split import PARTS
from resnet_edu.models import BasicBlock
from resnet_edu.recipe import normalised_like
from resnet_edu.study import Outcome, Recorded, Setting, Study, train_once

#: The quick experiment of lesson 06: 2,000 digits of 16×16 pixels, nets of width 8, six epochs.
DIGITS = {"name": "mnist5k", "size": 16, "limit": 2000}
NARROW = {"width": 8, "in_channels": 1}
QUICK = TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())


# Lesson 06: depth


def degradation() -> Study:
    """Plain and residual nets of 20, 32, 44 and 56 layers on mnist5k: the live experiment of lesson 06, five times."""
    names = [f"{kind}{depth}" for kind in ("plain", "resnet") for depth in (20, 32, 44, 56)]
    settings = {name: Setting(name, NARROW, DIGITS, QUICK) for name in names}
    return Study("mnist5k-degradation", "Degradation on mnist5k", settings, range(5))


def sceptic() -> Study:
    """Is it the rate, the number of steps, the gradients' size? Plain and residual nets over six rates, six epochs.

    Then 60 epochs at the three best rates of each net. Beside them, at three rates: a cosine without a rise and with a
    rise over three of the six epochs, as the usual schedule rises over 1.8; and gradients clipped at norm 1.
    """

    def setting(net: str, config: TrainConfig, **special: Any) -> Setting:
        return Setting(net, NARROW, DIGITS, config, special, train_and_watch_steps)

    def longer(recorded: Recorded) -> dict[str, Setting]:
        more = {}
        for net in nets:
            final = {rate: training_error(recorded, f"{net} at {rate:g}") for rate in rates}
            for rate in sorted(sorted(rates, key=final.__getitem__)[:3]):
                more[f"{net} at {rate:g}, 60 epochs"] = setting(net, replace(QUICK, lr=rate, epochs=60))
        return more

    nets, rates = ("plain20", "resnet20", "plain56", "resnet56"), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    settings = {f"{net} at {rate:g}": setting(net, replace(QUICK, lr=rate)) for rate in rates for net in nets}
    for net in nets:
        for rate in (0.01, 0.03, 0.1):
            config, label = replace(QUICK, lr=rate), f"{net} at {rate:g}"
            cosine = replace(config, schedule="cosine")
            settings[f"{label}, no warm-up"] = setting(net, cosine)
            settings[f"{label}, long warm-up"] = setting(net, replace(cosine, warmup_epochs=3))
            settings[f"{label}, clipped"] = setting(net, config, clip=1.0)
    return Study("mnist5k-sceptic", "Degradation on mnist5k: rates, steps, gradients", settings, range(3), longer)


def training_error(recorded: Recorded, label: str) -> float:
    """Mean training error after the last epoch, in percent; infinite if a run has diverged."""
    if recorded.found(label, "diverged"):
        return float("inf")
    return fmean(history.last.train_error for history in recorded.of(label))


def train_and_watch_steps(setting: Setting, seed: int, _: Path) -> Outcome:
    """Also finds "first_step", by how much of itself the first step changes the weights of each layer: rate·‖g‖/‖w‖.

    With the special value "clip" the gradient of all weights together is shortened to at most that norm.
    """
    first_step: list[float] = []

    def before_step(optimizer: optim.Optimizer, *_: object) -> None:
        groups = optimizer.param_groups
        if not first_step:
            layers = [(weight, group["lr"]) for group in groups for weight in group["params"] if weight.ndim > 1]
            first_step.extend((rate * weight.grad.norm() / weight.detach().norm()).item() for weight, rate in layers)
        if "clip" in setting.special:
            nn.utils.clip_grad_norm_(
                [weight for group in groups for weight in group["params"]], setting.special["clip"]
            )

    hook = register_optimizer_step_pre_hook(before_step)
    try:
        history, found = train_once(setting, seed)
    finally:
        hook.remove()
    return history, found | {"first_step": [float(f"{each:.3g}") for each in first_step]}


def six_curves() -> Study:
    """Six learning curves, each with another ailment (or none): the reading exercise of lesson 06."""
    config = TrainConfig(epochs=12, batch_size=64, lr=0.05, augment=(), schedule="constant")
    falling = replace(config, schedule="cosine", lr=0.1)
    few, on_few = {**DIGITS, "limit": 60}, replace(config, batch_size=20, lr=0.02)
    settings = {
        "healthy: shallow": Setting("resnet20", NARROW, DIGITS, falling),
        "healthy: deep": Setting("resnet56", NARROW, DIGITS, falling),
        "overfitting": Setting("resnet20", NARROW, few, on_few),
        "learning rate too high": Setting("resnet20", NARROW, DIGITS, replace(config, lr=20.0)),
        "learning rate too low": Setting("resnet20", NARROW, DIGITS, replace(config, lr=3e-4)),
        "labels shuffled": Setting("resnet20", NARROW, DIGITS, config, {"shuffled": True}, train_on_shuffled_labels),
        "degradation: shallow": Setting("plain20", NARROW, DIGITS, falling),
        "degradation: deep": Setting("plain56", NARROW, DIGITS, falling),
    }
    return Study("six-curves", "Six learning curves to read", settings, [0])


def train_on_shuffled_labels(setting: Setting, seed: int, unfinished: Path) -> Outcome:
    """The training images have each other's labels, so that there is nothing to learn."""
    images = data.load(**setting.data)
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
    shuffled = replace(images.train, labels=images.train.labels[order])
    return train_once(setting, seed, unfinished, images=replace(images, train=shuffled))


def cifar10() -> Study:
    """The paper's experiment at its own size: plain and residual nets of 20 and 56 layers, 10 and 40 epochs.

    The images are the JPEG copy of CIFAR-10, as `train/CLASS/*.jpg` and `test/CLASS/*.jpg`. 5,000 of the 50,000
    training images are set aside, as in section 4.2 of He et al. 2015, https://arxiv.org/abs/1512.03385.
    """
    config = TrainConfig(epochs=10, batch_size=128, lr=0.1, augment=("crop", "flip"))
    images = {"name": "~/.cache/resnet-edu/cifar10-jpeg", "size": 32, "channels": 3}
    settings = {}
    for epochs, label in ((10, ""), (40, ", 40 epochs")):
        for net in ("plain20", "resnet20", "resnet56", "plain56"):
            settings[net + label] = Setting(net, {"num_classes": 10}, images, replace(config, epochs=epochs))
    return Study("cifar10-jpeg", "Degradation on CIFAR-10 (JPEG copy)", settings, range(3))


# Lesson 08: depth on photos


def tiny_imagenet() -> Study:
    """The paper's figure 4 in small: plain and residual nets of 18 and 34 layers, 100 classes of Tiny-ImageNet."""
    config = TrainConfig(epochs=10, batch_size=128, lr=0.1, augment=("crop", "flip"))
    images, options = {"name": "~/.cache/resnet-edu/tiny-imagenet", "size": 64}, {"num_classes": 100}
    settings = {}
    for depth in (18, 34):
        for kind in ("plain", "resnet"):
            special = {"classes": 100, "additions": kind == "resnet"}
            settings[f"{kind}{depth}"] = Setting(
                f"resnet{depth}", options, images, config, special, train_on_first_classes
            )
    return Study("tiny-imagenet-depth", "Degradation on photos (100 classes of Tiny-ImageNet)", settings, range(2))


def train_on_first_classes(setting: Setting, seed: int, unfinished: Path) -> Outcome:
    """The first "classes" of a data set; without "additions" the blocks leave out the identity, weights being equal."""
    images, count = data.load(**setting.data), setting.special["classes"]
    parts = {name: getattr(images, name) for name in PARTS}
    parts = {name: split.subset((split.labels < count).nonzero()[:, 0]) for name, split in parts.items()}
    machine.seed_everything(seed)
    model = models.build(setting.model, **setting.options)
    for block in [module for module in model.modules() if isinstance(module, BasicBlock)]:
        if not setting.special["additions"]:
            block.__class__, block.downsample = BlockWithoutIdentity, None
    few = replace(images, classes=images.classes[:count], **parts)
    return train_once(setting, seed, unfinished, images=few, model=model)


class BlockWithoutIdentity(BasicBlock):
    """The branch of a basic block, and nothing beside it."""

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = ReLU(F(x))."""
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)))


# Lesson 10: few labels


def transfer(name: str, title: str, images: Mapping[str, Any], augment: tuple[str, ...]) -> Study:
    """A ResNet-18 with 5 to 100 labels per class: from scratch, on frozen stages, fine-tuned, and simple baselines.

    Validation images choose: the weight decay of a head in each run, the rate of a whole net once for each number of
    labels, in a draw of its own (seed 100). The test images are used once.
    """
    config = TrainConfig(epochs=1, batch_size=25, optimizer="adamw", weight_decay=0.01, augment=augment)
    heads = {
        "mean colour": ("none", "pixels", 1),
        "raw pixels": ("none", "pixels", 16),
        "untrained backbone": ("none", "layer4", 1),
        "untrained, stage 1": ("none", "layer1", 2),
        "frozen, stage 1": ("bundled", "layer1", 2),
        "frozen, stage 2": ("bundled", "layer2", 1),
        "frozen, stage 3": ("bundled", "layer3", 1),
        "frozen": ("bundled", "layer4", 1),
    }
    rates, counts, whole = (3e-4, 1e-3, 3e-3), (5, 10, 20, 50, 100), {"from scratch": "none", "fine-tuned": "bundled"}

    def trained(method: str, labels: int, rate: float, *, trial: bool) -> Setting:
        special = {"labels": labels, "weights": whole[method], "images": max(1500, 40 * labels), "trial": trial}
        return Setting("resnet18", {}, images, replace(config, lr=rate), special, train_on_few)

    def chosen(recorded: Recorded) -> dict[str, Setting]:
        settings = {}
        for labels in counts:
            for method, (weights, layer, places) in heads.items():
                special = {"labels": labels, "weights": weights, "layer": layer, "places": places}
                special["weight_decays"] = [1e-4, 1e-3, 1e-2]
                settings[f"{method}, {labels} labels"] = Setting("resnet18", {}, images, config, special, train_head)
            for method in whole:
                trials = {r: recorded.of(f"{method} at {r:g}, {labels} labels")[0].last.val_error for r in rates}
                best = min(trials, key=trials.__getitem__)
                settings[f"{method}, {labels} labels"] = trained(method, labels, best, trial=False)
        return settings

    trials = {f"{m} at {r:g}, {n} labels": trained(m, n, r, trial=True) for n in counts for m in whole for r in rates}
    return Study(name, title, trials, [100], chosen, range(5))


def with_few_labels(setting: Setting, seed: int) -> tuple[nn.Module, Data]:
    """A network with or without weights, and images as it wants them; the seed says which "labels" of each class."""
    origin = models.pretrained("resnet18", source="bundled")
    images = normalised_like(data.load(**setting.data, seed=seed), origin)
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
    labels = images.train.labels[order]
    chosen = [order[labels == label][: setting.special["labels"]] for label in range(len(images.classes))]
    machine.seed_everything(seed)
    model = origin.model if setting.special["weights"] == "bundled" else models.build("resnet18")
    models.replace_head(model, len(images.classes))
    return model, replace(images, train=images.train.subset(torch.cat(chosen)))


def train_head(setting: Setting, seed: int, _: Path) -> Outcome:
    """The best linear head on features that stay as they are, with one of the "weight_decays"."""
    model, images = with_few_labels(setting, seed)
    train, val, test = (features_of(model, getattr(images, part), setting.special) for part in PARTS)
    heads = {
        decay: probe.linear_head(train, images.train.labels, len(images.classes), weight_decay=decay)
        for decay in setting.special["weight_decays"]
    }
    errors = {decay: error_of(head, val, images.val.labels) for decay, head in heads.items()}
    best = min(errors, key=errors.__getitem__)
    found = {"weight_decay": best, "val_error": errors[best]}
    return History(), {**found, "test_error": error_of(heads[best], test, images.test.labels)}


def features_of(model: nn.Module, split: Split, special: Mapping[str, Any]) -> Tensor:
    """The output of a layer, averaged over so many places a side, or the pixels themselves: `(N, features)`."""
    if special["layer"] == "pixels":
        return F.adaptive_avg_pool2d(split.inputs(), special["places"]).flatten(1)
    return probe.layer_features(model, split, [special["layer"]], places=special["places"])[special["layer"]]


def error_of(head: nn.Linear, features: Tensor, labels: Tensor) -> float:
    """The share of wrong answers, in percent."""
    return 100 * float((head(features).argmax(dim=1) != labels).float().mean())


def train_on_few(setting: Setting, seed: int, _: Path) -> Outcome:
    """The whole network for an epoch of "images" images, in which the labelled ones come again; "trial": no test."""
    model, few = with_few_labels(setting, seed)
    again = torch.arange(setting.special["images"]) % len(few.train)
    repeated = replace(few, train=few.train.subset(again))
    history = fit(model, repeated, replace(setting.config, seed=seed))
    if history.interrupted or setting.special["trial"]:
        return history, {}
    return history, {"test_error": evaluate(model, few.test).top1_error}


#: Every study of the course, by name.
STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        degradation(),
        sceptic(),
        six_curves(),
        cifar10(),
        tiny_imagenet(),
        transfer("mnist5k-transfer", "From photos to digits", {"name": "mnist5k", "size": 32, "channels": 3}, ()),
        transfer(
            "photos-transfer", "From photos to clothes", {"name": "clothing", "size": 96}, ("resized_crop", "flip")
        ),
    )
}
