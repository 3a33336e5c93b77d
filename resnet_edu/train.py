"""The training loop: `fit` reads like the textbook, in one screen.

What makes it fast sits elsewhere: batches out of memory (`data/batches.py`), bfloat16 matrix products and
an allocator that keeps its memory (`runtime.py`), channels_last tensors and a fused optimizer (below).
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from . import runtime
from .config import TrainConfig
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
    runtime.seed_everything(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    model.to(device, memory_format=torch.channels_last if config.channels_last else torch.preserve_format)
    check_fits(model, data)
    train, test = data.train.to(device), data.test.to(device)
    optimizer = make_optimizer(model, config)
    steps = steps_per_epoch(len(train), config.batch_size)
    rate_at = schedule(config, steps)
    history = History()
    try:
        for epoch in progress(range(1, config.epochs + 1), f"train on {data.name}"):
            model.train()
            loss_sum, wrong, seen, started = 0.0, 0, 0, time.perf_counter()
            batches = training_batches(train, config.batch_size, augment=config.augment, generator=generator)
            for step, (images, labels) in enumerate(batches):
                rate = rate_at((epoch - 1) * steps + step)
                set_learning_rate(optimizer, rate)
                with autocast(device, config.precision):
                    logits = model(images)  # (N, classes)
                    loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                check_finite(loss.item(), epoch, step, rate)
                loss_sum += loss.item() * len(labels)
                wrong += int((logits.argmax(dim=1) != labels).sum())
                seen += len(labels)
            seconds = time.perf_counter() - started
            result = evaluate(model, test, precision=config.precision)
            record = Epoch(
                epoch,
                loss_sum / seen,
                100 * wrong / seen,
                result.loss,
                result.top1_error,
                rate,
                seconds,
                seen / seconds,
            )
            history.epochs.append(record)
            for callback in callbacks:
                callback(record, model)
    except KeyboardInterrupt:
        history.interrupted = True
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
        model: maps images `(N, C, H, W)` to logits `(N, classes)`; its mode is left as it was.
        split: images and labels.
        precision: as in `TrainConfig`.

    Raises:
        ValueError: a label lies outside the classes of the model.
    """
    device = runtime.device()
    was_training = model.training
    model.to(device).eval()
    split = split.to(device)
    with torch.inference_mode(), autocast(device, precision):
        logits = torch.cat([model(images).float() for images, _ in evaluation_batches(split)])  # (N, classes)
    model.train(was_training)
    classes = logits.shape[1]
    if int(split.labels.max()) >= classes:
        raise ValueError(f"The labels go up to {int(split.labels.max())}, but the model tells {classes} classes apart.")
    order = logits.topk(min(5, classes), dim=1).indices  # (N, 5), best first
    hits = order == split.labels[:, None]
    confusion = torch.bincount(split.labels * classes + order[:, 0], minlength=classes**2).view(classes, classes)
    return Metrics(
        top1_error=100 * (1 - hits[:, 0].float().mean().item()),
        top5_error=100 * (1 - hits.any(dim=1).float().mean().item()),
        loss=F.cross_entropy(logits, split.labels).item(),
        confusion=confusion.cpu(),
    )


def make_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimizer named in the config; `fused` updates all weights in one kernel instead of one call each."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise ValueError("The model has no trainable parameters: every one has requires_grad=False.")
    fused = runtime.device().type in ("cpu", "cuda")
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.optimizer == "sgd":
        return optim.SGD(weights, momentum=config.momentum, **common)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[config.optimizer](weights, **common)


def schedule(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The learning rate at each step, as a function of the step's number from 0.

    * `one_cycle`: from lr / 25 up to lr in the first 30 % of the steps and down to nearly 0, both along a cosine
      (Smith 2018, https://arxiv.org/abs/1803.09820; the same numbers as `torch.optim.lr_scheduler.OneCycleLR`).
    * `cosine`: from lr to 0 (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983).
    * `steps`: lr, divided by 10 at 1/2 and again at 3/4 of the run (He et al. 2015, section 4.2).
    * `constant`: lr.

    Args:
        config: names the schedule; `warmup_epochs` puts a linear rise from lr / 10 before any of them.
        steps: training steps an epoch.
    """
    total, warmup = config.epochs * steps, round(config.warmup_epochs * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return 0.1 + 0.9 * step / warmup
        done = (step - warmup) / max(1, total - warmup)  # share of the run, 0 ≤ done < 1
        if config.schedule == "one_cycle":
            peak, last = 0.3 * (total - warmup) - 1, total - warmup - 1
            if step - warmup <= peak:
                return cosine(1 / 25, 1, (step - warmup) / peak)
            return cosine(1, 1 / 250_000, (step - warmup - peak) / max(1e-9, last - peak))
        if config.schedule == "cosine":
            return cosine(1, 0, done)
        if config.schedule == "steps":
            return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
        return 1.0

    return lambda step: config.lr * factor(step)


def cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine as `share` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def set_learning_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Use `rate` for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Matrix products in bfloat16 inside this context, where the precision asks for it."""
    dtype = runtime.precision(device) if precision == "auto" else runtime.PRECISIONS[precision]
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def check_fits(model: nn.Module, data: Data) -> None:
    """A dry run of two images, so that a mismatch is found before any training.

    Raises:
        ValueError: the model refuses the images, or has fewer outputs than there are classes.
    """
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        logits = model(data.train.inputs(slice(2)).to(runtime.device()))
    model.train(was_training)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ValueError("fit trains models that return logits (N, classes); this one returns something else.")
    if logits.shape[1] < len(data.classes):
        raise ValueError(
            f"The model tells {logits.shape[1]} classes apart, but {data.name} has {len(data.classes)}: "
            f"build it with num_classes={len(data.classes)}."
        )


def check_finite(loss: float, epoch: int, step: int, rate: float) -> None:
    """Stop a run that has blown up.

    Raises:
        LossNotFinite: with the epoch, step and learning rate at which it happened.
    """
    if not math.isfinite(loss):
        raise LossNotFinite(
            f"The loss became {loss} in epoch {epoch}, step {step}, at learning rate {rate:.3g}. "
            "Try a learning rate ten times lower, or warmup_epochs=1."
        )


def progress(epochs: Iterable[int], description: str) -> Iterable[int]:
    """The epochs, with a progress bar where somebody is looking."""
    from tqdm.auto import tqdm  # imported here: it looks for a notebook, and loads the widgets in one

    return tqdm(epochs, desc=description, unit="epoch", disable=not runtime.show_progress(), leave=False)
