"""The checks of lesson 02 on augmentation: flip some images of a batch, cut each at a place of its own."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check


class Count(TorchFunctionMode):
    """Counts the calls of PyTorch functions inside `with Count() as count:`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, then do what was asked."""
        self.calls += 1
        return func(*args, **(kwargs or {}))


def need_no_loop(answer: Callable[..., Any], calls: Callable[[int], Call]) -> None:
    """The answer asks PyTorch for as many operations for 40 images as for 4.

    Raises:
        Wrong: it asks for more.
    """
    counts = []
    for images in (4, 40):
        call = calls(images)
        with Count() as count:
            call.of(answer)
        counts.append(count.calls)
    if counts[1] > counts[0] + 4:
        raise Wrong(
            f"The values are right, but 40 images take {counts[1]} operations where 4 take {counts[0]}: there is a "
            "loop over the images. Let PyTorch work on all of them at once; a GPU needs that even more."
        )


def batches_like(calls: Sequence[Call]) -> Callable[[Any], Tensor]:
    """Takes the answer's values, call by call: each must be a tensor with the type of number that went in."""
    examples = itertools.cycle(call.args[0] for call in calls)

    def batch(value: Any) -> Tensor:
        example = next(examples)
        if not isinstance(value, Tensor):
            raise Wrong(f"Expected a tensor of images, got {kind_of(value)}.")
        if value.dtype != example.dtype:
            raise Wrong(f"The images come in as {example.dtype} and go out as {value.dtype}. Keep their type.")
        return value

    return batch


# --- flip --------------------------------------------------------------------------------------------------


def flip_by_loop(images: Tensor, chosen: Tensor) -> Tensor:
    """The oracle: image by image."""
    return torch.stack([image.flip(2) if flip else image for image, flip in zip(images, chosen, strict=True)])


FLIP_MISTAKES = (
    Mistake(
        lambda images, chosen: images.flip(3),
        "Every image is flipped. Flip those only for which `chosen` is True.",
    ),
    Mistake(lambda images, chosen: images, "No image is flipped."),
    Mistake(
        lambda images, chosen: flip_by_loop(images, ~chosen),
        "You flip those that are not chosen. `torch.where(condition, a, b)` takes a where the condition is True.",
    ),
    Mistake(
        lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(2), images),
        "You turn the images upside down. Left and right change places along the last dimension, the width.",
    ),
    Mistake(
        lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(2, 3), images),
        "You flip height and width, which turns an image by 180°. Flip the width only.",
    ),
    Mistake(
        lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(1), images),
        "You flip the channels: red and blue change places. The width is the last dimension.",
    ),
    Mistake(
        lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(0), images),
        "You flip the order of the images in the batch. The width is the last dimension.",
    ),
    Mistake(
        lambda images, chosen: images.flip(3) if bool(chosen[0]) else images,
        "The first image decides for all. Each image has its own entry in `chosen`.",
    ),
    Mistake(
        lambda images, chosen: images.flip(3)[chosen],
        "Only the flipped images come back. Return the whole batch, in its order.",
    ),
)


@check("02.4 flip")
def check_flip(flip_chosen: Any) -> str:
    """`flip_chosen(images, chosen)`: images `(N, C, H, W)`, chosen bool `(N,)`; no loop over the images."""
    calls = [images_to_flip(5), images_to_flip(4, first=False, channels=1), images_to_flip(7, whole=True)]
    name = need_function(flip_chosen, "flip_chosen(images, chosen)", *calls[0].args)
    judge(flip_chosen, flip_by_loop, calls, FLIP_MISTAKES, name=name, clean=batches_like(calls))
    need_no_loop(flip_chosen, images_to_flip)
    return "Each image by its own entry, in colour and grey, bytes and floats, without a loop."


def images_to_flip(count: int, *, first: bool = True, channels: int = 3, whole: bool = False) -> Call:
    """Random images, bytes if `whole`; either the first or the second is chosen."""
    images = torch.rand(count, channels, 4, 6)
    chosen = torch.rand(count) < 0.5
    chosen[:2] = torch.tensor([first, not first])
    return Call((images * 255).to(torch.uint8) if whole else images - 0.5, chosen)


# --- crop --------------------------------------------------------------------------------------------------


def crop_by_loop(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """The oracle: pad with zeros, then cut image by image."""
    return cut(F.pad(images, (padding,) * 4), top, left, images.shape[2:])


def cut(padded: Tensor, top: Tensor, left: Tensor, size: torch.Size) -> Tensor:
    """From each image a window of `size` whose corner is at `(top, left)`."""
    height, width = size
    corners = zip(padded, top.tolist(), left.tolist(), strict=True)
    return torch.stack([image[:, i : i + height, j : j + width] for image, i, j in corners])


CROP_MISTAKES = (
    Mistake(
        lambda x, top, left, p: crop_by_loop(x, top[:1].expand_as(top), left[:1].expand_as(left), p),
        "The first image's corner is used for all. Image n is cut at `top[n]`, `left[n]`.",
    ),
    Mistake(
        lambda x, top, left, p: crop_by_loop(x, left, top, p),
        "Rows and columns have changed places: `top` counts rows (dimension 2), `left` columns (dimension 3).",
    ),
    Mistake(
        lambda x, top, left, p: cut(F.pad(x, (0, 2 * p, 0, 2 * p)), top, left, x.shape[2:]),
        "The zeros are on the right and at the bottom only. Put `padding` of them on all four sides.",
    ),
    Mistake(
        lambda x, top, left, p: cut(F.pad(x.float(), (p,) * 4, mode="replicate").to(x.dtype), top, left, x.shape[2:]),
        "The border repeats the edge's pixels. Pad with zeros.",
    ),
    Mistake(
        lambda x, top, left, p: torch.stack(
            [image.roll((p - i, p - j), (1, 2)) for image, i, j in zip(x, top.tolist(), left.tolist(), strict=True)]
        ),
        "What leaves on one side comes back on the other: `torch.roll` wraps around. Zeros should come in.",
    ),
    Mistake(
        lambda x, top, left, p: crop_by_loop(x, 2 * p - top, 2 * p - left, p),
        "The windows move the wrong way: with top = 0 the window begins in the zeros above the image.",
    ),
    Mistake(
        lambda x, top, left, p: crop_by_loop(x, top, torch.full_like(left, p), p),
        "`left` has no effect: the images move up and down only.",
    ),
    Mistake(
        lambda x, top, left, p: crop_by_loop(x, torch.full_like(top, p), left, p),
        "`top` has no effect: the images move left and right only.",
    ),
    Mistake(lambda x, top, left, p: x, "The images come back as they were: nothing is cut."),
    Mistake(
        lambda x, top, left, p: F.pad(x, (p,) * 4),
        "The images are padded, but not cut. They come back as large as they were: H × W.",
    ),
)


@check("02.5 crop")
def check_crop(crop_each: Any) -> str:
    """`crop_each(images, top, left, padding)`: images `(N, C, H, W)`, top and left int64 `(N,)` from 0 to 2·padding."""
    calls = [images_to_cut(5, 2), images_to_cut(4, 1, channels=1), images_to_cut(7, 3, whole=True)]
    name = need_function(crop_each, "crop_each(images, top, left, padding)", *calls[0].args)
    judge(crop_each, crop_by_loop, calls, CROP_MISTAKES, name=name, clean=batches_like(calls))
    need_no_loop(crop_each, lambda count: images_to_cut(count, 2))
    return "Each image at its own corner, for three paddings, in colour and grey, bytes and floats, without a loop."


def images_to_cut(count: int, padding: int, *, channels: int = 3, whole: bool = False) -> Call:
    """Random images, and corners among which are both ends."""
    images = torch.rand(count, channels, 7, 9) * 0.8 + 0.2  # no zeros, so that padding shows
    top, left = torch.randint(0, 2 * padding + 1, (2, count))
    top[:3], left[:3] = torch.tensor([0, 2 * padding, padding]), torch.tensor([2 * padding, padding, 0])
    return Call((images * 255).to(torch.uint8) if whole else images, top, left, padding)
