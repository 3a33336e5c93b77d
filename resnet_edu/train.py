"""The training loop: `fit` reads like the textbook, in one screen.

What makes it fast sits elsewhere: batches out of memory (`data/batches.py`), number format, memory layout and an
allocator that keeps its memory (`machine.py`).
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from . import distributed, machine
from .checkpoint import Checkpoint
from .config import TrainConfig, schedule
from .data.batches import steps_per_epoch, training_batches
from .data.split import Data
from .errors import LossNotFinite, StopTraining
from .history import Epoch, History
from .metrics import evaluate, logits_of, the_logits
from .models.heads import head_of
from .models.modes import eval_mode, training_mode

#: Called after every epoch with its record and the model: to save, to plot, to stop (raise KeyboardInterrupt).
Callback = Callable[[Epoch, nn.Module], None]

#: From what the model returns in training mode, and the labels `(N,)`, to the one number to bring down.
Loss = Callable[[Any, Tensor], Tensor]


def fit(
    model: nn.Module,
    data: Data,
    config: TrainConfig | None = None,
    *,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train a network on `data.train` and measure it on `data.val` after every epoch.

    The model is trained in place and ends on `machine.device()`, in evaluation mode. Same seed, same
    machine, same initial weights: the same history to the last digit.

    Args:
        model: maps images `(N, C, H, W)` to logits `(N, classes)`; with a `loss` of your own also to a dict of
            logits by head, or to a named tuple with `logits`, as GoogLeNet does.
        data: images and labels; see `data.load`.
        config: all options of the run; `TrainConfig()` by default.
        loss: maps `(outputs, labels)` to a scalar; by default the cross-entropy, with the config's label
            smoothing. Errors and validation loss (a cross-entropy) are always those of the logits or the first head.
        callbacks: called after each epoch with `(epoch, model)`, in every process; one may raise `StopTraining`.
        checkpoint: where the run is kept after each epoch, and from where it goes on if there is something.

    Returns:
        The history; after an interrupt (Ctrl-C, the stop button) the epochs that were finished.

    Raises:
        ValueError: the model does not take these images, or has fewer outputs than there are classes; the loss
            is no scalar that depends on the weights, or comes with label smoothing.
        LossNotFinite: the loss became infinite or not a number.
    """
    config = config or TrainConfig()
    device = machine.device()
    machine.use_own_cores()
    machine.keep_freed_memory()
    machine.seed_everything(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    check_fits(model.to(device), data, several=loss is not None)
    loss_of = loss_for(config, loss)
    model.to(memory_format=torch.channels_last if config.channels_last else torch.contiguous_format)
    train, val = data.train.to(device), data.val.to(device)
    optimizer = make_optimizer(model, config)
    steps = steps_per_epoch(len(train), config.batch_size)
    rate_at = schedule(config, steps)
    history = checkpoint.restore(model, optimizer, generator) if checkpoint else History()
    network = distributed.together(model)  # the model itself, unless torchrun has started several processes
    try:
        for epoch in progress(range(len(history) + 1, config.epochs + 1), f"train on {data.name}"):
            training_mode(model)  # all but what is frozen
            loss_sum, wrong, seen, rate, started = 0.0, 0, 0, 0.0, time.perf_counter()
            batches = training_batches(
                train, config.batch_size, augment=config.augment, generator=generator, share=distributed.share
            )
            for step, (images, labels) in enumerate(batches):
                rate = rate_at((epoch - 1) * steps + step)
                set_learning_rate(optimizer, rate)
                with machine.autocast(device, config.precision):
                    outputs = network(images)  # (N, classes), or several of them
                    value = loss_of(outputs, labels)
                check_loss(value, epoch, step, rate)  # before the step, which would spoil the weights
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                loss_sum += value.item() * len(labels)
                wrong += int((logits_of(outputs, len(labels)).argmax(dim=1) != labels).sum())
                seen += len(labels)
            loss_sum, wrong, seen = distributed.total(loss_sum, wrong, seen)
            seconds = time.perf_counter() - started
            result = distributed.from_first(evaluate, model, val, precision=config.precision)
            check_finite(result.loss, epoch, steps - 1, rate, which="validation loss")
            record = Epoch(
                epoch=epoch,
                train_loss=loss_sum / seen,
                train_error=100 * wrong / seen,
                val_loss=result.loss,
                val_error=result.top1_error,
                lr=rate,
                seconds=seconds,
                images_per_second=seen / seconds,
            )
            if checkpoint and distributed.first():  # an epoch counts once it is kept, so that an interrupt says which
                checkpoint.save(model, optimizer, generator, History([*history.epochs, record]))
            history.epochs.append(record)
            for callback in callbacks:
                callback(record, model)
    except KeyboardInterrupt:
        history.interrupted = True
    except StopTraining:
        pass  # a callback has seen enough
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "Batch norm has one number a channel only, and nothing to compare it with: take a batch_size of at least "
            f"{2 * distributed.size()}, or larger images."
        ) from error
    finally:
        model.eval()
    return history


def make_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimizer named in the config, for all weights that are not frozen.

    Raises:
        ValueError: all of them are frozen, or there is a `backbone_lr` and no head.
    """
    groups = parameter_groups(model, config)
    fused = config.fused and machine.device().type in ("cpu", "cuda")
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.optimizer == "sgd":
        return optim.SGD(groups, momentum=config.momentum, **common)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[config.optimizer](groups, **common)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """One group, or head and backbone where these have different rates; `share` is a group's share of the rate."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise ValueError("The model has no trainable parameters: every one has requires_grad=False.")
    if config.backbone_lr is None:
        return [{"params": weights, "share": 1.0}]
    last = {id(parameter) for parameter in head_of(model)[1].parameters()}
    head, backbone = ([w for w in weights if (id(w) in last) is within] for within in (True, False))
    groups = [{"params": head, "share": 1.0}, {"params": backbone, "share": config.backbone_lr / config.lr}]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next step, or its share of it in each group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def loss_for(config: TrainConfig, loss: Loss | None) -> Loss:
    """The loss handed to `fit`, or by default the cross-entropy of the model's only logits.

    Raises:
        ValueError: a loss of its own and label smoothing, which it would not see.
    """
    if loss is None:
        return partial(cross_entropy, label_smoothing=config.label_smoothing)
    if config.label_smoothing:
        raise ValueError(
            f"label_smoothing={config.label_smoothing} belongs to the default loss. "
            "Smooth inside your own, with F.cross_entropy(..., label_smoothing=...), and leave it 0 in the config."
        )
    return loss


def cross_entropy(outputs: object, labels: Tensor, *, label_smoothing: float) -> Tensor:
    """Mean cross-entropy in nats of a model with one tensor of logits `(N, classes)`; a scalar."""
    return F.cross_entropy(the_logits(outputs, len(labels)), labels, label_smoothing=label_smoothing)


def check_fits(model: nn.Module, data: Data, *, several: bool = False) -> None:
    """A dry run of two images, so that a mismatch is found before any training.

    With `several` the model may return several logits.

    Raises:
        ValueError: the model refuses the images, or has fewer outputs than there are classes.
    """
    images = data.train.inputs(slice(2)).to(machine.device())
    try:
        with eval_mode(model), torch.no_grad():
            logits = (logits_of if several else the_logits)(model(images), len(images))
    except RuntimeError as error:  # torch's own; the course's networks raise a ValueError that says more
        raise ValueError(
            f"The model does not take the images of {data.name}, {tuple(images.shape[1:])} each: {error}"
        ) from error
    if logits.shape[1] < len(data.classes):
        raise ValueError(
            f"The model tells {logits.shape[1]} classes apart, but {data.name} has {len(data.classes)}: "
            f"build it with num_classes={len(data.classes)}."
        )


def check_loss(loss: object, epoch: int, step: int, rate: float) -> None:
    """Stop before the step on a loss that cannot be brought down.

    Raises:
        ValueError: it is no scalar tensor, or no weight has a part in it.
        LossNotFinite: as `check_finite`.
    """
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise ValueError(
            f"loss(outputs, labels) returned {got}, expected a scalar tensor: end it in .mean() or .sum()."
        )
    if not loss.requires_grad:
        raise ValueError(
            "loss(outputs, labels) returned a tensor without gradient: compute it from the outputs, with torch's "
            "own functions and without detach(), item() or argmax()."
        )
    check_finite(loss.item(), epoch, step, rate)


def check_finite(loss: float, epoch: int, step: int, rate: float, *, which: str = "loss") -> None:
    """Stop a run that has blown up.

    Raises:
        LossNotFinite: with the epoch and step, both counted from 1, and the learning rate at which it happened.
    """
    if not math.isfinite(loss):
        raise LossNotFinite(
            f"The {which} became {loss} in epoch {epoch}, step {step + 1}, at learning rate {rate:.3g}. "
            "Try a learning rate ten times lower, or warmup_epochs=1."
        )


def progress(epochs: Iterable[int], description: str) -> Iterable[int]:
    """The epochs, with a progress bar where somebody is looking."""
    from tqdm.auto import tqdm  # imported here: it looks for a notebook, and loads the widgets in one

    return tqdm(epochs, desc=description, unit="epoch", disable=not machine.show_progress(), leave=False)
