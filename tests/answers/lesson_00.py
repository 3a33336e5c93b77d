"""Answers to the exercises of lesson 00 and its primer, 00b."""

import torch
from torch import Tensor, nn


def first_answer(images: Tensor) -> tuple[int, int, int]:
    N, _, H, W = images.shape
    return N, H, W


def channels_last(images: Tensor):
    N, H, W, _ = images.shape
    return N, W, H


# --- 00b ----------------------------------------------------------------------------------------------------------


def normalise_by_loop(images, mean, std):
    out = images.clone()
    for channel in range(images.shape[1]):
        out[:, channel] = (images[:, channel] - mean[channel]) / std[channel]
    return out


def normalise_in_place(images, mean, std):
    images -= mean[:, None, None]
    images /= std[:, None, None]
    return images


def two_layers_by_modules(x, w1, b1, w2, b2):
    return nn.functional.linear(nn.functional.relu(nn.functional.linear(x, w1, b1)), w2, b2)


def two_layers_per_image(x, w1, b1, w2, b2):
    return torch.stack([w2 @ (w1 @ each + b1).clamp(min=0) + b2 for each in x])


def descend(loss, start, rate, steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        loss(w).backward()
        with torch.no_grad():
            w -= rate * w.grad  # type: ignore[operator]
        w.grad = None
    return w.item()


def descend_by_optimizer(loss, start, rate, steps):
    w = torch.tensor([start], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(w).sum().backward()
        optimizer.step()
    return w


def descend_without_zeroing(loss, start, rate, steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        loss(w).backward()
        w.data -= rate * w.grad  # type: ignore[operator]
    return w.item()


def descend_on_the_leaf(loss, start, rate, steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        loss(w).backward()
        w -= rate * w.grad  # type: ignore[operator]
    return w.item()


RIGHT = {
    "00.1": [first_answer, lambda images: [len(images), *images.shape[2:]]],
    "00b.1": [
        normalise_by_loop,
        lambda images, mean, std: (images - mean.view(1, -1, 1, 1)) / std.reshape(-1, 1, 1),
        lambda images, mean, std: ((images.movedim(1, -1) - mean) / std).movedim(-1, 1),
    ],
    "00b.2": [two_layers_by_modules, two_layers_per_image],
    "00b.3": [descend, descend_by_optimizer],
}

WRONG = {
    "00b.1": [
        (normalise_in_place, "changes the tensor"),
        (lambda images, mean, std: images.mean(), "expected a tensor of shape"),
    ],
    "00b.2": [
        (lambda x, w1, b1, w2, b2: w2 @ (w1 @ x + b1).relu() + b2, "raised RuntimeError"),
        (lambda *five: two_layers_by_modules(*five).detach(), "cuts the result off"),
        (lambda *five: two_layers_by_modules(*five).softmax(1), "the values are not"),
    ],
    "00b.3": [
        (descend_without_zeroing, "backward` adds to `w.grad`"),
        (descend_on_the_leaf, "leaf Variable"),
        (lambda loss, start, rate, steps: start - rate * loss(torch.tensor(start)), "expected "),
    ],
    "00.1": [
        (lambda images: images.numel(), "got the int"),
        (lambda images: torch.tensor(first_answer(images)), "got a tensor"),
        (lambda images: tuple(n / 1 for n in first_answer(images)), "got the float"),
        (channels_last, "expected "),
    ],
}
