"""The checks of lesson 01: sizes and shapes, conv2d written by hand, LeNet-5."""

import random
from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, exercise
from .module import module_exercise
from .values import listed, several, tensor, whole

# --- 01.1 output size -------------------------------------------------------------------------------------------

SIZE_MISTAKES = {
    "One too few. The kernel's first position counts as well: add 1 after the division.":
        lambda n, k, p, s: (n + 2 * p - k) // s,
    "The padding is counted once. It is added on both sides of the image: 2 · padding.":
        lambda n, k, p, s: (n + p - k) // s + 1,
    "You add 1 before you divide by the stride. Divide first, then add the 1 for the first position.":
        lambda n, k, p, s: (n + 2 * p - k + 1) // s,
    "You round up. Where the last step does not fit into the image it is left out: round down, with `//`.":
        lambda n, k, p, s: ceil((n + 2 * p - k) / s) + 1,
    "You round to the nearest number. A step that does not fit is left out: round down, with `//`.":
        lambda n, k, p, s: round((n + 2 * p - k) / s) + 1,
    "The stride has no effect. With stride 2 the kernel takes every second position only.":
        {"stride": 1},
    "The padding has no effect. It makes the image larger by `padding` pixels on each side.":
        {"padding": 0},
    "The padding is subtracted. It makes the image larger, so the output grows.":
        lambda n, k, p, s: (n - 2 * p - k) // s + 1,
    "The kernel's size has no effect. A kernel that is k wide has k − 1 positions fewer than the image has pixels.":
        lambda n, k, p, s: (n + 2 * p) // s,
    "One too many in most cases: the kernel has size − kernel + 1 positions at stride 1, not more.":
        lambda n, k, p, s: (n + 2 * p - k + 1) // s + 1,
}  # fmt: skip


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
    mistakes=SIZE_MISTAKES,
)
def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Equal to PyTorch's convolution for 25 combinations of size, kernel, padding and stride."""
    strip, weight = torch.zeros(1, 1, size, 1), torch.zeros(1, 1, kernel, 1)  # one pixel wide
    return F.conv2d(strip, weight, stride=(stride, 1), padding=(padding, 0)).shape[2]


# --- 01.2 conv2d ------------------------------------------------------------------------------------------------


def images_and_kernels(shape: tuple[int, int, int, int], kernels: int, side: int, **options: int) -> Call:
    """Random x, weight and bias, and options. The images are not centred on 0, so that borders show."""
    weight = torch.randn(kernels, shape[1], side, side)
    return Call(torch.randn(shape) + 1, weight, torch.randn(kernels) + 3, **options)


CONV2D_MISTAKES = {
    "You flip the kernel. That is the convolution of mathematics; in deep learning the kernel is laid on as it is.":
        lambda x, w, b, s, p: F.conv2d(x, w.flip(2, 3), b, s, p),
    "The kernel lies on its side: its first index runs down the rows, its second along the columns.":
        lambda x, w, b, s, p: F.conv2d(x, w.mT, b, s, p),
    "The bias is missing. Add `bias[k]` to every pixel of output channel k.":
        lambda x, w, b, s, p: F.conv2d(x, w, None, s, p),
    "The bias is added once per input channel. Add it once, after the sum over the channels.":
        lambda x, w, b, s, p: F.conv2d(x, w, b * x.shape[1], s, p),
    "The bias is added inside the innermost loop. Add it once per output pixel, after the sum.":
        lambda x, w, b, s, p: F.conv2d(x, w, b * w[0].numel(), s, p),
    "The padding has no effect. Put `padding` rows and columns of zeros around the image first.":
        {"padding": 0},
    "The padding is on the right and at the bottom only. It goes on all four sides.":
        lambda x, w, b, s, p: F.conv2d(F.pad(x, (0, p, 0, p)), w, b, s),
    "The border repeats the edge's pixels. `padding` means zeros.":
        lambda x, w, b, s, p: F.conv2d(F.pad(x, (p, p, p, p), mode="replicate"), w, b, s),
    "The stride has no effect. With stride 2 the kernel moves by two pixels.":
        {"stride": 1},
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
}  # fmt: skip


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
    forbids={
        "conv": "The result is right, but PyTorch's own convolution computes it. Write the loops, or a `@`, yourself."
    },
    mistakes=CONV2D_MISTAKES,
)
def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Equal to `F.conv2d`, gradients too: several channels, strides, paddings, images that are not square."""
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


# --- 01.3 LeNet-5 -----------------------------------------------------------------------------------------------

Activation = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    return x


def with_activations(*four: Activation, pool: Any = F.avg_pool2d, last: Activation = same) -> Callable[..., Tensor]:
    """The way through the net with other activations after C1, C3, C5 and F6, pooling or end."""

    def forward(m: Any, x: Tensor) -> Tensor:
        c1, c3, c5, f6 = four
        x = pool(c1(m.conv1(x)), 2)
        x = pool(c3(m.conv2(x)), 2).flatten(1)
        return last(m.fc3(f6(m.fc2(c5(m.fc1(x))))))

    return forward


def pooled_first(m: Any, x: Tensor) -> Tensor:
    x = torch.tanh(F.avg_pool2d(m.conv1(x), 2))
    x = torch.tanh(F.avg_pool2d(m.conv2(x), 2)).flatten(1)
    return m.fc3(torch.tanh(m.fc2(torch.tanh(m.fc1(x)))))


T, R, S = torch.tanh, torch.relu, torch.sigmoid
LENET_MISTAKES = {
    "Your activations are ReLUs. In 1998 they were tanh; ReLU came with AlexNet.":
        with_activations(R, R, R, R),
    "This is today's version, with ReLU and max pooling. Build the one of 1998: tanh and average pooling.":
        with_activations(R, R, R, R, pool=F.max_pool2d),
    "Your activations are sigmoids. LeNet-5 uses tanh, which is centred on 0.":
        with_activations(S, S, S, S),
    "You pool by the maximum. In 1998 it was the average.":
        with_activations(T, T, T, T, pool=F.max_pool2d),
    "There is no activation at all, so the whole net is one linear function. Add tanh.":
        with_activations(same, same, same, same),
    "The tanh after the two convolutions is missing.":
        with_activations(same, same, T, T),
    "The tanh between the linear layers is missing: two linear layers in a row are no more than one.":
        with_activations(T, T, same, same),
    "The tanh after C5, the layer with 120 outputs, is missing.":
        with_activations(T, T, same, T),
    "The tanh after F6, the layer with 84 outputs, is missing.":
        with_activations(T, T, T, same),
    "The tanh after the first convolution is missing.":
        with_activations(same, T, T, T),
    "The tanh after the second convolution is missing.":
        with_activations(T, same, T, T),
    "You pool before the tanh. The tanh comes directly after the convolution.":
        pooled_first,
    "There is a tanh after the output layer. Logits may be any number: leave it off.":
        with_activations(T, T, T, T, last=T),
    "You end with a softmax. Return the logits: cross-entropy applies the softmax itself.":
        with_activations(T, T, T, T, last=lambda x: x.softmax(1)),
    "You end with a log-softmax. Return the logits: cross-entropy applies it itself.":
        with_activations(T, T, T, T, last=lambda x: x.log_softmax(1)),
}  # fmt: skip


@module_exercise(
    "01.3 LeNet-5",
    calls=lambda: [Call()],
    inputs=lambda: [3 * torch.randn(3, 1, 32, 32)],
    mistakes=LENET_MISTAKES,
)
class LeNet5(nn.Module):
    """Seven layers in the order of 1998 and 61,706 parameters.

    C1 156, C3 2,416, C5 48,120, F6 10,164, output 850.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        return with_activations(T, T, T, T)(self, x)


# --- 01.4 predict a shape ---------------------------------------------------------------------------------------

Shape = tuple[int, ...]


def walk(side: int, *, padding: int = 0, kernel: int = 5, ceil_mode: bool = False, maps: int = 16) -> list[Shape]:
    """An image without data on its way through the real layers; the options make wrong variants."""
    x, shapes = torch.zeros(1, 1, side, side, device="meta"), []
    for channels in (6, maps):
        x = F.conv2d(x, torch.zeros(channels, x.shape[1], kernel, kernel, device="meta"), padding=padding)
        shapes.append(tuple(x.shape[1:]))
        x = F.avg_pool2d(x, 2, ceil_mode=ceil_mode)
        shapes.append(tuple(x.shape[1:]))
    return shapes


WALK_MISTAKES = {
    "Your convolutions keep the side. LeNet-5 pads nothing: a 5×5 kernel takes 4 pixels off.":
        lambda side: walk(side, padding=2),
    "Your convolutions take 2 pixels off, as 3×3 kernels do. LeNet-5's are 5×5.":
        lambda side: walk(side, kernel=3),
    "Your convolutions take 5 pixels off. A 5×5 kernel has side − 5 + 1 positions.":
        lambda side: walk(side, kernel=6),
    "You round up after pooling. An odd row or column at the end is left out: round down, with `//`.":
        lambda side: walk(side, ceil_mode=True),
    "Your list begins with the input. Begin with what comes out of the first convolution.":
        lambda side: [(1, side, side), *walk(side)],
    "The last pooling is missing: convolution, pooling, convolution, pooling make four shapes.":
        lambda side: walk(side)[:3],
    "Only the convolutions are in your list. Each of them is followed by a pooling with a shape of its own.":
        lambda side: walk(side)[::2],
    "Channels stand last. PyTorch's order is (channels, height, width).":
        lambda side: [(*shape[1:], shape[0]) for shape in walk(side)],
    "The second convolution has 16 filters in LeNet-5, not 12.":
        lambda side: walk(side, maps=12),
    "The walk is that of a 32-pixel image whatever the side. Compute it from `side`.":
        {"side": 32},
}  # fmt: skip

SHAPE = "a list of shapes, each (channels, height, width)"


@exercise(
    "01.4 predict a shape",
    calls=lambda: [Call(side) for side in (32, 28, 64, 29, *random.sample(range(30, 200), 6))],
    returns=listed(SHAPE, several(SHAPE, *[whole("whole numbers in a shape", hint="Use `//`.")] * 3)),
    mistakes=WALK_MISTAKES,
)
def shape_walk(side: int) -> list[Shape]:
    """Right for 10 sides, odd ones among them: what PyTorch's layers give."""
    return walk(side)
