"""Answers to the exercises of lesson 03 that build modules: the VGG block and the cheap head."""

import torch
from torch import Tensor, nn

from resnet_edu import checks

from . import Exercise

# --- 03.2 VGG block ---------------------------------------------------------------------------------------------


def vgg_block(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convolutions):
        layers += [nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def vgg_block_stub(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    raise NotImplementedError("not yet")


def pooled_before_the_last_relu(in_channels, channels, convolutions):
    """The maximum and the ReLU may change places: the same numbers come out."""
    *layers, relu, pool = vgg_block(in_channels, channels, convolutions)
    return nn.Sequential(*layers, pool, relu)


class Block(nn.Module):
    """Written as a class."""

    def __init__(self, in_channels: int, channels: int, convolutions: int) -> None:
        super().__init__()
        self.layers = vgg_block(in_channels, channels, convolutions)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def changed(position, part):
    """The block with a part exchanged; `part` gets the one that stood there."""

    def block(in_channels, channels, convolutions):
        layers = list(vgg_block(in_channels, channels, convolutions))
        layers[position] = part(layers[position])
        return nn.Sequential(*layers)

    return block


def every(make, *, norm=False):
    """The block with every convolution made by `make(before, after)`."""

    def block(in_channels, channels, convolutions):
        layers = []
        for i in range(convolutions):
            layers.append(make(in_channels if i == 0 else channels, channels))
            layers += [nn.BatchNorm2d(channels)] if norm else []
            layers.append(nn.ReLU())
        return nn.Sequential(*layers, nn.MaxPool2d(2))

    return block


def reordered(order):
    """The parts of the block in another order."""

    def block(in_channels, channels, convolutions):
        *layers, pool = vgg_block(in_channels, channels, convolutions)
        return nn.Sequential(*order(layers[::2], layers[1::2], pool))

    return block


def one_relu(in_channels, channels, convolutions):
    layers, relu = list(vgg_block(in_channels, channels, convolutions)), nn.ReLU()
    return nn.Sequential(*[relu if isinstance(layer, nn.ReLU) else layer for layer in layers])


def without_last_relu(in_channels, channels, convolutions):
    *layers, _, pool = vgg_block(in_channels, channels, convolutions)
    return nn.Sequential(*layers, pool)


def last_changes_the_channels(in_channels, channels, convolutions):
    layers = []
    for i in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels if i + 1 == convolutions else in_channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def always_from_in_channels(in_channels, channels, convolutions):
    layers = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def shared_convolution(in_channels, channels, convolutions):
    first, second = nn.Conv2d(in_channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
    layers = [first, nn.ReLU()]
    for _ in range(convolutions - 1):
        layers += [second, nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def pool_after_each(in_channels, channels, convolutions):
    layers = []
    for i in range(convolutions):
        layers += [nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


class Detached(Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Functional(nn.Module):
    def __init__(self, in_channels: int, channels: int, convolutions: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(list(vgg_block(in_channels, channels, convolutions))[:-1:2])

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        return nn.functional.max_pool2d(x, 2)


VGG_BLOCK = Exercise(
    checks.check_vgg_block,
    vgg_block,
    vgg_block_stub,
    [
        (changed(-1, lambda _: nn.AvgPool2d(2)), "pool by the average"),
        (changed(-1, lambda _: nn.Identity()), "keeps the side"),
        (changed(-1, lambda _: nn.MaxPool2d(3, 2, 1)), "windows of 3×3"),
        (changed(-1, lambda _: nn.MaxPool2d(4)), "(2, 8, 3, 2); expected (2, 8, 6, 5)"),
        (pool_after_each, "pools 3 times"),
        (
            reordered(lambda c, r, p: [p, *[part for pair in zip(c, r, strict=True) for part in pair]]),
            "You pool before",
        ),
        (
            reordered(lambda c, r, p: [part for pair in zip(r, c, strict=True) for part in pair] + [p]),
            "ReLUs come before",
        ),
        (reordered(lambda c, r, p: [*c, *r, p]), "all stand behind the last"),
        (one_relu, "a single ReLU"),
        (without_last_relu, "the last as well"),
        (lambda i, c, n: vgg_block(i, c, 1), "a single convolution"),
        (lambda i, c, n: vgg_block(i, c, 2), "whatever is asked for"),
        (lambda i, c, n: vgg_block(i, c, n + 1), "one too many"),
        (always_from_in_channels, "Every convolution takes 3 channels"),
        (last_changes_the_channels, "The last convolution changes"),
        (every(lambda i, c: nn.Conv2d(i, c, 5, padding=2)), "a kernel of 5×5"),
        (every(lambda i, c: nn.Conv2d(i, c, 3)), "has padding (0, 0)"),
        (every(lambda i, c: nn.Conv2d(i, c, 3, padding=1, bias=False)), "has no bias"),
        (every(lambda i, c: nn.Conv2d(i, c, 3, padding=1), norm=True), "There is batch norm"),
        (changed(0, lambda c: nn.Conv2d(c.in_channels, c.out_channels, 3, 2, 1)), "has stride 2"),
        (lambda i, c, n: list(vgg_block(i, c, n)), "Expected a module"),
        (changed(1, lambda _: nn.ReLU(inplace=True)), "in place"),
        (lambda i, c, n: Detached(i, c, n), "Is a part detached"),
        (lambda i, c, n: Functional(i, c, n), "There is no `nn.ReLU`"),
    ],
    others=(lambda i, c, n: Block(i, c, n), pooled_before_the_last_relu),
)

# --- 03.4 cheaper head ------------------------------------------------------------------------------------------


def cheap_head(channels: int, num_classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def cheap_head_stub(channels: int, num_classes: int) -> nn.Module:
    raise NotImplementedError("not yet")


def one_by_one_first(channels, num_classes):
    """Mixing before the mean is the same as mixing after it."""
    return nn.Sequential(nn.Conv2d(channels, num_classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Head(nn.Module):
    """A head whose pooling is any function of the maps."""

    def __init__(self, channels, num_classes, pool, end=lambda x: x):
        super().__init__()
        self.fc, self.pool, self.end = nn.Linear(channels, num_classes), pool, end

    def forward(self, x):
        return self.end(self.fc(self.pool(x)))


def with_pool(pool, end=lambda x: x):
    return lambda channels, num_classes: Head(channels, num_classes, pool, end)


def mean(x):
    return x.mean(dim=(2, 3))


def sequential(*layers):
    return lambda channels, num_classes: nn.Sequential(*[layer(channels, num_classes) for layer in layers])


def pooled(side):
    return lambda c, k: nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten())


CHEAP_HEAD = Exercise(
    checks.check_cheap_head,
    cheap_head,
    cheap_head_stub,
    [
        (with_pool(lambda x: x.amax(dim=(2, 3))), "largest number of each map"),
        (with_pool(lambda x: x.sum(dim=(2, 3))), "the sum of each map"),
        (with_pool(mean, torch.relu), "A ReLU follows"),
        (with_pool(mean, nn.Softmax(dim=1)), "end with a softmax"),
        (with_pool(mean, nn.LogSoftmax(dim=1)), "log-softmax"),
        (with_pool(lambda x: mean(x.relu())), "A ReLU stands before the pooling"),
        (with_pool(lambda x: x[:, :, 0, 0]), "the first pixel of each map only"),
        (with_pool(lambda x: x.mean(dim=(0, 2, 3)).expand(len(x), -1)), "average over the batch"),
        (with_pool(lambda x: x.std(dim=(2, 3), correction=0)), "what happens before it is not"),
        (with_pool(lambda x: mean(x).detach()), "Is a part detached"),
        (sequential(pooled(7), lambda c, k: nn.Linear(49 * c, k)), "392 numbers an image"),
        (sequential(pooled(1), lambda c, k: nn.Linear(c, c), lambda c, k: nn.Linear(c, k)), "2 layers with weights"),
        (sequential(pooled(1), lambda c, k: nn.Dropout(), lambda c, k: nn.Linear(c, k)), "There is a dropout"),
        (sequential(pooled(1), lambda c, k: nn.Linear(c, k, bias=False)), "has no bias"),
        (
            sequential(lambda c, k: nn.AdaptiveAvgPool2d(1), lambda c, k: nn.Conv2d(c, k, 1)),
            "Flatten after the pooling",
        ),
        (sequential(pooled(1)), "has 0 parameters"),
        (lambda channels, num_classes: nn.Linear(channels, num_classes), "mat1 and mat2 shapes"),
        (lambda channels, num_classes: torch.zeros(2), "Expected a module"),
    ],
    others=(with_pool(mean), one_by_one_first),
)

EXERCISES = [VGG_BLOCK, CHEAP_HEAD]
