"""The studies of the course by name, and the functions that make a run of theirs where `train_once` will not do."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from . import data, machine, models, probe
from .config import TrainConfig
from .data import Data, Split
from .errors import UnknownName
from .history import Epoch, History
from .metrics import evaluate
from .models.resnet import BasicBlock
from .recipe import normalised_like
from .study import Outcome, Recorded, Setting, Study, train_once
from .train import fit


def train_on_shuffled_labels(setting: Setting, seed: int, unfinished: Path) -> Outcome:
    """The training images have each other's labels, so that there is nothing to learn."""
    images = data.load(**setting.data)
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
    shuffled = replace(images.train, labels=images.train.labels[order])
    return train_once(setting, seed, unfinished, images=replace(images, train=shuffled))


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


def train_without_additions(setting: Setting, seed: int, unfinished: Path) -> Outcome:
    """The plain net: the residual one with the same first weights, whose blocks leave out the identity."""
    machine.seed_everything(seed)
    model = models.build(setting.model, **setting.options)
    for block in [module for module in model.modules() if isinstance(module, BasicBlock)]:
        block.__class__ = PlainBlock
        block.downsample = None
    return train_once(setting, seed, unfinished, model=model)


class PlainBlock(BasicBlock):
    """A basic block without its identity."""

    def forward(self, x: Tensor) -> Tensor:
        """H(x) = ReLU(F(x))."""
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)))


def with_few_labels(setting: Setting, seed: int) -> tuple[models.Pretrained, Data]:
    """The bundled network and images as it wants them, of each class "labels" to train on, which the seed decides."""
    weights = models.pretrained("resnet18", source="bundled")
    images = normalised_like(data.load(**setting.data, seed=seed), weights)
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(seed))
    ordered = images.train.labels[order]
    classes = range(len(images.classes))
    chosen = torch.cat([order[ordered == label][: setting.special["labels"]] for label in classes])
    machine.seed_everything(seed)
    return weights, replace(images, train=images.train.subset(chosen))


def train_head(setting: Setting, seed: int, _: Path) -> Outcome:
    """The best linear head on features that stay as they are; the validation images choose its weight decay."""
    weights, images = with_few_labels(setting, seed)
    model = weights.model if setting.special["weights"] == "bundled" else models.build("resnet18")
    started = time.perf_counter()
    train, val = (features_of(model, split, setting.special) for split in (images.train, images.val))
    heads = {
        decay: probe.linear_head(train, images.train.labels, len(images.classes), weight_decay=decay)
        for decay in setting.special["weight_decays"]
    }
    best = min(heads, key=lambda decay: loss_and_error(heads[decay], val, images.val.labels)[1])
    measured = (loss_and_error(heads[best], *of) for of in ((train, images.train.labels), (val, images.val.labels)))
    (train_loss, train_error), (val_loss, val_error) = measured
    seconds = time.perf_counter() - started
    epoch = Epoch(1, train_loss, train_error, val_loss, val_error, 0.0, seconds, len(train) / seconds)
    test = features_of(model, images.test, setting.special)
    return History([epoch]), {
        "test_error": loss_and_error(heads[best], test, images.test.labels)[1],
        "weight_decay": best,
    }


def features_of(model: nn.Module, split: Split, special: Mapping[str, Any]) -> Tensor:
    """The output of a layer, averaged over so many places a side; or of the pixels themselves; `(N, features)`."""
    if special["layer"] == "pixels":
        return F.adaptive_avg_pool2d(split.inputs(), special["places"]).flatten(1)
    return probe.layer_features(model, split, [special["layer"]], places=special["places"])[special["layer"]]


def loss_and_error(head: nn.Linear, features: Tensor, labels: Tensor) -> tuple[float, float]:
    """Cross-entropy in nats, and the share of wrong labels in percent."""
    with torch.no_grad():
        logits = head(features)
    wrong = (logits.argmax(dim=1) != labels).float().mean()
    return F.cross_entropy(logits, labels).item(), 100 * float(wrong)


def train_at_best_rate(setting: Setting, seed: int, _: Path) -> Outcome:
    """The whole network, from scratch or fine-tuned, at the one of the "rates" that validation images say is best.

    Every rate gets one epoch of "images" images: the labelled ones come again and again.
    """
    found: list[tuple[float, float, History, float]] = []
    for rate in setting.special["rates"]:
        weights, images = with_few_labels(setting, seed)
        model = weights.model
        if setting.special["weights"] == "bundled":
            models.replace_head(model, len(images.classes))
        else:
            model = models.build("resnet18", num_classes=len(images.classes))
        again = torch.arange(setting.special["images"]) % len(images.train)
        repeated = replace(images, train=images.train.subset(again))
        history = fit(model, repeated, replace(setting.config, lr=rate, seed=seed))
        if history.interrupted:
            return history, {}
        if not found or history.last.val_error < found[0][0]:
            found = [(history.last.val_error, rate, history, evaluate(model, images.test).top1_error)]
    ((_, rate, history, test_error),) = found
    return history, {"test_error": test_error, "rate": rate}


# The studies of the course

#: The quick experiment of lesson 06: 2,000 digits of 16×16 pixels, nets of width 8, six epochs.
DIGITS = {"name": "mnist5k", "size": 16, "limit": 2000}
NARROW = {"width": 8, "in_channels": 1}
QUICK = TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())


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


def transfer(name: str, title: str, images: Mapping[str, Any], augment: tuple[str, ...]) -> Study:
    """A ResNet-18 with 5 to 100 labels a class: from scratch, on frozen stages, fine-tuned, and simple baselines."""
    config = TrainConfig(epochs=1, batch_size=25, optimizer="adamw", weight_decay=0.01, augment=augment)
    heads = {
        "mean colour": ("none", "pixels", 1),
        "raw pixels": ("none", "pixels", 16),
        "untrained backbone": ("none", "layer4", 1),
        **{f"frozen, stage {stage}": ("bundled", f"layer{stage}", 2 if stage == 1 else 1) for stage in (1, 2, 3, 4)},
    }
    settings = {}
    for labels in (5, 10, 20, 50, 100):
        for method, (weights, layer, places) in heads.items():
            special = {"labels": labels, "weights": weights, "layer": layer, "places": places}
            special["weight_decays"] = [1e-4, 1e-3, 1e-2]
            settings[f"{method}, {labels} labels"] = Setting("resnet18", {}, images, config, special, train_head)
        for method, weights in (("from scratch", "none"), ("fine-tuned", "bundled")):
            special = {"labels": labels, "weights": weights, "rates": [3e-4, 1e-3, 3e-3]}
            special["images"] = max(1500, 40 * labels)
            settings[f"{method}, {labels} labels"] = Setting(
                "resnet18", {}, images, config, special, train_at_best_rate
            )
    return Study(name, title, settings, range(5))


def tiny_imagenet() -> Study:
    """The paper's figure 4 in small: plain and residual nets of 18 and 34 layers on 100 classes of Tiny-ImageNet."""
    config = TrainConfig(epochs=10, batch_size=128, lr=0.1, augment=("crop", "flip"))
    images = {"name": "~/.cache/resnet-edu/tiny-imagenet-100", "size": 64}
    settings = {}
    for depth in (18, 34):
        net = f"resnet{depth}"
        options = {"num_classes": 100}
        settings[f"plain{depth}"] = Setting(net, options, images, config, {"additions": False}, train_without_additions)
        settings[net] = Setting(net, options, images, config)
    return Study("tiny-imagenet-depth", "Degradation on photos (100 classes of Tiny-ImageNet)", settings, range(2))


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
            "photos-transfer",
            "From photos to photos of clothes",
            {"name": "~/.cache/resnet-edu/clothing", "size": 64, "crop": "center"},
            ("flip",),
        ),
    )
}


def find_study(name: str) -> Study:
    """A study by name.

    Raises:
        UnknownName: there is none.
    """
    if name not in STUDIES:
        raise UnknownName("study", name, STUDIES)
    return STUDIES[name]
