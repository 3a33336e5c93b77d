"""The check of lesson 11 on Grad-CAM, held to captum's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import probe
from .expect import Call, Mistake, judge, need_function
from .explain import kind_of
from .runner import Wrong, check

Cam = Callable[[nn.Module, nn.Module, Tensor, int], Tensor]


class Part(nn.Sequential):
    """A part of a network; a written call shows its name only."""

    def __init__(self, name: str, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.called = name

    def __repr__(self) -> str:
        """Its name."""
        return self.called


def of_captum(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """The oracle: captum's, for the two parts as one network."""
    return probe.grad_cam(nn.Sequential(features, head), image, target, layer="0")[0]


def pieces(
    features: nn.Module, head: nn.Module, image: Tensor, target: int, *, of: Callable[[Tensor, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """The maps and the gradient of a number with respect to them, `(1, channels, h, w)` each."""
    maps = features(image).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(of(head(maps), target), maps)
    return maps.detach(), gradient


def logit(logits: Tensor, target: int) -> Tensor:
    """The number to differentiate."""
    return logits[0, target]


def enlarged(small: Tensor, image: Tensor, **options: Any) -> Tensor:
    """`(1, 1, h, w)` to the image's side."""
    return F.interpolate(small, tuple(image.shape[2:]), **{"mode": "bilinear", **options})[0, 0]


def variant(
    combine: Callable[[Tensor, Tensor], Tensor], *, of: Callable[[Tensor, int], Tensor] = logit, **options: Any
) -> Cam:
    """Grad-CAM with another way to make one map of maps and gradient, another number, or other enlarging."""

    def cam(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
        return enlarged(combine(*pieces(features, head, image, target, of=of)), image, **options)

    return cam


def mean_of(gradient: Tensor) -> Tensor:
    """One weight a channel."""
    return gradient.mean(dim=(2, 3), keepdim=True)


def summed(maps: Tensor, gradient: Tensor) -> Tensor:
    """The weighted sum, before the ReLU."""
    return (mean_of(gradient) * maps).sum(dim=1, keepdim=True)


def right(maps: Tensor, gradient: Tensor) -> Tensor:
    """The weighted sum, cut at zero."""
    return summed(maps, gradient).clamp(min=0)


def cut_after_enlarging(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """The ReLU at the very end."""
    return variant(summed)(features, head, image, target).clamp(min=0)


def divided_by_largest(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """From 0 to 1, as for a picture."""
    cam = variant(right)(features, head, image, target)
    return cam / cam.max()


def stretched(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """From 0 to 1, with the smallest value taken off."""
    cam = variant(right)(features, head, image, target)
    return (cam - cam.min()) / (cam.max() - cam.min())


MISTAKES = (
    Mistake(
        variant(summed),
        "The last ReLU is missing: the map has negative values. What speaks against the class is cut off.",
    ),
    Mistake(
        variant(lambda m, g: summed(m, g).abs()),
        "You take the absolute value, so that evidence against the class looks like evidence for it. Use a ReLU.",
    ),
    Mistake(
        cut_after_enlarging,
        "The ReLU comes after the enlarging. Cut the small map first, then enlarge it: between a positive and a "
        "negative cell the two differ.",
    ),
    Mistake(
        variant(lambda m, g: (g.sum(dim=(2, 3), keepdim=True) * m).sum(1, keepdim=True).clamp(min=0)),
        "You add up the gradient over the cells. A channel's weight is the *mean*: `gradient.mean(dim=(2, 3), …)`.",
    ),
    Mistake(
        variant(lambda m, g: (mean_of(g) * m).mean(1, keepdim=True).clamp(min=0)),
        "You average the weighted maps over the channels. They are added up: `sum(dim=1)`.",
    ),
    Mistake(
        variant(lambda m, g: (g * m).sum(1, keepdim=True).clamp(min=0)),
        "You multiply cell by cell. Grad-CAM first averages the gradient over the cells: one weight for each channel.",
    ),
    Mistake(
        variant(lambda m, g: (mean_of(g) * m).clamp(min=0).sum(1, keepdim=True)),
        "You cut each channel at zero before adding. Then no channel can speak against another: add first, cut after.",
    ),
    Mistake(
        variant(lambda m, g: (mean_of(g).clamp(min=0) * m).sum(1, keepdim=True).clamp(min=0)),
        "You drop the negative weights. They stay; only the finished sum is cut at zero.",
    ),
    Mistake(
        variant(lambda m, g: m.sum(1, keepdim=True).clamp(min=0)),
        "The weights play no part: you add up the maps as they are, so every class gets the same map.",
    ),
    Mistake(
        variant(lambda m, g: m.mean(1, keepdim=True).clamp(min=0)),
        "The weights play no part: you average the maps as they are, so all classes get the same map.",
    ),
    Mistake(
        variant(right, of=lambda logits, target: logits.softmax(1)[0, target]),
        "You differentiate the probability. Take the logit: the softmax mixes in what speaks for other classes.",
    ),
    Mistake(
        variant(right, of=lambda logits, target: logits.max()),
        "You differentiate the largest logit. Take that of the class asked about, `target`.",
    ),
    Mistake(
        variant(right, of=lambda logits, target: logits.sum()),
        "You differentiate the sum of all logits. Take that of `target` alone.",
    ),
    Mistake(variant(right, mode="nearest"), 'The map is enlarged in blocks. Use `mode="bilinear"`.'),
    Mistake(variant(right, mode="bicubic"), "You enlarge bicubically. Grad-CAM does it bilinearly."),
    Mistake(
        variant(right, align_corners=True),
        "You enlarge with `align_corners=True`, which pulls the outer cells to the border. Leave it out.",
    ),
    Mistake(divided_by_largest, "You divide by the largest value. Leave the map in its units; a figure can scale it."),
    Mistake(stretched, "You stretch the map from 0 to 1. Leave it in its units; a figure can scale it."),
)


@check("11.1 Grad-CAM")
def check_grad_cam(grad_cam: Any) -> str:
    """`grad_cam(features, head, image, target)`: the map `(H, W)` for one image `(1, C, H, W)`."""
    calls = [
        random_call(4, (3, 16, 16), place=0),  # asked about the class with the smallest logit
        random_call(4, (3, 16, 16), place=2),
        random_call(6, (2, 12, 20), place=1),
    ]
    name = need_function(grad_cam, "grad_cam(features, head, image, target)", *calls[0].args)
    judge(grad_cam, of_captum, calls, MISTAKES, name=name, clean=lambda value: need_map(value, name))
    parts = calls[0].args[:2]
    if any(parameter.grad is not None for part in parts for parameter in part.parameters()):
        raise Wrong(
            "The map is right, but the network's parameters keep gradients, which the next training step would add to "
            "its own. Use `torch.autograd.grad(logit, maps)` in place of `backward()`."
        )
    return "Equal to captum's `LayerGradCam`, for several nets, classes and sides."


def random_call(channels: int, shape: tuple[int, ...], *, place: int) -> Call:
    """A net, an image, and the class that comes at this place when the logits are sorted from the smallest up."""
    (features, head), image = random_net(channels), torch.randn(1, *shape)
    with torch.no_grad():
        order = head(features(image))[0].argsort()
    return Call(features, head, image, int(order[place]))


def random_net(channels: int) -> tuple[Part, Part]:
    """Features and head of a small untrained net whose map has cells of both signs, for 3 or 2 input channels."""
    inputs = 3 if channels == 4 else 2
    features = Part("features", nn.Conv2d(inputs, channels, 3, stride=4, padding=1), nn.Tanh())
    side = (4, 4) if channels == 4 else (3, 5)
    head = Part("head", nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh(), nn.Flatten())
    head.append(nn.Linear(channels * side[0] * side[1], 3))
    for name, parameter in [*features.named_parameters(), *head.named_parameters()]:
        if name.endswith("weight"):
            nn.init.normal_(parameter, std=0.5)
    return features, head


def need_map(value: Any, name: str) -> Tensor:
    """The value, if it is a tensor `(H, W)`.

    Raises:
        Wrong: it is something else.
    """
    if not isinstance(value, Tensor):
        raise Wrong(f"Expected a tensor (H, W) from `{name}`, got {kind_of(value)}.")
    if value.ndim != 2:
        raise Wrong(f"Expected one map (H, W) of the image's side, got {kind_of(value)}. Take `[0, 0]` at the end.")
    return value.detach()
