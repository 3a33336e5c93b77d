"""Answers to the exercise of lesson 02 that builds AlexNet."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks

from . import Exercise


class AlexNet(nn.Module):
    """The right answer, with parts to exchange."""

    filters: tuple[int, ...] = (1, 3, 6, 4, 4)
    kernels: tuple[int, ...] = (11, 5, 3, 3, 3)
    padding: tuple[int, ...] = (2, 2, 1, 1, 1)
    pools: tuple[int, ...] = (0, 1, 4)
    pool: Callable[[], nn.Module] = staticmethod(lambda: nn.MaxPool2d(3, 2))
    acts: tuple[Callable[[], nn.Module], ...] = (nn.ReLU,) * 7
    groups: int = 1
    bias: bool = True
    drops: tuple[Callable[[], nn.Module], ...] = (nn.Dropout, nn.Dropout)
    average: int = 6

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        layers, inputs = [], 3
        for i, (times, kernel) in enumerate(zip(self.filters, self.kernels, strict=True)):
            groups = self.groups if i in (1, 3, 4) else 1
            outputs = times * width
            layers.append(
                nn.Conv2d(inputs, outputs, kernel, 4 if i == 0 else 1, self.padding[i], groups=groups, bias=self.bias)
            )
            layers.append(self.acts[i]())
            if i in self.pools:
                layers.append(self.pool())
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(self.average)
        hidden = 64 * width
        self.classifier = nn.Sequential(
            self.drops[0](), nn.Linear(inputs * self.average**2, hidden), self.acts[5](),
            self.drops[1](), nn.Linear(hidden, hidden), self.acts[6](), nn.Linear(hidden, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Stub(nn.Module):
    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        raise NotImplementedError("not yet")

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("not yet")


class Keep(nn.Identity):
    """Takes a place and does nothing."""


class AllTanh(AlexNet):
    acts = (nn.Tanh,) * 7


class NoActivation(AlexNet):
    acts = (Keep,) * 7


class NoReluInConvolutions(AlexNet):
    acts = (Keep,) * 5 + (nn.ReLU,) * 2


class NoReluInLinear(AlexNet):
    acts = (nn.ReLU,) * 5 + (Keep,) * 2


class NoReluInTheMiddle(AlexNet):
    acts = (nn.ReLU, nn.ReLU, Keep, Keep, nn.ReLU, nn.ReLU, nn.ReLU)


class NoFifthRelu(AlexNet):
    acts = (nn.ReLU,) * 4 + (Keep,) + (nn.ReLU,) * 2


class SmallPools(AlexNet):
    pool = staticmethod(lambda: nn.MaxPool2d(2))


class AveragePools(AlexNet):
    pool = staticmethod(lambda: nn.AvgPool2d(3, 2))


class NoLastPool(AlexNet):
    pools = (0, 1)


class FirstWithoutPadding(AlexNet):
    padding = (0, 2, 1, 1, 1)


class SecondWithoutPadding(AlexNet):
    padding = (2, 0, 1, 1, 1)


class ThreeWithoutPadding(AlexNet):
    padding = (2, 2, 0, 0, 0)


class NoAverage(AlexNet):
    """Right at 224 pixels only; here a learner who takes what fits."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = F.pad(x, (0, 6 - x.shape[3], 0, 6 - x.shape[2]))
        return self.classifier(x.flatten(1))


class OnlyFor224(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class ReluAtTheEnd(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Softmax(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(dim=1)


class WithNormalisation(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (1, 4):
                x = F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)
        return self.classifier(self.avgpool(x).flatten(1))


class Filters2012(AlexNet):
    filters = (1, 4, 6, 6, 4)

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__(num_classes, width)
        self.features[0] = nn.Conv2d(3, 3 * width // 2, 11, 4, 2)
        self.features[3] = nn.Conv2d(3 * width // 2, 4 * width, 5, 1, 2)


class Footnote(AlexNet):
    """The filters that the footnote of "One weird trick" names."""

    filters = (1, 3, 6, 6, 4)


class Groups(AlexNet):
    groups = 2


class SmallKernels(AlexNet):
    kernels = (11, 3, 3, 3, 3)
    padding = (2, 1, 1, 1, 1)


class OnePixel(AlexNet):
    average = 1


class NoBias(AlexNet):
    bias = False


class DropoutLater(AlexNet):
    """Dropout after each ReLU: the same idea, other names."""

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__(num_classes, width)
        drop1, fc1, relu1, drop2, fc2, relu2, fc3 = self.classifier
        self.classifier = nn.Sequential(fc1, relu1, drop1, fc2, relu2, drop2, fc3)


class NoDropout(AlexNet):
    drops = (Keep, Keep)


class OneDropout(AlexNet):
    drops = (nn.Dropout, Keep)


class LittleDropout(AlexNet):
    drops = (lambda: nn.Dropout(0.2), lambda: nn.Dropout(0.2))


class AlwaysDropout(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.dropout(self.avgpool(self.features(x)).flatten(1)))


class InPlace(AlexNet):
    acts = (lambda: nn.ReLU(inplace=True),) * 7


class OtherNames(nn.Module):
    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        net = AlexNet(num_classes, width)
        self.body, self.avgpool, self.head = net.features, net.avgpool, net.classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.avgpool(self.body(x)).flatten(1))


class BatchNormed(AlexNet):
    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__(num_classes, width)
        self.features.insert(1, nn.BatchNorm2d(width))


class NineLayers(AlexNet):
    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__(num_classes, width)
        self.extra = nn.Linear(num_classes, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.extra(super().forward(x))


class TenClasses(AlexNet):
    def __init__(self, num_classes: int = 10, width: int = 64) -> None:
        super().__init__(num_classes, width)


class AlwaysThousand(AlexNet):
    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__(1000, width)


class InDict(AlexNet):
    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


class Functional(nn.Module):
    """Right, with functions for what has no parameters."""

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        net = AlexNet(num_classes, width)
        self.features, self.classifier = net.features, net.classifier

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (6, 6))
        return self.classifier(torch.flatten(x, 1))


EXERCISES = [
    Exercise(
        checks.check_alexnet,
        AlexNet,
        Stub,
        [
            (AllTanh, "Your activations are tanh"),
            (NoActivation, "no activation at all"),
            (NoReluInConvolutions, "after the convolutions are missing"),
            (NoReluInLinear, "between the linear layers are missing"),
            (NoReluInTheMiddle, "after the third and fourth"),
            (NoFifthRelu, "The ReLU after the fifth"),
            (SmallPools, "look at 2×2"),
            (AveragePools, "pool by the average"),
            (NoLastPool, "the third and last"),
            (FirstWithoutPadding, "first convolution has no padding"),
            (SecondWithoutPadding, "second convolution has no padding"),
            (ThreeWithoutPadding, "last three convolutions have no padding"),
            (NoAverage, "what happens between them is not"),
            (OnlyFor224, "mat1 and mat2 shapes"),
            (ReluAtTheEnd, "ReLU after the last layer"),
            (Softmax, "end with a softmax"),
            (WithNormalisation, "local response normalisation"),
            (Filters2012, "96 filters"),
            (Footnote, "384 filters"),
            (Groups, "none."),
            (SmallKernels, "11×11, 5×5"),
            (OnePixel, "not one."),
            (NoBias, "has no bias"),
            (DropoutLater, "begins with dropout"),
            (NoDropout, "There is no dropout"),
            (OneDropout, "before the second linear layer is missing"),
            (LittleDropout, "share of 0.2"),
            (AlwaysDropout, "still on"),
            (InPlace, "in place"),
            (OtherNames, "`features.0.weight`; your first"),
            (BatchNormed, "three years after"),
            (NineLayers, "does not have: extra.weight"),
            (TenClasses, "Look at your defaults"),
            (AlwaysThousand, "got (2, 1000)"),
            (InDict, "returns the dict"),
        ],
        others=(Functional,),
    )
]
