"""Answers to the exercises of lesson 02 on counts and augmentation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import checks

from . import Exercise

# --- parameters of the linear layers -----------------------------------------------------------------------


def linear_parameters(channels: int, side: int, hidden: int, num_classes: int) -> int:
    inputs = channels * side * side
    return hidden * (inputs + 1) + hidden * (hidden + 1) + num_classes * (hidden + 1)


def linear_parameters_by_layers(channels: int, side: int, hidden: int, num_classes: int) -> int:
    with torch.device("meta"):
        net = nn.Sequential(
            nn.Linear(channels * side**2, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, num_classes)
        )
    return sum(p.numel() for p in net.parameters())


def linear_parameters_stub(channels: int, side: int, hidden: int, num_classes: int) -> int:
    raise NotImplementedError("not yet")


LINEAR = Exercise(
    checks.check_linear_parameters,
    linear_parameters,
    linear_parameters_stub,
    [
        (
            lambda channels, side, hidden, num_classes: hidden * (channels * side**2 + hidden + num_classes),
            "biases are",
        ),
        (lambda c, s, h, k: h * (c * s + 1) + h * (h + 1) + k * (h + 1), "`side` is counted once"),
        (lambda c, s, h, k: h * (c + 1) + h * (h + 1) + k * (h + 1), "`side` has no effect"),
        (lambda c, s, h, k: h * (s**2 + 1) + h * (h + 1) + k * (h + 1), "`channels` has no effect"),
        (lambda c, s, h, k: h * (c * s**2 + 1) + k * (h + 1), "in the middle"),
        (lambda c, s, h, k: h * (c * s**2 + 1) + h * (h + 1), "last layer"),
        (lambda c, s, h, k: h * (c * s**2 + 1), "first layer alone"),
        (lambda c, s, h, k: h * (c * s**2 + 1) + 2 * h * (h + 1) + k * (h + 1), "four layers"),
        (lambda c, s, h, k: c * s**2 * (h + 1) + h * (h + 1) + h * (k + 1), "bias for each input"),
        (lambda c, s, h, k: h * c * s**2 + h * h + h * k + 3, "one bias a layer"),
        (lambda c, s, h, k: c * s**2 + 2 * h + k, "pair"),
        (lambda c, s, h, k: float(linear_parameters(c, s, h, k)), "the float"),
        (lambda c, s, h, k: torch.tensor(linear_parameters(c, s, h, k)), "a tensor of shape ()"),
        (lambda c, s, h, k: linear_parameters(c, s, h, k) + 1, "expected the int"),
    ],
    others=(linear_parameters_by_layers,),
)

# --- top-k error -------------------------------------------------------------------------------------------


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


def top_k_error_stub(logits: Tensor, labels: Tensor, k: int) -> float:
    raise NotImplementedError("not yet")


def lowest(logits, labels, k):
    return top_k_error(-logits, labels, k)


def only_the_kth(logits, labels, k):
    return 100 * (logits.topk(k).indices[:, -1] != labels).float().mean().item()


def wrong_images(logits, labels, k):
    return top_k_error(logits, labels, k) * len(labels) / 100


def over_all_guesses(logits, labels, k):
    return 100 - 100 * (logits.topk(k).indices == labels[:, None]).float().mean().item()


def any_row(logits, labels, k):
    guesses = logits.topk(k).indices
    return 100 * sum(label not in guesses for label in labels) / len(labels)


def one_verdict(logits, labels, k):
    guesses = logits.topk(k).indices
    return 0.0 if all(label in guesses for label in labels) else 100.0


def each_image(logits, labels, k):
    return 100.0 * (logits.topk(k).indices != labels[:, None]).all(dim=1)


TOP_K = Exercise(
    checks.check_top_k_error,
    top_k_error,
    top_k_error_stub,
    [
        (lambda logits, labels, k: 100 - top_k_error(logits, labels, k), "accuracy"),
        (lambda logits, labels, k: top_k_error(logits, labels, k) / 100, "between 0 and 1"),
        (lambda logits, labels, k: top_k_error(logits, labels, 1), "top-1 error"),
        (lambda logits, labels, k: top_k_error(logits, labels, min(k + 1, logits.shape[1])), "One guess too many"),
        (lambda logits, labels, k: top_k_error(logits, labels, k - 1) if k > 1 else 100.0, "One guess too few"),
        (only_the_kth, "exactly the k-th"),
        (lowest, "k lowest"),
        (wrong_images, "number of wrong images"),
        (over_all_guesses, "images times k"),
        (any_row, "for *any* image"),
        (one_verdict, "batch as a whole"),
        (each_image, "Expected one number"),
        (lambda logits, labels, k: top_k_error(logits, labels, k) + 1, "expected the float"),
        (lambda logits, labels, k: top_k_error(logits.mul_(2), labels, k), "changes the tensor"),
    ],
    others=(top_k_error_by_sorting, top_k_error_by_counting),
)

# --- flip --------------------------------------------------------------------------------------------------


def flip_chosen(images: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def flip_by_index(images: Tensor, chosen: Tensor) -> Tensor:
    out = images.clone()
    out[chosen] = images[chosen].flip(-1)
    return out


def flip_stub(images: Tensor, chosen: Tensor) -> Tensor:
    raise NotImplementedError("not yet")


def flip_in_place(images: Tensor, chosen: Tensor) -> Tensor:
    images[chosen] = images[chosen].flip(-1)
    return images


def flip_in_a_loop(images: Tensor, chosen: Tensor) -> Tensor:
    return torch.stack([image.flip(-1) if yes else image for image, yes in zip(images, chosen, strict=True)])


def flip_by_product(images: Tensor, chosen: Tensor) -> Tensor:
    mask = chosen.view(-1, 1, 1, 1).float()
    return mask * images.flip(3) + (1 - mask) * images


FLIP = Exercise(
    checks.check_flip,
    flip_chosen,
    flip_stub,
    [
        (lambda images, chosen: images.flip(3), "Every image is flipped"),
        (lambda images, chosen: images.clone(), "No image is flipped"),
        (lambda images, chosen: flip_chosen(images, ~chosen), "not chosen"),
        (lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(2), images), "upside down"),
        (lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip((2, 3)), images), "180°"),
        (
            lambda images, chosen: torch.where(chosen[:, None, None, None], images.flip(0), images),
            "order of the images",
        ),
        (lambda images, chosen: images.flip(3) if chosen[0] else images.clone(), "decides for all"),
        (lambda images, chosen: images[chosen].flip(3), "whole batch"),
        (flip_in_place, "changes the tensor"),
        (flip_in_a_loop, "loop over the images"),
        (flip_by_product, "Keep their type"),
        (lambda images, chosen: flip_chosen(images, chosen) * 2, "the values are not"),
        (lambda images, chosen: flip_chosen(images, chosen).tolist(), "Expected a tensor of images"),
    ],
    others=(flip_by_index,),
)

# --- crop --------------------------------------------------------------------------------------------------


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


def crop_stub(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    raise NotImplementedError("not yet")


def crop_in_a_loop(images, top, left, padding):
    H, W = images.shape[2:]
    padded = F.pad(images, (padding,) * 4)
    return torch.stack([padded[n, :, top[n] : top[n] + H, left[n] : left[n] + W] for n in range(len(images))])


def one_corner(images, top, left, padding):
    H, W = images.shape[2:]
    return F.pad(images, (padding,) * 4)[:, :, top[0] : top[0] + H, left[0] : left[0] + W]


def padded_there(images, top, left, padding):
    """Zeros at the right and at the bottom only."""
    H, W = images.shape[2:]
    padded = F.pad(images, (0, 2 * padding, 0, 2 * padding))
    return torch.stack([padded[n, :, top[n] : top[n] + H, left[n] : left[n] + W] for n in range(len(images))])


def edge_repeated(images, top, left, padding):
    H, W = images.shape[2:]
    padded = F.pad(images.float(), (padding,) * 4, mode="replicate").to(images.dtype)
    return torch.stack([padded[n, :, top[n] : top[n] + H, left[n] : left[n] + W] for n in range(len(images))])


def wrapped(images, top, left, padding):
    shifts = zip(images, top, left, strict=True)
    return torch.stack([image.roll((int(padding - i), int(padding - j)), (1, 2)) for image, i, j in shifts])


CROP = Exercise(
    checks.check_crop,
    crop_each,
    crop_stub,
    [
        (one_corner, "The first image's corner"),
        (lambda images, top, left, padding: crop_each(images, left, top, padding), "changed places"),
        (padded_there, "on the right and at the bottom"),
        (edge_repeated, "repeats the edge's pixels"),
        (wrapped, "wraps around"),
        (
            lambda images, top, left, padding: crop_each(images, 2 * padding - top, 2 * padding - left, padding),
            "wrong way",
        ),
        (
            lambda images, top, left, padding: crop_each(images, top, 0 * left + padding, padding),
            "`left` has no effect",
        ),
        (lambda images, top, left, padding: crop_each(images, 0 * top + padding, left, padding), "`top` has no effect"),
        (lambda images, top, left, padding: images.clone(), "nothing is cut"),
        (lambda images, top, left, padding: F.pad(images, (padding,) * 4), "not cut"),
        (crop_in_a_loop, "loop over the images"),
        (lambda images, top, left, padding: crop_each(images, top, left, padding).float(), "Keep their type"),
        (lambda images, top, left, padding: crop_each(images, top, left, padding).mT, "got shape"),
        (lambda images, top, left, padding: crop_each(images.zero_(), top, left, padding), "changes the tensor"),
    ],
    others=(crop_by_gather,),
)

EXERCISES = [LINEAR, TOP_K, FLIP, CROP]
