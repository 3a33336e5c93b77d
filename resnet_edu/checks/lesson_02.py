"""The checks of lesson 02: top-k error, where the parameters are, AlexNet, and augmentation of whole batches."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .exercise import Call, exercise
from .module import module_exercise
from .result import Wrong
from .values import number, seen, whole

# --- 02.1 top-k error -------------------------------------------------------------------------------------------


def places(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits > logits.gather(1, labels[:, None])).sum(dim=1)


def share(wrong: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, Tensor, int], float]:
    return lambda logits, labels, k: 100 * wrong(places(logits, labels), k).double().mean().item()


def among(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    return torch.isin(labels, logits.topk(k, dim=1).indices)


TOP_K_MISTAKES = {
    "This is the top-k accuracy. The error is the other part: 100 − accuracy. Texts mix them up too.":
        share(lambda place, k: place < k),
    "This is a share between 0 and 1. The course gives errors in percent: times 100.":
        lambda logits, labels, k: share(lambda place, k: place >= k)(logits, labels, k) / 100,
    "`k` has no effect: this is the top-1 error.":
        {"k": 1},
    "One guess too many: with k = 1 only the highest logit may be the label.":
        share(lambda place, k: place > k),
    "One guess too few: with k = 1 the highest logit counts, and with k = 2 the two highest.":
        share(lambda place, k: place >= k - 1),
    "You ask whether the label is exactly the k-th guess. It may be any of the first k.":
        share(lambda place, k: place != k - 1),
    "You take the k lowest logits. The guesses are the highest ones.":
        lambda logits, labels, k: share(lambda place, k: place >= k)(-logits, labels, k),
    "This is the number of wrong images. Divide by the number of images, times 100.":
        lambda logits, labels, k: float((places(logits, labels) >= k).sum()),
    "You divide by images times k. One hit among the k guesses is all that an image can have: `.any(dim=1)`.":
        lambda logits, labels, k: 100 - share(lambda place, k: place < k)(logits, labels, k) / k,
    "You judge the batch as a whole. Judge each image by itself, then take the mean.":
        lambda logits, labels, k: 100.0 * (not among(logits, labels, k).all()),
    "A label counts as found when it is among the guesses for *any* image. Compare row n with label n: "
    "`labels[:, None]`.":
        lambda logits, labels, k: 100 * (~among(logits, labels, k)).double().mean().item(),
}  # fmt: skip


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
    mistakes=TOP_K_MISTAKES,
)
def top_k_error(logits: Tensor, labels: Tensor, k: int) -> float:
    """Equal to a definition that sorts nothing: wrong if k or more classes are rated higher than the label."""
    return share(lambda place, k: place >= k)(logits, labels, k)


# --- 02.2 linear parameters -------------------------------------------------------------------------------------

LINEAR_MISTAKES = {
    "The biases are missing. Each output has a weight for every input, and one bias.":
        lambda c, s, h, k: c * s * s * h + h * h + h * k,
    "`side` is counted once. A map has side · side pixels, and flattening keeps them all.":
        lambda c, s, h, k: (c * s + 1) * h + (h + 1) * h + (h + 1) * k,
    "`side` has no effect. The first layer sees every pixel of every map, not one number a map.":
        {"side": 1},
    "`channels` has no effect. The first layer sees the pixels of all maps.":
        {"channels": 1},
    "There are two layers in your sum. The one in the middle, from `hidden` to `hidden`, is missing.":
        lambda c, s, h, k: h * (c * s * s + 1) + k * (h + 1),
    "The last layer, from `hidden` to `num_classes`, is missing.":
        {"num_classes": 0},
    "This is the first layer alone. Add the two others.":
        lambda c, s, h, k: h * (c * s * s + 1),
    "There are four layers in your sum: `hidden` to `hidden` is counted twice.":
        lambda c, s, h, k: (c * s * s + 1) * h + 2 * (h + 1) * h + (h + 1) * k,
    "You count a bias for each input. A bias belongs to an output: it is added to what the output has summed up.":
        lambda c, s, h, k: c * s * s * (h + 1) + h * (h + 1) + h * (k + 1),
    "You count one bias a layer. There is one for each output.":
        lambda c, s, h, k: c * s * s * h + h * h + h * k + 3,
    "You add the numbers of units. Between two layers there is a weight for every *pair* of units: multiply.":
        lambda c, s, h, k: c * s * s + h + h + k,
}  # fmt: skip


@exercise(
    "02.2 linear parameters",
    calls=lambda: [
        *(Call(256, 6, 4096, 1000), Call(32, 6, 512, 10)),
        *(Call(*(random.randint(low, 60) for low in (2, 3, 4, 5))) for _ in range(4)),
    ],
    returns=whole("a whole number of type int"),
    mistakes=LINEAR_MISTAKES,
)
def linear_parameters(channels: int, side: int, hidden: int, num_classes: int) -> int:
    """What PyTorch's layers have, for 6 sizes. For AlexNet itself: 58,631,144."""
    sizes = (channels * side * side, hidden, hidden, num_classes)
    return sum((sizes[i] + 1) * sizes[i + 1] for i in range(3))


# --- 02.3 AlexNet -----------------------------------------------------------------------------------------------

RELU, NONE = nn.ReLU, nn.Identity


def acts(missing: Sequence[int]) -> dict[str, Any]:
    return {"_acts": tuple(NONE if i in missing else RELU for i in range(7))}


def normalised(m: Any, x: Tensor) -> Tensor:
    for i, layer in enumerate(m.features):
        x = layer(x)
        x = F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0) if i in (1, 4) else x
    return m.classifier(m.avgpool(x).flatten(1))


ALEXNET_MISTAKES = {
    "Your activations are tanh. AlexNet's are ReLUs: this is where they came into use.":
        {"_acts": (nn.Tanh,) * 7},
    "There is no activation at all. Put a ReLU after every layer but the last.":
        acts(range(7)),
    "The ReLUs after the convolutions are missing.":
        acts(range(5)),
    "The ReLUs between the linear layers are missing: three in a row are one.":
        acts((5, 6)),
    "The ReLUs after the third and fourth convolution are missing.":
        acts((2, 3)),
    "The ReLU after the fifth convolution is missing.":
        acts((4,)),
    "Your poolings look at 2×2. AlexNet's look at 3×3 with stride 2, so that they overlap.":
        {"_pool": lambda: nn.MaxPool2d(2)},
    "You pool by the average. AlexNet takes the maximum.":
        {"_pool": lambda: nn.AvgPool2d(3, 2)},
    "The pooling after the fifth convolution is missing: the third and last.":
        {"_pools": (0, 1)},
    "The pooling after the first convolution is missing.":
        {"_pools": (1, 4)},
    "The first convolution has no padding. Torchvision's has 2.":
        {"_padding": (0, 2, 1, 1, 1)},
    "The second convolution has no padding. It keeps the side: 2 for a kernel of 5×5.":
        {"_padding": (2, 0, 1, 1, 1)},
    "The last three convolutions have no padding. To keep the side, 3×3 needs 1.":
        {"_padding": (2, 2, 0, 0, 0)},
    "The average pooling to 6×6 is missing. It does nothing at 224 pixels only.":
        lambda m, x: m.classifier(m.features(x).flatten(1)),
    "There is a ReLU after the last layer. Logits may be negative: leave it off.":
        lambda m, x: m.way(x).relu(),
    "You end with a softmax. Return the logits: the loss applies it itself.":
        lambda m, x: m.way(x).softmax(1),
    "There is local response normalisation. The paper has it; torchvision's net, which you build here, does not.":
        normalised,
    "96 filters were the paper's, on two GPUs; torchvision's net has 64, so `width` of them.":
        [{"_filters": (1.5, 4, 6, 6, 4)}, {"_filters": (1.5, 4, 6, 4, 4)}, {"_filters": (1.5, 3, 6, 4, 4)}],
    "That would be 384 filters in the fourth convolution; torchvision's net has 256.":
        {"_filters": (1, 3, 6, 6, 4)},
    "The groups are those of the two GPUs; torchvision's net has none.":
        {"_groups": 2},
    "The kernels are 11×11, 5×5, then three times 3×3.":
        [{"_kernels": (11, 3, 3, 3, 3), "_padding": (2, 1, 1, 1, 1)}, {"_kernels": (11, 3, 3, 3, 3)}],
    "The first linear layer sees 6×6 pixels of every map, not one.":
        {"_average": 1},
    "A layer has no bias. Every layer of AlexNet has one: batch norm was not there yet.":
        {"_bias": False},
    "In an `nn.Sequential` the position is the name, and ReLU, pooling and dropout count: the classifier begins with "
    "dropout.":
        {"_drop_first": False},
    "There is no dropout. Put `nn.Dropout()` before each of the first two linear layers.":
        {"_drops": (0.0, 0.0)},
    "The dropout before the second linear layer is missing.":
        {"_drops": (0.5, 0.0)},
    "The dropout before the first linear layer is missing.":
        {"_drops": (0.0, 0.5)},
    "Dropout drops a share of 0.2. In AlexNet it is 0.5.":
        {"_drops": (0.2, 0.2)},
    "Two runs in eval mode differ: dropout is still on. Use `nn.Dropout`, which knows the mode.":
        lambda m, x: m.classifier(F.dropout(m.avgpool(m.features(x)).flatten(1))),
}  # fmt: skip


@module_exercise(
    "02.3 AlexNet",
    calls=lambda: [Call(num_classes=5, width=2), Call()],
    inputs=lambda num_classes, width: [(3, 3, 191, 224), (2, 3, 224, 224)] if width == 2 else [],
    names=True,
    mistakes=ALEXNET_MISTAKES,
)
class AlexNet(nn.Module):
    """61,100,840 parameters under torchvision's names, and the same logits from them."""

    def __init__(
        self, num_classes: int = 1000, width: int = 64, *, _acts: Sequence[Any] = (RELU,) * 7,
        _pool: Any = lambda: nn.MaxPool2d(3, 2), _pools: Sequence[int] = (0, 1, 4), _padding: Any = (2, 2, 1, 1, 1),
        _filters: Sequence[float] = (1, 3, 6, 4, 4), _kernels: Any = (11, 5, 3, 3, 3), _groups: int = 1,
        _average: int = 6, _bias: bool = True, _drops: Sequence[float] = (0.5, 0.5), _drop_first: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        features, inputs = list[nn.Module](), 3
        for i, (times, kernel) in enumerate(zip(_filters, _kernels, strict=True)):
            outputs, groups = int(times * width), _groups if i in (1, 3, 4) else 1
            options = {"stride": 1 if i else 4, "padding": _padding[i], "groups": groups, "bias": _bias}
            features += [nn.Conv2d(inputs, outputs, kernel, **options), _acts[i]()]
            features += [_pool() if i in _pools else nn.Identity()] if i in (0, 1, 4) else []
            inputs = outputs
        self.features, self.avgpool = nn.Sequential(*features), nn.AdaptiveAvgPool2d(_average)
        layers = list[nn.Module]()
        for i, size in enumerate((inputs * _average**2, 64 * width)):
            layer = [nn.Linear(size, 64 * width), _acts[5 + i]()]
            drop = [nn.Dropout(_drops[i])]
            layers += drop + layer if _drop_first else layer + drop
        self.classifier = nn.Sequential(*layers, nn.Linear(64 * width, num_classes))

    def way(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


# --- 02.4 flip --------------------------------------------------------------------------------------------------

BATCH = seen("a tensor of images", Tensor, lambda images: {"type of number": str(images.dtype), "images": images})


class Count(TorchFunctionMode):
    """Counts the calls of PyTorch functions inside `with Count() as count:`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def need_no_loop(calls: Callable[[int], Call]) -> Callable[[Callable[..., Any]], None]:
    """The answer asks PyTorch for as many operations for 40 images as for 4."""

    def need(answer: Callable[..., Any]) -> None:
        counts = []
        for images in (4, 40):
            args, options = calls(images).copied()
            with Count() as count:
                answer(*args, **options)
            counts.append(count.calls)
        if counts[1] > counts[0] + 4:
            raise Wrong(
                f"The values are right, but 40 images take {counts[1]} operations where 4 take {counts[0]}: there is a "
                "loop over the images. Let PyTorch work on all of them at once; a GPU needs that even more."
            )

    return need


def where(chosen: Tensor, images: Tensor, *dims: int) -> Tensor:
    return torch.where(chosen[:, None, None, None], images.flip(*dims), images)


FLIP_MISTAKES = {
    "Every image is flipped. Flip those only for which `chosen` is True.":
        lambda images, chosen: images.flip(3),
    "No image is flipped.":
        lambda images, chosen: images,
    "You flip those that are not chosen. `torch.where(condition, a, b)` takes a where the condition is True.":
        lambda images, chosen: where(~chosen, images, 3),
    "You turn the images upside down. Left and right change places along the last dimension, the width.":
        lambda images, chosen: where(chosen, images, 2),
    "You flip height and width, which turns an image by 180°. Flip the width only.":
        lambda images, chosen: where(chosen, images, 2, 3),
    "You flip the channels: red and blue change places. The width is the last dimension.":
        lambda images, chosen: where(chosen, images, 1),
    "You flip the order of the images in the batch. The width is the last dimension.":
        lambda images, chosen: where(chosen, images, 0),
    "The first image decides for all. Each image has its own entry in `chosen`.":
        lambda images, chosen: images.flip(3) if bool(chosen[0]) else images,
    "Only the flipped images come back. Return the whole batch, in its order.":
        lambda images, chosen: images.flip(3)[chosen],
}  # fmt: skip


def images_to_flip(count: int, *, first: bool = True, channels: int = 3, whole: bool = False, width: int = 6) -> Call:
    """Random images, bytes if `whole`; either the first or the second is chosen."""
    images, chosen = torch.rand(count, channels, 4, width), torch.rand(count) < 0.5
    chosen[:2] = torch.tensor([first, not first])[:count]
    return Call((images * 255).to(torch.uint8) if whole else images - 0.5, chosen)


@exercise(
    "02.4 flip",
    calls=lambda: [
        *(images_to_flip(5), images_to_flip(4, first=False, channels=1)),
        *(images_to_flip(7, whole=True), images_to_flip(3, width=5), images_to_flip(1)),
    ],
    returns=BATCH,
    mistakes=FLIP_MISTAKES,
    finally_=need_no_loop(images_to_flip),
)
def flip_chosen(images: Tensor, chosen: Tensor) -> Tensor:
    """Each image by its own entry, in colour and grey, bytes and floats, without a loop."""
    return torch.stack([image.flip(2) if flip else image for image, flip in zip(images, chosen, strict=True)])


# --- 02.5 crop --------------------------------------------------------------------------------------------------


def cut(padded: Tensor, top: Tensor, left: Tensor, like: Tensor) -> Tensor:
    """From each image a part as large as those of `like`, whose corner is at `(top, left)`."""
    height, width = like.shape[2:]
    corners = zip(padded, top.tolist(), left.tolist(), strict=True)
    return torch.stack([image[:, i : i + height, j : j + width] for image, i, j in corners])


def crop(x: Tensor, top: Tensor, left: Tensor, p: int) -> Tensor:
    return cut(F.pad(x, (p,) * 4), top, left, x)


def rolled(x: Tensor, top: Tensor, left: Tensor, p: int) -> Tensor:
    corners = zip(x, top.tolist(), left.tolist(), strict=True)
    return torch.stack([image.roll((p - i, p - j), (1, 2)) for image, i, j in corners])


CROP_MISTAKES = {
    "The first image's corner is used for all. Image n is cut at `top[n]`, `left[n]`.":
        lambda x, top, left, p: crop(x, top[:1].expand_as(top), left[:1].expand_as(left), p),
    "Rows and columns have changed places: `top` counts rows (dimension 2), `left` columns (dimension 3).":
        lambda x, top, left, p: crop(x, left, top, p),
    "The zeros are on the right and at the bottom only. Put `padding` of them on all four sides.":
        lambda x, top, left, p: cut(F.pad(x, (0, 2 * p, 0, 2 * p)), top, left, x),
    "The border repeats the edge's pixels. Pad with zeros.":
        lambda x, top, left, p: cut(F.pad(x.float(), (p,) * 4, mode="replicate").to(x.dtype), top, left, x),
    "What leaves on one side comes back on the other: `torch.roll` wraps around. Zeros should come in.":
        rolled,
    "The windows move the wrong way: with top = 0 the window begins in the zeros above the image.":
        lambda x, top, left, p: crop(x, 2 * p - top, 2 * p - left, p),
    "`left` has no effect: the images move up and down only.":
        lambda x, top, left, p: crop(x, top, torch.full_like(left, p), p),
    "`top` has no effect: the images move left and right only.":
        lambda x, top, left, p: crop(x, torch.full_like(top, p), left, p),
    "The images come back as they were: nothing is cut.":
        lambda x, top, left, p: x,
    "The images are padded, but not cut. They come back as large as they were: H × W.":
        lambda x, top, left, p: F.pad(x, (p,) * 4),
}  # fmt: skip


def images_to_cut(count: int, padding: int = 2, *, channels: int = 3, whole: bool = False) -> Call:
    """Random images, and corners among which are both ends."""
    images = torch.rand(count, channels, 7, 9) * 0.8 + 0.2  # no zeros, so that padding shows
    top, left = torch.randint(0, 2 * padding + 1, (2, count))
    top[:3], left[:3] = torch.tensor([0, 2 * padding, padding]), torch.tensor([2 * padding, padding, 0])
    return Call((images * 255).to(torch.uint8) if whole else images, top, left, padding)


@exercise(
    "02.5 crop",
    calls=lambda: [
        *(images_to_cut(5, 2), images_to_cut(4, 1, channels=1), images_to_cut(7, 3, whole=True)),
        images_to_cut(3, 0),
    ],
    returns=BATCH,
    mistakes=CROP_MISTAKES,
    finally_=need_no_loop(images_to_cut),
)
def crop_each(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Each image at its own corner, for four paddings, in colour and grey, bytes and floats, without a loop."""
    return crop(images, top, left, padding)
