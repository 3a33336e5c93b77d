"""The checks of lesson 01: output size, conv2d written by hand, LeNet-5, the training loop, a net with a bug in it."""

import random
from collections.abc import Callable, Sequence
from itertools import product
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, exercise
from .module import module_exercise
from .result import Wrong
from .values import Returns, listed, number, several, tensor, text, whole


def size_calls() -> list[Call]:
    known = [Call(32, 5), Call(28, 3, 1), Call(224, 7, 3, 2), Call(9, 2, 0, 2), Call(10, kernel=3, stride=4)]
    for _ in range(20):
        kernel = random.randint(1, 11)
        size, padding, stride = random.randint(kernel, 64), random.randint(0, 4), random.randint(1, 4)
        known.append(Call(size, kernel, padding=padding, stride=stride))
    return known


@exercise(
    "01.1 output size",
    calls=size_calls,
    returns=whole(hint="A number of pixels is whole: divide with `//`, not with `/`."),
    mistakes={
        "One too few. The kernel's first position counts as well: add 1 after the division.":
            lambda n, k, p, s: (n + 2 * p - k) // s,
        "The padding is counted once. It is added on both sides of the image: 2 · padding.":
            lambda n, k, p, s: (n + p - k) // s + 1,
        "You add 1 before you divide by the stride. Divide first, then add the 1 for the first position.":
            lambda n, k, p, s: (n + 2 * p - k + 1) // s,
        "You round up. Where the last step does not fit into the image it is left out: round down, with `//`.":
            lambda n, k, p, s: ceil((n + 2 * p - k) / s) + 1,
        "The stride has no effect. With stride 2 the kernel takes every second position only.": {"stride": 1},
        "The padding has no effect. It makes the image larger by `padding` pixels on each side.": {"padding": 0},
        "The padding is subtracted. It makes the image larger, so the output grows.":
            lambda n, k, p, s: (n - 2 * p - k) // s + 1,
        "The kernel's size has no effect. A kernel that is k wide has k − 1 positions fewer than the image has pixels.":
            lambda n, k, p, s: (n + 2 * p) // s,
        "One too many in most cases: the kernel has size − kernel + 1 positions at stride 1, not more.":
            lambda n, k, p, s: (n + 2 * p - k + 1) // s + 1,
    },
)  # fmt: skip
def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Equal to PyTorch's convolution for 25 combinations of size, kernel, padding and stride."""
    strip, weight = torch.zeros(1, 1, size, 1), torch.zeros(1, 1, kernel, 1)  # one pixel wide
    return F.conv2d(strip, weight, stride=(stride, 1), padding=(padding, 0)).shape[2]


def images_and_kernels(shape: tuple[int, int, int, int], kernels: int, side: int, **options: int) -> Call:
    """Random x, weight and bias, and options. The images are not centred on 0, so that borders show."""
    weight = torch.randn(kernels, shape[1], side, side)
    return Call(torch.randn(shape) + 1, weight, torch.randn(kernels) + 3, **options)


@exercise(
    "01.2 conv2d",
    calls=lambda: [
        images_and_kernels((1, 1, 5, 5), 1, 3),
        images_and_kernels((2, 3, 6, 4), 2, 3),
        images_and_kernels((2, 2, 7, 5), 3, 3, stride=2),
        images_and_kernels((1, 2, 4, 3), 2, 3, padding=1),
        images_and_kernels((2, 1, 6, 9), 2, 4, stride=2, padding=1),
        images_and_kernels((1, 3, random.randint(5, 7), 4), random.randint(2, 3), 1, stride=3, padding=2),
    ],
    returns=tensor("a tensor of shape (N, K, H_out, W_out)"),
    gradients=True,
    forbids={"conv": "Right, but PyTorch's own convolution computes it. Write the loops, or a `@`, yourself."},
    mistakes={
        "You flip the kernel. That is the convolution of mathematics; in deep learning the kernel is laid on as it is.":
            lambda x, w, b, s, p: F.conv2d(x, w.flip(2, 3), b, s, p),
        "The kernel lies on its side: its first index runs down the rows, its second along the columns.":
            lambda x, w, b, s, p: F.conv2d(x, w.mT, b, s, p),
        "The bias is missing. Add `bias[k]` to every pixel of output channel k.":
            lambda x, w, b, s, p: F.conv2d(x, w, None, s, p),
        "The bias is added inside a loop of the sum, so it counts several times. Add it once per output pixel, "
        "afterwards.":
            [lambda x, w, b, s, p: F.conv2d(x, w, b * x.shape[1], s, p),
             lambda x, w, b, s, p: F.conv2d(x, w, b * w[0].numel(), s, p)],
        "The padding has no effect. Put `padding` rows and columns of zeros around the image first.": {"padding": 0},
        "The padding is on the right and at the bottom only. It goes on all four sides.":
            lambda x, w, b, s, p: F.conv2d(F.pad(x, (0, p, 0, p)), w, b, s),
        "The border repeats the edge's pixels. `padding` means zeros.":
            lambda x, w, b, s, p: F.conv2d(F.pad(x, (p, p, p, p), mode="replicate"), w, b, s),
        "The stride has no effect. With stride 2 the kernel moves by two pixels.": {"stride": 1},
        "The stride works down the rows only. It applies along the columns as well.":
            lambda x, w, b, s, p: F.conv2d(x, w, b, (s, 1), p),
        "Only the first input channel is used. Sum over all of them.":
            lambda x, w, b, s, p: F.conv2d(x[:, :1], w[:, :1], b, s, p),
        "You average over the input channels. A convolution sums over them.":
            lambda x, w, b, s, p: F.conv2d(x, w / x.shape[1], b, s, p),
        "Every image of the batch gets the first one's result. Use `x[n]` for image n.":
            lambda x, w, b, s, p: F.conv2d(x[:1], w, b, s, p).expand(len(x), -1, -1, -1),
        "Every output channel gets the first kernel's result. Use `weight[k]` for channel k.":
            lambda x, w, b, s, p: F.conv2d(x, w[:1], b[:1], s, p).expand(-1, len(w), -1, -1),
        "The right numbers in the wrong places: height and width are mixed up in the last `reshape` or `view`.":
            lambda x, w, b, s, p: (out := F.conv2d(x, w, b, s, p)).mT.reshape(out.shape),
        "Negative values are gone. A convolution has no ReLU in it.":
            lambda x, w, b, s, p: F.conv2d(x, w, b, s, p).relu(),
    },
)  # fmt: skip
def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Equal to `F.conv2d`, gradients too: several channels, strides, paddings, images that are not square."""
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


Activation = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    return x


T, R, S = torch.tanh, torch.relu, torch.sigmoid


@module_exercise(
    "01.3 LeNet-5",
    calls=lambda: [Call()],
    inputs=lambda: [3 * torch.randn(3, 1, 32, 32)],
    mistakes={
        "Your activations are ReLUs or sigmoids. In 1998 they were tanh, centred on 0; ReLU came with AlexNet.":
            [{"_acts": (R, R, R, R)}, {"_acts": (S, S, S, S)}],
        "This is today's version, with ReLU and max pooling. Build the one of 1998: tanh and average pooling.":
            {"_acts": (R, R, R, R), "_pool": F.max_pool2d},
        "You pool by the maximum. In 1998 it was the average.": {"_pool": F.max_pool2d},
        "A tanh is missing. Put one after each of C1, C3, C5 and F6: without one in between, two layers are no more "
        "than one.": [{"_acts": acts} for acts in product((same, T), repeat=4) if same in acts],
        "You pool before the tanh. The tanh comes directly after the convolution.":
            {"_acts": (same, same, T, T), "_pool": lambda x, side: F.avg_pool2d(x, side).tanh()},
        "There is a tanh after the output layer. Logits may be any number: leave it off.": {"_last": T},
        "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
            [{"_last": lambda x: x.softmax(1)}, {"_last": lambda x: x.log_softmax(1)}],
    },
)  # fmt: skip
class LeNet5(nn.Module):
    """Seven layers in the order of 1998 and 61,706 parameters.

    C1 156, C3 2,416, C5 48,120, F6 10,164, output 850.
    """

    def __init__(
        self, *, _acts: Sequence[Activation] = (T, T, T, T), _pool: Any = F.avg_pool2d, _last: Activation = same
    ) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.acts, self.pool, self.last = _acts, _pool, _last

    def forward(self, x: Tensor) -> Tensor:
        c1, c3, c5, f6 = self.acts
        x = self.pool(c1(self.conv1(x)), 2)
        x = self.pool(c3(self.conv2(x)), 2).flatten(1)
        return self.last(self.fc3(f6(self.fc2(c5(self.fc1(x))))))


Pair = tuple[Tensor, Tensor]  # images and labels


def tiny_net() -> nn.Module:
    """Batch norm makes a forgotten mode visible; the net is handed over in the wrong one."""
    layers = nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    return nn.Sequential(*layers).eval()


def some(count: int) -> Pair:
    return torch.randn(count, 1, 4, 4), torch.randint(3, (count,))


def train_call(count: int, epochs: int, batch_size: int, **options: Any) -> Call:
    """Something to train; no epoch leaves the net in two minds about a validation image, however it rounds."""
    model, orders = tiny_net(), [torch.randperm(count) for _ in range(epochs)]
    optimizer, train_set, (images, labels) = torch.optim.SGD(model.parameters(), **options), some(count), some(90)
    args, _ = Call(model, optimizer, train_set, (images, labels), orders, batch_size).copied()
    leads = [lead for _, lead in train.oracle(*args, _error=lambda logits, _: -logits.topk(2).values.diff())]
    clear = torch.cat(leads, dim=1).amin(1) > 1e-3  # each (N, 1)
    return Call(model, optimizer, train_set, (images[clear], labels[clear]), orders, batch_size)


def per_image(losses: Sequence[float], sizes: Sequence[int]) -> float:
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def error_of(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argmax(1) != labels).double().mean().item()


def bare_loss(value: Any) -> float:
    if isinstance(value, Tensor) and value.requires_grad:
        raise Wrong(
            "Summing up the losses keeps the notes of every step for `backward`, and memory grows with each batch. Add "
            "up bare numbers: `loss.item()`."
        )
    return number("the loss, a number").clean(value)


PAIRS = "a list with a pair for each epoch, (mean training loss, validation error in percent)"


def by_epoch(value: Any) -> dict[str, dict[str, float]]:
    pairs = listed(PAIRS, several(PAIRS, Returns(bare_loss), number("the error, a number"))).clean(value)
    return {
        f"epoch {n}": {"training loss": loss, "validation error": error} for n, (loss, error) in enumerate(pairs, 1)
    }


@exercise(
    "01.4 training loop",
    calls=lambda: [train_call(22, 3, 4, lr=0.2), train_call(13, 2, 5, lr=0.1, momentum=0.9)],
    returns=Returns(by_epoch, 1e-5),
    may_change=("model", "optimizer"),
    mistakes={
        "The gradients of all batches add up. Empty them in each step, with `optimizer.zero_grad()`.": {"_steps": "bs"},
        "No weight changes: `step` is missing, or it finds no gradients. The order is `zero_grad`, `backward`, `step`.":
            [{"_steps": steps} for steps in ("zb", "zsb", "sbz", "bzs")],
        "The net is never put into training mode. Call `model.train()` at the start of each epoch.":
            {"_train": "never"},
        "After the first validation the net stays in evaluation mode. Call `model.train()` in each epoch.":
            {"_train": "once"},
        "You measure the validation images in training mode. Call `model.eval()` first.": {"_eval": False},
        "The labels are in another order than the images. Take both by the same numbers: `images[batch]`, "
        "`labels[batch]`.":
            [{"_labels": lambda batch, start: torch.arange(start, start + len(batch))},
             {"_labels": lambda batch, start: batch.flip(0)}],
        "You train on the validation images as well. They only measure; no step may follow from them.": {"_also": True},
        "You validate on the training images, which the net knows by now.": {"_validate": lambda train, val: train},
        "That is the sum of the losses. Divide by the number of images to get the mean loss per image.":
            [{"_total": lambda losses, sizes: per_image(losses, sizes) * sum(sizes)},
             {"_total": lambda losses, sizes: sum(losses)}],
        "The last batch may be smaller, so the mean over batches is not the mean over images: weight each loss by "
        "`len(batch)`.": {"_total": lambda losses, sizes: sum(losses) / len(losses)},
        "That is the loss of the last batch. Average over the epoch.": {"_total": lambda losses, sizes: losses[-1]},
        "You take the images in the order in which they lie. Take them in the epoch's own order.":
            {"_order": lambda orders, epoch: orders[epoch].sort().values},
        "Every epoch takes the first epoch's order. Each has its own.": {"_order": lambda orders, epoch: orders[0]},
        "The images that do not fill a batch are left out. Take the smaller last batch too.": {"_drop": True},
        "`batch_size` has no effect: you step once an epoch, on all images at once.": {"batch_size": 10**6},
        "You step on the sum of a batch's losses, so each step is `batch_size` times as large. Step on their mean.":
            [{"_reduction": "sum"},
             {"_reduction": "sum", "_total": lambda losses, sizes: sum(losses) / sum(sizes)}],
        "You apply softmax before the cross-entropy, which does it itself. Hand it the logits.":
            {"_logits": lambda x: x.softmax(1)},
        "That is the share of right answers. The error counts the wrong ones.":
            {"_error": lambda out, y: 100 - error_of(out, y)},
        "The error is a share between 0 and 1. Give it in percent.": {"_error": lambda out, y: error_of(out, y) / 100},
    },
)  # fmt: skip
def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, train_set: Pair, val_set: Pair, orders: Sequence[Tensor],
    batch_size: int, *, _steps: str = "zbs", _train: str = "each", _eval: bool = True, _also: bool = False,
    _drop: bool = False, _labels: Any = lambda batch, start: batch, _validate: Any = lambda train, val: val,
    _total: Any = per_image, _order: Any = lambda orders, epoch: orders[epoch], _logits: Any = same,
    _error: Any = error_of, _reduction: str = "mean",
) -> list[tuple[float, float]]:  # fmt: skip
    """Right for two nets with batch norm: losses and errors of each epoch are equal."""
    history = []
    for epoch in range(len(orders)):
        if _train == "each" or (_train == "once" and epoch == 0):
            model.train()
        losses, sizes = [], []
        for images, labels in (train_set, val_set) if _also else (train_set,):
            order = _order(orders, epoch) if images is train_set[0] else torch.arange(len(labels))
            for start in range(0, len(order) - (batch_size - 1) * _drop, batch_size):
                batch = order[start : start + batch_size]
                logits, wanted = _logits(model(images[batch])), labels[_labels(batch, start)]
                loss = F.cross_entropy(logits, wanted, reduction=_reduction)
                for step in _steps:
                    {"z": optimizer.zero_grad, "b": loss.backward, "s": optimizer.step}[step]()
                if images is train_set[0]:
                    losses.append(loss.item())
                    sizes.append(len(batch))
        if _eval:
            model.eval()
        with torch.no_grad():
            images, labels = _validate(train_set, val_set)
            history.append((_total(losses, sizes), _error(model(images), labels)))
    return history


WORDS = ("fine", "frozen", "mixed", "softmax")
CHANGES: dict[str, list[Callable[[Tensor], Tensor]]] = {
    "first": [same, torch.tanh, Tensor.detach, lambda h: h.reshape(h.shape[1], -1).T, lambda h: h - h.mean(0)],
    "last": [same, torch.exp, lambda h: h.flip(0), lambda h: h.softmax(1), lambda h: h.sigmoid().softmax(1)],
}


class Suspect(nn.Module):
    """A small net with something done to what comes out of one of its layers: of the first, or of the last."""

    def __init__(self, at: str, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(1, 2, 3), nn.Linear(32, 5), nn.Linear(5, 4)
        self.first, self.last = (change, same) if at == "first" else (same, change)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.conv(x)).flatten(1)  # (N, 32)
        return self.last(self.fc2(torch.tanh(self.fc1(self.first(h)))))


def bug_calls() -> list[Call]:
    nets = [Suspect(at, change) for at, each in CHANGES.items() for change in each]
    nets.append(Suspect("last", same))
    nets[-1].fc1.weight.requires_grad_(False)
    return [Call(net, torch.randn(6, 1, 6, 6), torch.randint(4, (6,))) for net in random.sample(nets, len(nets))]


def frozen(net: nn.Module, images: Tensor, labels: Tensor) -> bool:
    net.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    return any(parameter.grad is None for parameter in net.parameters())


def mixed(net: nn.Module, images: Tensor) -> bool:
    alone = torch.cat([net(image) for image in images.split(1)])
    return not torch.allclose(alone, net(images), atol=1e-5)


def adds_to_one(net: nn.Module, images: Tensor) -> bool:
    return torch.allclose(net(images).sum(1), torch.ones(len(images)))


def never(*args: Any) -> bool:
    return False


@exercise(
    "01.5 find the bug",
    calls=bug_calls,
    returns=text("one of four words", among=WORDS),
    may_change=("net",),
    mistakes={
        "Every net gets the same answer. Measure: the three faults show in three different numbers.":
            [lambda net, x, y, word=word: word for word in WORDS],
        "You miss frozen layers. After `loss.backward()`, look for a parameter whose `grad` is None.":
            {"_frozen": never},
        "`requires_grad` does not tell all: a `detach` in `forward` cuts a layer off too. Look at `grad` after "
        "`backward`.": {"_frozen": lambda net, x, y: any(not p.requires_grad for p in net.parameters())},
        "You miss mixed images. Send one image through alone: its logits must be those it has in the batch.":
            {"_mixed": never},
        "You miss the softmax. Its outputs add up to 1 for each image.": {"_softmax": never},
        "Positive outputs are no proof of a softmax: they must also add up to 1.":
            {"_softmax": lambda net, x: bool((net(x) > 0).all())},
    },
)  # fmt: skip
def diagnose(
    net: nn.Module, images: Tensor, labels: Tensor, *, _frozen: Any = frozen, _mixed: Any = mixed,
    _softmax: Any = adds_to_one,
) -> str:  # fmt: skip
    """Right for a dozen nets: three instruments that you will use again."""
    if _frozen(net, images, labels):
        return "frozen"
    if _mixed(net, images):
        return "mixed"
    return "softmax" if _softmax(net, images) else "fine"
