"""The training loop: `fit` reads like the textbook, in one screen. What it stands on is around it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from . import distributed, machine
from .checkpoint import Checkpoint
from .config import TrainConfig, schedule
from .data.batches import steps_per_epoch, training_batches
from .data.split import Data, Split
from .display import ProgressLine
from .errors import LossNotFinite, StopTraining
from .history import Epoch, History
from .metrics import Metrics, evaluate, logits_of, recompute_batch_norm, require_logits
from .models.heads import AUXILIARY, head_of
from .models.modes import eval_mode, training_mode

#: Called after every epoch with its record and the model: to save, to plot, to end the run (raise StopTraining).
Callback = Callable[[Epoch, nn.Module], None]

#: From what the model returns in training mode, and the labels `(N,)`, to the one number to bring down.
Loss = Callable[[Any, Tensor], Tensor]

#: Shorter runs measure batch norm's statistics anew. After 100 steps, 0.9¹⁰⁰ = 0.003 % of their first values are left.
FEW_STEPS = 100


def fit(
    model: nn.Module,
    data: Data,
    config: TrainConfig | None = None,
    *,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Checkpoint | None = None,
    title: str | None = None,
) -> History:
    """Train a network on `data.train` and measure it on `data.val` after every epoch.

    The model is trained in place and ends on `machine.device()`, in evaluation mode. Same seed, same machine, same
    initial weights: the same history to the last digit. The test images are yours: `evaluate(model, data.test)`.

    Args:
        model: maps images `(N, C, H, W)` to logits `(N, classes)`; with a `loss` of your own also to a dict of
            logits by head, or to a named tuple with `logits`, as GoogLeNet does.
        data: images and labels; see `data.load`.
        config: all options of the run; `TrainConfig()` by default.
        loss: maps `(outputs, labels)` to a scalar; by default the cross-entropy, with the config's label
            smoothing. Errors and validation loss (a cross-entropy) are always those of the logits or the first head.
        callbacks: called after each epoch with `(epoch, model)`, in every process; one may raise `StopTraining`.
        checkpoint: the file that keeps the run after each epoch; if it exists, the run goes on from there.
        title: first words of the progress line; by default the network's class.

    Returns:
        The history; after an interrupt (Ctrl-C, the stop button) the epochs that were finished.

    Raises:
        ValueError: model, data and loss do not fit each other; the message says what to change.
        LossNotFinite: the loss became infinite or not a number.
    """
    config, device = config or TrainConfig(), machine.device()
    check_kinds(model, data, config)
    loss_of = loss_for(config, loss)
    train, val = set_up(model, data, config, several=loss is not None)
    optimizer = make_optimizer(model, config)
    steps = steps_per_epoch(len(train), config.batch_size)
    rate_at = schedule(config, steps)
    generator = torch.Generator().manual_seed(config.seed)
    batches = partial(training_batches, train, config.batch_size, augment=config.augment, generator=generator)
    history = checkpoint.restore(model, optimizer, generator) if checkpoint else History()
    network = distributed.together(model)  # the model itself, unless torchrun has started several processes
    with until_stopped(model, history), ProgressLine(title or type(model).__name__, shown=distributed.first()) as line:
        for epoch in range(len(history) + 1, config.epochs + 1):
            training_mode(model)  # all but what is frozen
            totals = Totals(epoch, config.epochs, steps, line)
            for images, labels in batches(share=distributed.share):
                rate = rate_at((epoch - 1) * steps + totals.steps)
                set_learning_rate(optimizer, rate)
                optimizer.zero_grad()
                with machine.autocast(device, config.precision, images.shape):
                    outputs = network(images)  # (N, classes), or several of them
                    value = loss_of(outputs, labels)
                totals.add(value, outputs, labels, rate)  # stops before a step that would spoil the weights
                value.backward()
                optimizer.step()
            record = totals.record(partial(validate, model, train, val, config))
            if checkpoint:
                checkpoint.save(model, optimizer, generator, History([*history.epochs, record]))
            history.epochs.append(record)
            for callback in callbacks:
                callback(record, model)
    return history


@contextmanager
def until_stopped(model: nn.Module, history: History) -> Iterator[None]:
    """End the run quietly where somebody stops it or a callback has seen enough; the model ends in evaluation mode."""
    try:
        with torch.enable_grad():  # also where a cell before has switched gradients off
            yield
    except KeyboardInterrupt:
        history.interrupted = True
    except StopTraining:
        pass
    finally:
        model.eval()


class Totals:
    """Loss and errors of one pass over the training images; the errors stay on the device until its end."""

    def __init__(self, epoch: int, epochs: int, planned: int, line: ProgressLine) -> None:
        self.epoch, self.epochs, self.planned, self.line = epoch, epochs, planned, line  # planned: steps an epoch
        self.steps, self.seen, self.rate, self.loss_sum = 0, 0, 0.0, 0.0
        self.wrong: Tensor | int = 0
        self.started = time.perf_counter()

    def add(self, loss: Tensor, outputs: object, labels: Tensor, rate: float) -> None:
        """Count one batch; `rate` is the learning rate of the step to come."""
        check_scalar(loss)
        value = loss.item()  # waits for the device
        self.steps, self.seen, self.rate = self.steps + 1, self.seen + len(labels), rate
        if not math.isfinite(value):
            raise LossNotFinite(
                f"The loss became {value} in epoch {self.epoch}, step {self.steps}, at learning rate {rate:.3g}. "
                "Try a learning rate ten times lower."
            )
        self.loss_sum += value * len(labels)
        self.wrong = (logits_of(outputs, len(labels)).argmax(dim=1) != labels).sum() + self.wrong
        told = f"epoch {self.epoch} of {self.epochs}, loss {self.loss_sum / self.seen:.3f}"
        self.line.show(told, (self.epoch - 1 + self.steps / self.planned) / self.epochs)

    def record(self, measure: Callable[[], Metrics]) -> Epoch:
        """The finished pass of all processes together; the first one calls `measure` for the validation images."""
        loss_sum, wrong, seen = distributed.total(self.loss_sum, int(self.wrong), self.seen)
        seconds = time.perf_counter() - self.started
        result = distributed.from_first(measure)
        train_error = 100 * wrong / seen
        told = f"training error {train_error:.1f} %, validation error {result.top1_error:.1f} %"
        self.line.done(f"{self.epoch} of {self.epochs} epochs, {told}")
        return Epoch(
            epoch=self.epoch,
            train_loss=loss_sum / seen,
            train_error=train_error,
            val_loss=result.loss,
            val_error=result.top1_error,
            lr=self.rate,
            seconds=seconds,
            images_per_second=seen / seconds,
        )


def validate(model: nn.Module, train: Split, val: Split, config: TrainConfig) -> Metrics:
    """What `evaluate` says of the validation images, in short runs with batch norm's statistics measured anew."""
    if config.epochs * steps_per_epoch(len(train), config.batch_size) < FEW_STEPS:
        recompute_batch_norm(model, train, precision=config.precision)
    return evaluate(model, val, precision=config.precision)


def check_kinds(model: object, data: object, config: object) -> None:
    """Refuse what cannot be trained, before anything has changed."""
    for given, kind, told in (
        (model, nn.Module, "a network, a torch.nn.Module"),
        (data, Data, "a data set, such as edu.data.load(…) returns"),
        (config, TrainConfig, "its settings as an edu.TrainConfig(…)"),
    ):
        if not isinstance(given, kind):
            raise ValueError(f"fit takes {told}, got a {type(given).__name__}.")


def set_up(model: nn.Module, data: Data, config: TrainConfig, *, several: bool) -> tuple[Split, Split]:
    """Set threads and seeds, and put the network and the images to train and to validate on where it will compute."""
    if len(data.train.labels.unique()) < 2:
        raise ValueError(f"All training images of {data.name} are of one class: there is nothing to tell apart.")
    machine.use_own_cores()
    machine.seed_everything(config.seed)
    device = machine.device()
    check_fits(model.to(device), data, several=several)
    for weight in model.parameters():
        weight.data = weight.data.contiguous()  # fused steps go through memory as it lies, past the rows of a slice
    last = config.channels_last and device.type != "mps"  # where batch norm's gradient fails in this order
    model.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    return data.train.to(device), data.val.to(device)


def make_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimizer named in the config, for all weights that are not frozen."""
    groups = parameter_groups(model, config)
    fused = config.fused and machine.device().type in ("cpu", "cuda")
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.optimizer == "sgd":
        return optim.SGD(groups, momentum=config.momentum, **common)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[config.optimizer](groups, **common)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """One group, or heads and backbone where these have different rates; `lr_scale` is a group's factor of the rate."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise ValueError("The model has no trainable parameters: every one has requires_grad=False.")
    if config.backbone_lr is None:
        return [{"params": weights, "lr_scale": 1.0}]
    heads = [head_of(model)[1], *(module for name, module in model.named_modules() if name in AUXILIARY)]
    last = {id(parameter) for head in heads for parameter in head.parameters()}
    head = [weight for weight in weights if id(weight) in last]
    backbone = [weight for weight in weights if id(weight) not in last]
    groups = [{"params": head, "lr_scale": 1.0}, {"params": backbone, "lr_scale": config.backbone_lr / config.lr}]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next step, times its factor in each group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def loss_for(config: TrainConfig, loss: Loss | None) -> Loss:
    """The loss handed to `fit`, or by default the cross-entropy of the model's only logits."""
    if loss is None:
        smoothed = partial(F.cross_entropy, label_smoothing=config.label_smoothing)
        return lambda outputs, labels: smoothed(require_logits(outputs, len(labels)), labels)
    if config.label_smoothing:
        raise ValueError(
            f"label_smoothing={config.label_smoothing} belongs to the default loss. "
            "Smooth inside your own, with F.cross_entropy(..., label_smoothing=...), and leave it 0 in the config."
        )
    return loss


def check_fits(model: nn.Module, data: Data, *, several: bool = False) -> None:
    """A dry run of two images, so that a mismatch is found before any training; it may return `several` logits."""
    images, classes = data.train.inputs(slice(2)).to(machine.device()), len(data.classes)
    try:
        with eval_mode(model), torch.no_grad():
            logits = (logits_of if several else require_logits)(model(images), len(images))
    except RuntimeError as error:  # torch's own; the course's networks raise a ValueError that says more
        size = tuple(images.shape[1:])
        raise ValueError(f"The model does not take the images of {data.name}, {size} each: {error}") from error
    if (told := logits.shape[1]) < classes:
        advice = f"build it with num_classes={classes}"
        raise ValueError(f"The model tells {told} classes apart, but {data.name} has {classes}: {advice}.")


def check_scalar(loss: object) -> None:
    """Refuse a loss that cannot be brought down."""
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise ValueError(f"loss(outputs, labels) returned {got}, expected a scalar tensor: end it in .mean().")
    if not loss.requires_grad:
        raise ValueError(
            "loss(outputs, labels) returned a tensor without gradient: compute it from the outputs, with torch's "
            "own functions and without detach(), item() or argmax()."
        )
