"""What `evaluate` measures: errors, loss and confusion of a network on every image of a split."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from . import machine
from .data.batches import evaluation_batches, images_at_once, training_batches
from .data.split import Data, Split
from .errors import LossNotFinite
from .models.modes import eval_mode, training_mode


@dataclass(frozen=True, eq=False)
class Metrics:
    """What `evaluate` measures. Errors are in percent."""

    top1_error: float  # share of images whose highest logit is not the label
    top5_error: float  # share of images whose label is not among the five highest logits; 0 with five classes or fewer
    loss: float  # mean cross-entropy in nats
    confusion: Tensor  # int64 `(classes, classes)`; row: the label, column: the prediction


def evaluate(model: nn.Module, split: Split, *, precision: str = "auto") -> Metrics:
    """Measure a network on every image of a split, in evaluation mode and without gradients.

    Args:
        model: maps images `(N, C, H, W)` to logits `(N, classes)`, or to several by head, the first of which
            is measured; it ends on `machine.device()`, in the mode it had.
        split: images and labels. To ask something else, change the labels: `replace(split, labels=split.labels % 2)`.
        precision: as in `TrainConfig`.

    Raises:
        ValueError: the model and the split do not fit each other.
        LossNotFinite: the logits are infinite or not a number.
    """
    if not isinstance(split, Split):
        advice = "Choose a part of it: evaluate(model, data.test)." if isinstance(split, Data) else "See edu.data.load."
        raise ValueError(f"evaluate takes one part of a data set, a Split, got a {type(split).__name__}. {advice}")
    device = machine.device()
    model.to(device)
    split = split.to(device)
    with eval_mode(model), torch.no_grad(), machine.autocast(device, precision, split.images.shape):
        parts = [logits_of(model(images), len(images)).float() for images, _ in evaluation_batches(split)]
    logits = torch.cat(parts)
    classes, highest = logits.shape[1], int(split.labels.max())  # logits: (N, classes)
    if highest >= classes:
        advice = f"build it with num_classes={highest + 1} or more"
        raise ValueError(f"The labels go up to {highest}, but the model tells {classes} classes apart: {advice}.")
    if not logits.isfinite().all():
        spoiled = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
        where = f"{spoiled[0]} has numbers that are not finite" if spoiled else "all weights are finite"
        raise LossNotFinite(
            f"For {int((~logits.isfinite()).any(dim=1).sum())} of {len(split)} images the logits are infinite or not a "
            f"number ({where}): such a network names nothing. Train it again, at a learning rate ten times lower."
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


def recompute_batch_norm(model: nn.Module, split: Split, *, precision: str = "auto") -> None:
    """Measure anew what batch norm uses in evaluation: mean and variance of each channel over all images of a split.

    It is the mean over batches in random order, since in a folder the images of a class stand together. In training
    every step moves the running statistics a tenth of the way to those of its batch. After few steps they still hold
    much of their first values, 0 and 1, and a net that knows its training images by heart may take all of them for one
    class. What is frozen stays as it is.
    """
    device, generator = machine.device(), torch.Generator().manual_seed(0)
    with eval_mode(model):
        norms = [each for each in training_mode(model).modules() if isinstance(each, _BatchNorm) and each.training]
    if not norms or len(split) == 1:  # one image has no variance
        return
    model.to(device)
    before, momenta = deepcopy([norm.state_dict() for norm in norms]), [norm.momentum for norm in norms]
    with eval_mode(model), torch.no_grad(), machine.autocast(device, precision, split.images.shape):  # no dropout
        try:
            for norm in norms:
                norm.train()
                norm.reset_running_stats()
                norm.momentum = None  # the plain mean
            for images, _ in training_batches(split.to(device), images_at_once(split), generator=generator):
                model(images)
        except BaseException:  # the stop button too
            for norm, state in zip(norms, before, strict=True):
                norm.load_state_dict(state)
            raise
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def logits_of(outputs: object, count: int) -> Tensor:
    """The logits `(count, classes)` that errors are counted on, among what a model returned for `count` images.

    It returns logits; or a dict of them by head, the first of which counts; or a named tuple with one of
    these as `logits`, as GoogLeNet does with its auxiliary heads.
    """
    if isinstance(outputs, tuple) and hasattr(outputs, "logits"):
        outputs = getattr(outputs, "logits")  # noqa: B009
    if isinstance(outputs, Mapping) and outputs:
        outputs = next(iter(outputs.values()))
    return require_logits(outputs, count)


def require_logits(outputs: object, count: int) -> Tensor:
    """`outputs`, which must be one tensor of logits `(count, classes)`."""
    if isinstance(outputs, Tensor) and outputs.ndim == 2 and len(outputs) == count:
        return outputs
    got = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    raise ValueError(
        f"The model returned {got} for {count} images, expected one tensor of logits ({count}, classes): "
        "build it without heads and auxiliary heads, or give fit a loss for them, and end it in a linear layer."
    )


def right_by_class(confusion: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Percent of the images of each class that got the right label; classes without images are left out."""
    counts = confusion.sum(dim=1).tolist()
    right = confusion.diagonal().tolist()
    return {name: 100 * each / count for name, each, count in zip(classes, right, counts, strict=True) if count}
