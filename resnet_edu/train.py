"""The training loop: `fit` reads like the textbook, in one screen.

What makes it fast sits elsewhere: batches out of memory (`data/batches.py`), bfloat16 matrix products and
an allocator that keeps its memory (`runtime.py`), channels_last tensors and a fused optimizer (below).
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from . import runtime
from .config import TrainConfig, schedule
from .data.batches import evaluation_batches, steps_per_epoch, training_batches
from .data.split import Data, Split
from .errors import LossNotFinite
from .history import Epoch, History

#: Called after every epoch with its record and the model: to save, to plot, to stop (raise KeyboardInterrupt).
Callback = Callable[[Epoch, nn.Module], None]


def fit(
    model: nn.Module, data: Data, config: TrainConfig | None = None, *, callbacks: Sequence[Callback] = ()
) -> History:
    """Train a network on `data.train` and measure it on `data.test` after every epoch.

    The model is trained in place and ends on `runtime.device()`, in evaluation mode. Same seed, same
    machine, same initial weights: the same history to the last digit.

    Args:
        model: maps images `(N, C, H, W)` to logits `(N, classes)`.
        data: images and labels; see `data.load`.
        config: all options of the run; `TrainConfig()` by default.
        callbacks: called after each epoch with `(epoch, model)`.

    Returns:
        The history; after an interrupt (Ctrl-C, the stop button) the epochs that were finished.

    Raises:
        ValueError: the model does not take these images, or has fewer outputs than there are classes.
        LossNotFinite: the loss became infinite or not a number.
    """
    config = config or TrainConfig()
    device = runtime.device()
    runtime.keep_freed_memory()
    runtime.seed_everything(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    check_fits(model.to(device), data)
    model.to(memory_format=torch.channels_last if config.channels_last else torch.contiguous_format)
    train, test = data.train.to(device), data.test.to(device)
    optimizer = make_optimizer(model, config)
    steps = steps_per_epoch(len(train), config.batch_size)
    rate_at = schedule(config, steps)
    history = History()
    try:
        for epoch in progress(range(1, config.epochs + 1), f"train on {data.name}"):
            model.train()
            loss_sum, wrong, seen, rate, started = 0.0, 0, 0, 0.0, time.perf_counter()
            batches = training_batches(train, config.batch_size, augment=config.augment, generator=generator)
            for step, (images, labels) in enumerate(batches):
                rate = rate_at((epoch - 1) * steps + step)
                set_learning_rate(optimizer, rate)
                with runtime.autocast(device, config.precision):
                    logits = logits_of(model, images)  # (N, classes)
                    loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
                check_finite(loss.item(), epoch, step, rate)  # before the step, which would spoil the weights
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += loss.item() * len(labels)
                wrong += int((logits.argmax(dim=1) != labels).sum())
                seen += len(labels)
            seconds = time.perf_counter() - started
            result = evaluate(model, test, precision=config.precision)
            check_finite(result.loss, epoch, steps - 1, rate, which="test loss")
            record = Epoch(
                epoch=epoch,
                train_loss=loss_sum / seen,
                train_error=100 * wrong / seen,
                test_loss=result.loss,
                test_error=result.top1_error,
                lr=rate,
                seconds=seconds,
                images_per_second=seen / seconds,
            )
            history.epochs.append(record)
            for callback in callbacks:
                callback(record, model)
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        model.eval()
    return history


@dataclass(frozen=True, eq=False)
class Metrics:
    """What `evaluate` measures. Errors are in percent.

    Args:
        top1_error: share of images whose highest logit is not the label.
        top5_error: share of images whose label is not among the five highest logits; 0 with five classes or fewer.
        loss: mean cross-entropy in nats.
        confusion: int64 `(classes, classes)`; row: the label, column: the prediction.
    """

    top1_error: float
    top5_error: float
    loss: float
    confusion: Tensor


def evaluate(model: nn.Module, split: Split, *, precision: str = "auto") -> Metrics:
    """Measure a network on every image of a split, in evaluation mode and without gradients.

    Args:
        model: maps images `(N, C, H, W)` to logits `(N, classes)`; it ends on `runtime.device()`, in the mode it had.
        split: images and labels.
        precision: as in `TrainConfig`.

    Raises:
        UnknownName: a precision that does not exist.
        ValueError: the model returns no logits, or a label lies outside its classes.
    """
    device = runtime.device()
    model.to(device)
    split = split.to(device)
    with evaluation_mode(model), torch.no_grad(), runtime.autocast(device, precision):
        logits = torch.cat([logits_of(model, images).float() for images, _ in evaluation_batches(split)])
    classes, highest = logits.shape[1], int(split.labels.max())  # logits: (N, classes)
    if highest >= classes:
        raise ValueError(
            f"The labels go up to {highest}, but the model tells {classes} classes apart: "
            f"build it with num_classes={highest + 1} or more."
        )
    order = logits.topk(min(5, classes), dim=1).indices  # (N, 5), best first
    hits = order == split.labels[:, None]
    confusion = torch.bincount(split.labels * classes + order[:, 0], minlength=classes**2).view(classes, classes)
    return Metrics(
        top1_error=100 * int((~hits[:, 0]).sum()) / len(split),
        top5_error=100 * int((~hits.any(dim=1)).sum()) / len(split),
        loss=F.cross_entropy(logits, split.labels).item(),
        confusion=confusion.cpu(),
    )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside this context; afterwards every module has the mode it had, frozen ones too."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def make_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimizer named in the config, for all weights that are not frozen.

    Raises:
        ValueError: all of them are frozen.
    """
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise ValueError("The model has no trainable parameters: every one has requires_grad=False.")
    fused = config.fused and runtime.device().type in ("cpu", "cuda")
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.optimizer == "sgd":
        return optim.SGD(weights, momentum=config.momentum, **common)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[config.optimizer](weights, **common)


def set_learning_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """`model(images)`, which must be one tensor of logits `(N, classes)`.

    Raises:
        ValueError: it is something else.
    """
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ValueError(
            f"The model returned {got} for {len(images)} images, expected one tensor of logits "
            f"({len(images)}, classes): build it without heads and auxiliary heads, and end it in a linear layer."
        )
    return logits


def check_fits(model: nn.Module, data: Data) -> None:
    """A dry run of two images, so that a mismatch is found before any training.

    Raises:
        ValueError: the model refuses the images, or has fewer outputs than there are classes.
    """
    images = data.train.inputs(slice(2)).to(runtime.device())
    try:
        with evaluation_mode(model), torch.no_grad():
            logits = logits_of(model, images)
    except RuntimeError as error:  # torch's own; the course's networks raise a ValueError that says more
        raise ValueError(
            f"The model does not take the images of {data.name}, {tuple(images.shape[1:])} each: {error}"
        ) from error
    if logits.shape[1] < len(data.classes):
        raise ValueError(
            f"The model tells {logits.shape[1]} classes apart, but {data.name} has {len(data.classes)}: "
            f"build it with num_classes={len(data.classes)}."
        )


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

    return tqdm(epochs, desc=description, unit="epoch", disable=not runtime.show_progress(), leave=False)
