"""Answers to the exercises of lesson 04."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models
from resnet_edu.models.googlenet import ConvBlock

# --- 04.1 mix pixels --------------------------------------------------------------------------------------------


def mix_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (x.permute(0, 2, 3, 1) @ weight.T + bias).permute(0, 3, 1, 2)


def mix_flat(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = weight @ x.flatten(2) + bias[:, None]
    return out.reshape(len(x), len(weight), *x.shape[2:])


def mix_by_einsum(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("nchw,kc->nkhw", x, weight) + bias[:, None, None]


def mix_by_loop(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.stack([(x * row[:, None, None]).sum(1) + b for row, b in zip(weight, bias, strict=True)], 1)


# --- 04.2 cost of a branch --------------------------------------------------------------------------------------


def branch_cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> tuple[int, int]:
    if reduced is None:
        parameters = in_channels * channels * kernel**2
    else:
        parameters = in_channels * reduced + reduced * channels * kernel**2
    return parameters, parameters * side**2


def branch_cost_by_torch(side, in_channels, channels, kernel, reduced=None):
    """Right as well: a list, counted in layers."""
    convs = [torch.nn.Conv2d(reduced or in_channels, channels, kernel, bias=False, device="meta")]
    if reduced:
        convs.append(torch.nn.Conv2d(in_channels, reduced, 1, bias=False, device="meta"))
    parameters = sum(conv.weight.numel() for conv in convs)
    return [parameters, parameters * side * side]


def branch_cost_by_numpy(*args, **options):
    """Right as well: whole numbers of NumPy and of PyTorch."""
    parameters, macs = branch_cost(*args, **options)
    return np.prod([parameters]), torch.tensor([macs])


# --- 04.3 inception block ---------------------------------------------------------------------------------------


class Inception(nn.Module):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvBlock(in_channels, pool, 1))

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), 1)


class Detached(Inception):
    def forward(self, x: Tensor) -> Tensor:
        one, three, five, pool = self.parts(x)
        return torch.cat([one, three.detach(), five, pool], 1)


class OtherNames(Inception):
    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__(in_channels, one, three_reduced, three, five_reduced, five, pool)
        self.pooled = self.branch4
        del self.branch4

    def parts(self, x: Tensor) -> list[Tensor]:
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.pooled(x)]


# --- 04.4 average head ------------------------------------------------------------------------------------------


class Head(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))

    def votes(self, x: Tensor) -> Tensor:
        return self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HeadByVotes(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.votes(x).mean((2, 3))

    def votes(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.fc.weight[:, :, None, None], self.fc.bias)


class HeadByModules(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(x).flatten(1))


class TwoLayers(Head):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.hidden = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.hidden(x.mean((2, 3))))


class ChangesInput(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mul_(1.5).mean((2, 3)))


class NoVotes(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


def votes(formula):
    """A right head with other `votes`."""
    return type("AverageHead", (Head,), {"votes": formula})


WRONG_VOTES = [
    (votes(lambda self, x: Head.votes(self, x) - self.fc.bias[:, None, None]), "Give it to every"),
    (votes(lambda self, x: Head.votes(self, x) / x[0, 0].numel()), "so that the *sum*"),
    (votes(lambda self, x: Head.votes(self, x).softmax(1)), "probabilities of each pixel"),
    (votes(lambda self, x: Head.votes(self, x).clamp(min=0)), "Leave negative votes in"),
    (votes(lambda self, x: Head.votes(self, x.mT).reshape(len(x), 3, *x.shape[2:])), "rows and columns"),
    (votes(lambda self, x: self.fc(x.permute(0, 2, 3, 1)).reshape(len(x), 3, *x.shape[2:])), "not `reshape`"),
    (votes(lambda self, x: self(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])), "logits of the whole image"),
    (votes(lambda self, x: self.fc(x.permute(0, 2, 3, 1))), "returns the classes last"),
    (votes(lambda self, x: Head.votes(self, x) * 2), "`votes` is not: the shape is right"),
    (votes(lambda self, x: 3), "Expected a tensor (N, classes, H, W) from `votes`"),
]

# --- 04.5 total loss --------------------------------------------------------------------------------------------


def total_loss(outputs, labels: Tensor, weight: float = 0.3) -> Tensor:
    if isinstance(outputs, Tensor):
        return F.cross_entropy(outputs, labels)
    main, *auxiliary = (F.cross_entropy(logits, labels) for logits in outputs)
    return main + weight * sum(auxiliary)


def total_loss_by_field(outputs, labels, weight=0.3):
    if not isinstance(outputs, tuple):
        outputs = (outputs,)
    scale = torch.tensor([1.0, weight, weight][: len(outputs)])
    logs = [-logits.log_softmax(1)[range(len(labels)), labels].mean() for logits in outputs]
    return (torch.stack(logs) * scale).sum()


def partly_detached(outputs, labels, weight=0.3):
    if isinstance(outputs, Tensor):
        return F.cross_entropy(outputs, labels)
    main, *auxiliary = (F.cross_entropy(logits, labels) for logits in outputs)
    return main + weight * sum(auxiliary).item()  # pyright: ignore[reportAttributeAccessIssue]


RIGHT = {
    "04.1": [mix_pixels, mix_flat, mix_by_einsum, mix_by_loop],
    "04.2": [branch_cost, branch_cost_by_torch, branch_cost_by_numpy],
    "04.3": [Inception, models.Inception],
    "04.4": [Head, HeadByVotes, HeadByModules],
    "04.5": [total_loss, total_loss_by_field],
}

WRONG = {
    "04.1": [
        (lambda x, weight, bias: F.conv2d(x, weight[:, :, None, None], bias), "PyTorch's own convolution"),
        (lambda x, weight, bias: mix_pixels(x.detach(), weight, bias), "the gradient of `x`"),
        (lambda x, weight, bias: x.permute(0, 2, 3, 1) @ weight.T + bias, "expected a tensor of shape"),
    ],
    "04.2": [
        (lambda *args, **options: [n / 1 for n in branch_cost(*args, **options)], "Nothing needs to be divided"),
        (lambda *args, **options: branch_cost(*args, **options)[0], "Expected two numbers"),
        (lambda *args, **options: (1, 2), "in place 0: expected 221184, got 1"),
    ],
    "04.3": [
        (Detached, "no gradient reaches"),
        (OtherNames, "branch4"),
    ],
    "04.4": [
        (TwoLayers, "hidden"),
        (ChangesInput, "changes the tensor"),
        (NoVotes, "Expected a method `votes(x)`"),
        *WRONG_VOTES,
    ],
    "04.5": [
        (partly_detached, "the gradient of `outputs"),
        (lambda outputs, labels, weight=0.3: float(total_loss(outputs, labels, weight)), "a tensor with one number"),
    ],
}
