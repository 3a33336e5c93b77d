"""Answers to the exercises of lesson 02."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# --- 02.1 top-k error -------------------------------------------------------------------------------------------


def top_k_error(logits: Tensor, labels: Tensor, k: int) -> float:
    guesses = logits.topk(k, dim=1).indices  # (N, k)
    return 100 * (guesses != labels[:, None]).all(dim=1).float().mean().item()


def top_k_error_by_sorting(logits: Tensor, labels: Tensor, k: int) -> float:
    order = logits.argsort(dim=1, descending=True)
    wrong = sum(label not in row[:k].tolist() for row, label in zip(order, labels.tolist(), strict=True))
    return 100 * wrong / len(labels)


def top_k_error_by_counting(logits: Tensor, labels: Tensor, k: int):
    above = logits > logits[torch.arange(len(labels)), labels][:, None]
    return 100 * (above.sum(1) >= k).double().mean()


def each_image(logits, labels, k):
    return 100.0 * (logits.topk(k).indices != labels[:, None]).all(dim=1)


# --- 02.2 a larger image ----------------------------------------------------------------------------------------

LAYERS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))


def costs_at(side: int) -> tuple[int, int, int, int]:
    parameters = work = 0
    for place, (inputs, outputs, kernel, stride, padding) in enumerate(LAYERS):
        side = (side + 2 * padding - kernel) // stride + 1
        parameters += outputs * (inputs * kernel * kernel + 1)
        work += outputs * inputs * kernel * kernel * side * side
        if place in (0, 1, 4):
            side = (side - 3) // 2 + 1
    flat = 256 * side * side
    linear = flat * 4096 + 4096 * 4096 + 4096 * 1000
    return parameters, linear + 4096 + 4096 + 1000, work, linear


def costs_of_torch(side: int) -> list[int]:
    """Real layers on a device without memory."""
    totals, x = [0, 0, 0, 0], torch.empty(1, 3, side, side, device="meta")
    for place, sizes in enumerate(LAYERS):
        conv = nn.Conv2d(*sizes, device="meta")
        x = conv(x)
        totals[0] += sum(p.numel() for p in conv.parameters())
        totals[2] += conv.weight.numel() * x[0, 0].numel()
        x = F.max_pool2d(x, 3, 2) if place in (0, 1, 4) else x
    for inputs, outputs in ((x.numel(), 4096), (4096, 4096), (4096, 1000)):
        linear = nn.Linear(inputs, outputs, device="meta")
        totals[1] += sum(p.numel() for p in linear.parameters())
        totals[3] += linear.weight.numel()
    return totals


# --- 02.3 AlexNet -----------------------------------------------------------------------------------------------


class AlexNet(nn.Module):
    """The right answer, with an activation to exchange."""

    act: Callable[[], nn.Module] = nn.ReLU

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        act, filters = self.act, (3, width, 3 * width, 6 * width, 4 * width, 4 * width)
        layers = list[nn.Module]()
        for i, (_, _, kernel, stride, padding) in enumerate(LAYERS):
            layers += [nn.Conv2d(filters[i], filters[i + 1], kernel, stride, padding), act()]
            layers += [nn.MaxPool2d(3, 2)] if i in (0, 1, 4) else []
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        hidden = 64 * width
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(4 * width * 36, hidden), act()),
            *(nn.Dropout(), nn.Linear(hidden, hidden), act(), nn.Linear(hidden, num_classes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class NoAverage(AlexNet):
    """Right at 224 pixels only; here a learner who takes what fits."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = F.pad(x, (0, 6 - x.shape[3], 0, 6 - x.shape[2]))
        return self.classifier(x.flatten(1))


class OnlyFor224(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


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


class InPlace(AlexNet):
    """Right: whether its own ReLUs work in place is the learner's choice."""

    act = staticmethod(lambda: nn.ReLU(inplace=True))


class MeanTakenOff(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        x -= 0.45
        return super().forward(x)


# --- 02.4 flip and crop -----------------------------------------------------------------------------------------


def augment(images: Tensor, flip: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    N, _, H, W = images.shape
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (padding,) * 4)
    rows = top[:, None] + torch.arange(H)  # (N, H)
    columns = left[:, None] + torch.arange(W)  # (N, W)
    number = torch.arange(N)[:, None, None]
    return padded[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def augment_by_gather(images: Tensor, flip: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    N, C, H, W = images.shape
    mirrored = images.clone()
    mirrored[flip] = images[flip].flip(-1)
    rows = (top[:, None] + torch.arange(H)).view(N, 1, H, 1).expand(N, C, H, W + 2 * padding)
    columns = (left[:, None] + torch.arange(W)).view(N, 1, 1, W).expand(N, C, H, W)
    return F.pad(mirrored, (padding,) * 4).gather(2, rows).gather(3, columns)


def augment_in_a_loop(images, flip, top, left, padding):
    H, W = images.shape[2:]
    padded = F.pad(images, (padding,) * 4)
    out = []
    for n in range(len(images)):
        i, j = top[n], 2 * padding - left[n] if flip[n] else left[n]
        image = padded[n, :, i : i + H, j : j + W]
        out.append(image.flip(-1) if flip[n] else image)
    return torch.stack(out)


def augment_in_place(images, flip, top, left, padding):
    images[flip] = images[flip].flip(-1)
    return augment(images, torch.zeros_like(flip), top, left, padding)


def changed(change: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """The right answer with something done to it."""
    return lambda images, flip, top, left, padding: change(augment(images, flip, top, left, padding))


RIGHT = {
    "02.1": [top_k_error, top_k_error_by_sorting, top_k_error_by_counting],
    "02.2": [costs_at, costs_of_torch],
    "02.3": [AlexNet, Functional, InPlace],
    "02.4": [augment, augment_by_gather],
}

WRONG = {
    "02.1": [
        (each_image, "Expected one number"),
        (lambda logits, labels, k: top_k_error(logits, labels, k) + 1, "expected "),
        (
            lambda logits, labels, k: top_k_error(logits.mul_(2), labels, k),
            "changes the tensor",
        ),
    ],
    "02.2": [
        (lambda side: sum(costs_at(side)), "Expected four whole numbers"),
        (lambda side: costs_at(side)[::-1], "at position 0: expected "),
        (lambda side: tuple(map(float, costs_at(side))), "the float"),
        (lambda side: (*costs_at(side)[:2], costs_at(side)[2] + 1, costs_at(side)[3]), "at position 2: expected "),
    ],
    "02.3": [
        (NoAverage, "what happens between them is not"),
        (OnlyFor224, "average pooling to 6×6 is missing"),
        (OtherNames, "features.0.weight"),
        (BatchNormed, "features.1"),
        (NineLayers, "extra.weight"),
        (TenClasses, "classifier.6.weight"),
        (AlwaysThousand, "classifier.6.weight"),
        (InDict, "got the dict"),
        (MeanTakenOff, "changes the tensor it is given"),
    ],
    "02.4": [
        (augment_in_place, "changes the tensor it is given as `images`"),
        (augment_in_a_loop, "loop over the images"),
        (changed(lambda out: out.float()), "type of number: expected"),
        (changed(lambda out: out.mT), "got shape"),
        (changed(lambda out: out * 2), "the values are not"),
        (changed(lambda out: out.tolist()), "Expected a tensor of images"),
        (lambda x, flip, top, left, padding: augment(x, flip, top, left, max(padding, 1)), "the values are not"),
    ],
}
