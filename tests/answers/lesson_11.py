"""Answers to the exercises of lesson 11."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import probe

# --- 11.1 Grad-CAM ----------------------------------------------------------------------------------------------


def cam(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps = features(image)
    (gradient,) = torch.autograd.grad(head(maps)[0, target], maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    small = F.relu((weights * maps).sum(dim=1, keepdim=True))
    return F.interpolate(small, image.shape[2:], mode="bilinear")[0, 0]


def cam_einsum(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """Right, without autograd through the features, and detached."""
    with torch.no_grad():
        maps = features(image)
    maps.requires_grad_()
    (gradient,) = torch.autograd.grad(head(maps)[:, target].sum(), [maps])
    small = torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), maps[0]).clamp(min=0)
    return F.interpolate(small[None, None], image.shape[2:], mode="bilinear", align_corners=False)[0, 0].detach()


def cam_backward(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    maps = features(image)
    maps.retain_grad()
    head(maps)[0, target].backward()
    assert maps.grad is not None
    small = (maps.grad.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    return F.interpolate(small, image.shape[2:], mode="bilinear")[0, 0]


# --- 11.2 pick the layer ----------------------------------------------------------------------------------------


def pick(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    with probe.activations(model, layers) as seen:
        model(image)
    return [name for name in layers if min(seen[name].shape[2:]) >= cells][-1]


def pick_backwards(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    """Right, from the deepest up."""
    with probe.activations(model, layers) as seen:
        model(image)
    return next(name for name in reversed(layers) if seen[name].shape[2] >= cells and seen[name].shape[3] >= cells)


def pick_hook_left(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    seen: dict[str, Tensor] = {}
    for name in layers:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    model(image)
    return [name for name in layers if min(seen[name].shape[2:]) >= cells][-1]


# --- 11.3 completeness ------------------------------------------------------------------------------------------


def integrated(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, float]:
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_()
        total = total + torch.autograd.grad(f(point).sum(), point)[0]
    attribution = (x - baseline) * total / steps
    with torch.no_grad():
        return attribution, float(attribution.sum() - (f(x) - f(baseline)).sum())


def in_one_batch(f: Any, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Right, all steps at once, the error as a tensor."""
    t = ((torch.arange(steps) + 0.5) / steps).reshape(-1, *[1] * (x.ndim - 1))
    points = (baseline + t * (x - baseline)).requires_grad_()
    (gradients,) = torch.autograd.grad(f(points).sum(), points)
    attribution = (x - baseline) * gradients.mean(0, keepdim=True)
    return attribution, attribution.sum() - f(x) + f(baseline)


def with_error(change: Any) -> Any:
    return lambda f, x, baseline, steps: change(*integrated(f, x, baseline, steps))


def in_place(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    found = integrated(f, x, baseline, steps)
    x -= baseline
    return found


def backward(f: Any, x: Tensor, baseline: Tensor, steps: int) -> Any:
    f(x).sum().backward()
    return integrated(f, x, baseline, steps)


RIGHT = {
    "11.1": [cam, cam_einsum, lambda f, g, x, target: probe.grad_cam(nn.Sequential(f, g), x, target, layer="0")[0]],
    "11.2": [pick, pick_backwards],
    "11.3": [integrated, in_one_batch],
}

WRONG = {
    "11.1": [
        (cam_backward, "leaves gradients in it"),
        (lambda *four: cam(*four)[::4, ::4], "expected a tensor of shape"),
        (lambda *four: cam(*four)[None, None], "got shape (1, 1,"),
        (lambda *four: cam(*four).tolist(), "Expected one map (H, W)"),
    ],
    "11.2": [
        (pick_hook_left, "changes the network it is given as `model`"),
        (lambda model, layers, image, cells: layers[-2], "expected 'layer"),
        (lambda model, layers, image, cells: image.shape, "Expected one of the names"),
    ],
    "11.3": [
        (with_error(lambda attribution, error: (torch.zeros_like(attribution), error)), "the values are not"),
        (with_error(lambda attribution, error: (attribution, 1.0)), "at position 1: the shape"),
        (with_error(lambda attribution, error: attribution), "Expected two things"),
        (with_error(lambda attribution, error: (attribution.sum(), error)), "got shape ()"),
        (with_error(lambda attribution, error: (attribution, attribution - error)), "Expected two things"),
        (in_place, "changes the tensor it is given as `x`"),
        (backward, "leaves gradients in it"),
    ],
}
