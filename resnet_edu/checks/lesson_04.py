"""The checks of lesson 04: pixels mixed by a matrix, the cost of a branch, the inception block, a head, its loss."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import AUXILIARY_WEIGHT, GoogLeNetOutputs, Inception as PackageInception
from ..models.googlenet import ConvBlock
from .exercise import Call, exercise
from .module import module_exercise
from .result import Wrong
from .values import difference, several, tensor, whole

# --- 04.1 mix pixels --------------------------------------------------------------------------------------------


def mixed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None, None], bias)


def cut_across(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Rows of C neighbours in memory, which are not the channels of one pixel."""
    rows = x.reshape(len(x), -1, x.shape[1]) @ weight.T + bias
    return rows.mT.reshape(len(x), len(weight), *x.shape[2:])


PIXEL_MISTAKES = {
    "You cut the numbers into rows of C with `reshape` or `view`. They lie in memory channel by channel, so such a row "
    "holds neighbours of one channel. Bring the channels to the end with `permute` first.":
        cut_across,
    "The product is right, and then `reshape` calls the last dimension the second. The numbers do not move with it. "
    "Use `permute(0, 3, 1, 2)` to bring the channels back.":
        lambda x, w, b: (x.permute(0, 2, 3, 1) @ w.T + b).reshape(len(x), len(w), *x.shape[2:]),
    "Right numbers in wrong places: rows and columns of the image have changed places on the way.":
        lambda x, w, b: (out := mixed(x, w, b)).mT.reshape(out.shape),
    "The bias is missing. Add `bias[k]` to every pixel of output channel k.":
        lambda x, w, b: mixed(x, w, 0 * b),
    "The bias is added once per input channel. Add it once, after the sum over the channels.":
        lambda x, w, b: mixed(x, w, b * x.shape[1]),
    "You average over the input channels. A convolution sums over them.":
        lambda x, w, b: mixed(x, w / x.shape[1], b),
    "Only the first input channel is used. Each output channel mixes all of them.":
        lambda x, w, b: mixed(x[:, :1], w[:, :1], b),
    "Every image of the batch gets the first one's result.":
        lambda x, w, b: mixed(x[:1], w, b).expand(len(x), -1, -1, -1),
    "Every output channel gets the mix of the first. Row k of `weight` belongs to output channel k.":
        lambda x, w, b: mixed(x, w[:1].expand_as(w), b),
    "All pixels come out the same: you average over the image first. Each pixel is mixed on its own.":
        lambda x, w, b: mixed(x.mean((2, 3), keepdim=True).expand_as(x), w, b),
    "The weights are made into shares that add up to 1. Use them as they are, negative ones too.":
        lambda x, w, b: mixed(x, w.softmax(1), b),
    "Negative values are gone. The ReLU comes after the convolution and is no part of it.":
        lambda x, w, b: mixed(x, w, b).relu(),
}  # fmt: skip


def images_and_weights(n: int, channels: int, height: int, width: int, kernels: int) -> Call:
    return Call(torch.randn(n, channels, height, width) + 1, torch.randn(kernels, channels), torch.randn(kernels) + 3)


@exercise(
    "04.1 mix pixels",
    calls=lambda: [
        *(images_and_weights(*s) for s in ((1, 3, 4, 5, 3), (2, 3, 4, 5, 6), (3, 4, 6, 3, 4), (2, 5, 3, 3, 2))),
        images_and_weights(2, random.randint(2, 7), 4, 6, random.randint(2, 7)),
    ],
    returns=tensor("a tensor of shape (N, K, H, W)"),
    gradients=True,
    forbids={"conv": "The result is right, but PyTorch's own convolution computes it. Write the product with `@`."},
    mistakes=PIXEL_MISTAKES,
)
def mix_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Equal to a 1×1 convolution, gradients too: one matrix, applied to every pixel."""
    return mixed(x, weight, bias)


# --- 04.2 cost of a branch --------------------------------------------------------------------------------------


def weights_of(in_channels: int, channels: int, kernel: int, reduced: int | None) -> int:
    """Weights of one branch, without biases."""
    if reduced is None:
        return kernel**2 * in_channels * channels
    return in_channels * reduced + kernel**2 * reduced * channels


def cost(side: int, weights: int) -> tuple[int, int]:
    return weights, side**2 * weights


COST_MISTAKES = {
    "The two numbers have changed places. Return (parameters, multiply-adds).":
        lambda s, i, c, k, r: cost(s, weights_of(i, c, k, r))[::-1],
    "You count the biases too. Leave them out, in both numbers: a convolution before batch norm has none.":
        lambda s, i, c, k, r: cost(s, weights_of(i, c, k, r) + c + (r or 0)),
    "The kernel's side is counted once. A k×k kernel has k · k weights for each pair of channels.":
        lambda s, i, c, k, r: cost(s, k * i * c if r is None else i * r + k * r * c),
    "`reduced` has no effect: you count the naive branch in every case.":
        {"reduced": None},
    "The 1×1 convolution in front is free in your count. It has in_channels · reduced weights of its own.":
        lambda s, i, c, k, r: cost(s, k**2 * (r or i) * c),
    "The large kernel still sees all of in_channels. Behind the 1×1 convolution it sees only `reduced` channels.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c + (r or 0) * i),
    "You give the reducing convolution the large kernel. Its kernel is 1×1.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c if r is None else k**2 * (i * r + r * c)),
    "The large kernel leads from `reduced` to `channels`, not from `reduced` to `reduced`.":
        lambda s, i, c, k, r: cost(s, k**2 * i * c if r is None else i * r + k**2 * r * r),
    "You count operations. One multiply-add is a product and a sum together, so leave the factor 2 off.":
        lambda s, i, c, k, r: ((w := weights_of(i, c, k, r)), 2 * s**2 * w),
    "The side is counted once. A map of side s has s · s pixels, and each needs all the weights.":
        lambda s, i, c, k, r: ((w := weights_of(i, c, k, r)), s * w),
    "The multiply-adds equal the parameters in your count. Each weight is used once for every pixel of the map.":
        lambda s, i, c, k, r: (weights_of(i, c, k, r),) * 2,
    "Your map shrinks under the large kernel. In an inception block the convolutions are padded and keep the side.":
        lambda s, i, c, k, r: (
            weights_of(i, c, k, r), s**2 * (i * r if r else 0) + (s - k + 1) ** 2 * k**2 * (r or i) * c),
    "The parameters grow with the side in your count. A convolution uses the same weights at every pixel.":
        lambda s, i, c, k, r: (s**2 * weights_of(i, c, k, r),) * 2,
}  # fmt: skip


def random_branch() -> Call:
    sizes = random.randint(9, 60), random.randint(50, 300), random.randint(41, 90), 3
    return Call(*sizes, reduced=random.randint(5, 40))


@exercise(
    "04.2 cost of a branch",
    calls=lambda: [
        Call(28, 192, 128, 3),
        Call(28, 192, 32, 5),
        Call(28, 192, 128, 3, reduced=96),
        Call(28, 192, 32, 5, reduced=16),
        Call(14, 480, 192, 1),
        *(random_branch() for _ in range(4)),
    ],
    returns=several(
        "two numbers, (parameters, multiply-adds)", *[whole("whole numbers", hint="Nothing needs to be divided.")] * 2
    ),
    mistakes=COST_MISTAKES,
)
def branch_cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> tuple[int, int]:
    """Right for 9 branches, naive and reduced."""
    return cost(side, weights_of(in_channels, channels, kernel, reduced))


# --- 04.3 inception block ---------------------------------------------------------------------------------------


def stacked(order: str = "1234", *, dim: int = 1) -> Callable[[Any, Tensor], Tensor]:
    return lambda m, x: torch.cat([m.get_submodule(f"branch{number}")(x) for number in order], dim)


def added(m: Any, x: Tensor) -> Tensor:
    return m.branch1(x) + m.branch2(x) + m.branch3(x) + m.branch4(x)


def chained(m: Any, x: Tensor) -> Tensor:
    one = m.branch1(x)
    two = m.branch2(one)
    return torch.cat([one, two, m.branch3(two), m.branch4(x)], 1)


POOLED = {"kernel_size": 3, "stride": 1, "padding": 1}
INCEPTION_MISTAKES = {
    "The branches are stacked in another order. It is 1×1, 3×3, the one called 5×5, pooling.":
        [stacked(order) for order in ("1324", "1243", "2134", "4123", "4321", "1423", "1342", "2341")],
    "The branches are stacked along another dimension. The channels are `dim=1`.":
        [stacked(dim=0), stacked(dim=2), stacked(dim=3)],
    "You add the branches up. They have different channels and are stacked, with `torch.cat`.":
        added,
    "All four branches begin with x itself, and none gets what another has made.":
        chained,
    "A branch is not in the stack: it has the 1×1, the 3×3, the one called 5×5 and the pooling.":
        [stacked(order) for order in ("234", "134", "124", "123")],
    "The fourth branch does not use its pooling.":
        lambda m, x: torch.cat([m.branch1(x), m.branch2(x), m.branch3(x), m.branch4[1](x)], 1),
    "The branches are made into shares by a softmax. They are stacked as they are.":
        lambda m, x: torch.cat([m.get_submodule(f"branch{number}")(x).softmax(1) for number in "1234"], 1),
    "You divide by the number of branches. Nothing is averaged: the outputs stand side by side.":
        lambda m, x: stacked()(m, x) / 4,
    "The max pooling has the kernel's side as its stride, PyTorch's default. Here it only looks for the largest "
    "neighbour: `stride=1`.":
        [{"_pool": nn.MaxPool2d(3, padding=1)}, {"_pool": nn.MaxPool2d(3)}],
    "The max pooling has no padding; a 3×3 window needs `padding=1` to keep the side.":
        {"_pool": nn.MaxPool2d(3, 1)},
    "The fourth branch takes averages. In the paper it is max pooling.":
        {"_pool": nn.AvgPool2d(**POOLED)},  # pyright: ignore[reportArgumentType]
    "The pooling branch passes on all channels of x. A 1×1 convolution behind the pooling takes them to `pool` "
    "channels; without it each block would be wider than the one before.":
        {"_last": lambda sizes, pool: pool},
    "`branch4` convolves first and pools then. Pool first: the maximum is taken over x.":
        {"_last": lambda sizes, pool: nn.Sequential(ConvBlock(sizes[0], sizes[6], 1), pool)},
    "`branch3` has the 5×5 kernel of the paper. This exercise follows torchvision, whose weights were trained with 3×3 "
    "in its place.":
        {"_five": 5},
    "`branch2` is one convolution. A 1×1 convolution that reduces the channels comes before it.":
        {"_second": lambda sizes: ConvBlock(sizes[0], sizes[3], 3)},
    "`branch3` is one convolution. A 1×1 convolution that reduces the channels comes before it.":
        {"_third": lambda sizes: ConvBlock(sizes[0], sizes[5], 3)},
    "The reducing convolution has a 3×3 kernel. It is 1×1: that is what makes the block cheap.":
        {"_second": lambda sizes: nn.Sequential(ConvBlock(sizes[0], sizes[2], 3), ConvBlock(sizes[2], sizes[3], 3))},
    "The 1×1 convolution comes behind the 3×3 one. It reduces the channels first.":
        {"_second": lambda sizes: nn.Sequential(ConvBlock(sizes[0], sizes[3], 3), ConvBlock(sizes[3], sizes[3], 1))},
}  # fmt: skip


@module_exercise(
    "04.3 inception block",
    calls=lambda: [Call(6, 2, 3, 4, 2, 5, 3), Call(7, 3, 2, 5, 1, 2, 4)],
    inputs=lambda in_channels, *sizes: [(3, in_channels, 7, 9), (2, in_channels, 6, 5)],
    names=True,
    mistakes=INCEPTION_MISTAKES,
)
class Inception(PackageInception):
    """Four branches, torchvision's names, the same numbers as the block of the package, in train and eval mode."""

    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int,
        *, _pool: nn.Module | None = None, _five: int = 3, _second: Any = None, _third: Any = None, _last: Any = None,
    ) -> None:  # fmt: skip
        sizes = (in_channels, one, three_reduced, three, five_reduced, five, pool)
        super().__init__(*sizes)
        if _second:
            self.branch2 = _second(sizes)
        self.branch3[1] = ConvBlock(five_reduced, five, _five)
        if _third:
            self.branch3 = _third(sizes)
        if _pool:
            self.branch4[0] = _pool
        if _last:
            self.branch4 = _last(sizes, nn.MaxPool2d(**POOLED))  # pyright: ignore[reportArgumentType]


# --- 04.4 average head ------------------------------------------------------------------------------------------

VOTES_MISTAKES = {
    "`votes` leaves the bias out. Give it to every pixel: the mean over the pixels then contains it once.":
        lambda fc, x: mixed(x, fc.weight, 0 * fc.bias),
    "`votes` divides by the number of pixels, so that the *sum* gives the logits. Let the mean give them.":
        lambda fc, x: mixed(x, fc.weight, fc.bias) / x[0, 0].numel(),
    "`votes` returns probabilities of each pixel. Return logits.":
        lambda fc, x: mixed(x, fc.weight, fc.bias).softmax(1),
    "`votes` cuts off what speaks against a class. Leave negative votes in.":
        lambda fc, x: mixed(x, fc.weight, fc.bias).relu(),
    "In `votes`, rows and columns have changed places.":
        lambda fc, x: (out := mixed(x, fc.weight, fc.bias)).mT.reshape(out.shape),
    "In `votes` the classes are the last dimension after `fc`. Bring them forward with `permute`, not `reshape`.":
        lambda fc, x: fc(x.permute(0, 2, 3, 1)).reshape(len(x), -1, *x.shape[2:]),
    "`votes` gives every pixel the logits of the whole image. Send each pixel through `fc` on its own.":
        lambda fc, x: fc(x.mean((2, 3)))[:, :, None, None].expand(-1, -1, *x.shape[2:]),
    "`votes` returns the classes last, `(N, H, W, classes)`. Bring them forward with `permute(0, 3, 1, 2)`.":
        lambda fc, x: fc(x.permute(0, 2, 3, 1)),
}  # fmt: skip


@torch.no_grad()
def need_votes(answer: Callable[..., Any]) -> None:
    """The votes of the single pixels, once `forward` is right."""
    head = answer(5, 3).eval()
    fc = next(part for part in head.modules() if isinstance(part, nn.Linear))
    nn.init.uniform_(fc.bias, -2, -1)
    if not callable(getattr(head, "votes", None)):
        raise Wrong("Expected a method `votes(x)` beside `forward`.")
    images = [torch.randn(shape) + 1 for shape in ((2, 5, 7, 7), (3, 5, 4, 6), (1, 5, 3, 5))]
    got = [VOTES.clean(head.votes(x.clone())) for x in images]
    faults = [difference(mine, mixed(x, fc.weight, fc.bias)) for mine, x in zip(got, images, strict=True)]
    if any(faults):
        for message, variant in VOTES_MISTAKES.items():
            if not any(difference(mine, variant(fc, x)) for mine, x in zip(got, images, strict=True)):
                raise Wrong(message)
        raise Wrong(f"`forward` is right, `votes` is not: {next(filter(None, faults))}.")


VOTES = tensor("a tensor (N, classes, H, W) from `votes`")
HEAD_MISTAKES = {
    "`forward` adds the pixels up. Take their mean.":
        lambda m, x: m.fc(x.sum((2, 3))),
    "`forward` takes the largest pixel of each map. Take the mean.":
        lambda m, x: m.fc(x.amax((2, 3))),
    "`forward` looks at the first pixel only. Take the mean.":
        lambda m, x: m.fc(x[:, :, 0, 0]),
    "`forward` looks at the middle pixel only.":
        lambda m, x: m.fc(x[:, :, x.shape[2] // 2, x.shape[3] // 2]),
    "`forward` averages over the batch too, so all images get the same logits.":
        lambda m, x: m.fc(x.mean((0, 2, 3))[None].expand(len(x), -1)),
    "`forward` cuts off negative logits. Nothing follows the linear layer.":
        lambda m, x: m.fc(x.mean((2, 3))).relu(),
    "`forward` returns probabilities. Return the logits: the cross-entropy applies the softmax itself.":
        lambda m, x: m.fc(x.mean((2, 3))).softmax(1),
    "`forward` leaves the bias of `fc` out.":
        lambda m, x: x.mean((2, 3)) @ m.fc.weight.T,
    "`fc` fits maps of one side only. An average head has `channels` numbers for each image, whatever the side.":
        {"_side": 7},
    "After the mean over height *and* width one number for each channel is left: `x.mean((2, 3))`.":
        [lambda m, x: m.fc(x.mean(2).flatten(1)), lambda m, x: m.fc(x.mean(3).flatten(1))],
}  # fmt: skip


@module_exercise(
    "04.4 average head",
    calls=lambda: [Call(5, 3)],
    inputs=lambda channels, classes: [(2, channels, 7, 7), (3, channels, 4, 6), (2, channels, 1, 1)],
    names=True,
    mistakes=HEAD_MISTAKES,
    finally_=need_votes,
)
class AverageHead(nn.Module):
    """Images of any side go in, and the votes of the pixels average to the logits."""

    def __init__(self, channels: int, classes: int, *, _side: int = 1) -> None:
        super().__init__()
        self.fc = nn.Linear(channels * _side**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)) if self.fc.in_features == x.shape[1] else x.flatten(1))


# --- 04.5 total loss --------------------------------------------------------------------------------------------

Criterion = Callable[[Tensor, Tensor], Tensor]


def loss(
    formula: Callable[[Tensor, Tensor, Tensor, float], Tensor] = lambda m, s, f, w: m + w * (s + f),
    criterion: Criterion = F.cross_entropy,
) -> Callable[[Any, Tensor, float], Tensor]:
    """A formula in the losses of the main, second and first head and the weight; logits alone have one loss."""

    def total(outputs: Any, labels: Tensor, weight: float) -> Tensor:
        if isinstance(outputs, Tensor):
            return criterion(outputs, labels)
        heads = (outputs.logits, outputs.aux_logits2, outputs.aux_logits1)
        return formula(*(criterion(logits, labels) for logits in heads), weight)  # pyright: ignore[reportCallIssue]

    return total


LOSS_MISTAKES = {
    "`weight` has no effect: all three losses count in full.":
        {"weight": 1.0},
    "The auxiliary losses are missing. Add `weight` times each of them.":
        {"weight": 0.0},
    "The loss of `aux_logits1` is missing.":
        loss(lambda m, s, f, w: m + w * s),
    "The loss of `aux_logits2` is missing.":
        loss(lambda m, s, f, w: m + w * f),
    "`weight` is applied to the main loss too. It counts in full.":
        loss(lambda m, s, f, w: w * (m + s + f)),
    "You average the two auxiliary losses. Add them up.":
        loss(lambda m, s, f, w: m + w * (s + f) / 2),
    "The main loss is made smaller. The weights need not add up to 1: it counts in full.":
        loss(lambda m, s, f, w: (1 - 2 * w) * m + w * (s + f)),
    "You divide by the sum of the weights. The paper adds the losses and leaves it at that.":
        loss(lambda m, s, f, w: (m + w * (s + f)) / (1 + 2 * w)),
    "You divide by the number of heads. Add the losses up.":
        loss(lambda m, s, f, w: (m + w * (s + f)) / 3),
    "You write 0.3 into the formula. Use `weight`, so that another one can be tried.":
        {"weight": AUXILIARY_WEIGHT},
    "The lower head gets the weight twice. Both heads have the same weight.":
        loss(lambda m, s, f, w: m + w * s + w**2 * f),
    "A softmax is applied before the cross-entropy, which applies its own. Hand over the logits.":
        loss(criterion=lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
    "You add the loss up over the batch. Take the mean, which `F.cross_entropy` does by itself.":
        loss(criterion=lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum")),
    "`nll_loss` expects logarithms of probabilities and gets logits. Use `F.cross_entropy`.":
        loss(criterion=lambda logits, labels: F.nll_loss(logits, labels)),
    "In eval mode the net returns the logits alone, a tensor. Ask with `isinstance(outputs, Tensor)` and return their "
    "cross-entropy.":
        lambda outputs, labels, weight: loss()(outputs, labels, weight) + 0 * outputs.logits.sum(),
}  # fmt: skip


def three_heads(**options: float) -> Call:
    return Call(GoogLeNetOutputs(*(2 * torch.randn(9, 4) for _ in range(3))), torch.randint(4, (9,)), **options)


@exercise(
    "04.5 total loss",
    calls=lambda: [
        *(three_heads(), three_heads(weight=0.5), three_heads(weight=0.0)),
        Call(2 * torch.randn(9, 4), torch.randint(4, (9,))),
    ],
    returns=tensor("a tensor with one number, the loss", ndim=0),
    gradients=True,
    mistakes=LOSS_MISTAKES,
)
def total_loss(outputs: Any, labels: Tensor, weight: float = AUXILIARY_WEIGHT) -> Tensor:
    """Right for three weights and in both modes, and the gradient reaches all three heads."""
    return loss()(outputs, labels, weight)
