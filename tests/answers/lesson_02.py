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


# --- 02.2 linear parameters -------------------------------------------------------------------------------------


def linear_parameters(channels: int, side: int, hidden: int, num_classes: int) -> int:
    inputs = channels * side * side
    return hidden * (inputs + 1) + hidden * (hidden + 1) + num_classes * (hidden + 1)


def linear_parameters_by_layers(channels: int, side: int, hidden: int, num_classes: int) -> int:
    with torch.device("meta"):
        net = nn.Sequential(
            nn.Linear(channels * side**2, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, num_classes)
        )
    return sum(p.numel() for p in net.parameters())


# --- 02.3 AlexNet -----------------------------------------------------------------------------------------------


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

    acts = (lambda: nn.ReLU(inplace=True),) * 7


class MeanTakenOff(AlexNet):
    def forward(self, x: Tensor) -> Tensor:
        x -= 0.45
        return super().forward(x)


# --- 02.4 flip --------------------------------------------------------------------------------------------------


def flip_chosen(images: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def flip_by_index(images: Tensor, chosen: Tensor) -> Tensor:
    out = images.clone()
    out[chosen] = images[chosen].flip(-1)
    return out


def flip_in_place(images: Tensor, chosen: Tensor) -> Tensor:
    images[chosen] = images[chosen].flip(-1)
    return images


def flip_in_a_loop(images: Tensor, chosen: Tensor) -> Tensor:
    return torch.stack([image.flip(-1) if yes else image for image, yes in zip(images, chosen, strict=True)])


def flip_by_product(images: Tensor, chosen: Tensor) -> Tensor:
    mask = chosen.view(-1, 1, 1, 1).float()
    return mask * images.flip(3) + (1 - mask) * images


def flip_even_widths(images: Tensor, chosen: Tensor) -> Tensor:
    half = images.shape[3] // 2
    mirrored = torch.cat([images[..., half:].flip(3), images[..., :half].flip(3)], dim=3)[..., : 2 * half]
    return torch.where(chosen[:, None, None, None], mirrored, images[..., : 2 * half])


# --- 02.5 crop --------------------------------------------------------------------------------------------------


def crop_each(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    N, _, H, W = images.shape
    padded = F.pad(images, (padding,) * 4)
    rows = top[:, None] + torch.arange(H)  # (N, H)
    columns = left[:, None] + torch.arange(W)  # (N, W)
    number = torch.arange(N)[:, None, None]
    return padded[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def crop_by_gather(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    N, C, H, W = images.shape
    padded = F.pad(images, (padding,) * 4)
    rows = (top[:, None] + torch.arange(H)).view(N, 1, H, 1).expand(N, C, H, W + 2 * padding)
    columns = (left[:, None] + torch.arange(W)).view(N, 1, 1, W).expand(N, C, H, W)
    return padded.gather(2, rows).gather(3, columns)


def crop_in_a_loop(images, top, left, padding):
    H, W = images.shape[2:]
    padded = F.pad(images, (padding,) * 4)
    return torch.stack([padded[n, :, top[n] : top[n] + H, left[n] : left[n] + W] for n in range(len(images))])


RIGHT = {
    "02.1": [top_k_error, top_k_error_by_sorting, top_k_error_by_counting],
    "02.2": [
        linear_parameters,
        linear_parameters_by_layers,
        lambda c, s, h, k: torch.tensor(linear_parameters(c, s, h, k)),
    ],
    "02.3": [AlexNet, Functional, InPlace],
    "02.4": [flip_chosen, flip_by_index],
    "02.5": [crop_each, crop_by_gather],
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
        (lambda c, s, h, k: float(linear_parameters(c, s, h, k)), "the float"),
        (lambda c, s, h, k: linear_parameters(c, s, h, k) + 1, "expected "),
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
        (flip_in_place, "changes the tensor it is given as `images`"),
        (flip_in_a_loop, "loop over the images"),
        (flip_by_product, "type of number: expected"),
        (flip_even_widths, "expected a tensor of shape"),
        (lambda images, chosen: flip_chosen(images, chosen) * 2, "the values are not"),
        (lambda images, chosen: flip_chosen(images, chosen).tolist(), "Expected a tensor of images"),
    ],
    "02.5": [
        (crop_in_a_loop, "loop over the images"),
        (lambda x, top, left, padding: crop_each(x, top, left, padding).float(), "type of number: expected"),
        (lambda x, top, left, padding: crop_each(x, top, left, padding).mT, "got shape"),
        (lambda x, top, left, padding: crop_each(x.zero_(), top, left, padding), "changes the tensor"),
        (lambda x, top, left, padding: crop_each(x, top, left, max(padding, 1)), "the values are not"),
    ],
}
