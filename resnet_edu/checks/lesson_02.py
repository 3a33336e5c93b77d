"""The checks of lesson 02: top-k error, what a larger image costs, AlexNet, and augmentation of whole batches."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .exercise import Call, Watch, exercise
from .module import module_exercise
from .result import Wrong
from .values import number, seen, several, whole


def places(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits > logits.gather(1, labels[:, None])).sum(dim=1)


def among(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    return torch.isin(labels, logits.topk(k, dim=1).indices)


def scores(images: int, classes: int, k: int) -> Call:
    """Random logits without ties, and labels that are right now and then at every place."""
    logits = 0.1 * (torch.rand(images, classes).argsort(dim=1).float() + torch.rand(images, 1)) - 0.5
    labels = logits.argsort(dim=1, descending=True)[torch.arange(images), torch.arange(images) % classes]
    return Call(logits, labels, k)


@exercise(
    "02.1 top-k error",
    calls=lambda: [
        *(scores(*each) for each in ((40, 10, 5), (25, 7, 1), (30, 6, 2), (16, 5, 4), (3, 30, 1), (5, 40, 2))),
        scores(random.randint(20, 50), random.randint(8, 12), 3),
    ],
    returns=number("one number, the error of all images in percent"),
    mistakes={
        "This is the top-k accuracy. The error is the other part: 100 − accuracy. Texts mix them up too.":
            {"_wrong": lambda place, k: place < k},
        "This is a share between 0 and 1. The course gives errors in percent: times 100.":
            {"_result": lambda wrong: wrong.mean().item()},
        "`k` has no effect: this is the top-1 error.": {"k": 1},
        "One guess too many or too few: with k = 1 only the highest logit counts, and with k = 2 the two highest.":
            [{"_wrong": lambda place, k: place > k}, {"_wrong": lambda place, k: place >= k - 1}],
        "You take the k lowest logits. The guesses are the highest ones.": {"_ranked": torch.neg},
        "This is the number of wrong images. Divide by the number of images, times 100.":
            {"_result": lambda wrong: wrong.sum().item()},
        "You judge the batch as a whole. Judge each image by itself, then take the mean.":
            lambda logits, labels, k: 100.0 * (not among(logits, labels, k).all()),
        "A label counts as found when it is among the guesses for *any* image. Compare row n with label n: "
        "`labels[:, None]`.": lambda logits, labels, k: 100 * (~among(logits, labels, k)).double().mean().item(),
    },
)  # fmt: skip
def top_k_error(
    logits: Tensor, labels: Tensor, k: int, *, _ranked: Callable[[Tensor], Tensor] = torch.clone,
    _wrong: Callable[[Tensor, int], Tensor] = lambda place, k: place >= k,
    _result: Callable[[Tensor], float] = lambda wrong: 100 * wrong.mean().item(),
) -> float:  # fmt: skip
    """Equal to a definition that sorts nothing: wrong if k or more classes are rated higher than the label."""
    return _result(_wrong(places(_ranked(logits), labels), k).double())


CONVOLUTIONS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))


@exercise(
    "02.2 a larger image",
    calls=lambda: [Call(side) for side in (224, 448, 227, 64, 96, random.randint(100, 500))],
    returns=several(
        "four whole numbers (parameters of the convolutions and of the linear layers, then their multiply-adds)",
        *[whole("a whole number")] * 4,
    ),
    mistakes={
        "Your first linear layer always sees 6×6 pixels. Here there is no average pooling: it sees whatever side is "
        "left.": {"_flat": lambda side: 36},
        "`side` is counted once. A map has side · side pixels, and flattening keeps them all.":
            {"_flat": lambda side: side},
        "The biases are missing from the parameters: one for each output of a layer.": {"_bias": 0},
        "A kernel of k×k has k · k weights for each pair of maps, not k.": {"_square": 1},
        "A convolution uses each weight once at every position of its *output*. You count the positions of its input, "
        "or a single one.": [{"_input": True}, {"_places": 0}],
        "The three poolings are missing, or have windows of 2×2. AlexNet's are 3×3 with stride 2.":
            [{"_pool": lambda side: side}, {"_pool": lambda side: side // 2}],
        "The padding has no effect. It is added on both sides before the kernel moves.": {"_padding": 0},
        "You count a multiply-add as two operations. Here one multiplication with its addition counts as one.":
            {"_each": 2},
        "There are three linear layers: to 4,096, to 4,096 and to the 1,000 classes. One is missing.":
            [{"_sizes": (4096, 4096)}, {"_sizes": (4096, 1000)}],
    },
)  # fmt: skip
def costs_at(
    side: int, *, _flat: Callable[[int], int] = lambda side: side**2, _bias: int = 1, _square: int = 2,
    _input: bool = False, _places: int = 2, _pool: Callable[[int], int] = lambda side: (side - 3) // 2 + 1,
    _padding: int = 2, _each: int = 1, _sizes: Sequence[int] = (4096, 4096, 1000),
) -> tuple[int, int, int, int]:  # fmt: skip
    """Equal to what PyTorch's layers have and do, for six sides."""
    totals = [0, 0, 0, 0]
    for place, (inputs, outputs, kernel, stride, padding) in enumerate(CONVOLUTIONS):
        before, side = side, (side + _padding * padding - kernel) // stride + 1
        weights = outputs * inputs * kernel**_square
        totals[0] += weights + _bias * outputs
        totals[2] += _each * weights * (before if _input else side) ** _places
        side = _pool(side) if place in (0, 1, 4) else side
    for inputs, outputs in pairwise((256 * _flat(side), *_sizes)):
        totals[1] += inputs * outputs + _bias * outputs
        totals[3] += _each * inputs * outputs
    return totals[0], totals[1], totals[2], totals[3]


RELU = nn.ReLU


def without(*places: int) -> dict[str, Any]:
    return {"_acts": tuple(nn.Identity if place in places else RELU for place in range(7))}


def normalised(m: Any, x: Tensor) -> Tensor:
    for i, layer in enumerate(m.features):
        x = layer(x)
        x = F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=2.0) if i in (1, 4) else x
    return m.classifier(m.avgpool(x).flatten(1))


@module_exercise(
    "02.3 AlexNet",
    calls=lambda: [Call(num_classes=5, width=2), Call()],
    inputs=lambda num_classes, width: [(3, 3, 191, 224), (2, 3, 224, 224)] if width == 2 else [],
    names=True,
    mistakes={
        "Your activations are tanh. AlexNet's are ReLUs; it made them common.": {"_acts": (nn.Tanh,) * 7},
        "A ReLU is missing. One follows each layer but the last: without one in between, two layers in a row are no "
        "more than one.":
            [without(*range(7)), without(*range(5)), without(2, 3), without(5, 6), *map(without, range(7))],
        "Your poolings are not AlexNet's. These take the maximum of 3×3 with stride 2, so that they overlap.":
            [{"_pool": lambda: nn.MaxPool2d(2)}, {"_pool": lambda: nn.AvgPool2d(3, 2)}],
        "One of the three poolings is missing. They follow the first, the second and the fifth convolution.":
            [{"_pools": (0, 1)}, {"_pools": (1, 4)}],
        "The average pooling to 6×6 is missing. It changes nothing at 224 pixels, but other sizes need it.":
            lambda m, x: m.classifier(m.features(x).flatten(1)),
        "There is a ReLU after the last layer. Logits may be negative: leave it off.": lambda m, x: m.way(x).relu(),
        "You end with a softmax. Return the logits: the loss applies it itself.": lambda m, x: m.way(x).softmax(1),
        "There is local response normalisation. The paper has it; torchvision's net, which you build here, does not.":
            normalised,
        "96 filters were the paper's, on two GPUs; torchvision's net has 64, so `width` of them.":
            [{"_filters": (1.5, 4, 6, 6, 4)}, {"_filters": (1.5, 3, 6, 4, 4)}],
        "In an `nn.Sequential` the position is the name, and ReLU, pooling and dropout count: the classifier begins "
        "with dropout.": {"_drop_first": False},
        "A dropout is missing. Put an `nn.Dropout()` before each of the first two linear layers.":
            [{"_drops": drops} for drops in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))],
        "Two runs in eval mode differ: dropout is still on. Use `nn.Dropout`, which knows the mode.":
            lambda m, x: m.classifier(F.dropout(m.avgpool(m.features(x)).flatten(1))),
    },
)  # fmt: skip
class AlexNet(nn.Module):
    """61,100,840 parameters under torchvision's names, and the same logits from them."""

    def __init__(
        self, num_classes: int = 1000, width: int = 64, *, _acts: Sequence[Any] = (RELU,) * 7,
        _pool: Any = lambda: nn.MaxPool2d(3, 2), _pools: Sequence[int] = (0, 1, 4),
        _filters: Sequence[float] = (1, 3, 6, 4, 4), _drops: Sequence[float] = (0.5, 0.5), _drop_first: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        features, inputs = list[nn.Module](), 3
        for i, (times, (_, _, kernel, stride, padding)) in enumerate(zip(_filters, CONVOLUTIONS, strict=True)):
            outputs = int(times * width)
            features += [nn.Conv2d(inputs, outputs, kernel, stride, padding), _acts[i]()]
            features += [_pool() if i in _pools else nn.Identity()] if i in (0, 1, 4) else []
            inputs = outputs
        self.features, self.avgpool = nn.Sequential(*features), nn.AdaptiveAvgPool2d(6)
        layers, hidden = list[nn.Module](), 64 * width
        for i, size in enumerate((inputs * 36, hidden)):
            linear, drop = [nn.Linear(size, hidden), _acts[5 + i]()], [nn.Dropout(_drops[i])]
            layers += drop + linear if _drop_first else linear + drop
        self.classifier = nn.Sequential(*layers, nn.Linear(hidden, num_classes))

    def way(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


BATCH = seen("a tensor of images", Tensor, lambda images: {"type of number": str(images.dtype), "images": images})


def need_no_loop(answer: Callable[..., Any]) -> None:
    """The answer asks PyTorch for as many operations for 40 images as for 4."""
    counts = []
    for images in (4, 40):
        args, options = images_to_augment(images).copied()
        with Watch() as watch:
            answer(*args, **options)
        counts.append(len(watch.names))
    if counts[1] > counts[0] + 4:
        raise Wrong(
            f"The values are right, but 40 images take {counts[1]} operations where 4 take {counts[0]}: there is a "
            "loop over the images. Let PyTorch work on all of them at once; a GPU needs that even more."
        )


def cut(padded: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """From each image the part whose corner is at `(top, left)`."""
    corners = zip(padded, top.tolist(), left.tolist(), strict=True)
    return torch.stack([image[:, i : i + height, j : j + width] for image, i, j in corners])


def rolled(x: Tensor, flip: Tensor, top: Tensor, left: Tensor, p: int) -> Tensor:
    corners = zip(mirrored(x, flip), top.tolist(), left.tolist(), strict=True)
    return torch.stack([image.roll((p - i, p - j), (1, 2)) for image, i, j in corners])


def mirrored(x: Tensor, flip: Tensor, *dims: int) -> Tensor:
    return torch.where(flip[:, None, None, None], x.flip(*dims or (3,)), x)


def images_to_augment(count: int, padding: int = 2, *, channels: int = 3, whole: bool = False) -> Call:
    """Random images without zeros, so that padding shows; among the corners both ends, and not one choice for all."""
    images = torch.rand(count, channels, 7, 9) * 0.8 + 0.2
    top, left = torch.randint(0, 2 * padding + 1, (2, count))
    top[:3], left[:3] = torch.tensor([0, 2 * padding, padding]), torch.tensor([2 * padding, padding, 0])
    flip = torch.rand(count) < 0.5
    flip[:2] = torch.tensor([channels == 3, channels != 3])
    return Call((images * 255).to(torch.uint8) if whole else images, flip, top, left, padding)


@exercise(
    "02.4 flip and crop",
    calls=lambda: [
        *(images_to_augment(5, 2), images_to_augment(4, 1, channels=1), images_to_augment(7, 3, whole=True)),
        images_to_augment(3, 0),
    ],
    returns=BATCH,
    mistakes={
        "You mirror those that are not chosen. `torch.where(condition, a, b)` takes a where the condition is True.":
            {"_mirror": lambda x, flip: mirrored(x, ~flip)},
        "You turn the images upside down. Left and right change places along the last dimension, the width.":
            {"_mirror": lambda x, flip: mirrored(x, flip, 2)},
        "You mirror all images, or let the first decide for all. Each has its own entry in `flip`.":
            [{"_mirror": lambda x, flip: x.flip(3)}, {"_mirror": lambda x, flip: x.flip(3) if bool(flip[0]) else x}],
        "You crop first and mirror afterwards, so the mirrored images move the wrong way. Mirror first.":
            lambda x, flip, top, left, p: mirrored(augment.oracle(x, torch.zeros_like(flip), top, left, p), flip),  # pyright: ignore[reportGeneralTypeIssues]
        "The first image's corner is used for all. Image n is cut at `top[n]`, `left[n]`.":
            {"_corners": lambda top, left: (top[:1].expand_as(top), left[:1].expand_as(left))},
        "Rows and columns have changed places: `top` counts rows (dimension 2), `left` columns (dimension 3).":
            {"_corners": lambda top, left: (left, top)},
        "The windows move the wrong way: with top = 0 the window begins in the zeros above the image.":
            lambda x, flip, top, left, p: augment.oracle(x, flip, 2 * p - top, 2 * p - left, p),  # pyright: ignore[reportGeneralTypeIssues]
        "The zeros are on the right and at the bottom only. Put `padding` of them on all four sides.":
            {"_pad": lambda x, p: F.pad(x, (0, 2 * p, 0, 2 * p))},
        "What leaves on one side comes back on the other: `torch.roll` wraps around. Zeros should come in.": rolled,
        "The images are padded, but not cut. The result must be as large as the input: H × W.":
            lambda x, flip, top, left, p: F.pad(mirrored(x, flip), (p,) * 4),
    },
    last_question=need_no_loop,
)  # fmt: skip
def augment(
    images: Tensor, flip: Tensor, top: Tensor, left: Tensor, padding: int, *,
    _mirror: Callable[[Tensor, Tensor], Tensor] = mirrored,
    _pad: Callable[[Tensor, int], Tensor] = lambda x, p: F.pad(x, (p,) * 4),
    _corners: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda top, left: (top, left),
) -> Tensor:  # fmt: skip
    """Each image by its own entries, for four paddings, in colour and grey, bytes and floats, without a loop."""
    return cut(_pad(_mirror(images, flip), padding), *_corners(top, left), *images.shape[2:])
