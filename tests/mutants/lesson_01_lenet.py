"""Answers to the exercise of lesson 01 that builds LeNet-5."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks
from resnet_edu.models.lenet import LeNet5 as PackageLeNet5

from . import Exercise


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = x.flatten(1)
        x = torch.tanh(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


class Stub(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise NotImplementedError("not yet")

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class Variant(LeNet5):
    """LeNet-5 with functions to exchange."""

    acts: tuple[Callable[[Tensor], Tensor], ...] = (torch.tanh,) * 4
    last: Callable[[Tensor], Tensor] = nn.Identity()
    pool: Callable[[Tensor, int], Tensor] = staticmethod(F.avg_pool2d)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = self.acts
        x = self.pool(a(self.conv1(x)), 2)
        x = self.pool(b(self.conv2(x)), 2).flatten(1)
        return self.last(self.fc3(d(self.fc2(c(self.fc1(x))))))


def plain(x: Tensor) -> Tensor:
    return x


class AllRelu(Variant):
    acts = (torch.relu,) * 4


class Modern(AllRelu):
    pool = staticmethod(F.max_pool2d)


class AllSigmoid(Variant):
    acts = (torch.sigmoid,) * 4


class MaxPool(Variant):
    pool = staticmethod(F.max_pool2d)


class Linear(Variant):
    acts = (plain,) * 4


class NoTanhInConvolutions(Variant):
    acts = (plain, plain, torch.tanh, torch.tanh)


class NoTanhInLinear(Variant):
    acts = (torch.tanh, torch.tanh, plain, plain)


class NoTanhC5(Variant):
    acts = (torch.tanh, torch.tanh, plain, torch.tanh)


class NoTanhF6(Variant):
    acts = (torch.tanh, torch.tanh, torch.tanh, plain)


class NoTanhC1(Variant):
    acts = (plain, torch.tanh, torch.tanh, torch.tanh)


class NoTanhC3(Variant):
    acts = (torch.tanh, plain, torch.tanh, torch.tanh)


class PoolFirst(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(F.avg_pool2d(self.conv1(x), 2))
        x = torch.tanh(F.avg_pool2d(self.conv2(x), 2)).flatten(1)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


class TanhAtTheEnd(Variant):
    last = staticmethod(torch.tanh)


class Softmax(Variant):
    last = nn.Softmax(dim=1)


class LogSoftmax(Variant):
    last = nn.LogSoftmax(dim=1)


class HardTanh(Variant):
    acts = (F.hardtanh,) * 4


class WithoutBias(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, bias=False)


class MoreFilters(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5), nn.Conv2d(8, 16, 5)


class SmallKernels(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc1 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 16, 5), nn.Linear(400, 120)


class Padded(LeNet5):
    """The usual variant for 28-pixel images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)


class ExtraLayer(Variant):
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
    """Takes the batch's mean off the images."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0 * x.mean() + (len(x) - 3)


class Frozen(LeNet5):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2).flatten(1)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


class NoSuper(nn.Module):
    def __init__(self) -> None:
        self.conv1 = nn.Conv2d(1, 6, 5)


class Colour(LeNet5):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)


class InDict(LeNet5):
    def forward(self, x: Tensor):  # type: ignore[override]
        return {"digit": super().forward(x)}


EXERCISES = [
    Exercise(
        checks.check_lenet5,
        LeNet5,
        Stub,
        [
            (AllRelu, "Your activations are ReLUs"),
            (Modern, "today's version"),
            (AllSigmoid, "sigmoids"),
            (MaxPool, "pool by the maximum"),
            (Linear, "no activation at all"),
            (NoTanhInConvolutions, "after the two convolutions"),
            (NoTanhInLinear, "between the linear layers"),
            (NoTanhC5, "after C5"),
            (NoTanhF6, "after F6"),
            (NoTanhC1, "after the first convolution"),
            (NoTanhC3, "after the second convolution"),
            (PoolFirst, "pool before the tanh"),
            (TanhAtTheEnd, "tanh after the output layer"),
            (Softmax, "end with a softmax"),
            (LogSoftmax, "log-softmax"),
            (HardTanh, "what happens between them"),
            (WithoutBias, "C1 has no bias"),
            (MoreFilters, "Your other weights: (8, 1, 5, 5)"),
            (SmallKernels, "Your other weights: (6, 1, 3, 3)"),
            (Padded, "mat1 and mat2 shapes"),
            (ExtraLayer, "110 too many"),
            (BatchNormed, "neither dropout nor batch norm"),
            (Features, "got (3, 84)"),
            (Shifted, "One image alone"),
            (Frozen, "get no gradient"),
            (NoSuper, "super().__init__()"),
            (Colour, "to have 3 channels"),
            (InDict, "returns the dict"),
        ],
        others=(PackageLeNet5,),
    )
]
