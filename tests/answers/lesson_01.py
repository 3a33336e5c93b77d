"""Answers to the exercises of lesson 01."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models.lenet import LeNet5 as PackageLeNet5

# --- 01.2 conv2d ------------------------------------------------------------------------------------------------


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Unfold and multiply."""
    k = weight.shape[-1]
    H = (x.shape[2] + 2 * padding - k) // stride + 1
    W = (x.shape[3] + 2 * padding - k) // stride + 1
    patches = F.unfold(x, k, padding=padding, stride=stride)  # (N, C·k·k, H·W)
    return (weight.flatten(1) @ patches + bias[:, None]).reshape(len(x), len(weight), H, W)


def conv2d_loops(x, weight, bias, *, stride=1, padding=0):
    """Seven loops, the slowest right answer."""
    (N, C, H, W), (K, _, k, _) = x.shape, weight.shape
    image = torch.zeros(N, C, H + 2 * padding, W + 2 * padding)
    image[:, :, padding : padding + H, padding : padding + W] = x
    out = torch.zeros(N, K, (H + 2 * padding - k) // stride + 1, (W + 2 * padding - k) // stride + 1)
    for n in range(N):
        for channel in range(K):
            for row in range(out.shape[2]):
                for column in range(out.shape[3]):
                    total = bias[channel]
                    for c in range(C):
                        for i in range(k):
                            for j in range(k):
                                pixel = image[n, c, row * stride + i, column * stride + j]
                                total = total + weight[channel, c, i, j] * pixel
                    out[n, channel, row, column] = total
    return out


def conv2d_patches(x, weight, bias, *, stride=1, padding=0):
    """One loop per output pixel."""
    k = weight.shape[-1]
    x = F.pad(x, (padding,) * 4)
    rows, columns = (range(0, side - k + 1, stride) for side in x.shape[2:])
    out = torch.zeros(len(x), len(weight), len(rows), len(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            patch = x[:, None, :, row : row + k, column : column + k]
            out[:, :, i, j] = (patch * weight).sum((2, 3, 4)) + bias
    return out


def by_torch(x, weight, bias, *, stride=1, padding=0):
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def without_gradient(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x.detach(), weight.detach(), bias.detach(), stride=stride, padding=padding)


def gradient_of_weights_only(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x.detach(), weight, bias, stride=stride, padding=padding)


def in_place(x, weight, bias, *, stride=1, padding=0):
    out = conv2d(x, weight, bias, stride=stride, padding=padding)
    x *= 2
    return out


def batch_summed(x, weight, bias, *, stride=1, padding=0):
    return conv2d(x, weight, bias, stride=stride, padding=padding).sum(0)


def with_noise(x, weight, bias, *, stride=1, padding=0):
    out = conv2d(x, weight, bias, stride=stride, padding=padding)
    return out + torch.rand_like(out)


def as_array(x, weight, bias, *, stride=1, padding=0):
    return np.asarray(conv2d(x, weight, bias, stride=stride, padding=padding))


# --- 01.1 output size -------------------------------------------------------------------------------------------


def output_size(size, kernel, padding=0, stride=1):
    return (size + 2 * padding - kernel) // stride + 1


def output_size_by_counting(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    return len(range(0, size + 2 * padding - kernel + 1, stride))


def output_size_by_numpy(size, kernel, padding=0, stride=1):
    return np.floor_divide(size + 2 * padding - kernel, stride) + 1


# --- 01.3 LeNet-5 -----------------------------------------------------------------------------------------------


class LeNet5(nn.Module):
    """Right, as most would write it. What the wrong ones change is in class attributes."""

    first: dict[str, Any] = {}
    act = staticmethod(torch.tanh)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(**({"in_channels": 1, "out_channels": 6, "kernel_size": 5} | self.first))  # pyright: ignore[reportArgumentType]
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(self.act(self.conv1(x)), 2)
        x = F.avg_pool2d(self.act(self.conv2(x)), 2).flatten(1)
        return self.fc3(self.act(self.fc2(self.act(self.fc1(x)))))


class AsSequential(nn.Module):
    """Right, with one tanh used four times and C5 as a convolution."""

    def __init__(self) -> None:
        super().__init__()
        tanh = nn.Tanh()
        start = [nn.Conv2d(1, 6, 5), tanh, nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), tanh, nn.AvgPool2d(2)]
        end = [nn.Conv2d(16, 120, 5), tanh, nn.Flatten(), nn.Linear(120, 84), tanh, nn.Linear(84, 10)]
        self.net = nn.Sequential(*start, *end)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class HardTanh(LeNet5):
    act = staticmethod(F.hardtanh)


class WithoutBias(LeNet5):
    first = {"bias": False}


class MoreFilters(LeNet5):
    first = {"out_channels": 8}


class SmallKernels(LeNet5):
    first = {"kernel_size": 3}


class Padded(LeNet5):
    first = {"padding": 2}


class Colour(LeNet5):
    first = {"in_channels": 3}


class ExtraLayer(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.extra(super().forward(x))


class BatchNormed(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6))  # type: ignore[assignment]


class Features(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.fc3 = nn.Identity()  # type: ignore[assignment]


class Shifted(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (len(x) - 3)


class SoftmaxInEvalMode(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else super().forward(x).softmax(1)


class Squeezed(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class Frozen(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2).flatten(1)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


class NoSuper(nn.Module):
    def __init__(self) -> None:
        self.conv1 = nn.Conv2d(1, 6, 5)


class InDict(LeNet5):
    def forward(self, x: Tensor):  # type: ignore[override]
        return {"digit": super().forward(x)}


# --- 01.4 training loop -----------------------------------------------------------------------------------------


def train(model, optimizer, train_set, val_set, orders, batch_size, number=lambda loss: loss.item()):
    history = []
    for order in orders:
        model.train()
        total = 0.0
        for batch in order.split(batch_size):
            loss = F.cross_entropy(model(train_set[0][batch]), train_set[1][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total = total + number(loss) * len(batch)
        model.eval()
        with torch.no_grad():
            wrong = model(val_set[0]).argmax(dim=1) != val_set[1]
        history.append((total / len(order), 100 * wrong.float().mean().item()))
    return history


def train_by_weights(model, optimizer, train_set, val_set, orders, batch_size):
    """Each step by the batch's sum over its size; the error by the loop; tensors returned."""
    (images, labels), history = train_set, []
    for order in orders:
        shuffled, answers = images[order], labels[order]
        losses = []
        model.train()
        for start in range(0, len(order), batch_size):
            x, y = shuffled[start : start + batch_size], answers[start : start + batch_size]
            total = nn.CrossEntropyLoss(reduction="sum")(model(x), y)
            (total / len(x)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            losses.append(total.detach())
        model.eval()
        wrong = sum(int(model(x[None]).argmax() != y) for x, y in zip(*val_set, strict=True))
        history.append([torch.stack(losses).sum() / len(order), np.float64(100 * wrong / len(val_set[1]))])
    return history


def train_stepping_first(model, optimizer, train_set, val_set, orders, batch_size):
    loss = F.cross_entropy(model(train_set[0]), train_set[1])
    loss.backward()
    for batch in orders[0].split(batch_size):
        loss = F.cross_entropy(model(train_set[0][batch]), train_set[1][batch])
        optimizer.step()
        loss.backward()
    return [(loss.item(), 0.0) for _ in orders]


def train_keeping_notes(model, optimizer, train_set, val_set, orders, batch_size):
    return train(model, optimizer, train_set, val_set, orders, batch_size, number=lambda loss: loss)


# --- 01.5 find the bug ------------------------------------------------------------------------------------------


def diagnose(net, images, labels):
    F.cross_entropy(net(images), labels).backward()
    if any(parameter.grad is None for parameter in net.parameters()):
        return "frozen"
    logits = net(images)
    if (logits.sum(dim=1) - 1).abs().max() < 1e-4:
        return "softmax"
    if not torch.allclose(logits[:1], net(images[:1]), atol=1e-5):
        return "mixed"
    return "fine"


def diagnose_by_gradient(net, images, labels):
    """Does image 0's answer depend on another image? An answer of one image must not."""
    x = images.clone().requires_grad_()
    out = net(x)
    out[0].sum().backward()
    if x.grad is not None and x.grad[1:].abs().max() > 0:
        return "mixed"
    return diagnose(net, images, labels)


RIGHT = {
    "01.1": [output_size, output_size_by_counting, output_size_by_numpy],
    "01.2": [conv2d, conv2d_loops, conv2d_patches],
    "01.3": [LeNet5, AsSequential, PackageLeNet5],
    "01.4": [train, train_by_weights],
    "01.5": [diagnose, diagnose_by_gradient],
}

WRONG = {
    "01.1": [
        (lambda *args, **options: output_size(*args, **options) / 1, "the float"),
        (lambda size, kernel, padding=0, stride=1: (size + 2 * padding + kernel) // stride + 1, "expected 28, got 38"),
        (lambda size, kernel, padding=0, stride=1: torch.ones(size), "got a tensor"),
        (lambda size, kernel, padding=0, stride=1: 1 // 0, "ZeroDivisionError"),
    ],
    "01.2": [
        (by_torch, "PyTorch's own convolution"),
        (without_gradient, "cuts the result off from autograd"),
        (gradient_of_weights_only, "gradient of `x` is not"),
        (in_place, "changes the tensor it is given as `x`"),
        (batch_summed, "got shape (1, 3, 3)"),
        (with_noise, "largest difference"),
        (as_array, "got a NumPy array"),
    ],
    "01.3": [
        (HardTanh, "what happens between them"),
        (WithoutBias, "has no bias"),
        (MoreFilters, "out_channels=8"),
        (SmallKernels, "kernel_size=3"),
        (Padded, "padding=2"),
        (Colour, "in_channels=3"),
        (ExtraLayer, "linear layer"),
        (BatchNormed, "batch norm"),
        (Features, "linear layer"),
        (Shifted, "the values are not"),
        (SoftmaxInEvalMode, "In eval mode"),
        (Squeezed, "got shape (10,)"),
        (Frozen, "no gradient reaches"),
        (NoSuper, "super().__init__()"),
        (InDict, "got the dict"),
    ],
    "01.4": [
        (train_stepping_first, "You call `step` before `backward`"),
        (train_keeping_notes, "keeps the notes of every step"),
        (lambda *six: train(*six)[-1], "got the float"),
        (lambda *six: [loss for loss, _ in train(*six)], "got the float"),
        (lambda *six: dict(train(*six)), "got the dict"),
        (lambda *six: [(loss, error + 1) for loss, error in train(*six)], "expected "),
    ],
    "01.5": [
        (lambda net, images, labels: True, "got the bool"),
        (lambda net, images, labels: "broken", "Known: fine, frozen, mixed, softmax"),
        (lambda net, images, labels: diagnose(net, images[:1], labels[:1]), "You miss mixed images"),
    ],
}
